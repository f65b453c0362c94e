"""Each of the nine timeline formats is read back by somebody else's reader, equal in times and labels."""

import csv
import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from csv_tables import rows_of

from earnest.corpora.transcripts import SpeakerTurn
from earnest.errors import EarnestError
from earnest.runtime.prediction import (
    Envelope,
    Event,
    Gap,
    Prediction,
    Segment,
    Span,
    VocalBurst,
    Window,
    event_from_dict,
)
from earnest.runtime.timeline import FORMATS, SUFFIXES, Timeline, speakers_of, written
from earnest.runtime.timeline_plot import COLOURS

SPANS = (
    Span(0.0, 1.234, "angry", 0.75),
    Span(1.234, 2.0, 'glad, "so" glad', 0.5),
    Span(3.5, 3.501, "грусть — 悲しみ\nüber zwei Zeilen", 0.333),
    Span(61.05, 3599.999, "<b>R&D</b> 'x' --> y", 1.0),
    Span(3600.0, 36_001.007, "unsure", 0.2),
)
BURSTS = (VocalBurst(2.0, 3.25, "laughter", 0.9), VocalBurst(36_002.5, 36_003.0, "sigh", 0.6))
PICTURED = ("srt", "vtt", "textgrid", "eaf", "audacity")  # formats that people look at hold vocal bursts too
Read = list[tuple[int, int, str]]
EVENTS: tuple[Event, ...] = (
    Window(0.0, 3.0, {"sad": 0.25, "happy": 0.75}),
    Span(0.5, 2.5, "happy", 0.75),
    Segment(0.5, 2.5),
    VocalBurst(3.0, 3.5, "laughter", 0.5),
    Gap(4.0, 4.25),
)


def timeline(
    spans: tuple[Span, ...] = SPANS, path: str = "talks/a & b.wav", bursts: tuple[VocalBurst, ...] = ()
) -> Timeline:
    shares = {"angry": 0.4, "calm": 0.6}
    prediction = Prediction(path, "ok", 36_010.0, 36_000.0, "angry", 0.4, shares, vocal_bursts=bursts, model="stand-in")
    windows = (Window(0.0, 3.0, {"angry": 0.7, "calm": 0.3}), Window(1.0, 4.0, {"angry": 1 / 3, "calm": 2 / 3}))
    return Timeline(prediction, spans, windows, (Segment(0.0, 2.0),), "silero", ("angry", "calm"))


ENTRIES = timeline(bursts=BURSTS).entries()


def ms(seconds: float) -> int:
    return round(1000 * seconds)


def read_json(path: Path) -> Read:
    return [spoken(span) for span in json.loads(path.read_text("utf-8"))["spans"]]


def read_jsonl(path: Path) -> Read:
    return [spoken(json.loads(line)) for line in path.read_text("utf-8").split("\n") if line]


def read_csv(path: Path) -> Read:
    return [spoken(row) for row in rows_of(path)]


def spoken(row: dict[str, str]) -> tuple[int, int, str]:
    return ms(float(row["start_s"])), ms(float(row["end_s"])), row["emotion"]


def read_srt(path: Path) -> Read:
    import srt

    found = srt.parse(path.read_text("utf-8"))
    return [(ms(cue.start.total_seconds()), ms(cue.end.total_seconds()), cue.content) for cue in found]


def read_vtt(path: Path) -> Read:
    import html

    import webvtt

    def milliseconds(time: webvtt.models.Timestamp) -> int:
        return 1000 * (3600 * time.hours + 60 * time.minutes + time.seconds) + time.milliseconds

    found = webvtt.read(str(path))
    return [(milliseconds(cue.start_time), milliseconds(cue.end_time), html.unescape(cue.raw_text)) for cue in found]


def read_textgrid(path: Path) -> Read:
    from praatio import textgrid

    found = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")
    assert found.tierNames == ("emotion", "confidence")
    confidences = [float(entry.label) for entry in found.getTier("confidence").entries]
    assert confidences in ([], [span.confidence for span in SPANS], [entry.confidence for entry in ENTRIES])
    return [(ms(entry.start), ms(entry.end), entry.label) for entry in found.getTier("emotion").entries]


def read_eaf(path: Path) -> Read:
    from pympi import Elan

    document = Elan.Eaf(str(path))
    assert list(document.get_tier_names()) == ["emotion", "confidence"]
    assert document.media_descriptors[0]["MEDIA_URL"] == "./a & b.wav"
    return [annotation[:3] for annotation in document.get_annotation_data_for_tier("emotion")]


