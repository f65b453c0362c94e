"""Contract of networks, tried on a small one (its ``reduced`` settings) and made-up voices."""

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from earnest.export.onnx import to_onnx
from earnest.models.classifier import MODELS, SpeechClassifier, build_classifier, input_kind, wrong_in
from earnest.settings.front_end import FrontEnd, Image, Segments
from earnest.settings.recipe import Recipe
from earnest.testing import Promise, expect
from earnest.testing.sounds import extreme_feeds, voice

CLASSES = ("neutral", "happy", "sad", "angry")
RATE_HZ = 16_000
FRONT_END = FrontEnd(RATE_HZ, n_fft=512, win_length=400, hop_length=160, n_mels=40, trim="gradient")
IMAGE = Image(height=64, width=80, normalise="imagenet", channels=3)
WITHIN = 1e-4  # of the probabilities, between the exported graph and torch
# Seconds of the utterances of each batch that an exported graph is handed; it was traced with others.
BATCHES_S = ((0.1,), (0.1, 0.1, 0.1), (0.7, 0.1, 1.9), (4.3,))
Session: TypeAlias = Any  # onnxruntime has no types


def recipe_of(name: str, **changes: Any) -> Recipe:
    """Return a small recipe that fits what the network sees."""
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
    """Build the small model of a registered network."""
    return model_of(recipe_of(name))


def clips(seconds: Sequence[float] = (0.1, 0.35, 0.6, 1.1), seed: int = 0) -> list[Tensor]:
    """Return voices of different pitch, each (samples,)."""
    return [
        torch.from_numpy(voice(length, pitch_hz=110 + 60 * number, seed=seed + number))
        for number, length in enumerate(seconds)
    ]


