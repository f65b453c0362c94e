"""Rows of `earnest predict`: what stands where an answer has no emotion, and what is never shown."""

import ntpath
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import click
import pytest
from rich.cells import cell_len

from earnest.apps.cli import _answers
from earnest.apps.cli._answers import NoteCounter, PredictionTable, SpeakerSums, answer_words, bar, chart
from earnest.runtime.prediction import Prediction, Span, VocalBurst
from earnest.runtime.timeline import Timeline

SHARES = {"happy": 0.41, "sad": 0.32, "angry": 0.27}
BURSTS = (VocalBurst(0.0, 1.0, "laughter", 0.97), VocalBurst(3.0, 3.5, "sigh", 0.6), VocalBurst(4, 5, "laughter", 0.9))
ROWS = {
    "ok": (Prediction("a.wav", "ok", emotion="happy", confidence=0.41, probabilities=SHARES), "happy 41%"),
    "sure": (Prediction("a.wav", "ok", emotion="happy", confidence=0.98, probabilities=SHARES), "happy > 95%"),
    "summary": (
        Prediction("a.wav", "ok", None, None, "sad", 0.7, SHARES, shares={"sad": 0.75, "unsure": 0.25}),
        "sad 70% (sad 75%, unsure 25% of the speech)",
    ),
    "odd": (
        Prediction("a.wav", "ok", emotion="happy", confidence=0.41, probabilities=SHARES, quality=("out-of-domain",)),
        "happy 41% [out-of-domain]",
    ),
    "odd summary": (
        Prediction("a", "ok", None, None, "sad", 0.7, SHARES, quality=("noisy",), shares={"sad": 0.8, "unsure": 0.2}),
        "sad 70% (sad 80%, unsure 20% of the speech) [noisy]",
    ),
    "one": (Prediction("a.wav", "ok", None, None, "sad", 0.7, SHARES, shares={"sad": 1.0}), "sad 70%"),
    "unsure": (Prediction("a.wav", "unsure", confidence=0.41, probabilities=SHARES), "unsure (happy 41%, sad 32%)"),
    "unsure parts": (
        Prediction("a.wav", "unsure", probabilities=SHARES, shares={"unsure": 0.6, "sad": 0.4}),
        "unsure (unsure 60%, sad 40% of the speech)",
    ),
    "unsure throughout": (
        Prediction("a.wav", "unsure", confidence=0.41, probabilities=SHARES, shares={"unsure": 1.0}),
        "unsure (happy 41%, sad 32%)",
    ),
    "mixed": (
        Prediction("a.wav", "mixed", probabilities=SHARES, shares={"sad": 0.5, "happy": 0.3, "unsure": 0.2}),
        "mixed (sad 50%, happy 30%, unsure 20% of the speech)",
    ),
    "overlapped": (
        Prediction("a.wav", "unsure", confidence=0.41, probabilities=SHARES, quality=("noisy", "overlapped-speech")),
        "unsure (happy 41%, sad 32% [noisy, overlapped-speech])",
    ),
    "burst": (Prediction("a.wav", "vocal-burst", vocal_bursts=BURSTS), "vocal-burst (laughter, sigh)"),
    "odd burst": (
        Prediction("a.wav", "vocal-burst", quality=("noisy",), vocal_bursts=BURSTS),
        "vocal-burst (laughter, sigh [noisy])",
    ),
    "nothing": (Prediction("a.wav", "no-speech"), "no-speech"),
    "clipped": (Prediction("a.wav", "no-speech", quality=("clipped", "noisy")), "no-speech (clipped, noisy)"),
}


def row(prediction: Prediction) -> str:
    return click.unstyle(PredictionTable(["a.wav"], 80).row(prediction))


@pytest.mark.parametrize("kind", ROWS)
def test_an_answer_in_words(kind: str) -> None:
    prediction, words = ROWS[kind]
    assert answer_words(prediction) == words