def read_rttm(path: Path) -> Read:
    from rttm_manager import import_rttm

    turns = import_rttm(str(path))
    assert {turn.file_id for turn in turns} <= {"a_&_b"}
    return [(ms(turn.turn_onset), ms(turn.turn_onset + turn.turn_duration), turn.speaker_name) for turn in turns]


def read_audacity(path: Path) -> Read:
    from mir_eval.io import load_labeled_intervals

    times, labels = load_labeled_intervals(str(path), delimiter="\t")
    return [(ms(start), ms(end), label) for (start, end), label in zip(times, labels, strict=True)]


READERS: dict[str, Callable[[Path], Read]] = {
    name.removeprefix("read_"): reader for name, reader in globals().items() if name.startswith("read_")
}
ONE_LINE = {"audacity": " ".join, "rttm": "_".join}  # documented: these can't write spaces or new lines in a label


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_words_of_quality_stand_in_brackets_below_the_first_subtitle(form: str, tmp_path: Path) -> None:
    plain = timeline(bursts=BURSTS)
    told = replace(plain, prediction=replace(plain.prediction, quality=("noisy", "not-adapted")))
    path = tmp_path / f"timeline.{form}"
    path.write_text(told.to(form), encoding="utf-8", newline="")
    first, *others = READERS[form](path)
    assert first == (*spoken_entry(ENTRIES[0])[:2], f"{ENTRIES[0].emotion}\n[noisy, not-adapted]")
    assert others == [spoken_entry(span) for span in ENTRIES[1:]]
    nobody = timeline(spans=())
    assert "[" not in replace(nobody, prediction=replace(nobody.prediction, quality=("noisy",))).to(form)


def spoken_entry(span: Span) -> tuple[int, int, str]:
    return ms(span.start_s), ms(span.end_s), span.emotion


