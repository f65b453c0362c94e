"""Every registered network keeps the same promises; a new model is checked without a line here."""

import fnmatch
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from extreme_waveforms import extreme_feeds
from torch import Tensor
from voices import voice

from earnest.export.onnx import to_onnx
from earnest.front_end import FrontEnd
from earnest.image import Image
from earnest.models.classifier import MODELS, SpeechClassifier, build_classifier, input_kind
from earnest.models.segmented import Segmented
from earnest.recipe import Recipe
from earnest.segments import Segments

CLASSES = ("neutral", "happy", "sad", "angry")
RATE_HZ = 16_000
FRONT_END = FrontEnd(RATE_HZ, n_fft=512, win_length=400, hop_length=160, n_mels=40, trim="gradient")
IMAGE = Image(height=64, width=80, normalise="imagenet", channels=3)
WITHIN = 1e-4
NEEDS = {"ssl": "transformers"}
each_model = pytest.mark.parametrize("name", MODELS.names())


def recipe_of(name: str, **changes: Any) -> Recipe:
    """Return a small recipe that fits what the network sees."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the model '{name}' needs {NEEDS[name]}")
    kind = input_kind(name)
    front_end = replace(FRONT_END, trim="none") if kind == "waveform" else FRONT_END
    recipe = Recipe("made-up", name, front_end=front_end, network=MODELS.get(name).reduced)
    if kind == "image":
        segments = Segments("crop", 0.6)
        recipe = replace(recipe, segments=segments, image=replace(IMAGE, scaling="fixed", lowest_db=-80.0))
    return replace(recipe, **changes)


def model_of(recipe: Recipe) -> SpeechClassifier:
    """Build the model; its parameters and statistics are moved away from zero and one, so that each one matters."""
    model = build_classifier(recipe, CLASSES, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        for buffer in model.network.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.2 * torch.rand(buffer.shape, generator=generator))
    return model.eval()


def model_called(name: str) -> SpeechClassifier:
    return model_of(recipe_of(name))


def inner(model: SpeechClassifier) -> torch.nn.Module:
    """Return the network itself, behind segments and image."""
    return model.network.network if isinstance(model.network, Segmented) else model.network


def clips(seconds: tuple[float, ...] = (0.1, 0.35, 0.6, 1.1), seed: int = 0) -> list[Tensor]:
    return [
        torch.from_numpy(voice(length, pitch_hz=110 + 60 * number, seed=seed + number))
        for number, length in enumerate(seconds)
    ]


def padded(waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths


def frames_of(model: SpeechClassifier, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        frames: tuple[Tensor, Tensor] = model.front_end(*padded(waveforms))
    return frames


@cache
def session_of(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(model_called(name)).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@each_model
def test_outputs_have_their_shapes(name: str) -> None:
    with torch.no_grad():
        outputs = model_called(name)(*padded(clips()))
    required = {"logits", "probabilities", "embedding"}
    assert required <= outputs.keys() <= required | {"gender", "affect", "attention"}
    assert outputs["logits"].shape == outputs["probabilities"].shape == (4, len(CLASSES))
    assert outputs["embedding"].ndim == 2
    torch.testing.assert_close(outputs["probabilities"].sum(dim=1), torch.ones(4))
    if "attention" in outputs:
        assert outputs["attention"].shape[0] == 4
        torch.testing.assert_close(outputs["attention"].sum(dim=1), torch.ones(4))


@each_model
def test_the_temperature_divides_the_logits(name: str) -> None:
    model = model_called(name)
    model.temperature.fill_(2.5)
    with torch.no_grad():
        outputs = model(*padded(clips()))
    torch.testing.assert_close(outputs["probabilities"], (outputs["logits"] / 2.5).softmax(dim=1))


@each_model
def test_gradient_reaches_every_parameter_but_those_declared(name: str) -> None:
    model = model_called(name)
    network, declared = inner(model), MODELS.get(name).zero_gradient
    output = model.network(*frames_of(model, clips()))
    generator = torch.Generator().manual_seed(1)
    answers = [answer for answer in (output.logits, output.gender, output.affect) if answer is not None]
    sum((answer * torch.randn(answer.shape, generator=generator)).sum() for answer in answers).backward()
    sizes = {
        key: 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
        for key, parameter in network.named_parameters()
    }
    matching = {pattern: fnmatch.filter(sizes, pattern) for pattern in declared}
    assert all(matching.values()), "a declared parameter must exist"
    assert all(declared.values()), "a declared zero gradient needs its reason"
    typical = float(np.median(list(sizes.values())))
    assert {key for key, size in sizes.items() if size < 1e-6 * typical} == set(chain(*matching.values()))


@each_model
def test_a_padded_batch_equals_its_clips_one_by_one(name: str) -> None:
    model = model_called(name)
    with torch.no_grad():
        batch = model(*padded(clips()))
        for row, clip in enumerate(clips()):
            alone = model(*padded([clip]))
            for key in batch.keys() - {"attention"}:
                largest = max(1.0, float(alone[key].abs().max()))
                torch.testing.assert_close(batch[key][row], alone[key][0], rtol=0, atol=1e-5 * largest)


@each_model
def test_frames_behind_a_clip_change_nothing(name: str) -> None:
    model = model_called(name)
    frames, n_frames = frames_of(model, clips())
    noise = 100 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(2))
    inside = torch.arange(frames.shape[2])[None, None] < n_frames[:, None, None]
    with torch.no_grad():
        clean, disturbed = model.network(frames, n_frames), model.network(torch.where(inside, frames, noise), n_frames)
    torch.testing.assert_close(disturbed.logits, clean.logits, rtol=0, atol=1e-5)


@each_model
@pytest.mark.parametrize(
    "seconds", [(0.1,), (0.1, 0.1, 0.1), (0.7, 0.1, 1.9), (4.3,)], ids=lambda seconds: "+".join(map(str, seconds))
)
def test_the_exported_graph_equals_torch_for_lengths_and_batches_it_was_not_traced_with(
    name: str, seconds: tuple[float, ...]
) -> None:
    waveform, lengths = padded(clips(seconds, seed=10))
    with torch.no_grad():
        expected = model_called(name)(waveform, lengths)
    session = session_of(name)
    names = [output.name for output in session.get_outputs()]
    found = dict(
        zip(names, session.run(names, {"waveform": waveform.numpy(), "lengths": lengths.numpy()}), strict=True)
    )
    assert found.keys() == expected.keys()
    for key in expected.keys() - {"attention"}:
        largest = max(1.0, float(expected[key].abs().max())) if key == "embedding" else 1.0
        np.testing.assert_allclose(found[key], expected[key].numpy(), rtol=0, atol=WITHIN * largest)


@each_model
def test_the_exported_graph_answers_any_samples_with_finite_numbers(name: str) -> None:
    session = session_of(name)
    names = [output.name for output in session.get_outputs()]
    for waveform, feeds in extreme_feeds(RATE_HZ).items():
        found = dict(zip(names, session.run(names, feeds), strict=True))
        assert {key for key, values in found.items() if not np.isfinite(values).all()} == set(), waveform
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)


@each_model
def test_the_exported_graph_equals_torch_for_silence_and_a_single_sample(name: str) -> None:
    waveform, lengths = padded([torch.zeros(3_000), torch.ones(1), torch.full((3_000,), 1e-40)])
    with torch.no_grad():
        expected = model_called(name)(waveform, lengths)["probabilities"].numpy()
    found = session_of(name).run(["probabilities"], {"waveform": waveform.numpy(), "lengths": lengths.numpy()})[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=WITHIN)


@each_model
def test_the_graph_takes_any_batch_and_length_and_names_no_machine(name: str) -> None:
    inputs = {item.name: (item.type, item.shape) for item in session_of(name).get_inputs()}
    assert inputs == {
        "waveform": ("tensor(float)", ["batch", "samples"]),
        "lengths": ("tensor(int64)", ["batch"]),
    }
    facts = session_of(name).get_modelmeta().custom_metadata_map
    assert len(bytes.fromhex(facts.pop("weights_sha256"))) == 32
    assert facts == {"sample_rate_hz": str(RATE_HZ), "classes": ",".join(CLASSES)}


@each_model
def test_parameters_are_counted_without_the_front_end(name: str) -> None:
    model = model_called(name)
    assert model.n_parameters() == sum(tensor.numel() for tensor in model.network.parameters())
    assert model.n_parameters() == sum(tensor.numel() for tensor in model.parameters())


@each_model
def test_the_random_start_depends_on_the_seed_alone(name: str) -> None:
    def weights(seed: int, global_seed: int) -> dict[str, Any]:
        torch.manual_seed(global_seed)
        return build_classifier(recipe_of(name), CLASSES, seed).network.state_dict()

    first, again, other = weights(1, 5), weights(1, 6), weights(2, 5)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@each_model
def test_it_learns_eight_made_up_clips_by_heart(name: str) -> None:
    model = build_classifier(recipe_of(name), CLASSES, seed=0)
    seconds = tuple(np.linspace(0.3, 0.6, 8))
    frames, n_frames = frames_of(model, clips(seconds))
    targets = torch.arange(8) % len(CLASSES)
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    torch.manual_seed(0)
    loss = torch.inf
    for _ in range(300):
        if loss < 0.1:
            break
        optimiser.zero_grad()
        cost = torch.nn.functional.cross_entropy(model.network(frames, n_frames).logits, targets)
        cost.backward()
        optimiser.step()
        loss = 0.8 * min(loss, 2.0) + 0.2 * float(cost.detach())
    model.eval()
    with torch.no_grad():
        answers = model(*padded(clips(seconds)))["logits"].argmax(dim=1)
    assert answers.tolist() == targets.tolist()


@each_model
def test_it_names_its_paper(name: str) -> None:
    assert len(MODELS.get(name).paper) > 10
