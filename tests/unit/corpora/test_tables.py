"""Readers of anybody's tables."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.tables import read_audformat, read_audiofolder, read_declared, read_emobox
from earnest.errors import CorpusError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wav").mkdir()
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"wav/{name}.wav", np.zeros(800), 16_000)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_declared_columns_and_words_are_read(root):
    table = write(root / "mine.csv", "file,label,who,sex,a\nwav/a.wav,joy,1,F,0.5\nwav/b.wav,Anger,2,male,\n")
    columns = {"path": "file", "emotion": "label", "speaker": "who", "gender": "sex", "arousal": "a"}
    rows = read_declared(table, columns, {"joy": "happy"})
    assert [(row.emotion, row.native_emotion) for row in rows] == [("happy", "joy"), ("angry", "Anger")]
    assert [(row.speaker, row.gender, row.arousal) for row in rows] == [
        ("mine-1", "female", 0.5),
        ("mine-2", "male", None),
    ]
    assert [row.path for row in rows] == [root / "wav/a.wav", root / "wav/b.wav"]
    assert {row.corpus for row in rows} == {"mine"}


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8"), ("\t", "utf-16"), ("|", "utf-8-sig")])
def test_what_a_spreadsheet_saves_is_read(root, delimiter, encoding):
    text = "path,emotion\nwav/a.wav,angry\n,\nwav/b.wav,sad\n,\n".replace(",", delimiter)
    (root / "mine.csv").write_text(text, encoding=encoding)
    assert [row.emotion for row in read_declared(root / "mine.csv")] == ["angry", "sad"]


def test_a_first_line_for_excel_is_no_row_and_semicolons_go_with_decimal_commas(root):
    table = write(root / "excel.csv", "sep=;\npath;emotion;start_s;valence\nwav/a.wav;angry;0,25;-0,5\n")
    assert [(row.start_s, row.valence) for row in read_declared(table)] == [(0.25, -0.5)]
    with pytest.raises(CorpusError, match=r"excel\.csv, row 2: start_s: expected a number, got 'x'"):
        read_declared(write(table, table.read_text().replace("0,25", "x")))


def test_jsonl_rows_are_read_and_wrong_lines_are_named(root):
    table = write(root / "t.jsonl", '{"path": "wav/a.wav", "emotion": "sad"}\n\n{"path": 1\n')
    with pytest.raises(CorpusError, match=r"t\.jsonl:3: not valid JSON"):
        read_declared(table)
    write(table, '{"path": "wav/a.wav", "emotion": "sad", "speaker": 7}\n')
    assert [(row.emotion, row.speaker) for row in read_declared(table)] == [("sad", "t-7")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,emotion\nwav/a.wav,jolly\n", "the emotion 'jolly' is unknown"),
        ("path,emotion\nwav/c.wav,sad\n", "no such file"),
        ("path,label\nwav/a.wav,sad\n", "--column emotion="),
        ("path,emotion\nwav/a.wav,\n", "no value in the column 'emotion'"),
        ("path,emotion,gender\nwav/a.wav,sad,robot\n", "robot"),
        ("path,emotion,start_s\nwav/a.wav,sad,soon\n", "expected a number, got 'soon'"),
        ("path,emotion\nwav/a.wav,sad\nwav/a.wav,sad\n", "appears 2 times"),
        ("path,emotion\n", "holds no rows"),
        ("path,emotion\nwav/a.wav,sad,7\n", "row 2: 3 cells, but the header has 2"),
    ],
)
def test_a_wrong_table_is_an_error_that_says_what_is_wrong(root, text, message):
    with pytest.raises(CorpusError, match=message):
        read_declared(write(root / "t.csv", text))


def test_wrong_declarations_name_the_nearest_right_word(root):
    table = write(root / "t.csv", "path,emotion\nwav/a.wav,sad\n")
    with pytest.raises(CorpusError, match="Did you mean 'speaker'"):
        read_declared(table, {"speakr": "who"})
    with pytest.raises(CorpusError, match=r"t\.csv: no column 'emotio'\. Did you mean 'emotion'"):
        read_declared(table, {"speaker": "emotio"})
    with pytest.raises(CorpusError, match="Did you mean 'happy'"):
        read_declared(table, emotions={"sad": "hapy"})


def test_a_quoted_line_break_does_not_shift_the_rows(root):
    table = write(root / "t.csv", 'path,emotion,text\nwav/a.wav,sad,"two\nlines"\nwav/b.wav,happy,one\n')
    assert [row.emotion for row in read_declared(table)] == ["sad", "happy"]


def test_parquet_is_read_as_own_recordings_are(root):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"file_name": ["wav/a.wav", "wav/b.wav"], "label": ["happy", "fear"], "speaker": [1.0, None]})
    parquet.write_table(table, root / "metadata.parquet")
    assert [(row.emotion, row.native_speaker) for row in read_audiofolder(root)] == [("happy", "1"), ("fearful", "")]


def test_an_audiofolder_must_name_all_its_recordings(root):
    write(root / "metadata.csv", "file_name,label\nwav/a.wav,happy\n")
    with pytest.raises(CorpusError, match=r"b\.wav: not named"):
        read_audiofolder(root)
    write(root / "metadata.csv", "file_name,label\nwav/a.wav,happy\nwav/b.wav,fear\n")
    assert [row.emotion for row in read_audiofolder(root)] == ["happy", "fearful"]
    (root / "wav/itself.wav").symlink_to("itself.wav")
    with pytest.raises(CorpusError, match=r"itself\.wav: not named"):
        read_audiofolder(root)


def test_a_folder_without_metadata_is_no_audiofolder(root):
    with pytest.raises(CorpusError, match=r"metadata\.csv"):
        read_audiofolder(root)


def test_audformat_segments_become_parts_of_files(root):
    lines = "file,start,end,emotion,speaker\n"
    lines += "wav/a.wav,0 days 00:00:00,0 days 00:00:01.500000,anger,s1\nwav/a.wav,0 days 00:01:02.25,NaT,boredom,s1\n"
    rows = read_audformat(write(root / "db.emotion.csv", lines), corpus="db")
    assert [(row.start_s, row.end_s, row.emotion) for row in rows] == [(0, 1.5, "angry"), (62.25, None, "boredom")]
    assert len({row.utterance_id for row in rows}) == 2
    assert {row.speaker for row in rows} == {"db-s1"}


def test_an_audformat_label_may_be_in_any_column(root):
    table = write(root / "db.gold.csv", "file,gold\nwav/a.wav,1\n")
    assert [row.emotion for row in read_audformat(table, "gold", {"1": "calm"})] == ["calm"]


@pytest.mark.parametrize("field", ["emo", "emotion"])
def test_emobox_lists_are_read(root, field):
    line = {
        "key": "emodb-03a01Wa",
        "dataset": "emodb",
        "wav": "wav/a.wav",
        "type": "raw",
        field: "anger",
        "length": 1.9,
    }
    rows = read_emobox(write(root / "emodb.jsonl", json.dumps(line) + "\n"))
    assert [(row.utterance_id, row.corpus, row.emotion) for row in rows] == [("emodb-03a01Wa", "emodb", "angry")]