@pytest.mark.parametrize("form", FORMATS)
def test_times_and_labels_come_back_from_another_reader(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"timeline.{form}"
    path.write_text("".join(written(timeline(), form)), encoding="utf-8", newline="")
    join = ONE_LINE.get(form)
    expected = [
        (ms(span.start_s), ms(span.end_s), join(span.emotion.split()) if join else span.emotion) for span in SPANS
    ]
    assert READERS[form](path) == expected


@pytest.mark.parametrize("form", FORMATS)
def test_vocal_bursts_stand_in_parentheses_where_people_look_and_not_among_rows_of_speech(
    form: str, tmp_path: Path
) -> None:
    path = tmp_path / f"timeline.{form}"
    path.write_text("".join(written(timeline(bursts=BURSTS), form)), encoding="utf-8", newline="")
    found = READERS[form](path)
    if form not in PICTURED:
        assert len(found) == len(SPANS)
        return
    assert [entry for entry in found if entry[2] in ("(laughter)", "(sigh)")] == [
        (2_000, 3_250, "(laughter)"),
        (36_002_500, 36_003_000, "(sigh)"),
    ]
    assert len(found) == len(SPANS) + 2
    assert found == sorted(found)


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"audacity"}))  # mir_eval refuses an empty file
def test_a_recording_without_speech_is_a_file_without_spans(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"timeline.{form}"
    path.write_text("".join(written(timeline(()), form)), encoding="utf-8", newline="")
    assert READERS[form](path) == []


def test_characters_that_xml_forbids_are_replaced_in_elan(tmp_path: Path) -> None:
    path = tmp_path / "timeline.eaf"
    spans = (Span(0.0, 1.0, "an\x00g\x1bry\ufffe", 0.5), Span(1.0, 2.0, "kept:\t\x7fü😀", 0.5))
    path.write_text(timeline(spans).to_eaf(), encoding="utf-8", newline="")
    assert [label for _, _, label in read_eaf(path)] == ["an\ufffdg\ufffdry\ufffd", "kept:\t\x7fü😀"]


def test_elan_finds_the_recording_from_a_link_to_the_documents_folder(tmp_path: Path) -> None:
    talk, link = tmp_path / "calls" / "talk.flac", tmp_path / "link"
    for folder in (talk.parent, tmp_path / "far" / "away"):
        folder.mkdir(parents=True)
    talk.touch()
    link.symlink_to(tmp_path / "far" / "away")
    text = "".join(written(timeline(path=str(talk)), "eaf", link))
    assert 'MEDIA_URL="../../calls/talk.flac"' in text


def test_json_is_the_dictionary_and_holds_the_windows() -> None:
    value = json.loads(timeline().to_json())
    assert value == timeline().to_dict()
    assert value["windows"][1] == {"start_s": 1.0, "end_s": 4.0, "probabilities": {"angry": 0.333333, "calm": 0.666667}}
    assert value["segments"] == [{"start_s": 0.0, "end_s": 2.0}]
    bursts = json.loads(timeline(bursts=BURSTS[:1]).to_json())["vocal_bursts"]
    assert bursts == [{"start_s": 2.0, "end_s": 3.25, "kind": "laughter", "confidence": 0.9}]


def test_a_timeline_answers_about_the_whole_recording_as_its_prediction_does() -> None:
    one = timeline()
    of_time, of_list = {"duration_s", "speech_s"}, {"speaker"}  # 0 where unknown; who was named is no answer
    for name in {field.name for field in fields(Prediction)} - of_time - of_list:
        assert getattr(one, name) == getattr(one.prediction, name)
    assert set(one.prediction.to_dict()) <= set(one.to_dict())
    with pytest.raises(FrozenInstanceError):
        one.emotion = "sad"  # type: ignore[misc, assignment]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_an_event_comes_back_from_its_dictionary(event: Event) -> None:
    values = json.loads(json.dumps(event.to_dict()))
    assert event_from_dict(values) == event
    assert list(values) == ["event", *(field.name for field in fields(event))]


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_each_format_has_its_method_and_one_suffix() -> None:
    for form in FORMATS:
        assert getattr(timeline(), f"to_{form}")() == "".join(written(timeline(), form))
    assert sorted(SUFFIXES.values()) == sorted(FORMATS)


def test_csv_has_one_row_a_span_with_its_confidence() -> None:
    rows = list(csv.DictReader(StringIO(timeline().to_csv())))
    assert [row["confidence"] for row in rows[:2]] == ["0.750000", "0.500000"]
    assert rows[-1]["emotion"] == "unsure"
    assert {row["path"] for row in rows} == {"talks/a & b.wav"}


def test_a_timeline_comes_back_from_its_dictionary() -> None:
    whole = timeline(bursts=BURSTS)
    assert Timeline.from_dict(json.loads(whole.to_json())).entries() == whole.entries()


def test_in_a_notebook_a_timeline_shows_bursts_and_nothing_above_95_per_cent() -> None:
    page = timeline(bursts=BURSTS)._repr_html_()
    assert "(laughter)" in page
    assert "&gt; 95%" in page
    assert "100%" not in page


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(EarnestError, match=r"no timeline format 'textgrit'\. Did you mean 'textgrid'"):
        timeline().to("textgrit")
    with pytest.raises(EarnestError, match=r"no timeline format None\. Choose one of: audacity"):
        timeline().to(None)  # type: ignore[arg-type]


def test_a_picture_names_the_colours_of_unsure_spans_and_of_vocal_bursts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    timeline(SPANS[4:], bursts=BURSTS).plot(tmp_path / "all.svg")
    bursts = replace(timeline((), bursts=BURSTS), windows=(), segments=())
    bursts.plot(tmp_path / "bursts.svg")
    for name, labels in (("all", ["calm", "unsure", "(laughter)", "(sigh)"]), ("bursts", ["(laughter)", "(sigh)"])):
        drawn = (tmp_path / f"{name}.svg").read_text("utf-8")
        legend = drawn[drawn.index('id="legend_1"') :]  # text is curves, with its words in a comment
        assert [label for label in labels if f"<!-- {label} -->" in legend] == labels


def test_a_picture_without_a_file_is_a_figure_that_a_notebook_shows_and_that_can_be_saved(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="drawing needs the extra 'report'")
    calm = timeline((Span(0.0, 9_000.0, "calm", 0.75),))
    figure = calm.plot(title=r"of $\frac$")
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "mine.svg")  # as a notebook's own backend does, too
    assert "of $\\frac$" in (tmp_path / "mine.svg").read_text("utf-8")
    assert len(figure.axes) == 3
    assert pyplot.get_fignums() == []  # nothing is left behind in matplotlib's global state
    written = calm.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == written._repr_png_()


