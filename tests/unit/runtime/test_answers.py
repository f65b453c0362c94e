"""From windows given by hand to spans, and from spans to one answer about a recording."""

import numpy as np
import pytest

from earnest.audio.activity import Extent, WindowCutter
from earnest.bundle import SOUNDS
from earnest.labels import UNSURE
from earnest.runtime.answers import Label, Run, Smoother, Tally, Verdict, verdict_of
from earnest.runtime.prediction import Prediction, VocalBurst, percent

CLASSES = ("happy", "sad", "angry")
NOTHING = Prediction("a.wav", "no-speech")


def tally(
    *spans: tuple[str, int, float], abstain_below: float = 0.5, shares: tuple[float, ...] = (0.5, 0.3, 0.2)
) -> Tally:
    """Return a tally that heard one window of ten samples, and spans: label, samples, confidence."""
    found = Tally(16_000, CLASSES, abstain_below)
    found.add({"probabilities": np.array(shares)}, 10)
    for name, n_samples, confidence in spans:
        kind = "unsure" if name == UNSURE else "emotion" if name in CLASSES else "vocal-burst"
        found.hold(Label(kind, name), n_samples, confidence)
        if kind == "vocal-burst":
            found.bursts.append(VocalBurst(0.0, 1.0, name, confidence))
    return found


def test_what_holds_most_of_the_answered_speech_is_the_answer() -> None:
    answer = tally(("happy", 60, 0.7), ("sad", 40, 0.9), ("happy", 20, 0.9)).answer(NOTHING, True)
    assert (answer.status, answer.emotion) == ("ok", "happy")
    assert answer.confidence == pytest.approx((60 * 0.7 + 20 * 0.9) / 80)
    assert answer.shares == pytest.approx({"happy": 80 / 120, "sad": 40 / 120})
    assert answer.probabilities == {"happy": 0.5, "sad": 0.3, "angry": 0.2}


def test_sixty_per_cent_are_enough_and_less_is_mixed() -> None:
    assert tally(("happy", 60, 0.7), ("sad", 40, 0.9)).answer(NOTHING, True).emotion == "happy"
    mixed = tally(("happy", 59, 0.7), ("sad", 41, 0.9)).answer(NOTHING, True)
    assert (mixed.status, mixed.emotion, mixed.confidence) == ("mixed", None, None)
    assert list(mixed.shares or {}) == ["happy", "sad"]


def test_unsure_speech_counts_neither_for_nor_against_until_it_is_more_than_half() -> None:
    half = tally(("happy", 35, 0.7), ("sad", 15, 0.9), (UNSURE, 50, 0.4)).answer(NOTHING, True)
    assert (half.status, half.emotion) == ("ok", "happy")
    assert half.shares == {UNSURE: 0.5, "happy": 0.35, "sad": 0.15}
    more = tally(("happy", 49, 0.7), (UNSURE, 51, 0.4)).answer(NOTHING, True)
    assert (more.status, more.emotion, more.confidence) == ("unsure", None, 0.5)
    assert tally((UNSURE, 10, 0.4)).answer(NOTHING, True).status == "unsure"


def test_a_recording_heard_as_one_is_the_mean_and_has_no_shares() -> None:
    answer = tally(("sad", 10, 0.4), shares=(0.6, 0.3, 0.1)).answer(NOTHING, False)
    assert (answer.status, answer.emotion, answer.confidence, answer.shares) == ("ok", "happy", 0.6, None)


@pytest.mark.parametrize(("below", "status"), [(0.0, "ok"), (0.5, "ok"), (0.51, "unsure"), (1.0, "unsure")])
def test_below_the_threshold_it_is_unsure(below: float, status: str) -> None:
    answer = tally(("happy", 10, 0.5), abstain_below=below).answer(NOTHING, False)
    assert (answer.status, answer.emotion) == (status, "happy" if status == "ok" else None)
    assert (answer.confidence, answer.probabilities["happy"]) == (0.5, 0.5)


