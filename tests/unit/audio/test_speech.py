"""Segments and windows, from probabilities given by hand."""

from earnest.audio.activity import Extent, SpeechFinder, WindowCutter


def segments(shares: list[float]) -> list[tuple[int, int]]:
    finder = SpeechFinder()
    found = [finder.accept(share) for share in shares]
    return [segment for segment in [*found, finder.finish()] if segment]


def test_speech_has_a_margin_and_short_pauses_do_not_end_it() -> None:
    assert segments([0] * 10 + [1] * 10 + [0] * 12 + [1] * 10 + [0] * 20) == [(6, 46)]
    assert segments([0] * 10 + [1] * 10 + [0] * 13 + [1] * 10 + [0] * 20) == [(6, 24), (29, 47)]


def test_a_click_is_no_speech() -> None:
    assert segments([0] * 10 + [1] * 7 + [0] * 30) == []
    assert segments([0] * 10 + [1] * 8 + [0] * 30) == [(6, 22)]


def test_what_would_not_begin_speech_can_go_on_with_it() -> None:
    assert segments([0.4] * 50) == []
    assert segments([0] * 10 + [0.6] * 8 + [0.4] * 30 + [0] * 20) == [(6, 52)]


def test_segments_stay_inside_the_recording() -> None:
    assert segments([1] * 20) == [(0, 20)]
    assert segments([0, 0] + [1] * 20 + [0, 0]) == [(0, 24)]


def test_segments_never_touch_or_shrink_while_they_grow() -> None:
    finder = SpeechFinder()
    certain = 0
    for share in [1.0] * 9 + [0.0] * 12 + [1.0] * 9:
        finder.accept(share)
        assert finder.certain_end >= certain
        certain = finder.certain_end
    assert finder.finish() == (0, certain)


def test_windows_overlap_and_the_last_one_ends_with_the_segment() -> None:
    cutter = WindowCutter(30, 10)
    assert [*cutter.grow(5, 34)] == []
    assert [*cutter.grow(5, 45)] == [Extent(5, 35), Extent(15, 45)]
    assert [*cutter.close(5, 52)] == [Extent(22, 52)]
    assert [*cutter.close(100, 130)] == [Extent(100, 130)]
    assert [*cutter.close(200, 240)] == [Extent(200, 230), Extent(210, 240)]


def test_a_segment_shorter_than_a_window_is_one_window() -> None:
    assert [*WindowCutter(30, 10).close(5, 17)] == [Extent(5, 17)]
