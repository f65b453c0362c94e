"""Text from outside."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from earnest.apps.cli._recordings import sources_of
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
    assert sources_of([str(tmp_path / "list.csv")]) == [str(there)]
    assert read_manifest(tmp_path / "manifest.csv")[0].path == there
    (tmp_path / "list.txt").write_text(f"{written}\n", encoding="utf-8")
    assert [row.native_emotion for row in read_own(tmp_path / "list.txt").utterances] == ["Märchen"]
    assert [row.path for row in read_own(tmp_path / "own.csv").utterances] == [there]


def test_how_a_spreadsheet_saves_utf_8_is_told_of_tables_alone():
    with pytest.raises(CorpusError, match=r'Save it as UTF-8 \(in Excel as "CSV UTF-8", not as "CSV"\)\.$'):
        decoded("Ä".encode("cp1252"), "list.csv", CorpusError)
    with pytest.raises(CorpusError, match=r"Save it as UTF-8\.$"):
        decoded("Ä".encode("cp1252"), "recipe.toml", CorpusError)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    for label in ("asks", "tells"):
        (tmp_path / "elsewhere" / label).mkdir(parents=True)
        for number in range(3):
            write_voice(tmp_path / "elsewhere" / label / f"{number}.wav", 0.2, seed=number)
    (tmp_path / "here").mkdir()
    return tmp_path / "elsewhere"


def test_links_to_files_are_recordings_as_any(elsewhere: Path, tmp_path: Path, caplog) -> None:
    for label in ("asks", "tells"):
        (tmp_path / "here" / label).mkdir()
        for number in range(3):
            (tmp_path / "here" / label / f"{number}.wav").symlink_to(elsewhere / label / f"{number}.wav")
    own = read_own(tmp_path / "here")
    assert len(own.utterances) == len(sources_of([str(tmp_path / "here")])) == 6
    assert not any("followed" in note for note in own.notes)
    assert not caplog.text


def test_a_folder_of_links_to_folders_says_so_to_learn_and_to_predict(elsewhere: Path, tmp_path: Path) -> None:
    for label in ("asks", "tells"):
        (tmp_path / "here" / label).symlink_to(elsewhere / label)
    for read in (read_own, lambda path: sources_of([str(path)])):
        with pytest.raises(EarnestError, match="2 folders are links, which are not followed: asks, tells"):
            read(tmp_path / "here")
    assert len(read_own(elsewhere).utterances) == 6


def test_recordings_beside_a_link_are_read_and_the_link_is_told(elsewhere: Path, tmp_path: Path, caplog) -> None:
    (elsewhere / "more").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "round").symlink_to(elsewhere)  # in a circle
    own = read_own(elsewhere)
    assert len(own.utterances) == 6
    assert any("not followed: more" in note for note in own.notes)
    assert len(sources_of([str(elsewhere)])) == 6
    assert "not followed: more" in caplog.text


def test_a_junction_of_windows_is_a_link(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_voice(tmp_path / "here" / "a.wav", 0.2)
    junctions = {elsewhere / "more", elsewhere / ".more", elsewhere / "asks" / "more"}
    for one in junctions:
        one.symlink_to(tmp_path / "here")
    lstat, junction = Path.lstat, SimpleNamespace(st_mode=stat.S_IFDIR, st_reparse_tag=0xA0000003)
    monkeypatch.setattr(Path, "lstat", lambda path: junction if path in junctions else lstat(path))
    monkeypatch.setattr(os.path, "islink", lambda _: False)  # so os.walk follows them
    assert len(sources_of([str(elsewhere)])) == 6
    own = read_own(elsewhere)
    assert len(own.utterances) == 6
    assert any("2 folders are links, which are not followed: more, asks/more" in note for note in own.notes)


def test_hidden_folders_and_what_lies_in_them_are_not_told(elsewhere: Path, tmp_path: Path, caplog) -> None:
    for hidden in (elsewhere / ".git", elsewhere / "asks" / ".cache"):
        hidden.mkdir()
        (hidden / "link").symlink_to(tmp_path / "here")
    (elsewhere / ".link").symlink_to(tmp_path / "here")
    assert not any("followed" in note for note in read_own(elsewhere).notes)
    assert len(sources_of([str(elsewhere)])) == 6
    assert not caplog.text


def test_a_folder_is_walked_once(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Path] = []

    def walk(top: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
        walked.append(Path(top))
        return os_walk(top)

    os_walk = os.walk
    monkeypatch.setattr(os, "walk", walk)
    sources_of([str(elsewhere)])
    read_own(elsewhere)
    assert walked == [elsewhere, elsewhere]