def test_vocal_bursts_are_listed_and_count_as_no_speech() -> None:
    answer = tally(("laughter", 90, 0.9), ("sad", 10, 0.8)).answer(NOTHING, True)
    assert (answer.emotion, answer.shares) == ("sad", {"sad": 1.0})
    assert answer.vocal_bursts == (VocalBurst(0.0, 1.0, "laughter", 0.9),)


def test_bursts_alone_are_the_status_even_where_a_window_of_speech_was_outvoted() -> None:
    alone = Tally(16_000, CLASSES)
    alone.hold(Label("vocal-burst", "sigh"), 10, 0.9)
    alone.bursts.append(VocalBurst(0.0, 1.0, "sigh", 0.9))
    for found in (alone, tally(("sigh", 10, 0.9))):
        for is_summary in (True, False):
            answer = found.answer(NOTHING, is_summary)
            assert (answer.status, answer.emotion, answer.probabilities) == ("vocal-burst", None, {})


def test_nothing_heard_changes_nothing() -> None:
    assert Tally(16_000, CLASSES).answer(NOTHING, True) == NOTHING


def test_far_from_training_is_the_mean_over_windows_by_their_length() -> None:
    found = Tally(16_000, CLASSES)
    for distance, n_samples in ((3.0, 10), (1.0, 30)):
        found.add({"probabilities": np.ones(3) / 3, "distance": np.array(distance)}, n_samples)
    assert found.quality(1.49) == ("out-of-domain",)
    assert found.quality(1.5) == found.quality(None) == ()
    assert tally().quality(0.0) == ()  # the graph doesn't tell a distance


def test_overlapped_speech_is_the_mean_over_windows_by_their_length() -> None:
    found = Tally(16_000, CLASSES)
    for overlap, n_samples in ((0.9, 30), (0.1, 10)):
        found.add({"probabilities": np.ones(3) / 3, "overlap": np.array(overlap), "distance": np.array(2.0)}, n_samples)
    assert found.quality(1.0, ("other-tracks",)) == ("other-tracks", "overlapped-speech", "out-of-domain")
    found.add({"probabilities": np.ones(3) / 3, "overlap": np.array(0.1), "distance": np.array(2.0)}, 30)
    assert found.quality(3.0) == ()


@pytest.mark.parametrize(
    ("confidence", "text"),
    [
        (0.734, "73%"),
        (0.95, "95%"),
        (0.9501, "> 95%"),
        (1.0, "> 95%"),
        (0.0, "0%"),
        (1e-9, "< 1%"),
        (0.005, "< 1%"),
        (0.0051, "1%"),
    ],
)
def test_a_probability_is_shown_as_at_most_95_per_cent_and_as_0_only_where_it_is_0(
    confidence: float, text: str
) -> None:
    assert percent(confidence) == text


ANGRY, SAD = [0.8, 0.2], [0.2, 0.8]
TWO_CLASSES = ("angry", "sad")
SPEECH, LAUGHTER, NOISE = Verdict("speech", 0.9), Verdict("laughter", 0.7), Verdict("no-speech", 0.8)
Answer = list[float] | Verdict


def runs(segment: Extent, answers: list[Answer], margin: float = 0.1, abstain_below: float = 0.0) -> list[Run]:
    """Smooth windows of 30 every 10 samples; an answer is a verdict other than speech, or probabilities."""
    smoother = Smoother(10, TWO_CLASSES, abstain_below, margin)
    windows = list(WindowCutter(30, 10).close(segment.start, segment.end))
    assert len(windows) == len(answers)
    found: list[Run] = []
    for window, answer in zip(windows, answers, strict=True):
        verdict, shares = (answer, [0.5, 0.5]) if isinstance(answer, Verdict) else (SPEECH, answer)
        found += smoother.accept(window, verdict, shares, segment.start)
    return [*found, *smoother.close(segment)]


