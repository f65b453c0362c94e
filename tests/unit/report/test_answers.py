"""The page about answers without the truth."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import earnest_cli

from earnest.corpora.own.tables import read_table
from earnest.errors import EarnestError
from earnest.report import answers
from earnest.report.answers import answers_page, read_answers_alone
from earnest.runtime.formats import csv_header, csv_line, flat_values, json_line
from earnest.runtime.prediction import Prediction, Span
from earnest.runtime.timeline import Timeline, written_spans

CLASSES = ("happy", "sad")
ROWS = (
    Prediction("calls/a.wav#1", "ok", 4.0, 3.0, "sad", 0.8, {"happy": 0.2, "sad": 0.8}, quality=("noisy",), model="m"),
    Prediction("calls/a.wav#2", "ok", 4.0, 1.0, "happy", 0.6, {"happy": 0.6, "sad": 0.4}, model="m"),
    Prediction("old/b.wav#1", "unsure", 4.0, 4.0, None, 0.5, {"happy": 0.5, "sad": 0.5}, model="m"),
    Prediction("old/=c.wav#1", "error", error="old/=c.wav: no audio.", model="m"),
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    path.write_text("\n".join([csv_header(CLASSES), *(csv_line(row, CLASSES) for row in ROWS)]) + "\n")
    return path


def test_answers_without_the_truth_become_a_page_of_shares_sound_and_groups(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    page = tmp_path / "page.html"
    told = json.loads(earnest_cli("report", table, "--output", page, "--json"))
    assert (told["n_recordings"], told["n_with_emotion"], told["speech_s"]) == (4, 2, 8)
    found = {section["name"]: next(iter(section["tables"].values()), []) for section in told["sections"]}
    emotions = {row["emotion"]: row for row in found["emotion"]}
    assert [emotions[name]["percent_of_all_speech"] for name in ("sad", "happy", "unsure")] == [37.5, 12.5, 50]
    assert (emotions["unsure"]["n_recordings"], emotions["unsure"]["percent_of_those_with_an_emotion"]) == (None, None)
    assert emotions["sad"]["median_confidence_percent"] == 80
    assert {row["status"]: row["n_recordings"] for row in found["status"]} == {"ok": 2, "unsure": 1, "error": 1}
    assert [row["quality"] for row in found["quality"]] == ["noisy"]
    assert [(row["folder"], row["sad_percent"]) for row in found["folder"]] == [("calls", 50), ("old", None)]
    assert [row["channel"] for row in found["channel"]] == ["1", "2"]
    assert "speaker" not in found and "no audio" in found["error"][0]["error"]
    text = page.read_text(encoding="utf-8")
    assert "<dd>2 (50.0 %)</dd>" in text and "<dd>8 s</dd>" in text and "% of all speech" in text
    assert "Nobody said what is true" in text and "old/=c.wav" in text
    assert (tmp_path / "page" / "emotions.png").exists()


def test_absolute_paths_are_told_below_the_folder_that_they_have_in_common(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    home = Path("/home/anna.smith/voices")
    rows = [replace(row, path=str(home / row.path), error=row.error and f"{home}/{row.error}") for row in ROWS]
    table, page = tmp_path / "answers.csv", tmp_path / "page.html"
    table.write_text("\n".join([csv_header(CLASSES), *(csv_line(row, CLASSES) for row in rows)]) + "\n")
    told = earnest_cli("report", table, "--output", page, "--json")
    found = {section["name"]: next(iter(section["tables"].values()), []) for section in json.loads(told)["sections"]}
    assert [row["folder"] for row in found["folder"]] == ["calls", "old"]
    assert found["error"][0]["error"] == "old/=c.wav: no audio."
    assert "anna" not in page.read_text(encoding="utf-8") + told.replace(str(tmp_path), "")


def test_no_page_is_replaced_unasked_also_where_no_output_was_named(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "report.html"
    page.write_text("of another table")
    with pytest.raises(EarnestError, match=r"report\.html: already exists\. Replace it with --overwrite"):
        earnest_cli("report", table)
    assert page.read_text() == "of another table"
    earnest_cli("report", table, "--overwrite")
    assert "Nobody said what is true" in page.read_text(encoding="utf-8")


def test_pictures_go_into_no_run_of_the_pages_name_even_when_asked(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    run = tmp_path / "mine"
    run.mkdir()
    for given in (run, run / "predictions.csv"):
        with pytest.raises(
            EarnestError, match=r"the page's pictures would go among the run's files\. Say --output .*mine/report"
        ):
            earnest_cli("report", given, "--output", tmp_path / "mine.html", "--overwrite")


def test_pictures_go_into_no_folder_of_something_else_unasked(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    notes = tmp_path / "calls" / "report.json"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(EarnestError, match=r"calls: holds report\.json\. The page's pictures go there\. Replace"):
        earnest_cli("report", table, "--output", tmp_path / "calls.html")
    assert notes.read_text() == "mine"
    earnest_cli("report", table, "--output", tmp_path / "calls.html", "--overwrite")
    assert (tmp_path / "calls" / "emotions.png").exists()


def test_a_page_that_failed_half_way_is_written_without_being_asked_to_replace(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")

    def full(*_: object) -> None:
        raise EarnestError("No space left on device.")

    page = tmp_path / "calls.html"
    with monkeypatch.context() as patched:
        patched.setattr("earnest.report.answers.write_json", full)
        with pytest.raises(EarnestError, match="No space left"):
            earnest_cli("report", table, "--output", page)
    assert (tmp_path / "calls" / "emotions.png").exists() and not page.exists()
    earnest_cli("report", table, "--output", page)
    page.unlink()
    with pytest.raises(EarnestError, match="calls: holds emotions"):  # of a page that was finished
        earnest_cli("report", table, "--output", page)


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_page_has_a_name_of_pages_so_that_no_table_is_written_over(command: str, table: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    table.write_text(before := "utterance_id,emotion,predicted\na,sad,sad\n")
    words = (command, table, table, "--output", table, "--overwrite")
    assert earnest_cli(*words, exit_code=2) == ""
    assert table.read_text() == before


def test_the_size_of_a_small_page_is_no_zero(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    page = tmp_path / "page.html"
    told = earnest_cli("report", table, "--output", page)
    assert f"page.html ({-(-page.stat().st_size // 1000)} kB)" in told.replace("\n", "")


def test_a_table_that_a_spreadsheet_saved_with_speakers_is_counted_by_speaker(table: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    table.write_text(
        "path;speaker;status;emotion;confidence;speech_s\na.wav;Ann;ok;sad;0,8;1,5\nb.wav;Ben;ok;happy;0,6;0,5\n"
    )
    page = answers_page(table)
    assert page is not None
    (section,) = [one for one in page.sections if one.name == "speaker"]
    assert section.tables is not None
    (found,) = section.tables.values()
    assert [row[:3] for row in found.rows] == [["Ann", "1", "1"], ["Ben", "1", "1"]]


def test_speakers_that_a_program_numbered_are_those_of_their_recording(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    path = tmp_path / "turns.csv"
    rows = ["a.wav@0-2,SPEAKER_00", "b.wav@1-3,SPEAKER_00", "b.wav@5-6,SPEAKER_00", "a.wav@2-4,Ann", "b.wav@3-5,Ann"]
    rows = [f"{row},ok,sad,0.8,1.5" for row in [*rows, "c.wav,SPEAKER_00"]]
    path.write_text("\n".join(["path,speaker,status,emotion,confidence,speech_s", *rows]) + "\n")
    page = answers_page(path)
    assert page is not None
    (section,) = [one for one in page.sections if one.name == "speaker"]
    assert section.tables is not None
    (found,) = section.tables.values()
    expected = [["Ann", "2"], ["SPEAKER_00", "1"], ["a.wav SPEAKER_00", "1"], ["b.wav SPEAKER_00", "2"]]
    assert [row[:2] for row in found.rows] == expected


def test_turns_of_one_recording_are_parts_and_count_by_their_speech(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    path = tmp_path / "turns.csv"
    rows = ["a.wav@0-2,SPEAKER_00,ok,sad,0.8,1.5", "a.wav@2-9,SPEAKER_00,ok,angry,0.8,6", "a.wav@9-11,Ann,ok,sad,0.8,2"]
    path.write_text("\n".join(["path,speaker,status,emotion,confidence,speech_s", *rows]) + "\n")
    page = answers_page(path)
    assert page is not None
    told = page.to_dict()
    assert (page.facts["parts"], told["n_parts"]) == ("3", 3)
    assert "recordings" not in json.dumps(told)
    (section,) = [one for one in page.sections if one.name == "speaker"]
    shares = section.to_dict()["tables"]["Shares of the emotions in the speech"]
    assert [(row["speaker"], row["angry_percent"]) for row in shares] == [("Ann", 0.0), ("SPEAKER_00", 80.0)]


def test_emotions_of_a_part_of_long_recordings_are_told_of_each_channel_and_speaker(tmp_path: Path) -> None:
    """No recording is answered as angry, and of the customers' speech a fifth is."""
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    path = tmp_path / "spans.csv"
    header = "path,start_s,end_s,emotion,confidence,speaker"
    rows = ["a.wav#1,0,9,neutral,0.9,Ann", "a.wav#2,0,8,unsure,0.4,Ben", "a.wav#2,8,10,angry,0.7,Ben"]
    path.write_text("\n".join([header, *rows]) + "\n")
    page = answers_page(path)
    assert page is not None
    found = {one.name: one.to_dict()["tables"] for one in page.sections if one.name in ("channel", "speaker")}
    for name, groups in {"channel": ("1", "2"), "speaker": ("Ann", "Ben")}.items():
        told = found[name]["Shares of the emotions in the speech"]
        assert [row[name] for row in told] == list(groups)
        assert [row["angry_percent"] for row in told] == [0.0, 20.0]
        assert [row["speech_s"] for row in told] == [9.0, 10.0]
    # A table of spans has no column for either: "None." would say that nothing was wrong.
    missing = [one.missing for one in page.sections if one.name in ("quality", "error")]
    assert missing == ["Spans don't tell: earnest predict does."] * 2


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.json", "answers.parquet"])
def test_every_form_that_predict_writes_says_the_same(table: Path, name: str) -> None:
    path = table.with_name(name)
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra 'parquet'")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([flat_values(row, CLASSES) for row in ROWS]), path)
    else:
        path.write_text("".join(f"{json_line(row)}\n" for row in ROWS))
    # NaN, the confidence of no answer, is equal to nothing.
    assert repr(read_answers_alone(path)) == repr(read_answers_alone(table)) != "None"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_spans_of_many_recordings_are_summed_up_as_their_timelines_do(tmp_path: Path, form: str) -> None:
    def heard(path: str, *spans: Span) -> Timeline:
        return Timeline(Prediction(path, "ok", 9.0, 9.0, model="m"), spans)

    timelines = [
        heard(
            "a.wav", Span(0, 3, "sad", 0.9), Span(3, 4, "unsure", 0.3), Span(5, 7, "happy", 0.8), Span(7, 8, "sad", 0.5)
        ),
        heard("b.wav", Span(0, 1, "sad", 0.9), Span(1, 4, "unsure", 0.3)),
        heard("c.wav", Span(0, 1, "sad", 0.9), Span(1, 2, "happy", 0.6)),
    ]
    path = tmp_path / f"spans.{form}"
    path.write_text("".join(written_spans(timelines, form)))
    found = read_answers_alone(path)
    assert found is not None
    assert [(row.path, row.status, row.emotion, row.speech_s) for row in found] == [
        ("a.wav", "ok", "sad", 7.0),
        ("b.wav", "unsure", "", 4.0),
        ("c.wav", "mixed", "", 2.0),
    ]
    assert found[0].confidence == pytest.approx((3 * 0.9 + 1 * 0.5) / 4)
    assert found[1].seconds == {"sad": 1.0, "unsure": 3.0}
    path.write_text("path,start_s,end_s,emotion,confidence\na.wav,3,2,sad,0.5\n")
    with pytest.raises(EarnestError, match="it lasts -1.0 s" if form == "csv" else "not valid JSON"):
        read_answers_alone(path)


def test_answers_with_the_truth_beside_them_are_scored_not_counted(table: Path) -> None:
    assert read_answers_alone(table)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{lines[0]},truth", *(f"{line},sad" for line in lines[1:])]) + "\n")
    assert read_answers_alone(table) is None


def test_a_table_is_read_once(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    read: list[Path] = []
    monkeypatch.setattr(answers, "read_table", lambda path: read.append(path) or read_table(path))
    earnest_cli("report", table, "--output", tmp_path / "page.html")
    assert read == [table]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,status,emotion\n", "holds no rows"),
        ("path,status,emotion,confidence\na.wav,ok,sad,high\n", "row 2: no row of `earnest predict`"),
        ("path,status,emotion,shares\na.wav,ok,sad,[1]\n", "row 2: no row of `earnest predict`"),
        ("path,status,emotion\na.wav,ok\n", "row 2: 2 cells, but the header has 3"),
        ("path,status,emotion,shares\na.wav,ok,sad," + 100_000 * "[" + "\n", "row 2: no row of `earnest predict`"),
        ('path,status,emotion\n"a.wav,ok,sad\n', "not a table"),
    ],
)
def test_a_table_that_is_damaged_says_where(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(EarnestError, match=told):
        answers_page(tmp_path / "a.csv")
