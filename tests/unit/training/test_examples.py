"""Utterances to examples: nothing dropped silently; kept ones are bit for bit those that are decoded anew."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.files.cache import DiskCache
from earnest.frontends.log_mel import LogMel
from earnest.labels import scheme_called
from earnest.models.classifier import Network, NetworkOutput
from earnest.settings.front_end import FrontEnd
from earnest.testing.sounds import write_voice
from earnest.training import examples as examples_module
from earnest.training.closed_form import EmbeddingCache
from earnest.training.examples import Example, compute_examples, kept

WIDER = FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=40)


def test_parts_of_a_file_and_dropped_labels(tmp_path: Path) -> None:
    path = write_voice(tmp_path / "a.wav", seconds=2.0)
    rows = [
        Utterance("whole", path, corpus="made-up", emotion="happy"),
        Utterance("part", path, 0.5, 1.0, corpus="made-up", emotion="sad"),
        Utterance("dropped", path, corpus="made-up", emotion="calm"),
    ]
    ticks: list[int] = []
    found = compute_examples(LogMel(WIDER), rows, scheme_called("six"), lambda: ticks.append(1))
    assert list(found) == ["made-up/whole", "made-up/part"]
    assert len(ticks) == 3
    assert [one.target for one in found.values()] == [1, 2]
    assert [one.frames.shape for one in found.values()] == [(40, 201), (40, 51)]
    assert [one.duration_s for one in found.values()] == [2.0, 0.5]


def test_unreadable_recordings_are_counted_and_named(tmp_path: Path) -> None:
    good = write_voice(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    rows = [
        Utterance("good", good, corpus="made-up", emotion="happy"),
        *(Utterance(str(number), tmp_path / "bad.wav", corpus="made-up", emotion="sad") for number in range(7)),
    ]
    with pytest.raises(CorpusError, match=r"7 recordings can't be read") as error:
        compute_examples(LogMel(WIDER), rows, scheme_called("six"))
    assert "bad.wav" in str(error.value)
    assert "earnest corpus manifest" in str(error.value)


def test_frames_do_not_depend_on_the_order_of_the_clips(tmp_path: Path) -> None:
    rows = [
        Utterance(str(seed), write_voice(tmp_path / f"{seed}.wav", seed=seed), corpus="made-up", emotion="happy")
        for seed in range(3)
    ]
    forward = compute_examples(LogMel(WIDER), rows, scheme_called("six"))
    backward = compute_examples(LogMel(WIDER), rows[::-1], scheme_called("six"))
    for key, one in forward.items():
        np.testing.assert_array_equal(one.frames.numpy(), backward[key].frames.numpy())


def test_kept_waveforms_are_within_a_step_of_16_bits() -> None:
    waveform = np.array([-1.5, -1.0, -0.3, 0.0, 1e-3, 0.7, 1.0], np.float32)
    assert kept(waveform).dtype == np.int16
    np.testing.assert_allclose(kept(waveform) / 32_767, waveform.clip(-1, 1), atol=0.5 / 32_767)


FRONT_END = LogMel(FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=20))
OTHER = LogMel(FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=24))


@pytest.fixture
def rows(tmp_path: Path) -> list[Utterance]:
    path = write_voice(tmp_path / "a.wav", seconds=1.0)
    parts = {"whole": (0.0, None), "part": (0.2, 0.7)}
    return [Utterance(name, path, *part, corpus="made-up", emotion="happy") for name, part in parts.items()]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Count what is decoded."""
    calls: list[object] = []
    load = examples_module.load_waveform

    def counted(*arguments: Any, **words: Any) -> object:
        calls.append(arguments)
        return load(*arguments, **words)

    monkeypatch.setattr(examples_module, "load_waveform", counted)
    return calls


def computed(
    rows: list[Utterance], disk: DiskCache | None, keep: bool = True, front_end: LogMel = FRONT_END
) -> list[Example]:
    return list(compute_examples(front_end, rows, scheme_called("six"), keep_waveforms=keep, disk=disk).values())