def names(found: list[Run]) -> list[str]:
    return [run.label.name for run in found]


def test_one_window_is_one_run_over_the_whole_segment() -> None:
    (run,) = runs(Extent(7, 24), [ANGRY])
    assert (run.extent, run.label) == (Extent(7, 24), Label("emotion", "angry"))
    assert run.confidence == pytest.approx(0.8)


def test_a_step_is_the_mean_of_the_windows_that_hold_its_start() -> None:
    first, second = runs(Extent(0, 60), [ANGRY, ANGRY, SAD, SAD])
    # steps at 0, 10, …: angry .8, .8, (.8+.8+.2)/3, (.8+.2+.2)/3, .2, .2
    assert (first.extent, second.extent) == (Extent(0, 30), Extent(30, 60))
    assert first.confidence == pytest.approx((0.8 + 0.8 + 0.6) / 3)
    assert second.confidence == pytest.approx((0.6 + 0.8 + 0.8) / 3)


def test_a_lead_below_the_margin_changes_nothing() -> None:
    flicker: list[Answer] = [[0.52, 0.48], [0.48, 0.52], [0.52, 0.48], [0.48, 0.52]]
    assert names(runs(Extent(0, 60), flicker)) == ["angry"]
    assert len(runs(Extent(0, 60), flicker, margin=0.0)) > 1


def test_below_the_threshold_a_step_is_unsure_with_the_confidence_of_the_likeliest() -> None:
    first, second, third = runs(Extent(0, 60), [ANGRY, ANGRY, SAD, SAD], abstain_below=0.7)
    assert [run.label for run in (first, second, third)] == [
        Label("emotion", "angry"), Label("unsure", UNSURE), Label("emotion", "sad")
    ]  # fmt: skip
    assert second.extent == Extent(20, 40)
    assert second.confidence == pytest.approx(0.6)
    assert names(runs(Extent(0, 60), [ANGRY] * 4, abstain_below=0.8)) == ["angry"]  # as sure as that is enough


def test_an_emotion_too_unlikely_to_be_told_keeps_no_likelier_one_away() -> None:
    close: list[Answer] = [[0.56, 0.44], [0.46, 0.54], [0.46, 0.54], [0.46, 0.54]]
    assert names(runs(Extent(0, 60), close)) == ["angry"]
    # steps: angry .56, .51, .493, .46, … of which sad leads by less than the margin
    first, unsure, last = runs(Extent(0, 60), close, abstain_below=0.53)
    assert [run.label.name for run in (first, unsure, last)] == ["angry", UNSURE, "sad"]
    assert unsure.confidence == pytest.approx((0.51 + 1.52 / 3) / 2)  # of the likeliest: angry, then sad
    assert last.confidence == pytest.approx(0.54)


def test_a_step_is_speech_where_half_of_its_windows_are() -> None:
    found = runs(Extent(0, 60), [ANGRY, LAUGHTER, LAUGHTER, LAUGHTER])
    # steps: 1 of 1, 1 of 2, 1 of 3, 0 of 3, …
    assert [run.label for run in found] == [Label("emotion", "angry"), Label("vocal-burst", "laughter")]
    assert [run.extent for run in found] == [Extent(0, 20), Extent(20, 60)]
    assert found[0].confidence == pytest.approx(0.8)
    assert found[1].confidence == pytest.approx(0.7)


def test_what_is_no_speech_is_the_surest_of_its_verdicts() -> None:
    first, second = runs(Extent(0, 40), [NOISE, LAUGHTER])
    assert (first.label, first.label.is_speech) == (Label("no-speech", "no-speech"), False)
    assert (first.extent, second.label) == (Extent(0, 30), Label("vocal-burst", "laughter"))