@pytest.mark.parametrize("kind", [kind for kind, (prediction, _) in ROWS.items() if prediction.emotion is None])
def test_a_row_without_an_emotion_says_what_there_is_instead(kind: str) -> None:
    prediction, words = ROWS[kind]
    assert " ".join(row(prediction).split()) == f"a.wav {words.replace('(', '').replace(')', '')}"


def test_a_recording_of_several_segments_tells_shares_of_its_speech() -> None:
    assert row(ROWS["summary"][0]).endswith("70%  sad 75%, unsure 25% of the speech")
    assert row(ROWS["one"][0]).endswith("▂ angry 27")


def test_words_of_quality_stand_behind_the_next_classes_and_make_no_line_wrap() -> None:
    odd, *_ = ROWS["odd"]
    ends = {
        width: click.unstyle(PredictionTable(["a.wav"], width).row(odd)).partition("%  ")[2] for width in (80, 60, 40)
    }
    assert ends == {
        80: "▃ sad 32  ▂ angry 27  [out-of-domain]",
        60: "[out-of-domain]",
        40: "▃ sad 32  ▂ angry 27  [out-of-domain]",  # it wraps anyway
    }
    assert row(ROWS["odd summary"][0]).endswith("sad 80%, unsure 20% of the speech  [noisy]")


def test_a_row_tells_as_many_shares_as_classes() -> None:
    shares = {"sad": 0.4, "happy": 0.3, "unsure": 0.2, "angry": 0.096, "fearful": 0.004}
    mixed = Prediction("a.wav", "mixed", probabilities=SHARES, shares=shares)
    assert row(mixed).endswith("  sad 40%, happy 30%, unsure 20% of the speech")
    assert PredictionTable(["a.wav"], 80, top=2).row(mixed).endswith("  sad 40%, happy 30% of the speech")
    assert answer_words(mixed) == "mixed (sad 40%, happy 30%, unsure 20%, angry 10%, fearful < 1% of the speech)"


def test_the_bar_and_the_number_end_at_95_per_cent() -> None:
    assert row(ROWS["sure"][0]).split()[2:5] == ["█████████▌", ">", "95%"]
    assert bar(0.96, 10) == bar(1.0, 10) == "█████████▌"
    assert len(row(ROWS["sure"][0]).split("▃")[0]) == len(row(ROWS["ok"][0]).split("▃")[0])


def test_columns_stay_below_their_names_whatever_the_classes_are_called() -> None:
    classes = ("amused customer", "悲しい声", "ok")
    table = PredictionTable(["a.wav"], 80, classes=classes)
    rows = [
        Prediction("a.wav", "ok", emotion=name, confidence=0.5, probabilities=dict.fromkeys(classes, 0.3))
        for name in classes
    ]
    head, *lines = [click.unstyle(line) for line in (table.header(), *map(table.row, rows))]
    starts = {cell_len(line[: line.index("█")]) for line in lines}
    assert starts == {head.index("Confidence")}


def test_bursts_have_lines_of_their_own_where_they_are_asked_for() -> None:
    line = click.unstyle(PredictionTable(["recording.wav"], 80).burst_row(BURSTS[1]))
    assert line.split() == ["3.0–3.5", "s", "(sigh)", "██████", "60%"]


@pytest.mark.parametrize(
    ("paths", "folder", "names"),
    [
        (["./sub/a/x.wav", "./sub/b/y.wav"], "sub/", ["a/x.wav", "b/y.wav"]),
        (["./x.wav", "./sub/y.wav"], "", ["x.wav", "sub/y.wav"]),
        (["./sub/x.wav", "sub/y.wav"], "sub/", ["x.wav", "y.wav"]),
        (["sub/x.wav", "sub/../sub/y.wav"], "sub/", ["x.wav", "../sub/y.wav"]),
        (["sub//a/x.wav", "sub//b/y.wav"], "sub/", ["a/x.wav", "b/y.wav"]),
        (["/top/x.wav", "/top/sub/y.wav"], "/top/", ["x.wav", "sub/y.wav"]),
        (["a/../b/x.wav", "./a/../c/y.wav"], "a/../", ["b/x.wav", "c/y.wav"]),
        (["https://x.org/a.wav"], "", ["https://x.org/a.wav"]),
    ],
)
def test_names_are_told_below_the_folder_that_stands_above_them(
    paths: list[str], folder: str, names: list[str]
) -> None:
    table = PredictionTable(paths, 80)
    above, _, _ = table.header().rpartition("\n")
    assert above == folder
    assert [table.row(Prediction(path, "no-speech")).split()[0] for path in paths] == names