def test_hatches_of_many_vocal_bursts_are_those_of_the_legend() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="drawing needs the extra 'report'")
    from earnest.runtime.timeline_plot import BURST_COLOUR, HATCHES, MANY, _draw_spans

    bursts = tuple(VocalBurst(10.0 * number, 10.0 * number + 1, "crying", 0.9) for number in range(MANY + 1))
    _, axes = pyplot.subplots()
    _draw_spans(axes, timeline((), bursts=bursts), {"(crying)": BURST_COLOUR})
    (drawn,) = axes.collections
    pyplot.close()
    assert drawn.get_hatch() == HATCHES["(crying)"]
    assert drawn.get_edgecolor().tolist() == [[1.0, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize("name", [r"a$\frac$b.wav", "録音.wav"])
@pytest.mark.filterwarnings("error")
def test_a_picture_is_drawn_whatever_a_recording_or_a_class_is_called(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    timeline((Span(0.0, 9_000.0, name, 0.75),), name).plot(tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text("utf-8")
    assert f"<!-- {name}: 10:00:00 of speech in 10:00:10 -->" in drawn
    assert f"<!-- {name}  75% -->" in drawn
    assert f"<!-- {name} -->" in drawn


@pytest.mark.parametrize(
    ("end_s", "told"), [(0.3, None), (4.0, "75%"), (6.0, "surprised\n75%"), (15.0, "surprised  75%")]
)
def test_a_span_is_named_as_far_as_its_name_fits(end_s: float, told: str | None) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    whole = replace(timeline(()).prediction, duration_s=80.0)
    strip = replace(timeline((Span(0.0, end_s, "surprised", 0.75),)), prediction=whole).plot().axes[0]
    assert [text.get_text() for text in strip.texts] == [told] * (told is not None)


def test_a_long_name_is_shortened_in_the_middle_of_a_pictures_title() -> None:
    from earnest.runtime.timeline_plot import _headline

    title = _headline(timeline(path="interview" + 100 * "-very-long" + "-2.wav"))
    assert title.startswith("interview-very-long")
    assert title.endswith("-very-long-2.wav: 10:00:00 of speech in 10:00:10")
    assert len(title) < 130


def test_short_spans_are_seen_in_the_picture_of_a_long_recording(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image", reason="drawing needs the extra 'report'")
    spans = (Span(3601.0, 3602.0, "angry", 0.7), Span(36_009.0, 36_010.0, "calm", 0.7))
    windows = tuple(Window(span.start_s, span.end_s, {"angry": 0.5, "calm": 0.5}) for span in spans)
    segments = tuple(Segment(span.start_s, span.end_s) for span in spans)
    envelope = Envelope(1)
    envelope.accept(np.ones(36_010, np.float32))
    replace(timeline(spans), windows=windows, segments=segments, envelope=envelope).plot(tmp_path / "long.png")
    pixels = 255 * image.imread(tmp_path / "long.png")[:, :1640, :3]  # without the legend
    angry, calm = ([int(COLOURS[name][at : at + 2], 16) for at in (1, 3, 5)] for name in ("angry", "calm"))
    # Of the spans, the waveform and the probabilities: of both windows calm above, angry below.
    for row, colours in ((90, (angry, calm)), (200, (angry, calm)), (450, (calm, calm)), (700, (angry, angry))):
        for half, colour in zip(np.split(pixels[row], 2), colours, strict=True):
            assert (np.abs(half - colour).max(axis=1) < 50).any()


def test_a_picture_makes_its_folder_and_a_wrong_name_is_told_as_it_was_given(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    found = replace(
        timeline((Span(0.0, 2.0, "angry", 0.7),)), prediction=Prediction("a.wav", "ok", 4.0, 2.0, "angry", 0.7)
    )
    found.plot(tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").exists()
    with pytest.raises(EarnestError, match=r"a\.xyz: can't be drawn .* Use a name that ends in \.png, \.svg or \.pdf"):
        found.plot(tmp_path / "a.xyz")
    with pytest.raises(EarnestError, match=r"\.: a folder\. Give the name of a file in it, such as talk\.png"):
        found.plot("")
    (tmp_path / "file").touch()
    with pytest.raises(EarnestError, match=r"a\.png: not writable \(File exists\)\. Choose another place"):
        found.plot(tmp_path / "file" / "a.png")


def test_each_span_belongs_to_who_speaks_longest_in_it() -> None:
    turns = [SpeakerTurn(0.5, 4.0, "anna"), SpeakerTurn(4.0, 6.0, "ben")]
    spans = [Span(start_s, end_s, "sad", 0.5) for start_s, end_s in ((0, 3), (3.5, 5.5), (7, 8), (0, 0.4))]
    assert speakers_of(spans, turns) == ["anna", "ben", "", ""]


def test_each_span_looks_at_the_turns_around_it_alone_however_long_the_recording() -> None:
    looked_at: list[float] = []

    class Turn:
        def __init__(self, start_s: float) -> None:
            self.start_s, self.end_s = start_s, start_s + 1.5

        @property
        def speaker(self) -> str:
            looked_at.append(self.start_s)
            return "anna" if self.start_s % 2 else "ben"

    turns: list[Any] = [Turn(start_s) for start_s in range(1000)]
    spans = [Span(start_s + 0.75, start_s + 1, "sad", 0.5) for start_s in range(1000)]
    spans += [Span(0, 1, "sad", 0.5), Span(2000, 2001, "sad", 0.5)]
    assert speakers_of(spans, turns) == ["ben", "anna"] * 500 + ["ben", ""]
    assert len(looked_at) <= 2 * len(spans)
