"""Windows to runs of one emotion, from probabilities given by hand."""

import pytest

from earnest.audio.speech import Extent, WindowCutter
from earnest.runtime.smoothing import Run, Smoother

ANGRY, SAD = [0.8, 0.2], [0.2, 0.8]


def runs(segment: Extent, answers: list[list[float]], margin: float = 0.1) -> list[Run]:
    """Smooth windows of 30 every 10 samples."""
    smoother = Smoother(10, margin)
    windows = list(WindowCutter(30, 10).close(segment.start, segment.end))
    assert len(windows) == len(answers)
    found = []
    for window, answer in zip(windows, answers, strict=True):
        found += smoother.accept(window, answer, segment.start)
    return [*found, *smoother.close(segment)]


def test_one_window_is_one_run_over_the_whole_segment() -> None:
    (run,) = runs(Extent(7, 24), [ANGRY])
    assert (run.extent, run.emotion) == (Extent(7, 24), 0)
    assert run.confidence == pytest.approx(0.8)


def test_a_step_is_the_mean_of_the_windows_that_hold_its_start() -> None:
    first, second = runs(Extent(0, 60), [ANGRY, ANGRY, SAD, SAD])
    # steps at 0, 10, …: angry .8, .8, (.8+.8+.2)/3, (.8+.2+.2)/3, .2, .2
    assert (first.extent, second.extent) == (Extent(0, 30), Extent(30, 60))
    assert first.confidence == pytest.approx((0.8 + 0.8 + 0.6) / 3)
    assert second.confidence == pytest.approx((0.6 + 0.8 + 0.8) / 3)


def test_a_lead_below_the_margin_changes_nothing() -> None:
    flicker = [[0.52, 0.48], [0.48, 0.52], [0.52, 0.48], [0.48, 0.52]]
    assert [run.emotion for run in runs(Extent(0, 60), flicker)] == [0]
    assert len(runs(Extent(0, 60), flicker, margin=0.0)) > 1


def test_runs_fill_the_segment_without_gap_or_overlap() -> None:
    for end in range(31, 80):
        segment = Extent(0, end)
        n_windows = len(list(WindowCutter(30, 10).close(0, end)))
        found = runs(segment, [ANGRY, SAD, SAD, ANGRY, ANGRY, SAD, SAD][:n_windows], margin=0.0)
        edges = [0, *(run.extent.end for run in found)]
        assert [run.extent.start for run in found] == edges[:-1]
        assert edges[-1] == end
        assert all(len(run.extent) >= 5 for run in found)


def test_segments_know_nothing_of_each_other() -> None:
    smoother = Smoother(10)
    for start, answer in ((0, ANGRY), (100, SAD)):
        segment = Extent(start, start + 20)
        assert [*smoother.accept(segment, answer, start)] == []
        (run,) = smoother.close(segment)
        assert run.extent == segment
        assert run.confidence == pytest.approx(0.8)
