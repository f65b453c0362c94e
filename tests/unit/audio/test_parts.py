"""Parts of one recording are read in one pass, by this process and by decoders' own, and are what each is by itself."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.audio import parts as parts_module
from earnest.audio.deadline import Deadline
from earnest.audio.io import Frames, decode, load_waveform, open_frames
from earnest.audio.parts import PartReader, by_start, in_order, load_waveforms
from earnest.audio.source import Channel, Part, Source
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError
from earnest.runtime.decoders import start_decoders

RATE_HZ = 8_000
N_S = 30
SOUND = np.random.default_rng(0).normal(0, 0.1, (N_S * RATE_HZ, 2)).astype(np.float32)
SPANS = [(0.5, 1.5), (1.0, 3.0), (1.0, 3.0), (2.9, 3.0), (7.0, 9.25), (8.0, 8.1), (28.0, None)]
KINDS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "opus": "OPUS", "mp3": "MPEG_LAYER_III"}


class Opener:
    """Opens recordings, and counts what it has opened and closed."""

    def __init__(self) -> None:
        self.n_opened, self.n_closed = 0, 0

    @contextmanager
    def __call__(self, source: Source, max_seconds: float, from_s: float) -> Iterator[Frames]:
        self.n_opened += 1
        with open_frames(source, max_seconds, from_s) as frames:
            yield frames
        self.n_closed += 1


@pytest.fixture(params=KINDS)
def talk(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / f"talk.{request.param}"
    container = None if request.param != "opus" else "OGG"
    soundfile.write(path, SOUND, RATE_HZ, subtype=KINDS[request.param], format=container)
    return str(path)


def read(reader: PartReader, part: Part) -> Waveform:
    with reader.open_audio(part, 60.0) as stream:
        return np.concatenate(list(stream.blocks))


def test_parts_in_a_row_are_one_pass_and_what_each_is_by_itself(talk: str) -> None:
    opener = Opener()
    reader = PartReader(opener)
    sides = [Part(Channel(talk, side), *span) for span in SPANS for side in (1, 2)]
    with reader.kept_open():
        for part in (*(Part(talk, *span) for span in SPANS), *sides):
            np.testing.assert_array_equal(read(reader, part), decode(part).waveform)
        assert (opener.n_opened, opener.n_closed) == (1, 0)
    assert opener.n_closed == 1
    read(reader, Part(talk, 1, 2))
    assert (opener.n_opened, opener.n_closed) == (2, 2)  # outside of the block each by itself


def test_parts_of_one_recording_are_read_by_their_starts_and_told_as_they_were_asked(talk: str) -> None:
    def part(start_s: float, source: Source = talk) -> Part:
        return Part(source, start_s, start_s + 0.5)

    sources: list[object] = [part(9), part(2, Path(talk)), part(5, Channel(talk, 2)), talk, part(3, SOUND.tobytes())]
    sources += [part(1, b"other"), None, part(4), part(0), part(2), Part("", 3), "x.wav"]
    found = list(by_start(sources))
    assert [number for number, _ in found] == [1, 2, 0, 3, 4, 5, 6, 8, 9, 7, 10, 11]
    assert list(in_order(found)) == sources
    endless = by_start(iter(lambda: talk, None))  # nothing but parts waits for what follows
    assert [next(endless)[0] for _ in range(3)] == [0, 1, 2]


def test_what_is_held_is_bounded_and_what_lies_before_is_read_anew(talk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "HELD_S", 1.0)
    opener = Opener()
    reader = PartReader(opener)
    spans = [(1.0, 2.0), (15.0, 15.5), (25.0, 29.0), (2.0, 3.0), (0.0, None)]
    with reader.kept_open():
        for span in spans:  # of them one is longer than what is held
            np.testing.assert_array_equal(read(reader, Part(talk, *span)), decode(Part(talk, *span)).waveform)
        held = [one._n_held for one in reader._idle]
    # All of it is one block of a minute where reading can't begin at a part.
    assert opener.n_opened == (3 if talk.endswith(("wav", "flac")) else 1)
    assert held and max(held) <= (11 if talk.endswith(("wav", "flac")) else N_S) * RATE_HZ


def test_reading_begins_at_a_part_where_that_is_exact(talk: str) -> None:
    whole = decode(talk).waveform
    for start_s in (3.21, 17.77, 29.9):
        with open_frames(talk, 60.0, start_s) as frames:
            assert frames.is_exact == (not talk.endswith(("ogg", "opus", "mp3")))
            assert frames.first == (round(start_s * frames.sample_rate_hz) if frames.is_exact else 0)
        part = decode(Part(talk, start_s)).waveform
        np.testing.assert_array_equal(part, whole[round(start_s * frames.sample_rate_hz) :])


@contextmanager
def damaged(is_exact: bool, from_s: float, opened: list[float]) -> Iterator[Frames]:
    """Give ten seconds of sound, of which the fifth can't be read."""
    opened.append(from_s)
    first = int(from_s) if is_exact else 0

    def blocks() -> Iterator[np.ndarray]:  # type: ignore[type-arg]
        for second in range(first, 10):
            if second == 4:
                raise AudioError("talk.wav: damaged.")
            yield np.full((1_000, 1), second / 10, np.float32)

    yield Frames("talk.wav", 1_000, 1, "made up", blocks(), first * 1_000, is_exact)


