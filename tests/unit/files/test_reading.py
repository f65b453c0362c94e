"""Text from outside."""

import os
import unicodedata
from pathlib import Path

import pytest

from earnest.apps.cli._recordings import NamedRecordings
from earnest.corpora.manifest import read_manifest
from earnest.corpora.own.read import read_own
from earnest.errors import CorpusError, EarnestError
from earnest.evaluation.predictions import read_predictions
from earnest.files.reading import decoded, read_text
from earnest.runtime.profile import Profile
from earnest.testing.sounds import write_voice


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mark_at_the_start_tells_the_encoding(encoding):
    assert decoded("Ärger;z.wav\r\n".encode(encoding), "list.csv") == "Ärger;z.wav\r\n"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("a\nÄrger".encode("cp1252"), "UTF-8"),
        ("a\nÄ".encode("utf-16")[:-1], "UTF-16"),
        ("a\nÄ".encode("utf-32"), "UTF-8"),
    ],
)
def test_another_encoding_is_told_with_the_line(data, name):
    with pytest.raises(CorpusError, match=rf"list.csv:\d: not a readable list \(not {name}: .+\)\. Save it as UTF-8"):
        decoded(data, "list.csv", CorpusError, "list")


def test_a_binary_file_is_called_one_and_what_is_expected_is_named(tmp_path: Path) -> None:
    data = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x01\x02" * 9
    with pytest.raises(CorpusError, match=r"^list\.csv: a binary file, not a list\. Name a list, which is text"):
        decoded(data, "list.csv", CorpusError, "list")
    (tmp_path / "face.png").write_bytes(data)
    with pytest.raises(EarnestError, match=r"face\.png: a binary file, not a profile of `earnest adapt`"):
        Profile.read(tmp_path / "face.png")
    with pytest.raises(CorpusError, match=r"face\.png: a binary file, not a predictions file"):
        read_predictions(tmp_path / "face.png")


def test_a_folder_is_called_one_where_windows_denies_to_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(CorpusError, match="a folder, not a file"):
        read_text(tmp_path, CorpusError)
    with pytest.raises(CorpusError, match=r"not readable \(Permission denied\)"):
        read_text(tmp_path / "a.txt", CorpusError)


@pytest.mark.parametrize("written", ["Märchen\\zwölf.wav", "Ma\u0308rchen/zwo\u0308lf.wav", "Märchen/zwölf.wav"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_tables_that_another_system_wrote_name_the_recordings_here(written: str, form: str, tmp_path: Path) -> None:
    there = tmp_path / unicodedata.normalize(form, "Märchen/zwölf.wav")  # type: ignore[arg-type]
    there.parent.mkdir()
    write_voice(there, 0.2)
    for name, header, row in (
        ("list.csv", "path,speaker", f"{written},a"),
        ("manifest.csv", "utterance_id,path,emotion", f"1,{written},sad"),
        ("own.csv", "path,label", f"{written},tells"),
    ):
        (tmp_path / name).write_text(f"{header}\n{row}\n", encoding="utf-8")
    assert NamedRecordings([str(tmp_path / "list.csv")]).sources() == [str(there)]
    assert read_manifest(tmp_path / "manifest.csv")[0].path == there
    (tmp_path / "list.txt").write_text(f"{written}\n", encoding="utf-8")
    assert [row.native_emotion for row in read_own(tmp_path / "list.txt").utterances] == ["Märchen"]
    assert [row.path for row in read_own(tmp_path / "own.csv").utterances] == [there]


def test_how_a_spreadsheet_saves_utf_8_is_told_of_tables_alone():
    with pytest.raises(CorpusError, match=r'Save it as UTF-8 \(in Excel as "CSV UTF-8", not as "CSV"\)\.$'):
        decoded("Ä".encode("cp1252"), "list.csv", CorpusError)
    with pytest.raises(CorpusError, match=r"Save it as UTF-8\.$"):
        decoded("Ä".encode("cp1252"), "recipe.toml", CorpusError)
