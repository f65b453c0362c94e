"""The closed-form head for gender, and the temperature of any head for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.evaluation.calibration import fit_temperature, log_softmax
from earnest.models.classifier import NetworkOutput, SpeechClassifier
from earnest.settings.training import Training
from earnest.training.closed_form import discriminant_logits, rotated_logits
from earnest.training.examples import UNKNOWN, Example
from earnest.training.learn import by_gender, fit_gender, fit_gender_calibration

pytestmark = pytest.mark.long

WIDTH = 5
CLOSED = Training(method="discriminant", shrinkage=0.4, auxiliary=("gender",))


class TwoHeads(nn.Module):
    """Embeds a clip as its first frame."""

    def __init__(self) -> None:
        super().__init__()
        self.output, self.gender = nn.Linear(WIDTH, 3), nn.Linear(WIDTH, 2)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        embedding = frames[:, :, 0]
        return NetworkOutput(self.output(embedding), embedding, gender=self.gender(embedding))


def clips(speakers: str, genders: tuple[int, ...], seed: int = 0, distance: float = 2.0) -> list[Example]:
    """Return twelve clips a speaker whose first value tells the gender more often than not."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for speaker, gender in zip(speakers, genders, strict=True):
        for take in range(12):
            frames = torch.randn(WIDTH, 1, generator=generator)
            frames[0] += distance * gender
            row = Utterance(f"{seed}-{speaker}-{take}", Path("a.wav"), corpus="made", speaker=speaker)
            made.append(Example(row, frames, take % 3, 1.0, gender))
    return made


TRAIN, VALID = clips("abcd", (0, 1, 0, 1)), clips("ef", (0, 1), seed=1)
NAMELESS = [replace(example, gender=UNKNOWN, frames=example.frames + 50) for example in clips("xyz", (0, 1, 1), seed=2)]


def test_clips_of_unknown_gender_are_left_out() -> None:
    found = by_gender([*TRAIN, *NAMELESS])
    assert [one.utterance for one in found] == [one.utterance for one in TRAIN]
    assert [one.target for one in found] == [one.gender for one in TRAIN]


def test_the_head_tells_unseen_speakers_apart_and_leaves_the_emotions_alone() -> None:
    network = TwoHeads()
    before = network.output.weight.detach().clone()
    fit_gender(network, [*TRAIN, *NAMELESS], 0.4, {})
    assert torch.equal(network.output.weight, before)
    logits = discriminant_logits(network, VALID, {}, "gender")
    right = logits.argmax(dim=1) == torch.tensor([one.gender for one in VALID])
    assert right.float().mean() > 0.75
    frames = torch.stack([one.frames for one in VALID])
    torch.testing.assert_close(network(frames, torch.ones(len(VALID))).gender, logits)


def test_unknown_voices_move_nothing() -> None:
    one, other = TwoHeads(), TwoHeads()
    fit_gender(one, TRAIN, 0.4, {})
    fit_gender(other, [*NAMELESS, *TRAIN], 0.4, {})
    torch.testing.assert_close(one.gender.weight, other.gender.weight)


def test_its_temperature_is_that_of_all_speakers_in_turn() -> None:
    network = TwoHeads()
    fit_gender(network, TRAIN, 0.4, {})
    temperature, fitted = fit_gender_calibration(network, CLOSED, [*TRAIN, *NAMELESS], [*VALID, *NAMELESS], {})
    logits, true = rotated_logits(network, by_gender(TRAIN), by_gender(VALID), 0.4, 2, {})
    assert len(true) == len(TRAIN) + len(VALID)
    assert temperature == pytest.approx(fit_temperature(logits.numpy(), true))
    assert temperature != pytest.approx(1, abs=0.01)
    assert fitted is not None
    assert (fitted.method, fitted.weight, fitted.after.n) == ("temperature", (), len(true))
    assert fitted.before.nll == pytest.approx(-log_softmax(logits.numpy())[np.arange(len(true)), true].mean(), rel=1e-5)
    assert fitted.after.nll < fitted.before.nll


def test_where_speakers_are_shared_validation_clips_alone_give_it() -> None:
    network = TwoHeads()
    fit_gender(network, TRAIN, 0.4, {})
    temperature, fitted = fit_gender_calibration(network, CLOSED, (), VALID, {})
    logits = discriminant_logits(network, VALID, {}, "gender").numpy()
    assert temperature == pytest.approx(fit_temperature(logits, np.array([one.gender for one in VALID])))
    assert fitted is not None
    assert fitted.after.n == len(VALID)


def test_a_head_that_was_trained_by_gradient_is_calibrated_on_its_own_logits() -> None:
    network = TwoHeads()
    with torch.no_grad():
        network.gender.weight.copy_(torch.tensor([[-9.0, 0, 0, 0, 0], [9.0, 0, 0, 0, 0]]))
    temperature, fitted = fit_gender_calibration(network, Training(auxiliary=("gender",)), (), VALID, {})
    with torch.no_grad():
        logits = network(torch.stack([one.frames for one in VALID]), torch.ones(len(VALID))).gender.numpy()
    assert temperature == pytest.approx(fit_temperature(logits, np.array([one.gender for one in VALID])), rel=1e-5)
    assert temperature > 2  # it was much too sure
    assert fitted is not None


@pytest.mark.parametrize("valid", [[], NAMELESS])
def test_without_validation_clips_of_known_gender_nothing_is_fitted(valid: list[Example]) -> None:
    assert fit_gender_calibration(TwoHeads(), CLOSED, TRAIN, valid, {}) == (1.0, None)


def test_the_temperature_is_in_the_answer() -> None:
    network = TwoHeads()
    classifier = SpeechClassifier(nn.Identity(), network, ("happy", "sad", "angry")).eval()
    frames = torch.randn(2, WIDTH, 1)
    with torch.no_grad():
        plain = classifier.answer(frames, torch.ones(2))
        classifier.gender_temperature.fill_(4.0)
        milder = classifier.answer(frames, torch.ones(2))
        expected = (network(frames, torch.ones(2)).gender / 4).softmax(dim=1)
    torch.testing.assert_close(milder["gender"], expected)
    assert not torch.allclose(plain["gender"], milder["gender"])
    torch.testing.assert_close(plain["probabilities"], milder["probabilities"])
