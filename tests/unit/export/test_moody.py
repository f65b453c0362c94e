"""The graph for Moody's web application against the network."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from earnest.errors import EarnestError
from earnest.export.onnx import MOODY_EIGHT, MOODY_SAMPLES, MOODY_SEVEN, moody_classes, to_moody
from earnest.models.classifier import MODELS, SpeechClassifier, build_classifier
from earnest.settings.front_end import PRESETS, FrontEnd, Image, Segments
from earnest.settings.recipe import Recipe
from earnest.testing.sounds import voice

pytestmark = pytest.mark.long


def model_of(classes: tuple[str, ...], front_end: FrontEnd = PRESETS["moody"]) -> SpeechClassifier:
    settings = MODELS.get("moody-alexnet").reduced
    recipe = Recipe(
        "made-up",
        "moody-alexnet",
        front_end=front_end,
        segments=Segments("crop", 2.1),
        image=Image(low_at_bottom=False),
        network=settings,
    )
    model = build_classifier(recipe, classes, seed=0).eval()
    model.temperature.fill_(1.7)
    return model


@cache
def exported() -> tuple[onnxruntime.InferenceSession, SpeechClassifier]:
    model = model_of(tuple(sorted(MOODY_SEVEN)))
    proto = to_moody(model, {"licence": "CC0-1.0"})
    return onnxruntime.InferenceSession(proto.SerializeToString()), model


def test_names_sizes_and_metadata_are_moodys() -> None:
    fixed, _ = exported()
    (given,), (told,) = fixed.get_inputs(), fixed.get_outputs()
    assert (given.name, given.shape, given.type) == ("input", ["batch", MOODY_SAMPLES], "tensor(float)")
    assert (told.name, told.shape) == ("output", ["batch", 7])
    said = fixed.get_modelmeta().custom_metadata_map
    assert said["classes"] == "neutral,happy,sad,angry,fearful,disgust,surprised"
    assert (said["profile"], said["licence"], said["n_samples"]) == ("moody", "CC0-1.0", "46305")


@pytest.mark.parametrize("n_clips", [1, 3])
def test_it_gives_the_networks_probabilities_in_moodys_order(n_clips: int) -> None:
    fixed, model = exported()
    sound = np.stack([voice(2.1, 22_050, seed=number)[:MOODY_SAMPLES] for number in range(n_clips)])
    sound /= np.sqrt((sound**2).mean(axis=1, keepdims=True))  # as Moody's page does
    (logits,) = fixed.run(["output"], {"input": sound})
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    with torch.no_grad():
        expected = model(torch.from_numpy(sound), torch.full((n_clips,), MOODY_SAMPLES))["probabilities"].numpy()
    order = [sorted(MOODY_SEVEN).index(name) for name in MOODY_SEVEN]
    np.testing.assert_allclose(shares, expected[:, order], atol=1e-5)
    assert np.abs(expected[:, order] - expected).max() > 1e-3  # the order matters


def test_eight_classes_have_calm_behind_the_seven() -> None:
    assert moody_classes(tuple(sorted(MOODY_EIGHT))) == (*MOODY_SEVEN, "calm")
    assert moody_classes(tuple(reversed(MOODY_SEVEN))) == MOODY_SEVEN


def test_other_classes_are_refused() -> None:
    with pytest.raises(EarnestError, match="--scheme moody7"):
        moody_classes(("happy", "sad"))


def test_another_rate_is_refused() -> None:
    with pytest.raises(EarnestError, match="records at 22050 Hz, this model hears 16000 Hz"):
        to_moody(model_of(MOODY_SEVEN, replace(PRESETS["moody"], sample_rate_hz=16_000)), {})
