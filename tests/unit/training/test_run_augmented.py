"""A run hears augmented training clips, and plain ones whenever it chooses an epoch, calibrates or predicts."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_up_corpus import MANNERS, spoken

from earnest.audio.waveform import Waveform
from earnest.corpora.manifest import Utterance
from earnest.evaluation.splits import Split
from earnest.frontends.log_mel import LogMel
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe, Training
from earnest.training import learn as teach_module
from earnest.training.clips import Clips
from earnest.training.examples import Example, compute_frames, kept
from earnest.training.record import read_record
from earnest.training.run import run_split

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
