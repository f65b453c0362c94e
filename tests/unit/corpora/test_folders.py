"""What is found in folders, and what is left out there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from earnest.apps.batch.inputs import inputs_of
from earnest.apps.cli._recordings import NamedRecordings
from earnest.corpora.folders import found_in
from earnest.corpora.own.read import read_own
from earnest.errors import EarnestError
from earnest.testing.sounds import write_voice


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_what_nobody_means_is_left_out_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unmeant = (".venv/lib/a.wav", ".hidden.wav", "env/pyvenv.cfg", "env/lib/a.wav", "env/lib/x/.b.wav", "env/call.ulaw")
    unmeant += ("tools/node_modules/tone/a.wav", "conda/conda-meta/history", "conda/lib/a.wav", "conda/lib/a.tar")
    touched(tmp_path, "calls/b.wav", "calls/env.wav", "talks/a.wav", *unmeant)
    expected = [str(tmp_path / name) for name in ("calls/b.wav", "calls/env.wav", "talks/a.wav")]
    assert NamedRecordings([str(tmp_path)]).sources() == expected
    told = "6 recordings left out, hidden or in folders of programs: .hidden.wav, .venv, conda and 2 more."
    assert caplog.messages == [f"{tmp_path}: {told} To hear what is there, name it."]
    assert [one.key for one in inputs_of(str(tmp_path))] == expected  # no run of tar files
    assert any(told in note for note in read_own(tmp_path, label_column="folder 1").notes)


def test_a_folder_that_is_named_is_meant(tmp_path: Path) -> None:
    touched(tmp_path, ".venv/pyvenv.cfg", ".venv/lib/a.wav", ".venv/.b/c.wav")
    assert NamedRecordings([str(tmp_path / ".venv")]).sources() == [str(tmp_path / ".venv/lib/a.wav")]
    with pytest.raises(EarnestError, match=r"no recordings in this folder .* 2 recordings left out.*: \.venv\."):
        NamedRecordings([str(tmp_path)]).sources()


def test_paths_are_written_as_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a/b.wav", "a-c.wav")
    monkeypatch.chdir(tmp_path)
    assert found_in(".").recordings == ["./a-c.wav", "./a/b.wav"]
    assert found_in("a//").recordings == ["a//b.wav"]


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
    assert len(own.utterances) == len(NamedRecordings([str(tmp_path / "here")]).sources()) == 6
    assert not any("followed" in note for note in own.notes)
    assert not caplog.text


def test_a_folder_of_links_to_folders_says_so_to_learn_and_to_predict(elsewhere: Path, tmp_path: Path) -> None:
    for label in ("asks", "tells"):
        (tmp_path / "here" / label).symlink_to(elsewhere / label)
    for read in (read_own, lambda path: NamedRecordings([str(path)]).sources()):
        with pytest.raises(EarnestError, match="2 folders are links, which are not followed: asks, tells"):
            read(tmp_path / "here")
    assert len(read_own(elsewhere).utterances) == 6


def test_recordings_beside_a_link_are_read_and_the_link_is_told(elsewhere: Path, tmp_path: Path, caplog) -> None:
    (elsewhere / "more").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "round").symlink_to(elsewhere)  # in a circle
    own = read_own(elsewhere)
    assert len(own.utterances) == 6
    assert any("not followed: more" in note for note in own.notes)
    assert len(NamedRecordings([str(elsewhere)]).sources()) == 6
    assert "not followed: more" in caplog.text


def test_a_junction_of_windows_is_a_link(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_voice(tmp_path / "here" / "a.wav", 0.2)
    junctions = {elsewhere / "more", elsewhere / ".more", elsewhere / "asks" / "more"}
    for one in junctions:
        one.symlink_to(tmp_path / "here")
    lstat, junction = Path.lstat, SimpleNamespace(st_mode=stat.S_IFDIR, st_reparse_tag=0xA0000003)
    monkeypatch.setattr(Path, "lstat", lambda path: junction if path in junctions else lstat(path))
    monkeypatch.setattr(os.path, "islink", lambda _: False)  # so os.walk follows them
    assert len(NamedRecordings([str(elsewhere)]).sources()) == 6
    own = read_own(elsewhere)
    assert len(own.utterances) == 6
    assert any("2 folders are links, which are not followed: more, asks/more" in note for note in own.notes)


def test_hidden_folders_and_what_lies_in_them_are_not_told(elsewhere: Path, tmp_path: Path, caplog) -> None:
    for hidden in (elsewhere / ".git", elsewhere / "asks" / ".cache"):
        hidden.mkdir()
        (hidden / "link").symlink_to(tmp_path / "here")
    (elsewhere / ".link").symlink_to(tmp_path / "here")
    assert not any("followed" in note for note in read_own(elsewhere).notes)
    assert len(NamedRecordings([str(elsewhere)]).sources()) == 6
    assert not caplog.text


def test_a_folder_is_walked_once(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Path] = []

    def walk(top: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
        walked.append(Path(top))
        return os_walk(top)

    os_walk = os.walk
    monkeypatch.setattr(os, "walk", walk)
    NamedRecordings([str(elsewhere)]).sources()
    read_own(elsewhere)
    assert walked == [elsewhere, elsewhere]
