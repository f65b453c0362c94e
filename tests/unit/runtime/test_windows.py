"""Windows and segments: what is heard of a recording, with how much around it, however the sound arrives."""

import tracemalloc
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from earnest.audio.activity import Extent
from earnest.audio.quality import levels_dbfs
from earnest.errors import EarnestError
from earnest.runtime import windows
from earnest.runtime.windows import CONTEXT_S, Job, Over, Windower, Windowing, WindowSound
from earnest.testing.sounds import voice

RATE_HZ = 16_000
N_CONTEXT = round(CONTEXT_S * RATE_HZ)
ENERGY = Windowing(1.0, 0.5, "energy")
Samples = npt.NDArray[np.float32]


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def talk() -> Samples:
    """Return speech after a long pause, after a short one, and up to the end."""
    parts = [silence(1.6), voice(2.2), silence(0.7), voice(0.5, seed=1), silence(2.5), voice(1.3, seed=2)]
    return np.concatenate(parts).astype(np.float32)


class LoudSound:
    """Takes what is louder than -45 dBFS for speech."""

    name = "energy"

    def probabilities(self, frames: Samples) -> npt.NDArray[np.float32]:
        return (levels_dbfs(frames) > -45).astype(np.float32)


class InDoubt(LoudSound):
    """Is sure of what is louder than -15 dBFS alone."""

    def probabilities(self, frames: Samples) -> npt.NDArray[np.float32]:
        levels = levels_dbfs(frames)
        return np.select([levels > -15, levels > -45], [1.0, 0.1], 0.0).astype(np.float32)


def in_a_room(before_s: float, speech: Samples, after_s: float) -> Samples:
    """Return speech with a room's noise, 30 dB softer, under it and around it."""
    sound = np.concatenate([silence(before_s), speech, silence(after_s)])
    noise = np.random.default_rng(0).standard_normal(len(sound)) * float(np.std(speech)) * 10 ** (-30 / 20)
    return (sound + noise).astype(np.float32)


def jobs(
    sound: Samples, size: int, windowing: Windowing = ENERGY, needs_activity: bool = True, live: bool = True
) -> tuple[list[Job], Windower]:
    windower = Windower(RATE_HZ, RATE_HZ, windowing, needs_activity, live)
    found = [job for at in range(0, len(sound), size) for job in windower.accept(sound[at : at + size])]
    return [*found, *windower.finish()], windower


def plain(found: list[Job]) -> list[tuple[object, ...]]:
    return [
        (job.extent, job.segment_start, job.sound.tobytes()) if isinstance(job, WindowSound) else (job.extent,)
        for job in found
    ]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("size", [1, 511, 7_777])
def test_pieces_of_any_size_give_the_same_windows(size: int, live: bool) -> None:
    sound = talk()[: 5 * RATE_HZ]
    whole, _ = jobs(sound, len(sound))
    assert plain(jobs(sound, size, live=live)[0]) == plain(whole)
    assert len(whole) > 5


def test_windows_at_the_ends_of_segments_are_heard_with_what_is_around_but_no_other_segment() -> None:
    sound = talk()
    found, _ = jobs(sound, 4_000)
    segments = [job.extent for job in found if isinstance(job, Over)]
    assert len(segments) == 3
    before = [0, *(segment.end for segment in segments)]
    after = [*(segment.start for segment in segments[1:]), len(sound)]
    for segment, earliest, latest in zip(segments, before, after, strict=False):
        inside = [job for job in found if isinstance(job, WindowSound) and job.segment_start == segment.start]
        for job in inside:
            first = max(segment.start - N_CONTEXT, earliest) if job.extent.start == segment.start else job.extent.start
            last = min(segment.end + N_CONTEXT, latest) if job.extent.end == segment.end else job.extent.end
            np.testing.assert_array_equal(job.sound, sound[first:last])
        assert (inside[0].extent.start, inside[-1].extent.end) == (segment.start, segment.end)
    assert any(len(job.sound) > len(job.extent) for job in found if isinstance(job, WindowSound))


def test_windows_of_a_segment_overlap_and_come_before_its_end_is_told() -> None:
    found, _ = jobs(talk(), 1_000)
    starts = [job.segment_start if isinstance(job, WindowSound) else job.extent.start for job in found]
    assert starts == sorted(starts)
    for one, other in pairwise(found):
        if isinstance(one, WindowSound) and isinstance(other, WindowSound):
            assert one.extent.start < other.extent.start < one.extent.end <= other.extent.end
        if isinstance(one, Over):
            assert isinstance(other, WindowSound)


@pytest.mark.parametrize("live", [True, False])
def test_a_recording_no_longer_than_a_window_and_a_hop_is_heard_at_once(live: bool) -> None:
    sound = np.concatenate([silence(0.5), voice(1.5), silence(1.0)])
    found, windower = jobs(sound, 900, Windowing(3.0, 1.0, "energy"), live=live)
    (heard, over) = found
    assert windower.is_whole
    assert isinstance(heard, WindowSound)
    np.testing.assert_array_equal(heard.sound, sound)
    assert heard.extent == over.extent == Extent(heard.segment_start, over.extent.end)
    assert (heard.extent.start, heard.extent.end) == pytest.approx((0.5 * RATE_HZ, 2.0 * RATE_HZ), abs=1_200)