def test_kept_examples_are_bit_for_bit_those_that_are_decoded(
    rows: list[Utterance], decoded: list[object], tmp_path: Path
) -> None:
    disk = DiskCache(tmp_path / "cache", 10**8)
    plain = computed(rows, None)
    for expected_calls in (4, 4):  # two without, two that fill the cache, none after that
        for found, expected in zip(computed(rows, disk), plain, strict=True):
            assert torch.equal(found.frames, expected.frames)
            assert found.waveform is not None
            assert expected.waveform is not None
            np.testing.assert_array_equal(found.waveform, expected.waveform)
            assert (found.duration_s, found.digest) == (expected.duration_s, expected.digest)
        assert len(decoded) == expected_calls


def test_other_sound_other_settings_and_damage_are_decoded_anew(
    rows: list[Utterance], decoded: list[object], tmp_path: Path
) -> None:
    disk = DiskCache(tmp_path / "cache", 10**8)
    computed(rows, disk)
    assert computed(rows, disk, keep=False)[0].waveform is None
    assert computed(rows, disk, front_end=OTHER)[0].frames.shape[0] == 24
    assert len(decoded) == 6
    for path in (tmp_path / "cache").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    computed(rows, disk)
    assert len(decoded) == 8
    before = computed(rows, disk)[0].digest
    write_voice(tmp_path / "a.wav", seconds=1.1)
    assert computed(rows, disk)[0].digest != before
    assert len(decoded) == 10


def test_a_recording_that_cannot_be_read_is_named_as_ever(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    for name in ("bad.wav", "gone.wav"):
        row = Utterance("a", tmp_path / name, corpus="made-up", emotion="happy")
        with pytest.raises(CorpusError, match=name):
            computed([row], DiskCache(tmp_path / "cache", 10**8))


class Counting(Network):
    """Counts how often it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.output, self.calls = nn.Linear(20, 4), nn.Linear(4, 6), 0
        self.register_buffer("n_batches", torch.tensor(0))  # as a BatchNorm counts: one number, no list of them

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        self.calls += 1
        embedding = self.body(frames.mean(dim=2))
        return NetworkOutput(self.output(embedding), embedding)


def test_embeddings_outlive_the_process_until_the_weights_before_the_last_layer_change(
    rows: list[Utterance], tmp_path: Path
) -> None:
    disk = DiskCache(tmp_path / "cache", 10**8)
    clips, network = computed(rows, disk), Counting()
    expected = EmbeddingCache().embed(network, clips)
    assert torch.equal(EmbeddingCache(disk=disk).embed(network, clips), expected)
    assert network.calls == 4
    nn.init.zeros_(network.output.weight)
    assert torch.equal(EmbeddingCache(disk=disk).embed(network, clips), expected)
    assert network.calls == 4
    EmbeddingCache(disk=disk, made_by="other settings").embed(network, clips)
    assert network.calls == 6
    nn.init.zeros_(network.body.weight)
    assert not torch.equal(EmbeddingCache(disk=disk).embed(network, clips), expected)
    assert network.calls == 8


OUTSIDE = """
from torch import nn
from earnest.models.classifier import Network, NetworkOutput
from outside_network.pooling import pooled

class Outside(Network):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(20, 6)

    def forward(self, frames, n_frames):
        return NetworkOutput(self.output(pooled(frames)), pooled(frames))
"""


def test_embeddings_of_another_packages_network_are_made_anew_when_any_of_its_code_changes(
    rows: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    clips = computed(rows, disk := DiskCache(tmp_path / "cache", 10**8))
    package = tmp_path / "outside_network"
    package.mkdir()
    (package / "__init__.py").write_text(OUTSIDE)

    def embedded(statistic: str) -> Tensor:
        (package / "pooling.py").write_text(f"def pooled(frames):\n    return frames.{statistic}(dim=2)\n")
        for name in ("outside_network", "outside_network.pooling"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        network = importlib.import_module("outside_network").Outside()
        nn.init.zeros_(network.output.weight)
        nn.init.zeros_(network.output.bias)
        return EmbeddingCache(disk=disk).embed(network, clips)

    means, deviations = embedded("mean"), embedded("std")
    torch.testing.assert_close(means, torch.stack([clip.frames.mean(dim=1) for clip in clips]))
    torch.testing.assert_close(deviations, torch.stack([clip.frames.std(dim=1) for clip in clips]))
    assert torch.equal(embedded("mean"), means)
