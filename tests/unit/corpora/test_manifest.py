"""The manifest file: what is written comes back, what is wrong is named."""

from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earnest.corpora.manifest import Utterance, read_manifest, write_manifest
from earnest.errors import CorpusError
from earnest.labels import EMOTIONS, composed

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
names = words.map(composed)
ratings = st.none() | st.floats(-10, 10)
utterances = st.builds(
    Utterance,
    utterance_id=words.filter(bool),
    path=st.sampled_from(["wav/a b.wav", 'ünï/ç,"x".flac', "/elsewhere/c.opus"]).map(Path),
    start_s=st.floats(0, 10),
    end_s=st.none() | st.floats(11, 20),
    corpus=names,
    speaker=names,
    gender=st.sampled_from(["female", "male", None]),
    text_id=words,
    emotion=st.sampled_from(EMOTIONS),
    native_emotion=names.map(str.strip),
    valence=ratings,
    arousal=ratings,
    dominance=ratings,
    style=words,
    group=names,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(utterances, max_size=4))
def test_any_rows_come_back_as_they_were_written(tmp_path, rows):
    rows = [Utterance(**{**_fields(row), "path": tmp_path / row.path}) for row in rows]
    write_manifest(rows, tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv") == rows


def test_parquet_says_the_same_as_csv(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    from pyarrow import parquet

    names = {"utterance_id": ["a", "b"], "path": ["a.wav", "b.wav"], "emotion": ["sad", "happy"]}
    columns = names | {"gender": ["female", None], "valence": [1.5, None], "end_s": [None, 2.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "truth.parquet")
    a = Utterance("a", tmp_path / "a.wav", gender="female", emotion="sad", valence=1.5)
    assert read_manifest(tmp_path / "truth.parquet") == [
        a,
        Utterance("b", tmp_path / "b.wav", emotion="happy", end_s=2),
    ]
    parquet.write_table(pyarrow.table(names | {"emotion": ["sad", "jolly"]}), tmp_path / "truth.parquet")
    with pytest.raises(CorpusError, match="'jolly' is not a canonical emotion"):
        read_manifest(tmp_path / "truth.parquet")
    parquet.write_table(pyarrow.table({"emotoin": ["sad"]}), tmp_path / "truth.parquet")
    with pytest.raises(CorpusError, match=r"unknown column 'emotoin'\. Did you mean 'emotion'"):
        read_manifest(tmp_path / "truth.parquet")


def _fields(row: Utterance) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


def test_paths_below_the_manifest_move_with_it(tmp_path):
    (tmp_path / "old").mkdir()
    write_manifest([Utterance("a", tmp_path / "old/wav/a.wav", emotion="sad")], tmp_path / "old/m.csv")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_manifest(tmp_path / "new/m.csv")[0].path == tmp_path / "new/wav/a.wav"


def test_links_that_lead_out_of_the_folder_keep_their_names(tmp_path):
    for name in ("blobs", "snapshot"):
        (tmp_path / name).mkdir()
    (tmp_path / "blobs/1f0c").touch()
    link = tmp_path / "snapshot/happy-01.wav"
    link.symlink_to("../blobs/1f0c")
    write_manifest([Utterance("a", link, emotion="happy")], tmp_path / "snapshot/m.csv")
    assert read_manifest(tmp_path / "snapshot/m.csv")[0].path == link


def test_a_relative_path_beside_the_manifests_folder_is_found_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    write_manifest([Utterance("a", Path("own/a.wav"), emotion="sad")], Path("other/m.csv"))
    assert read_manifest(Path("other/m.csv"))[0].path == tmp_path / "own/a.wav"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("utterance_id,path,emotoin\n", "unknown column 'emotoin'. Did you mean 'emotion'"),
        ("utterance_id,path\n", "needs the column 'emotion'"),
        ("utterance_id,path,emotion\na,a.wav,jolly\n", "'jolly' is not a canonical emotion"),
        ("utterance_id,path,emotion,valence\na,a.wav,sad,high\n", "m.csv:2: 'valence' must be a number"),
        ("utterance_id,path,emotion,start_s\na,a.wav,sad,nan\n", "m.csv:2: 'start_s' must be a number, got 'nan'"),
        ("utterance_id,path,emotion\na,a.wav\n", "m.csv:2: this row has another number of cells"),
        ("utterance_id,path,emotion\na,a.wav,sad,sadder\n", "m.csv:2: this row has another number of cells"),
        ('utterance_id,path,emotion,native_emotion\na,a.wav,sad,"low\nb,b.wav,sad,low\n', "m.csv: not a table"),
        ("utterance_id,path,emotion,gender\na,a.wav,sad,f\n", "m.csv:2: 'gender' must be female, male or empty"),
        ("utterance_id,path,emotion,start_s,end_s\na,a.wav,sad,2,1\n", "the part from 2.0 s to 1.0 s is empty"),
    ],
)
def test_a_wrong_manifest_is_an_error_that_says_where(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(CorpusError, match=message.replace(".", r"\.")):
        read_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize("text", ["file,speaker,emotion\n", "path,emotion\n"])
def test_of_another_table_is_told_what_makes_a_manifest(tmp_path, text):
    (tmp_path / "my own.csv").write_text(text)
    with pytest.raises(CorpusError, match=r"this makes a manifest: .* '.*my own\.csv' -o manifest\.csv"):
        read_manifest(tmp_path / "my own.csv")


def test_of_a_folder_is_told_what_makes_a_manifest_too(tmp_path):
    with pytest.raises(CorpusError, match=r"a folder, not a manifest\. .* earnest corpus manifest "):
        read_manifest(tmp_path)


def test_a_manifest_that_a_spreadsheet_saved_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "m.csv").write_text("utterance_id,path,emotion\na,a.wav,sad\n", encoding="utf-8-sig")
    assert [row.emotion for row in read_manifest(tmp_path / "m.csv")] == ["sad"]


def test_white_space_around_the_corpus_own_word_is_no_part_of_it(tmp_path):
    (tmp_path / "m.csv").write_text("utterance_id,path,emotion,native_emotion\na,a.wav,sad, so sad \n")
    assert read_manifest(tmp_path / "m.csv")[0].native_emotion == "so sad"


def test_a_speaker_whom_macos_wrote_is_the_one_that_was_typed(tmp_path):
    lines = [f"{form},{form}.wav,sad,{normalize(form, 'Köln,Köln-Jürgen,ä,ö')}\n" for form in ("NFC", "NFD")]
    (tmp_path / "m.csv").write_text("utterance_id,path,emotion,corpus,speaker,session,group\n" + "".join(lines))
    rows = {(row.corpus, row.native_speaker, row.session, row.group) for row in read_manifest(tmp_path / "m.csv")}
    assert rows == {("Köln", "Jürgen", "ä", "ö")}


def test_a_manifest_with_semicolons_is_read(tmp_path):
    (tmp_path / "m.csv").write_text("utterance_id;path;emotion\na;a.wav;sad\n")
    assert [row.emotion for row in read_manifest(tmp_path / "m.csv")] == ["sad"]


def test_rows_that_a_spreadsheet_left_behind_in_a_manifest_are_no_recordings(tmp_path):
    (tmp_path / "m.csv").write_text("utterance_id,path,emotion\na,a.wav,sad\n,,\n\n,,,\n")
    assert [row.emotion for row in read_manifest(tmp_path / "m.csv")] == ["sad"]


def test_a_manifest_that_is_not_there_or_no_text_is_an_error(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("absent.csv", "binary.csv"):
        with pytest.raises(CorpusError, match=name):
            read_manifest(tmp_path / name)