@pytest.mark.parametrize("paths", [["C:\\a\\x.wav", "D:\\b\\y.wav"], ["C:\\a\\x.wav", "b\\y.wav"]])
def test_recordings_of_several_drives_have_no_folder_in_common(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_answers, "os", SimpleNamespace(path=ntpath, sep="\\", curdir="."))
    assert PredictionTable(paths, 100).header().startswith(click.style("File", bold=True)[:8])


def test_on_a_narrow_terminal_names_keep_what_tells_them_apart() -> None:
    names = ["monday morning.wav", "monday evening.wav"]
    table = PredictionTable(names, 40)
    rows = [click.unstyle(table.row(Prediction(name, "no-speech"))).rstrip() for name in names]
    assert rows == ["…day morning.wav  no-speech", "…day evening.wav  no-speech"]


def test_turns_of_one_recording_have_their_times_and_what_is_said() -> None:
    rows = [
        replace(ROWS["ok"][0], path="talks/a.wav@0-2.44", speaker="Anna", text="Hello, how are you all this morning?"),
        replace(ROWS["unsure"][0], path="talks/a.wav@3725.5-", text="Well."),
        Prediction("talks/a.wav@9-9.5", "error", error="talks/a.wav@9-9.5: ends earlier.", text="No."),
    ]
    table = PredictionTable([one.path for one in rows], 66, has_texts=True)
    assert click.unstyle(table.header()).split("\n") == [
        "talks/a.wav",
        "Time           Emotion      Confidence        Said",
    ]
    assert [click.unstyle(table.row(one)) for one in rows] == [
        "0:00.0–0:02.4  happy        ████▏        41%  Anna: Hello, how are you all thi…",
        "1:02:05.5–     unsure                         Well.",
        "0:09.0–0:09.5  error        ends earlier.",
    ]
    assert click.unstyle(PredictionTable(["a.wav@0-1", "b.wav@0-1"], 66).header()).startswith("File")
    assert click.unstyle(PredictionTable(["a.wav@0-1"], 66).row(Prediction("a.wav@0-1", "no-speech"))).startswith("a.")


def test_of_a_long_talk_the_spans_that_tell_something_are_shown_in_order_of_time() -> None:
    said = ["neutral", "unsure", "angry", "neutral", "sad"] * 60
    lengths_s = [2.0, 2.0, 1.0, 2.0, 0.5]
    spans = [Span(3.0 * at, 3.0 * at + lengths_s[at % 5], name, 0.5) for at, name in enumerate(said)]
    spans[202] = replace(spans[202], end_s=spans[202].end_s + 0.5)  # the longest angry one
    whole = Prediction("talk.wav", "mixed", 900.0, 450.0)
    timeline = Timeline(whole, tuple(spans), classes=("neutral", "angry", "sad"))
    lines = [click.unstyle(line) for line in chart(timeline, 80)]
    first = next(at for at, line in enumerate(lines) if line.split()[:1] == ["Start"])
    shown = [line.split() for line in lines[first + 1 : first + 41]]
    assert {emotion for _, _, emotion, *_ in shown} == {"angry"}
    assert [start for start, *_ in shown] == sorted((start for start, *_ in shown), key=lambda text: text.zfill(9))
    assert ["10:06.0", "10:07.5"] in [words[:2] for words in shown]
    left = "120 neutral, 60 sad, 60 unsure, 20 angry"
    assert lines[first + 41] == f"… and 260 spans not shown: {left}. To see all: --format csv"


