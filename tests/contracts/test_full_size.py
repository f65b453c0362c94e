"""The published networks in full size, each with the front end, segments and image it was published with."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from earnest.export.onnx import to_onnx
from earnest.models.classifier import MODELS, SpeechClassifier, Usage, build_classifier
from earnest.settings.recipe import Recipe
from earnest.testing.models import padded
from earnest.testing.sounds import voice

IMAGES = (
    "alexnet",
    "alexnet-gap",
    "densenet121",
    "moody-alexnet",
    "moody-resnet18",
    "multitask-cnn-pooled",
    "resnet18",
)
GIANTS = ("multitask-cnn", "vgg11")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Clips:
    waveform: torch.Tensor
    lengths: torch.Tensor


@cache
def model_called(name: str) -> SpeechClassifier:
    usage: Usage = MODELS.get(name).usage
    recipe = Recipe("none", name, front_end=usage.front_end, segments=usage.segments, image=usage.image)
    return build_classifier(recipe, tuple(f"class {number}" for number in range(usage.n_classes)), seed=0).eval()


def clips_for(model: SpeechClassifier, seconds: tuple[float, ...]) -> Clips:
    rate_hz = model.front_end.settings.sample_rate_hz
    return Clips(
        *padded([torch.from_numpy(voice(length, rate_hz, seed=number)) for number, length in enumerate(seconds)])
    )


@pytest.mark.parametrize("name", IMAGES + GIANTS)
def test_outputs_have_their_shapes_and_a_batch_equals_its_clips(name: str) -> None:
    model = model_called(name)
    clips = clips_for(model, (0.4, 3.7))
    with torch.no_grad():
        outputs = model(clips.waveform, clips.lengths)
        alone = model(clips.waveform[:1, : int(clips.lengths[0])], clips.lengths[:1])
    assert outputs["probabilities"].shape == (2, MODELS.get(name).usage.n_classes)
    torch.testing.assert_close(outputs["probabilities"].sum(dim=1), torch.ones(2))
    torch.testing.assert_close(outputs["logits"][:1], alone["logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", IMAGES)
def test_gradient_reaches_every_parameter_but_those_declared(name: str) -> None:
    model = model_called(name)
    clips = clips_for(model, (0.4, 3.7))
    model.zero_grad()
    output = model.network(*model.front_end(clips.waveform, clips.lengths))
    answers = [answer for answer in (output.logits, output.gender, output.affect) if answer is not None]
    sum((answer * torch.arange(1.0, 1 + answer.shape[1])).sum() for answer in answers).backward()
    without = {
        key.removeprefix("network.")
        for key, parameter in model.network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    assert without == set(MODELS.get(name).zero_gradient)
    model.zero_grad()


@pytest.mark.parametrize("name", IMAGES)
def test_the_exported_graph_equals_torch(name: str) -> None:
    model = model_called(name)
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    for seconds in ((0.1,), (2.1, 6.5), (3.0,)):
        clips = clips_for(model, seconds)
        with torch.no_grad():
            expected = model(clips.waveform, clips.lengths)
        names = [key for key in expected if key != "embedding"]
        feed = {"waveform": clips.waveform.numpy(), "lengths": clips.lengths.numpy()}
        for key, values in zip(names, session.run(names, feed), strict=True):
            np.testing.assert_allclose(values, expected[key].numpy(), rtol=0, atol=1e-4)
