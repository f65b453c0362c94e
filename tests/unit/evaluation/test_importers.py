import json
import re
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from earnest.errors import CorpusError, MissingExtraError
from earnest.evaluation.importers import READERS, read_any, read_nkululeko, read_pipeline_output, recognised
from earnest.evaluation.predictions import Predictions
from earnest.files.tables import marked
from earnest.runtime.formats import csv_header, csv_line, flat_values, prediction_schema
from earnest.runtime.prediction import Prediction, Status

SURE = [{"score": 0.75, "label": "happy"}, {"score": 0.25, "label": "sad"}]
TABLE = "file,start,end,anger,happiness,predicted,truth,uncertainty,correct"


def written(folder: Path, content: object, name: str = "p.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"x/a.wav": SURE, "b.wav": [{"label": "sad", "score": 1}]},
        [{"file": "x/a.wav", "predictions": SURE}, {"file": "b.wav", "predictions": {"label": "sad", "score": 1.0}}],
        [{"audio": {"path": "x/a.wav", "array": None}, "output": [SURE]}, {"path": "b.wav", "label": "sad"}],
        [["x/a.wav", SURE], ["b.wav", [{"label": "sad", "score": 1.0}]]],
        [{"id": "x/a.wav", "probabilities": {"happy": 0.75, "sad": 0.25}}, {"id": "b.wav", "scores": {"sad": 1}}],
        '{"x/a.wav": [{"score": 0.75, "label": "happy"}, {"score": 0.25, "label": "sad"}]}\n\n'
        '{"file": "b.wav", "result": [{"label": "sad", "score": 1.0}]}\n',
    ],
)
def test_every_shape_of_pipeline_output_says_the_same(content, tmp_path):
    answers = read_any(written(tmp_path, content))
    assert answers.name.tolist() == ["x/a.wav", "b.wav"]
    assert answers.predicted.tolist() == ["happy", "sad"]
    assert answers.labels == ("happy", "sad")
    assert answers.probabilities is not None
    np.testing.assert_array_equal(answers.probabilities, [[0.75, 0.25], [0, 1]])


