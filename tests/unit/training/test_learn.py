"""What each learner says of itself; the closed-form head for gender, and the temperature of any head for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.evaluation.calibration import FittedCalibration, fit_temperature, log_softmax
from earnest.models.classifier import Network, NetworkOutput, SpeechClassifier
from earnest.models.layers import SpeakerDependentHead
from earnest.settings.recipe import Finetune, Recipe, Training
from earnest.training.batches import Ranks
from earnest.training.closed_form import EmbeddingCache, discriminant_logits, fit_discriminant, out_of_fold_logits
from earnest.training.examples import UNKNOWN, Example
from earnest.training.heads import EmotionHead, GenderHead
from earnest.training.learn import Clips, ClosedForm, GradientDescent, calibration_of, learner_for
from earnest.training.runtime_statistics import RuntimeStatistics

pytestmark = pytest.mark.long

WIDTH = 5
CLOSED = Training(method="discriminant", shrinkage=0.4, auxiliary=("gender",))


class TwoHeads(Network):
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


HEAD = GenderHead(2)


def fit_gender(network: TwoHeads, train: list[Example]) -> None:
    fit_discriminant(network, HEAD.relabelled(train), 0.4, 2, EmbeddingCache(), "gender")


def calibrated(
    network: TwoHeads, settings: Training, heard: list[Example], valid: list[Example], independent: bool = True
) -> tuple[float, FittedCalibration | None]:
    learner = learner_for(Recipe("made", "cabg", training=settings), Clips({}))
    return calibration_of(learner, network, HEAD, heard, valid, independent)


def test_clips_of_unknown_gender_are_left_out() -> None:
    found = HEAD.relabelled([*TRAIN, *NAMELESS])
    assert [one.utterance for one in found] == [one.utterance for one in TRAIN]
    assert [one.target for one in found] == [one.gender for one in TRAIN]


def test_the_head_tells_unseen_speakers_apart_and_leaves_the_emotions_alone() -> None:
    network = TwoHeads()
    before = network.output.weight.detach().clone()
    fit_gender(network, [*TRAIN, *NAMELESS])
    assert torch.equal(network.output.weight, before)
    logits = discriminant_logits(network, VALID, EmbeddingCache(), "gender")
    right = logits.argmax(dim=1) == torch.tensor([one.gender for one in VALID])
    assert right.float().mean() > 0.75
    frames = torch.stack([one.frames for one in VALID])
    torch.testing.assert_close(network(frames, torch.ones(len(VALID))).gender, logits)


def test_unknown_speakers_move_nothing() -> None:
    one, other = TwoHeads(), TwoHeads()
    fit_gender(one, TRAIN)
    fit_gender(other, [*NAMELESS, *TRAIN])
    torch.testing.assert_close(one.gender.weight, other.gender.weight)


def test_its_temperature_is_that_of_all_speakers_in_turn() -> None:
    network = TwoHeads()
    fit_gender(network, TRAIN)
    temperature, fitted = calibrated(network, CLOSED, [*TRAIN, *NAMELESS], [*VALID, *NAMELESS])
    logits, true = out_of_fold_logits(network, HEAD.relabelled(TRAIN), HEAD.relabelled(VALID), 0.4, 2, EmbeddingCache())
    assert len(true) == len(TRAIN) + len(VALID)
    assert temperature == pytest.approx(fit_temperature(logits.numpy(), true))
    assert temperature != pytest.approx(1, abs=0.01)
    assert fitted is not None
    assert (fitted.method, fitted.weight, fitted.after.n) == ("temperature", (), len(true))
    assert fitted.before.nll == pytest.approx(-log_softmax(logits.numpy())[np.arange(len(true)), true].mean(), rel=1e-5)
    assert fitted.after.nll < fitted.before.nll


def test_where_speakers_are_shared_validation_clips_alone_give_it() -> None:
    network = TwoHeads()
    fit_gender(network, TRAIN)
    temperature, fitted = calibrated(network, CLOSED, TRAIN, VALID, independent=False)
    logits = discriminant_logits(network, VALID, EmbeddingCache(), "gender").numpy()
    assert temperature == pytest.approx(fit_temperature(logits, np.array([one.gender for one in VALID])))
    assert fitted is not None
    assert fitted.after.n == len(VALID)


def test_a_head_that_was_trained_by_gradient_is_calibrated_on_its_own_logits() -> None:
    network = TwoHeads()
    with torch.no_grad():
        network.gender.weight.copy_(torch.tensor([[-9.0, 0, 0, 0, 0], [9.0, 0, 0, 0, 0]]))
    temperature, fitted = calibrated(network, Training(auxiliary=("gender",)), TRAIN, VALID)
    with torch.no_grad():
        logits = network(torch.stack([one.frames for one in VALID]), torch.ones(len(VALID))).gender.numpy()
    assert temperature == pytest.approx(fit_temperature(logits, np.array([one.gender for one in VALID])), rel=1e-5)
    assert temperature > 2  # it was much too sure
    assert fitted is not None


@pytest.mark.parametrize("valid", [[], NAMELESS])
def test_without_validation_clips_of_known_gender_nothing_is_fitted(valid: list[Example]) -> None:
    assert calibrated(TwoHeads(), CLOSED, TRAIN, valid) == (1.0, None)


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


BOTH, DESCENT = Recipe("made-up", "cabg", training=CLOSED), Recipe("made-up", "cabg")


class Linear(Network):
    """One layer on the first frame; all else is by default."""

    def __init__(self, by_voice: bool = False) -> None:
        super().__init__()
        self.output = SpeakerDependentHead(4, 3) if by_voice else nn.Linear(4, 3)

    def forward(self, inputs: Tensor, n_frames: Tensor) -> NetworkOutput:
        embedding = inputs[:, :, 0]
        return NetworkOutput(self.output(embedding), embedding)


def test_the_method_of_a_recipe_chooses_the_learner() -> None:
    assert isinstance(learner_for(BOTH, Clips({})), ClosedForm)
    assert isinstance(learner_for(DESCENT, Clips({})), GradientDescent)


def test_a_closed_form_refuses_a_network_that_lacks_a_layer_before_clips_are_decoded() -> None:
    alone = replace(BOTH, training=replace(BOTH.training, auxiliary=()))
    learner_for(alone, Clips({})).check(Linear())
    with pytest.raises(RecipeError, match="called 'gender', and Linear has none"):
        learner_for(BOTH, Clips({})).check(Linear())
    with pytest.raises(RecipeError, match="called 'output'"):
        learner_for(alone, Clips({})).check(Network())
    learner_for(DESCENT, Clips({})).check(Network())


def test_a_closed_form_names_the_class_that_no_training_recording_has(tmp_path: Path) -> None:
    classifier = SpeechClassifier(nn.Identity(), TwoHeads(), ("happy", "sad", "angry"))
    without = [example for example in TRAIN if example.target != 1]
    with pytest.raises(RecipeError, match="No training recording is 'sad', and a discriminant needs some of every"):
        learner_for(BOTH, Clips({})).fit(classifier, [without], VALID, tmp_path)


def test_training_speakers_are_answered_out_of_fold_where_nothing_learnt_from_them_but_the_last_layer() -> None:
    closed, asked = learner_for(BOTH, Clips({})), (EmotionHead(3), TRAIN, VALID)
    assert closed.out_of_fold_logits(TwoHeads(), *asked) is not None
    assert closed.out_of_fold_logits(Linear(by_voice=True), *asked) is None
    tuned = replace(BOTH, finetune=Finetune(epochs=1))
    assert learner_for(tuned, Clips({})).out_of_fold_logits(TwoHeads(), *asked) is None
    assert learner_for(DESCENT, Clips({})).out_of_fold_logits(TwoHeads(), *asked) is None


def test_a_network_that_is_trained_whole_has_no_runtime_statistics() -> None:
    assert learner_for(DESCENT, Clips({})).runtime_statistics(None, (), ()) == RuntimeStatistics()  # type: ignore[arg-type]


def test_what_several_processes_cannot_learn_is_refused_before_anything_is_decoded() -> None:
    together = Clips({}, ranks=Ranks(0, 2))
    with pytest.raises(RecipeError, match="no epochs that processes could share"):
        learner_for(Recipe("made", "cabg", training=CLOSED), together).check(TwoHeads())
    network = TwoHeads()
    learner = learner_for(Recipe("made", "cabg"), together)
    learner.check(network)
    weight_norm(network.output)
    with pytest.raises(RecipeError, match="can't be sent to other processes"):
        learner.check(network)
    learner_for(Recipe("made", "cabg"), Clips({})).check(network)