def padded(waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return a batch (batch, samples) with zeros behind the utterances, and their lengths (batch,)."""
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True), lengths


def frames_of(model: SpeechClassifier, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the network's input: (batch, bands, frames) and the valid frames (batch,)."""
    with torch.no_grad():
        frames: tuple[Tensor, Tensor] = model.front_end(*padded(waveforms))
    return frames


def exported(model: SpeechClassifier) -> Session:
    """Return a session of onnxruntime with the exported graph, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(model).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def _session_of(name: str) -> Session:
    """The checks of one network follow each other, so that each is exported once."""
    return exported(model_called(name))


def _answers(session: Session, waveform: Tensor, lengths: Tensor) -> dict[str, Any]:
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {"waveform": waveform.numpy(), "lengths": lengths.numpy()})
    return dict(zip(names, found, strict=True))


def _largest(values: Tensor) -> float:
    return max(1.0, float(values.abs().max()))


def outputs_have_their_shapes(name: str) -> None:
    """Logits and probabilities a class, an embedding; gender, affect and attention where there are heads for them."""
    model = model_called(name)
    with torch.no_grad():
        given = model.network(*frames_of(model, clips()))
        wrong = wrong_in(given, 4, len(CLASSES))
        expect(not wrong, f"{name}: {wrong}")
        outputs = model(*padded(clips()))
    required = {"logits", "probabilities", "embedding"}
    right = required <= outputs.keys() <= required | {"gender", "affect", "attention"}
    expect(right, f"{name}: its outputs are {sorted(outputs)}")
    torch.testing.assert_close(outputs["probabilities"].sum(dim=1), torch.ones(4))
    if "attention" in outputs:
        expect(outputs["attention"].shape[0] == 4, f"{name}: attention must be (batch, steps)")
        torch.testing.assert_close(outputs["attention"].sum(dim=1), torch.ones(4))


def temperature_divides_the_logits(name: str) -> None:
    """Probabilities are calibrated after training."""
    model = model_called(name)
    model.temperature.fill_(2.5)
    with torch.no_grad():
        outputs = model(*padded(clips()))
    torch.testing.assert_close(outputs["probabilities"], (outputs["logits"] / 2.5).softmax(dim=1))


def gradient_reaches_every_parameter_but_those_declared(name: str) -> None:
    """``zero_gradient`` names the others, each with its reason."""
    model = model_called(name)
    network, declared = model.network.inner, MODELS.get(name).zero_gradient
    output = model.network(*frames_of(model, clips()))
    generator = torch.Generator().manual_seed(1)
    answers = [answer for answer in (output.logits, output.gender, output.affect) if answer is not None]
    weighted = [(answer * torch.randn(answer.shape, generator=generator)).sum() for answer in answers]
    torch.autograd.backward(weighted)
    sizes = {
        key: 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
        for key, parameter in network.named_parameters()
    }
    matching = {pattern: fnmatch.filter(sizes, pattern) for pattern in declared}
    expect(all(matching.values()), f"{name}: zero_gradient names parameters that don't exist: {matching}")
    expect(all(declared.values()), f"{name}: each name in zero_gradient needs its reason")
    typical = float(np.median(list(sizes.values())))
    found = {key for key, size in sizes.items() if size < 1e-6 * typical}
    known = set(chain(*matching.values()))
    expect(
        found <= known, f"{name}: no gradient reaches {sorted(found - known)}; mend it or declare it in zero_gradient"
    )
    expect(known <= found, f"{name}: zero_gradient names {sorted(known - found)}, which a gradient reaches")


def padded_batch_equals_its_clips_one_by_one(name: str) -> None:
    """Neighbours in a batch change no answer."""
    model = model_called(name)
    with torch.no_grad():
        batch = model(*padded(clips()))
        for row, clip in enumerate(clips()):
            alone = model(*padded([clip]))
            for key in batch.keys() - {"attention"}:
                torch.testing.assert_close(
                    batch[key][row], alone[key][0], rtol=0, atol=1e-5 * _largest(alone[key]), msg=_told(name, key, row)
                )


def _told(name: str, key: str, row: int) -> Any:
    return lambda message: (
        f"{name}: {key} of utterance {row} is another one in a batch; mask what lies behind it. {message}"
    )


def frames_behind_a_clip_change_nothing(name: str) -> None:
    """Padding is masked, with any values there."""
    model = model_called(name)
    frames, n_frames = frames_of(model, clips())
    noise = 100 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(2))
    inside = torch.arange(frames.shape[2])[None, None] < n_frames[:, None, None]
    with torch.no_grad():
        clean, disturbed = model.network(frames, n_frames), model.network(torch.where(inside, frames, noise), n_frames)
    torch.testing.assert_close(disturbed.logits, clean.logits, rtol=0, atol=1e-5)


def exported_graph_equals_torch_for_lengths_and_batches_it_was_not_traced_with(name: str) -> None:
    """Within 1e-4, in onnxruntime."""
    model, session = model_called(name), _session_of(name)
    for seconds in BATCHES_S:
        waveform, lengths = padded(clips(seconds, seed=10))
        with torch.no_grad():
            expected = model(waveform, lengths)
        found = _answers(session, waveform, lengths)
        expect(found.keys() == expected.keys(), f"{name}: the graph gives {sorted(found)}, torch {sorted(expected)}")
        for key in expected.keys() - {"attention"}:
            within = WITHIN * (_largest(expected[key]) if key == "embedding" else 1.0)
            where = f"{name}: {key} for utterances of {seconds} s"
            np.testing.assert_allclose(found[key], expected[key].numpy(), rtol=0, atol=within, err_msg=where)


def exported_graph_answers_any_samples_with_finite_numbers(name: str) -> None:
    """Silence, one sample, clicks, values far outside [-1, 1], wrong lengths."""
    session = _session_of(name)
    names = [output.name for output in session.get_outputs()]
    for waveform, feeds in extreme_feeds(RATE_HZ).items():
        found = dict(zip(names, session.run(names, feeds), strict=True))
        wrong = sorted(key for key, values in found.items() if not np.isfinite(values).all())
        expect(not wrong, f"{name}: {', '.join(wrong)} not finite for {waveform}")
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5, err_msg=f"{name}: {waveform}")


def exported_graph_equals_torch_for_silence_and_a_single_sample(name: str) -> None:
    """And for denormal numbers, which some runtimes flush to zero."""
    waveform, lengths = padded([torch.zeros(3_000), torch.ones(1), torch.full((3_000,), 1e-40)])
    with torch.no_grad():
        expected = model_called(name)(waveform, lengths)["probabilities"].numpy()
    found = _answers(_session_of(name), waveform, lengths)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=WITHIN, err_msg=name)


def exported_graph_takes_any_batch_and_length_and_names_no_machine(name: str) -> None:
    """Its inputs have free dimensions; its metadata tells the rate, the classes and a sum of the weights."""
    session = _session_of(name)
    inputs = {item.name: (item.type, item.shape) for item in session.get_inputs()}
    right = {"waveform": ("tensor(float)", ["batch", "samples"]), "lengths": ("tensor(int64)", ["batch"])}
    expect(inputs == right, f"{name}: the inputs of its graph are {inputs}, not {right}")
    facts = session.get_modelmeta().custom_metadata_map
    expect(len(bytes.fromhex(facts.pop("weights_sha256"))) == 32, f"{name}: weights_sha256 is no SHA-256")
    told = {"sample_rate_hz": str(RATE_HZ), "classes": ",".join(CLASSES)}
    expect(facts == told, f"{name}: the metadata of its graph are {facts}, not {told}")


def parameters_are_counted_without_the_front_end(name: str) -> None:
    """And the front end has none."""
    model = model_called(name)
    for module in (model.network, model):
        n_parameters = sum(tensor.numel() for tensor in module.parameters())
        expect(model.n_parameters() == n_parameters, f"{name}: {model.n_parameters()} parameters, not {n_parameters}")


def random_start_depends_on_the_seed_alone(name: str) -> None:
    """Two builds with one seed are equal, whatever was drawn before."""

    def weights(seed: int, global_seed: int) -> dict[str, Any]:
        torch.manual_seed(global_seed)
        return build_classifier(recipe_of(name), CLASSES, seed).network.state_dict()

    first, again, other = weights(1, 5), weights(1, 6), weights(2, 5)
    expect(all(torch.equal(first[key], again[key]) for key in first), f"{name}: one seed gives two random starts")
    expect(any(not torch.equal(first[key], other[key]) for key in first), f"{name}: two seeds give one random start")


def eight_made_up_clips_are_learnt_by_heart(name: str) -> None:
    """Within 300 steps of AdamW."""
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
        torch.autograd.backward(cost)
        optimiser.step()
        loss = 0.8 * min(loss, 2.0) + 0.2 * float(cost.detach())
    model.eval()
    with torch.no_grad():
        answers = model(*padded(clips(seconds)))["logits"].argmax(dim=1).tolist()
    expect(
        answers == targets.tolist(), f"{name}: trained on eight utterances of {targets.tolist()} it answers {answers}"
    )


def paper_is_named(name: str) -> None:
    """With authors and year."""
    expect(len(MODELS.get(name).paper) > 10, f"{name}: say in paper where the architecture was published")


PROMISES: tuple[Promise, ...] = (
    outputs_have_their_shapes,
    temperature_divides_the_logits,
    gradient_reaches_every_parameter_but_those_declared,
    padded_batch_equals_its_clips_one_by_one,
    frames_behind_a_clip_change_nothing,
    exported_graph_equals_torch_for_lengths_and_batches_it_was_not_traced_with,
    exported_graph_answers_any_samples_with_finite_numbers,
    exported_graph_equals_torch_for_silence_and_a_single_sample,
    exported_graph_takes_any_batch_and_length_and_names_no_machine,
    parameters_are_counted_without_the_front_end,
    random_start_depends_on_the_seed_alone,
    eight_made_up_clips_are_learnt_by_heart,
    paper_is_named,
)