def test_scores_that_do_not_sum_to_one_are_no_probabilities(tmp_path):
    top = [{"label": "sad", "score": 0.5}, {"label": "happy", "score": 0.3}]
    logits = [{"label": "sad", "score": -1.5}, {"label": "happy", "score": 2.5}]
    answers = read_pipeline_output(written(tmp_path, {"a": top, "b": logits, "c": SURE, "d": []}))
    assert answers.predicted.tolist() == ["sad", "happy", "happy", ""]
    assert answers.probabilities is not None
    assert np.isnan(answers.probabilities).all(axis=1).tolist() == [True, True, False, True]
    only_top = read_pipeline_output(written(tmp_path, {"a": top}))
    assert only_top.probabilities is None
    assert only_top.labels == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "p.json: not valid JSON (Expecting value: line 1 column 2"),
        ("[" * 100_000, "p.json: not valid JSON (nested too deeply)"),
        ("[]", "p.json: it holds no predictions"),
        ("3", "which file is it?"),
        (json.dumps(SURE), "which file is it?"),
        (json.dumps([SURE, SURE]), "p.json, entry 1: which file is it?"),
        ('{"a": [{"label": "sad", "score": NaN}]}', "NaN is no number"),
        ('{"a": [{"label": "sad", "score": 1e999}]}', "label 'sad': expected a number for the score, got inf"),
        (f'{{"a": [{{"label": "sad", "score": 1{"0" * 400}}}]}}', "expected a number for the score, got 1000"),
        (f'{{"a": [{{"label": "sad", "score": 1{"0" * 5000}}}]}}', "not valid JSON"),
        ('{"a": [{"label": "sad", "score": true}]}', "expected a number for the score, got True"),
        ('{"a": [{"label": "sad", "score": "1"}]}', "expected a number for the score, got 1"),
        ('{"a": [{"label": 3, "score": 1}]}', "p.json, 'a': expected {\"label\": a text"),
        ('{"a": ["sad"]}', 'expected {"label": a text'),
        ('{"a": [{"label": "sad", "score": 0.5}, {"label": "sad", "score": 0.5}]}', "'sad' is there twice"),
        ('[{"file": "a"}]', "p.json, entry 1: no answer there"),
        ('[{"file": 3, "label": "sad"}]', "p.json, entry 1: the name of the file must be a text"),
        ('[{"file": "\\ud800", "label": "sad"}]', "half a character"),
        ('[{"file": "a", "label": "\\ud800"}]', "half a character"),
        ('{"a": [{"label": "sad"}]}\n{"a": [{"label": "joy"}]}', "p.json:2: 'a' is in line 1 already"),
        ('[["a", []], ["a", {"label": "x"}]]', "p.json, entry 2: 'a' is in entry 1 already"),
        ('{"file": "a", "label": "sad"}\n{"file": "b"', "p.json:2: not valid JSON"),
        (json.dumps({f"f{n}": [{"label": f"e{n}", "score": 1}] for n in range(1001)}), "1001 different labels"),
    ],
)
def test_hostile_json_is_a_message_of_one_line_with_its_place(content, message, tmp_path):
    with pytest.raises(CorpusError, match=re.escape(message)) as caught:
        read_pipeline_output(written(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", READERS)
def test_files_of_other_encodings_are_refused_by_every_reader(form, tmp_path):
    path = tmp_path / "p"
    path.write_bytes("file,predicted\nä,sad\n".encode("cp1252"))
    with pytest.raises(CorpusError, match=r"p:2.*not UTF-8"):
        read_any(path, form)
    path.rename(tmp_path / "p.csv")
    with pytest.raises(CorpusError, match=r"p.csv:2.*in Excel as \"CSV UTF-8\""):
        read_any(tmp_path / "p.csv", form)
    with pytest.raises(CorpusError, match=r"no such file"):
        read_any(tmp_path / "absent", form)
    with pytest.raises(CorpusError, match="a folder, not a file"):
        recognised(tmp_path)


def test_the_content_says_what_a_file_is(tmp_path):
    for content, form in (
        (' \n[{"a": 1}]', "huggingface"),
        ("\ufeff{}", "huggingface"),
        (TABLE + "\r\n", "nkululeko"),
        ('"file","start","end","emotion"\n', "nkululeko"),
        (TABLE.replace(",", ";") + "\r\n", "nkululeko"),
        ("path;status;duration_s;emotion;confidence\n", "predict"),
        ("sep=;\r\npath;status;duration_s;emotion;confidence\r\n", "predict"),
        ("path\tstatus\tduration_s\temotion\tconfidence\n", "predict"),
        ("path,status,duration_s,emotion,confidence\n", "predict"),
        ('{"path": "a.wav", "status": "ok", "emotion": "sad"}\n', "predict"),
        ("path,start_s,end_s,emotion,confidence\n", "spans"),
        ('{"path": "a.wav", "start_s": 0, "end_s": 1, "emotion": "sad", "confidence": 1}\n', "spans"),
        ("utterance_id,predicted\n", "earnest"),
        ("", "earnest"),
    ):
        assert recognised(written(tmp_path, content, "p")) == form


def test_a_result_table_of_nkululeko(tmp_path):
    lines = [
        TABLE,
        "a.wav,0 days,0 days 00:00:02,0.25,0.75,happiness,anger,0.8,False",
        "a.wav,0 days 00:00:02,,0.5,0.25,anger,anger,0.9,True",
    ]
    answers = read_any(written(tmp_path, "\n".join(lines), "t.csv"))
    assert answers.name.tolist() == ["a.wav", "a.wav"]
    assert answers.predicted.tolist() == ["happiness", "anger"]
    assert answers.emotion.tolist() == ["anger", "anger"]
    assert answers.labels == ("anger", "happiness")
    assert answers.probabilities is not None
    np.testing.assert_array_equal(answers.probabilities, [[0.25, 0.75], [np.nan, np.nan]])
    assert Predictions.of(answers).classes == ("anger", "happiness")


def test_tables_of_predictions_and_of_audformat(tmp_path):
    stored = "file,start,end,speaker,gender,age,emotion,predictions\na.wav,0 days,NaT,ann,female,30,sad,happy"
    answers = read_nkululeko(written(tmp_path, stored, "t.csv"))
    assert (answers.emotion, answers.predicted, answers.labels) == (["sad"], ["happy"], ())
    assert answers.text("speaker").tolist() == ["ann"]
    bare = read_nkululeko(written(tmp_path, "file,start,end,emotion\na.wav,0 days,NaT,sad", "t.csv"))
    assert bare.emotion is None
    assert bare.predicted.tolist() == ["sad"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,start,end", "a,b,c"], ":1: the column 'predicted' is missing"),
        (["files,predicted", "a,b"], ":1: the column 'file' is missing"),
        (["file,sad,sad,predicted", "a,1,0,sad"], ":1: the column 'sad' is there twice"),
        (["file,sad,predicted", "a,1,sad", "b,x,sad"], ":3, column 'sad': expected a number, got 'x'"),
        (["file,sad,predicted", "a,nan,sad"], ":2, column 'sad': expected a number, got 'nan'"),
        (["file,sad,predicted", "a,1e999,sad"], ":2, column 'sad': expected a number, got '1e999'"),
        (["file,predicted", "a,sad,"], ":2: 3 cells, but the header has 2"),
        (["file,predicted", ",sad"], ":2, column 'file': it is empty"),
        (["file,start,predicted", "a,0,sad", "a,1,sad", "a,0,happy"], ":4: 'a' is in line 2 already"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(lines, message, tmp_path):
    with pytest.raises(CorpusError, match=re.escape(message)):
        read_nkululeko(written(tmp_path, "\n".join(lines), "t.csv"))


def test_the_mark_before_a_name_that_a_spreadsheet_would_compute_is_no_part_of_it(tmp_path):
    names = ["=a.wav", "-b.wav", "'=c.wav", "d.wav"]
    cells = "\n".join(f"{marked(name)},ok,sad" for name in names)
    assert read_any(written(tmp_path, f"path,status,emotion\n{cells}", "p.csv")).name.tolist() == names


@pytest.mark.parametrize("word", sorted(set(get_args(Status)) - {"ok"}))
def test_what_predict_says_in_place_of_an_emotion_is_no_answer(word, tmp_path):
    table = f"utterance_id,emotion,predicted\na,sad,{word}\nb,happy,happy\n"
    answers = read_any(written(tmp_path, table, "t.csv"))
    assert answers.predicted.tolist() == ["", "happy"]
    assert Predictions.of(answers).classes == ("happy", "sad")
    told = f"utterance_id,emotion,predicted,p_happy,p_sad\na,sad,{word},0.6,0.4\nb,happy,happy,1,0\n"
    assert read_any(written(tmp_path, told, "p.csv")).predicted.tolist() == ["", "happy"]


def test_a_class_of_the_file_is_an_answer_though_predict_calls_something_else_so(tmp_path):
    answers = read_any(written(tmp_path, "utterance_id,emotion,predicted\na,mixed,mixed\nb,sad,mixed\n", "t.csv"))
    assert answers.predicted.tolist() == ["mixed", "mixed"]


def test_json_lines_of_predict_say_what_its_table_says(tmp_path):
    rows = [("a.wav", "ok", "sad", (0.3, 0.7)), ("b.wav", "unsure", None, (0.6, 0.4)), ("c.wav", "error", None, None)]
    lines = [
        json.dumps(
            {
                "path": path,
                "status": status,
                "emotion": emotion,
                "probabilities": p and dict(zip(("happy", "sad"), p, strict=True)),
            }
        )
        for path, status, emotion, p in rows
    ]
    cells = [
        f"{path},{status},{emotion or ''},{','.join(map(str, p or ('', '')))}" for path, status, emotion, p in rows
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    (tmp_path / "p.csv").write_text("\n".join(["path,status,emotion,p_happy,p_sad", *cells]))
    table = read_any(tmp_path / "p.csv")
    for form in (None, "predict", "huggingface"):
        told = read_any(tmp_path / "p.jsonl", form)
        assert told.predicted.tolist() == table.predicted.tolist() == ["sad", "", ""]
        assert (told.name.tolist(), told.labels) == (table.name.tolist(), table.labels)
        np.testing.assert_array_equal(told.probabilities, table.probabilities)
    (tmp_path / "odd.jsonl").write_text(lines[0].replace('"sad", "prob', '3, "prob'))
    with pytest.raises(CorpusError, match="'emotion' is a text, or null for no answer, got 3"):
        read_any(tmp_path / "odd.jsonl")


def test_rows_of_json_are_read_as_the_same_table_is(tmp_path):
    classes, affect = ("happy", "sad"), {"valence": 0.25, "arousal": 0.5, "dominance": None}
    sure = {"probabilities": {"happy": 0.0625, "sad": 0.9375}, "gender": {"female": 0.75, "male": 0.25}}
    rows = [
        Prediction("a.wav", "ok", emotion="sad", affect=affect, speaker="=ann", **sure),
        Prediction("b.wav", "error", error="no sound"),
    ]
    cells = [csv_header(classes, ("speaker",)), *(csv_line(row, classes, ("speaker",)) for row in rows)]
    told = [f"{line},{truth}" for line, truth in zip(cells, ("truth", "happy", "sad"), strict=True)]
    table = read_any(written(tmp_path, "\n".join(told), "p.csv"))
    lines = [{**row.to_dict(), "truth": truth} for row, truth in zip(rows, ("happy", "sad"), strict=True)]
    for text in ("\n".join(map(json.dumps, lines)), json.dumps(lines, indent=1)):
        found = read_any(written(tmp_path, text, "p.json"))
        for name in ("name", "predicted", "emotion", "predicted_gender"):
            assert getattr(found, name).tolist() == getattr(table, name).tolist(), name
        for name in ("probabilities", "predicted_affect", "affect_derived"):
            np.testing.assert_array_equal(getattr(found, name), getattr(table, name))
        assert found.text("speaker").tolist() == table.text("speaker").tolist() == ["=ann", ""]
    own = [{"utterance_id": "a", "truth": "sad", "predicted": "happy", "speaker_id": 7, "gender": "female"}]
    found = read_any(written(tmp_path, json.dumps(own), "own.json"))
    assert (found.text("speaker"), found.text("gender"), found.own_truth()) == (["7"], ["female"], ["sad"])


def test_parquet_is_read_as_the_same_table_in_csv_is(tmp_path):
    Table = pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]").Table  # noqa: N806
    from pyarrow import parquet

    rows = [
        Prediction("a.wav", "ok", emotion="sad", probabilities={"happy": 0.0625, "sad": 0.9375}),
        Prediction("b.wav", "unsure", probabilities={"happy": 0.25, "sad": 0.75}),
        Prediction("c.wav", "error", error="no sound"),
    ]
    classes = ("happy", "sad")
    cells = [csv_header(classes), *(csv_line(row, classes) for row in rows)]
    table = read_any(written(tmp_path, "\n".join(cells), "p.csv"))
    path = tmp_path / "answers"  # found by its content
    values = [flat_values(row, classes) for row in rows]
    parquet.write_table(Table.from_pylist(values, prediction_schema(classes)), path)
    told = read_any(path)
    assert told.predicted.tolist() == table.predicted.tolist() == ["sad", "", ""]
    assert (told.name.tolist(), told.labels, told.place(1)) == (["a.wav", "b.wav", "c.wav"], classes, f"{path}, row 2")
    np.testing.assert_array_equal(told.probabilities, table.probabilities)
    np.testing.assert_array_equal(told.affect_derived, table.affect_derived)


def test_parquet_of_any_system_has_the_columns_of_csv_and_is_opened_once(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    from pyarrow import parquet

    columns = {"utterance_id": ["a", "b"], "emotion": ["sad", "happy"], "predicted": ["sad", None], "fold": [1.0, 2.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    opened: list[object] = []

    class Counted(parquet.ParquetFile):  # type: ignore[misc]
        def __init__(self, *words: object) -> None:
            opened.append(words)
            super().__init__(*words)

    monkeypatch.setattr(parquet, "ParquetFile", Counted)
    answers = read_any(tmp_path / "p.parquet")
    assert len(opened) == 1  # what it is and what it holds, at once
    assert (answers.predicted.tolist(), answers.own_truth().tolist()) == (["sad", ""], ["sad", "happy"])
    assert answers.text("fold").tolist() == ["1", "2"]
    parquet.write_table(pyarrow.table(columns | {"utterance_id": ["a", None]}), tmp_path / "p.parquet")
    with pytest.raises(CorpusError, match=r"p\.parquet, row 2, column 'utterance_id': it is empty"):
        read_any(tmp_path / "p.parquet")


def test_parquet_needs_its_package_and_must_be_whole(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    (tmp_path / "p.parquet").write_bytes(b"PAR1" + bytes(40))
    with pytest.raises(CorpusError, match=r"p\.parquet: not a readable Parquet table"):
        read_any(tmp_path / "p.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for form in (None, "predict"):
        with pytest.raises(MissingExtraError, match=r"Parquet needs more packages, those of earnest\[parquet\]"):
            read_any(tmp_path / "p.parquet", form)


def test_spans_are_refused_with_what_to_score(tmp_path):
    with pytest.raises(CorpusError, match=r"Whole recordings are scored: earnest predict"):
        read_any(written(tmp_path, "path,start_s,end_s,emotion,confidence\n"))


def test_parts_of_a_file_keep_names_of_their_own_without_a_manifest(tmp_path):
    lines = ["file;start;sad;happy;predicted;truth", "a.wav;0,5;0,8;0,2;sad;sad", "a.wav;1,5;0,3;0,7;happy;sad"]
    answers = read_any(written(tmp_path, "\n".join(lines), "t.csv"))
    assert answers.text("start").tolist() == ["0.5", "1.5"]
    np.testing.assert_array_equal(answers.probabilities, np.array([[0.8, 0.2], [0.3, 0.7]], np.float32))
    assert Predictions.of(answers).utterance_id.tolist() == ["a.wav 0.5", "a.wav 1.5"]


def test_white_space_around_labels_of_json_is_none(tmp_path):
    answers = read_any(written(tmp_path, {"a": [{"label": " sad ", "score": 1}]}))
    assert (answers.labels, answers.predicted.tolist()) == (("sad",), ["sad"])
    with pytest.raises(CorpusError, match="a text"):
        read_any(written(tmp_path, {"a": [{"label": " ", "score": 1}]}))


@pytest.mark.parametrize(
    "content",
    [
        "utterance_id,emotion,predicted,p_{0},p_sad\na,{1},{2},0.75,0.25\n",
        "path,status,emotion,truth,p_{0},p_sad\na,ok,{2},{1},0.75,0.25\n",
        "file,{0},sad,predicted,truth,correct\na,0.75,0.25,{2},{1},True\n",
        '{{"file": "a", "predictions": [{{"label": "{2}", "score": 0.75}}, {{"label": "sad", "score": 0.25}}]}}',
        '{{"path": "a", "status": "ok", "emotion": "{2}", "probabilities": {{"{0}": 0.75, "sad": 0.25}}}}',
    ],
)
def test_a_label_that_macos_wrote_is_the_class_of_the_same_label_as_typed(content, tmp_path):
    typed, apart = "fröhlich", "fro\u0308hlich"
    for forms in ((typed, apart, typed), (apart, typed, apart)):
        is_json = content.startswith("{")
        answers = read_any(written(tmp_path, content.format(*forms), "p.json" if is_json else "p.csv"))
        assert (answers.labels, answers.predicted.tolist()) == ((typed, "sad"), [typed])
        assert is_json or answers.own_truth().tolist() == [typed]


def test_speakers_that_a_program_numbered_are_those_of_their_recording(tmp_path):
    turns = ["a.wav@0-2", "a.wav#2@3-4", "b.wav@1-3", "b.wav@5-6", "b.wav"]
    speakers = ["SPEAKER_00", "SPEAKER_00", "SPEAKER_00", "Ann", "SPEAKER_00"]
    rows = [f"{name},ok,sad,{speaker}" for name, speaker in zip(turns, speakers, strict=True)]
    path = tmp_path / "answers.csv"
    path.write_text("\n".join(["path,status,emotion,speaker", *rows]) + "\n")
    expected = ["a.wav SPEAKER_00", "a.wav SPEAKER_00", "b.wav SPEAKER_00", "Ann", "SPEAKER_00"]
    assert read_any(path).text("speaker").tolist() == expected
    path.write_text("\n".join(["path,status,emotion,speaker", *rows[:2]]) + "\n")
    assert read_any(path).text("speaker").tolist() == ["SPEAKER_00", "SPEAKER_00"]
    theirs = ("speaker S1", "speaker_0", "S1")  # the last one may be anybody's name for a participant
    numbered = enumerate(theirs)
    rows = [f"{name}@{n}-9,ok,sad,{speaker}" for n, speaker in numbered for name in ("a.wav", "b.wav")]
    path.write_text("\n".join(["path,status,emotion,speaker", *rows]) + "\n")
    expected = [f"{name} {speaker}" for speaker in theirs[:2] for name in ("a.wav", "b.wav")]
    assert read_any(path).text("speaker").tolist() == [*expected, "S1", "S1"]
