from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.check import audio_digests
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError

RATE_HZ = 8_000


def write(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path


def noise(seed: int, n: int = RATE_HZ) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(-0.5, 0.5, n) * 2**15) / 2**15


def test_equal_samples_are_equal_whatever_the_file_is_called_and_however_it_is_packed(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.wav", noise(1)),
        write(tmp_path / "b.flac", noise(1)),
        write(tmp_path / "c.wav", noise(2)),
    ]
    rows = [Utterance(path.stem, path, corpus="made") for path in paths]
    found = audio_digests(rows)
    assert found["made/a"] == found["made/b"] != found["made/c"]
    assert all(len(digest) == 64 for digest in found.values())


def test_parts_of_a_file_are_heard_as_such(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.wav", np.concatenate([noise(1), noise(2)]))
    first = write(tmp_path / "first.wav", noise(1))
    rows = [
        Utterance("whole", whole),
        Utterance("first half", whole, end_s=1.0),
        Utterance("second half", whole, start_s=1.0),
        Utterance("first", first),
    ]
    found = audio_digests(rows)
    assert found["/first half"] == found["/first"]
    assert len(set(found.values())) == 3


def test_silence_is_like_nothing(tmp_path: Path) -> None:
    quiet = write(tmp_path / "quiet.wav", np.zeros(RATE_HZ))
    assert audio_digests([Utterance("a", quiet), Utterance("b", quiet, end_s=0.5)]) == {"/a": "", "/b": ""}


def test_every_clip_is_told_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    told: list[int] = []
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    good = write(tmp_path / "good.wav", noise(1))
    rows = [Utterance("good", good), Utterance("part", good, end_s=0.5)]
    audio_digests(rows, lambda: told.append(1))
    assert len(told) == 2
    with pytest.raises(CorpusError, match=r"1 recordings can't be read: .*broken\.wav"):
        audio_digests([*rows, Utterance("broken", tmp_path / "broken.wav")])