TALK = Prediction(
    "talk.wav", "unsure", 60.0, 30.0, probabilities={"neutral": 0.4, "sad": 0.6}, shares={"unsure": 0.8, "sad": 0.2}
)
ONCE = (
    "More of the speech is told as emotional than as neutral. When people talk and don't act, most of it is neutral; "
    "to say how much: --classes neutral=0.6\n"
)


def noted(rows: Sequence[Prediction], capsys: pytest.CaptureFixture[str], classes: Sequence[str] | None = ()) -> str:
    notes = NoteCounter("--channel 1", classes)
    for one in rows:
        notes.count(one)
    notes.tell()
    return capsys.readouterr().err


def test_a_talk_that_is_told_as_emotional_is_told_how_to_say_that_it_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert noted([TALK], capsys) == ONCE
    other = replace(TALK, path="other.wav", shares={"neutral": 0.3, "sad": 0.4, "unsure": 0.3})
    some = [TALK, other, ROWS["ok"][0]]
    assert noted(some, capsys).startswith(
        "In 2 of 3 recordings more of the speech is told as emotional than as neutral."
    )


def turn(start_s: float, emotion: str | None, speaker: str, path: str = "talk.wav") -> Prediction:
    status = "ok" if emotion else "unsure"
    shares = {"neutral": 0.4, "sad": 0.6}
    told = Prediction(f"{path}@{start_s:g}-{start_s + 4:g}", status, 4.0, 4.0, emotion, 0.6, probabilities=shares)
    return replace(told, speaker=speaker)


def test_of_a_talk_turn_by_turn_it_is_told_once_by_all_turns(capsys: pytest.CaptureFixture[str]) -> None:
    turns = [turn(0, "neutral", "Ann"), turn(4, "sad", "Ben"), turn(8, "sad", "Ann"), turn(12, None, "Ben")]
    assert noted(turns, capsys) == ONCE
    assert noted(turns[:2], capsys) == ""  # as much neutral as sad, and too short for a talk
    both = [*turns, *(turn(start_s, "neutral", "Ann", "calm.wav") for start_s in (0, 4, 8))]
    assert noted(both, capsys).startswith("In 1 of 2 recordings more of the speech is told as emotional")


def test_behind_a_table_stands_what_each_speaker_says_how() -> None:
    sums = SpeakerSums(80)
    for one in (turn(0, "neutral", "Ann"), turn(4, "sad", "Ben"), turn(8, "sad", "Ann"), turn(12, None, "Ann")):
        sums.add(one)
    sums.add(replace(turn(16, "sad", "Ann"), speaker=None))
    assert [click.unstyle(line) for line in sums.lines()] == [
        "",
        "Speaker  Speech  Told of it",
        "Ann        0:12  neutral 33%, sad 33%, unsure 33%",
        "Ben        0:04  sad 100%",
    ]
    assert list(SpeakerSums(80).lines()) == []
    for number in range(20):
        sums.add(turn(4.0 * number, "sad", f"speaker {number}"))
    assert [*sums.lines()][-1].startswith("… and 10 speakers more")


@pytest.mark.parametrize(
    "changes",
    [
        {"shares": {"neutral": 0.5, "sad": 0.5}},
        {"shares": {"calm": 0.3, "neutral": 0.2, "sad": 0.4, "unsure": 0.1}},
        {"shares": {"unsure": 1.0}},
        {"shares": None},  # answered as a whole: no talk
        {"speech_s": 9.9},
        {"probabilities": {"bored": 0.4, "sad": 0.6}},  # a model of one's own that has no neutral
    ],
)
def test_of_other_recordings_it_is_not_told(changes: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert noted([replace(TALK, **changes)], capsys) == ""


@pytest.mark.parametrize("classes", [("neutral=0.6",), ("sad", "neutral"), None])
def test_nor_where_classes_were_asked_for_or_cannot_be(
    classes: Sequence[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert noted([TALK], capsys, classes) == ""