def test_after_a_burst_the_emotion_that_led_before_has_no_advantage() -> None:
    flicker: list[Answer] = [[0.52, 0.48], LAUGHTER, LAUGHTER, LAUGHTER, [0.48, 0.52]]
    assert names(runs(Extent(0, 70), flicker)) == ["angry", "laughter", "sad"]


@pytest.mark.parametrize("abstain_below", [0.0, 0.7])
def test_runs_fill_the_segment_without_gap_or_overlap(abstain_below: float) -> None:
    for end in range(31, 80):
        segment = Extent(0, end)
        n_windows = len(list(WindowCutter(30, 10).close(0, end)))
        answers: list[Answer] = [ANGRY, SAD, LAUGHTER, NOISE, ANGRY, SAD, SAD]
        found = runs(segment, answers[:n_windows], 0.0, abstain_below)
        edges = [0, *(run.extent.end for run in found)]
        assert [run.extent.start for run in found] == edges[:-1]
        assert edges[-1] == end
        assert all(len(run.extent) >= 5 for run in found)


def test_windows_that_do_not_overlap_are_told_as_they_come() -> None:
    smoother = Smoother(10, TWO_CLASSES)
    told = []
    for number in range(40):
        answer = ANGRY if number // 10 % 2 == 0 else SAD
        told += smoother.accept(Extent(10 * number, 10 * number + 10), SPEECH, answer, 0)
        assert len(told) == max(number - 1, 0) // 10  # a run ends where the next one has begun
    last = list(smoother.close(Extent(0, 404)))
    assert [run.extent for run in [*told, *last]] == [
        Extent(100 * n, 404 if n == 3 else 100 * n + 100) for n in range(4)
    ]


def test_segments_know_nothing_of_each_other() -> None:
    smoother = Smoother(10, TWO_CLASSES)
    for start, answer in ((0, ANGRY), (100, SAD)):
        segment = Extent(start, start + 20)
        assert [*smoother.accept(segment, SPEECH, answer, start)] == []
        (run,) = smoother.close(segment)
        assert run.extent == segment
        assert run.confidence == pytest.approx(0.8)


def verdict(**shares: float) -> Verdict:
    values = [shares.get(name.replace("-", "_"), 0.0) for name in SOUNDS]
    return verdict_of({"sound": np.array(values)}, SOUNDS)


def test_speech_is_at_least_half() -> None:
    assert verdict(speech=0.5, laughter=0.5) == Verdict("speech", 0.5)
    assert verdict(speech=0.5, laughter=0.5).is_speech
    assert not verdict(speech=0.49, laughter=0.51).is_speech


def test_vocal_bursts_are_weighed_together_and_told_where_other_sound_is_unlikely() -> None:
    assert verdict(laughter=0.4, sigh=0.05, no_speech=0.05, speech=0.5 - 1e-9) == Verdict("laughter", 0.4)
    assert verdict(laughter=0.4, sigh=0.05, no_speech=0.06, speech=0.49) == Verdict("no-speech", 0.06)
    assert verdict(laughter=0.2, sigh=0.1, no_speech=0.4, speech=0.3) == Verdict("no-speech", 0.4)
    assert not verdict(no_speech=1.0).is_burst


def test_a_burst_of_no_clear_kind_is_other() -> None:
    assert verdict(laughter=0.25, crying=0.2, sigh=0.15, speech=0.4) == Verdict("other", pytest.approx(0.6))
    assert verdict(other=0.9, no_speech=0.1) == Verdict("other", 0.9)
    assert verdict(other=0.9, no_speech=0.1).is_burst


def test_the_order_of_the_names_is_the_bundles() -> None:
    names = tuple(reversed(SOUNDS))
    assert verdict_of({"sound": np.eye(len(names))[names.index("crying")]}, names) == Verdict("crying", 1.0)


def test_without_the_output_all_is_speech() -> None:
    assert verdict_of({}, SOUNDS) == verdict_of({"sound": np.zeros(7)}, ()) == Verdict("speech", 1.0)