@pytest.mark.parametrize("needs_activity", [True, False])
@pytest.mark.parametrize("live", [True, False])
def test_room_noise_far_from_the_speech_of_a_short_recording_is_not_heard(
    live: bool, needs_activity: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "activity_called", lambda name: LoudSound())
    sound = in_a_room(1.0, voice(1.2), 1.0)
    (heard, over) = jobs(sound, 900, Windowing(), needs_activity, live)[0]
    assert isinstance(heard, WindowSound)
    first = int(np.flatnonzero(sound == heard.sound[0])[0])
    np.testing.assert_array_equal(heard.sound, sound[first : first + len(heard.sound)])
    assert first == pytest.approx(1.0 * RATE_HZ - N_CONTEXT, abs=3_000)
    assert first + len(heard.sound) == pytest.approx(2.2 * RATE_HZ + N_CONTEXT, abs=3_000)
    assert first <= heard.extent.start == over.extent.start < over.extent.end <= first + len(heard.sound)


def test_little_noise_at_the_ends_and_noise_without_speech_are_heard_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "activity_called", lambda name: LoudSound())
    short_ends = in_a_room(0.5, voice(1.2), 0.5)
    no_speech = in_a_room(1.0, voice(0.15), 1.0)
    for sound in (short_ends, no_speech):
        (heard, _) = jobs(sound, 900, Windowing(), needs_activity=False, live=False)[0]
        assert isinstance(heard, WindowSound)
        np.testing.assert_array_equal(heard.sound, sound)


def test_a_short_recording_needs_speech_only_where_nothing_else_judges_it() -> None:
    click = np.concatenate([silence(0.5), voice(0.15), silence(0.5)])
    windowing = Windowing(3.0, 1.0, "energy")
    assert jobs(click, 900, windowing)[0] == []
    (heard, _) = jobs(click, 900, windowing, needs_activity=False)[0]
    assert isinstance(heard, WindowSound)
    np.testing.assert_array_equal(heard.sound, click)
    assert jobs(silence(1.0), 900, windowing, needs_activity=False)[0] == []


def test_what_is_judged_otherwise_is_not_searched_for_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "activity_called", lambda name: pytest.fail("was searched"))
    assert len(jobs(voice(2.0), 900, Windowing(), needs_activity=False, live=False)[0]) == 2


@pytest.mark.parametrize("speaks", [True, False])
def test_memory_stays_bounded(speaks: bool) -> None:
    minute = voice(60.0) if speaks else np.random.default_rng(0).normal(0, 1e-5, 60 * RATE_HZ).astype(np.float32)
    windower = Windower(RATE_HZ, RATE_HZ, Windowing(3.0, 1.0, "energy"), live=False)
    tracemalloc.start()
    n_windows = sum(isinstance(job, WindowSound) for _ in range(10) for at in range(60)
                    for job in windower.accept(minute[at * RATE_HZ : (at + 1) * RATE_HZ]))  # fmt: skip
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (n_windows > 590) == speaks
    assert kept < 1.5e6  # a window, its context and room for as much
    assert peak < 5e6


@pytest.mark.parametrize(("window_s", "hop_s"), [(1.0, 2.0), (3.0, 0.0), (90.0, 1.0)])
def test_windows_that_leave_holes_are_refused(window_s: float, hop_s: float) -> None:
    with pytest.raises(EarnestError, match=r"Expected 0\.1 ≤ hop ≤ window ≤ 60"):
        Windowing(window_s, hop_s)


@pytest.mark.parametrize("size", [160, 4_321, 10**6])
def test_loud_sound_in_doubt_is_heard_too_and_the_segment_before_it_is_not_lost(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "activity_called", lambda name: InDoubt())
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ).astype(np.float32)
    sound = np.concatenate([silence(1), 0.9 * tone, silence(0.6), 0.2 * tone, silence(0.6), 0.9 * tone, silence(1)])
    found, windower = jobs(sound, size, Windowing(1.0, 0.5), needs_activity=False)
    ends = [job.extent for job in found if isinstance(job, Over)]
    expected = [(1, 3), (3.6, 5.6), (6.2, 8.2)]
    assert [(extent.start / RATE_HZ, extent.end / RATE_HZ) for extent in ends] == [
        pytest.approx(times, abs=0.2) for times in expected
    ]
    heard = [job for job in found if isinstance(job, WindowSound)]
    assert {job.segment_start for job in heard} == {extent.start for extent in ends}
    assert not windower.is_speaking
    alone, _ = jobs(sound, size, Windowing(1.0, 0.5), needs_activity=True)  # nobody else says whether it is speech
    assert [job.extent for job in alone if isinstance(job, Over)] == [ends[0], ends[2]]


def test_what_is_in_doubt_for_minutes_is_heard_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "activity_called", lambda name: InDoubt())
    tone = (0.2 * np.sin(2 * np.pi * 440 * np.arange(10 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    windower, n_over = Windower(RATE_HZ, RATE_HZ, Windowing(), needs_activity=False, live=False), 0
    tracemalloc.start()
    for _ in range(30):
        n_over += sum(isinstance(job, Over) for job in windower.accept(tone))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_over > 30 * 10 / 4 - 2
    assert peak < 8 * tone.nbytes
