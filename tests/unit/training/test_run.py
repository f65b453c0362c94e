"""Predictions of a run, and what it hears: augmented clips in training, plain ones everywhere else."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_corpus import MANNERS, spoken

from earnest.audio.waveform import Waveform
from earnest.corpora.load import affect_of
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.splits import Split
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.models.classifier import NetworkOutput, SpeechClassifier
from earnest.settings.front_end import FrontEnd, Image
from earnest.settings.recipe import Finetune, FrameChanges, Recipe, Training
from earnest.testing.sounds import write_voice
from earnest.training import learn as teach_module
from earnest.training.batches import predict_outputs
from earnest.training.examples import Example, kept
from earnest.training.learn import Clips
from earnest.training.record import read_record
from earnest.training.run import initial_classifier, noise_ledger, predictions_from, run_split

pytestmark = pytest.mark.long

OUTPUT = NetworkOutput(
    logits=torch.tensor([[0.0, 2.0], [3.0, 0.0]]),
    embedding=torch.zeros(2, 1),
    gender=torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
    affect=torch.tensor([[0.25, 0.5, 0.75], [0.0, 1.0, 0.5]]),
)
EXAMPLES = [
    Example(Utterance(name, Path("x.wav"), corpus="made", speaker="ann", gender="male"), torch.zeros(1, 1), 0, 1.0)
    for name in ("a", "b")
]


def classifier(*learned: str) -> SpeechClassifier:
    made = SpeechClassifier(torch.nn.Identity(), torch.nn.Identity(), ("happy", "sad"))
    made.learned = learned
    return made


def test_what_was_taught_beside_the_emotion_is_predicted() -> None:
    predictions = predictions_from(OUTPUT, classifier("gender", "affect"), EXAMPLES, "f1")
    assert predictions.predicted.tolist() == [1, 0]
    assert predictions.predicted_gender.tolist() == ["male", "female"]
    np.testing.assert_array_equal(predictions.predicted_affect, [[0.25, 0.5, 0.75], [0.0, 1.0, 0.5]])


def test_one_class_is_nothing_to_learn() -> None:
    with pytest.raises(CorpusError, match=r"All recordings are of one class \(sad\): learning needs two or more"):
        initial_classifier(Recipe("made-up", "cabg"), ("sad",))


def test_what_was_not_taught_is_no_column() -> None:
    predictions = predictions_from(OUTPUT, classifier(), EXAMPLES, "f1")
    assert predictions.predicted_gender is None
    assert predictions.predicted_affect is None


def test_outputs_of_several_batches_are_one() -> None:
    class Network(torch.nn.Module):
        def forward(self, frames: torch.Tensor, n_frames: torch.Tensor) -> NetworkOutput:
            values = frames[:, 0, :1]
            return NetworkOutput(values, -values, gender=torch.cat([values, 1 - values], dim=1))

    examples = [Example(EXAMPLES[0].utterance, torch.full((1, 1), float(index)), 0, 1.0) for index in range(70)]
    output = predict_outputs(Network(), examples)
    assert output.logits[:, 0].tolist() == list(range(70))
    assert output.embedding[:, 0].tolist() == [-index for index in range(70)]
    assert output.gender is not None
    assert output.gender[:, 1].tolist() == [1 - index for index in range(70)]
    assert output.affect is None


FRONT_END = FrontEnd(n_fft=512, win_length=512, hop_length=256, n_mels=20)
EPOCHS = 3


def clips() -> dict[str, Example]:
    found, front_end = {}, LogMel(FRONT_END)
    for speaker in range(3):
        for target, emotion in enumerate(MANNERS):
            waveform = spoken(emotion, speaker, take=0)
            row = Utterance(
                f"{speaker}-{emotion}", Path("a.wav"), corpus="made-up", speaker=f"s{speaker}", emotion=emotion
            )
            frames = compute_frames(front_end, waveform)
            found[row.key] = Example(row, frames, target, len(waveform) / 16_000, waveform=kept(waveform))
    return found


def test_what_no_training_recording_teaches_and_ratings_beyond_their_scale_are_told(tmp_path: Path) -> None:
    ratings, examples = iter([1.0, 7.5, *[4.0] * 10]), {}
    for key, one in clips().items():
        row = replace(one.utterance, valence=next(ratings), arousal=3.0, dominance=1.0)
        examples[key] = replace(one, utterance=row, affect=affect_of(row, (1.0, 7.0)))
    rows = [example.utterance for example in examples.values()]
    training = Training(epochs=1, batch_size=4, optimiser="adamw", auxiliary=("affect",), affect_range=(1.0, 7.0))
    network = {"width_factor": 0.1, "dropout": 0.0}
    recipe = Recipe(
        "made-up", "multitask-cnn", front_end=FRONT_END, network=network, image=Image(width=64), training=training
    )
    run_split(recipe, Split(rows[:3], rows[4:8], rows[8:]), Clips(examples, classes=tuple(MANNERS)), tmp_path)
    warnings = read_record(tmp_path).warnings
    lost = list(MANNERS)[3]
    assert f"no training recording is {lost}, though 2 validation or test recordings should be" in warnings
    assert any(one.startswith("1 of 33 ratings lie beyond the ends of their scale (such as 7.5)") for one in warnings)


def test_noise_of_the_augmentations_and_of_a_fine_tuning_is_in_the_ledger_a_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    for name in ("mine/rain", "mine/sea", "theirs/wind"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_voice(tmp_path / f"{name}.wav", 0.2)
    finetune = Finetune(epochs=1, changes=FrameChanges(noise="mine", noise_names=("rain",)))
    plain = Recipe("made-up", "cabg", training=Training(method="discriminant"))
    tuned = replace(plain, finetune=finetune)
    tables = tuple({"name": "noise-files", "folder": name} for name in ("mine", "theirs"))
    both = replace(tuned, augment=tables, training=replace(plain.training, augmented_copies=1))
    told = [[(line.name, line.n_utterances) for line in noise_ledger(one)] for one in (plain, tuned, both)]
    assert told == [[], [("mine", 1)], [("mine", 2), ("theirs", 1)]]


@pytest.mark.parametrize("refit", [False, True])
def test_nothing_but_training_clips_is_augmented(refit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = clips()
    rows = [example.utterance for example in examples.values()]
    split = Split(rows[:4], rows[4:8], rows[8:])
    heard: Counter[bytes] = Counter()

    def recorded(waveform: Waveform, rng: np.random.Generator) -> Waveform:
        heard[kept(waveform).tobytes()] += 1
        return waveform

    monkeypatch.setattr(teach_module, "change_of", lambda recipe: recorded)
    training = Training(epochs=EPOCHS, batch_size=4, optimiser="adamw", refit=refit)
    tables = ({"name": "gaussian-noise"},)
    recipe = Recipe("made-up", "cabg", front_end=FRONT_END, training=training, augment=tables)
    run_split(recipe, split, Clips(examples), tmp_path)
    record = read_record(tmp_path)
    again = record.best_epoch if refit else 0
    for number, example in enumerate(examples.values()):
        assert example.waveform is not None
        expected = (EPOCHS + again, again, 0)[number // 4]
        assert heard.pop(example.waveform.tobytes(), 0) == expected
    assert not heard
    assert record.stop_reason == "epochs"