@pytest.mark.parametrize("is_exact", [True, False])
def test_damage_is_told_for_each_part_behind_it_that_it_concerns(is_exact: bool) -> None:
    opened: list[float] = []
    reader = PartReader(lambda source, most_s, from_s: damaged(is_exact, from_s, opened))
    told = []
    with reader.kept_open():
        for start_s in range(9):
            try:
                told.append(float(read(reader, Part("talk.wav", start_s, start_s + 1))[0]))
            except AudioError as error:
                told.append(str(error))
    fine = np.arange(9, dtype=np.float32) / np.float32(10)
    for place, answer in enumerate(told):
        if place == 4 or (place > 4 and not is_exact):
            assert answer == "talk.wav: damaged."
        else:
            assert answer == pytest.approx(fine[place])
    assert opened == ([0, 5] if is_exact else [0])  # what would fail once more is not decoded once more


def test_a_deadline_is_no_damage(talk: str) -> None:
    reader = PartReader()
    with reader.kept_open():
        read(reader, Part(talk, 0, 1))
        with pytest.raises(AudioError, match="late"), Deadline(0.0, "late", AudioError):
            read(reader, Part(talk, 1, 2))
        assert len(read(reader, Part(talk, 1, 2)))


def test_threads_share_a_pass(talk: str) -> None:
    opener = Opener()
    reader = PartReader(opener)
    spans = [(start / 4, start / 4 + 0.5) for start in range(100)]
    with reader.kept_open(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda span: read(reader, Part(talk, *span)), spans))
    for span, waveform in zip(spans, found, strict=True):
        np.testing.assert_array_equal(waveform, decode(Part(talk, *span)).waveform)
    assert opener.n_opened == opener.n_closed <= 4


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors don't travel there")
def test_a_single_decoder_process_reads_parts_in_one_pass_and_others_between(talk: str) -> None:
    wanted = [Part(talk, *span) for span in SPANS[:4]]
    sources: list[Source] = [*wanted, talk, *wanted, Part(Path(__file__), 1, 2), *wanted]
    with Deadline(60.0), start_decoders(1) as pool, pool.kept_open():
        for source in sources:
            if isinstance(source, Part) and source.source == Path(__file__):
                with pytest.raises(AudioError, match="no sound but text"), pool.open_audio(source, 60.0):
                    pass
                continue
            with pool.open_audio(source, 60.0) as stream:
                np.testing.assert_array_equal(np.concatenate([*stream.blocks]), decode(source).waveform)
        (pid,) = pool.pids()
    assert pid


def test_recordings_and_parts_are_loaded_in_turn(talk: str) -> None:
    sources: list[Source] = [Part(talk, 1, 2), talk, Part(talk, 2, 3), (SOUND, RATE_HZ), Part((SOUND, RATE_HZ), 1, 2)]
    for source, waveform in zip(sources, load_waveforms(sources, 16_000), strict=True):
        np.testing.assert_array_equal(waveform, load_waveform(source, 16_000))


def test_where_seeking_fails_it_is_read_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "talk.flac"
    soundfile.write(path, SOUND, RATE_HZ, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(data)
    np.testing.assert_allclose(decode(Part(path, 2, 3)).waveform, SOUND[16_000:24_000].mean(axis=1), atol=1e-4)
    path.write_bytes(data[:100])  # nothing but a header: seeking back fails, too
    with pytest.raises(AudioError, match="cut off"):
        decode(Part(path, 1, 2))
