"""Inputs: what sources mean, and what of strangers' lists and tar files is refused."""

import io
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from batches import write_tar

from earnest.apps.batch import inputs
from earnest.apps.batch.inputs import Fetcher, inputs_of, named_in, table_sounds
from earnest.apps.batch.places import filesystem_of
from earnest.errors import EarnestError


def test_a_list_starts_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("a.wav\n\n  b/c.wav \ns3://x/y.wav\n", encoding="utf-8")
    (tmp_path / "some.csv").write_text("path,speaker\na.wav,anna\n", encoding="utf-8")
    assert [one.key for one in inputs_of(str(tmp_path / "some.txt"))] == [
        str(tmp_path / "a.wav"),
        str(tmp_path / "b" / "c.wav"),
        "s3://x/y.wav",
    ]
    assert [one.key for one in inputs_of(str(tmp_path / "some.csv"))] == [str(tmp_path / "a.wav")]


@pytest.mark.parametrize("name", ["talk.srt", "TALK.VTT", "a talk.json", "talk.rttm", "talk.TextGrid"])
def test_turns_of_speakers_are_refused_with_the_command_that_answers_them(name: str, tmp_path: Path) -> None:
    source = str(tmp_path / name)
    with pytest.raises(EarnestError, match="turns of speakers") as refused:
        list(inputs_of(source))
    assert str(refused.value).endswith(f"earnest predict {shlex.quote(source)}")
    (tmp_path / name).mkdir()  # a folder may be called anything
    (tmp_path / name / "a.wav").write_bytes(b"sound")
    assert [Path(one.key).name for one in inputs_of(source)] == ["a.wav"]


def test_a_list_has_a_name_a_line_whatever_else_unicode_calls_an_end(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_bytes("a\u2028b.wav\r\nc.wav\rd.wav\n".encode())
    names = ("a\u2028b.wav", "c.wav", "d.wav")
    assert [one.location for one in inputs_of(str(tmp_path / "some.txt"))] == [
        os.fsencode(tmp_path / name) for name in names
    ]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.wav", "a/../../x.wav"])
def test_a_list_from_elsewhere_names_no_files_of_this_machine(path: str) -> None:
    with pytest.raises(EarnestError, match="outside the folder of the list"):
        list(named_in("https://host/lists/some.txt", [path]))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "s3://a::file:///etc/passwd", "https://me:pw@x/y"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(EarnestError) as caught:
        filesystem_of(url)
    assert "pw" not in str(caught.value)


def test_members_of_a_tar_file_are_read_by_their_place(tmp_path: Path) -> None:
    keys = write_tar(tmp_path / "a.tar", 3)
    inputs = list(inputs_of(str(tmp_path)))
    assert [one.key for one in inputs] == keys
    sources = [one.source for one in Fetcher("a.tar").fetched(inputs)]
    with tarfile.open(tmp_path / "a.tar") as tar:
        expected = [tar.extractfile(member) for member in tar if member.name.endswith(".flac")]
        assert sources == [file.read() for file in expected if file]


def test_files_that_macos_adds_to_a_tar_file_are_no_recordings(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("calls/._one.wav", "calls/one.wav", "._calls"):
            tar.addfile(tarfile.TarInfo(name))
    assert [one.key for one in inputs_of(str(tmp_path / "a.tar"))] == [f"{tmp_path}/a.tar/calls/one.wav"]


def test_a_folder_with_recordings_and_tar_files_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "calls.tar", 1)
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "one.wav").write_bytes(b"sound")
    with pytest.raises(EarnestError, match=r"\S*one\.wav, and tar files, such as \S*calls\.tar\. .* name a tar"):
        list(inputs_of(str(tmp_path)))


def test_a_folder_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk, walked = os.walk, list[str]()
    monkeypatch.setattr(os, "walk", lambda root: walked.append(root) or walk(root))
    (tmp_path / "unpacked.tar").mkdir()
    (tmp_path / "unpacked.tar" / "one.wav").write_bytes(b"sound")
    assert [one.key for one in inputs_of(str(tmp_path))] == [f"{tmp_path}/unpacked.tar/one.wav"]
    (tmp_path / "packed").mkdir()
    keys = write_tar(tmp_path / "packed" / "a.tar", 2)
    assert [one.key.rpartition("/")[2] for one in inputs_of(str(tmp_path / "packed"))] == [
        key.rpartition("/")[2] for key in keys
    ]
    assert walked == [str(tmp_path), str(tmp_path / "packed")]


def test_names_in_a_tar_file_lead_nowhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        kinds = {"../../up.wav": tarfile.REGTYPE, "link.wav": tarfile.SYMTYPE, "hard.wav": tarfile.LNKTYPE}
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, "/etc/passwd", 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"data"))
    (one,) = inputs_of(str(tmp_path / "bad.tar"))
    (fetched,) = Fetcher("bad.tar").fetched([one])
    assert (one.key, fetched.source) == (f"{tmp_path}/bad.tar/../../up.wav", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


@pytest.mark.parametrize("keep", [1, 600, 2_000])
def test_a_tar_file_that_was_cut_off_is_told_or_its_members_are_rows(tmp_path: Path, keep: int) -> None:
    write_tar(tmp_path / "a.tar", 1)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:keep])
    try:
        inputs = list(inputs_of(str(tmp_path / "cut.tar")))
    except EarnestError as error:
        assert "not a readable tar file" in str(error)
        return
    assert [fetched.source for fetched in Fetcher("cut.tar").fetched(inputs)] == [None]


def test_the_copy_of_a_large_recording_that_is_cut_off_is_closed_and_then_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "a.tar", 1)
    (one,) = inputs_of(str(tmp_path / "a.tar"))
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:600])
    monkeypatch.setattr(inputs, "IN_MEMORY_BYTES", 10)
    unlink, is_closed = Path.unlink, []

    def as_on_windows(self: Path, missing_ok: bool = False) -> None:
        is_closed.append(self not in [link.resolve() for link in Path("/proc/self/fd").iterdir()])
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", as_on_windows)
    assert [fetched.source for fetched in Fetcher("a.tar").fetched([one])] == [None]
    assert is_closed == [True]


def test_a_source_that_is_not_there_is_no_run(tmp_path: Path) -> None:
    for name in ("none", "none.wav", "none.txt", "none.parquet", "none.tar"):
        with pytest.raises(EarnestError, match="no such file"):
            list(inputs_of(str(tmp_path / name)))


def test_packed_tar_files_are_refused() -> None:
    with pytest.raises(EarnestError, match="Decompress it"):
        inputs_of("a.tar.gz")


def test_rows_of_a_table_are_read_where_they_lie(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    import pyarrow.parquet

    sounds = [f"sound {number}".encode() for number in range(25)]
    for name, column in (("plain", sounds), ("nested", [{"bytes": sound, "path": "x"} for sound in sounds])):
        path = tmp_path / f"{name}.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"audio": column}), path, row_group_size=7)
        wanted = [0, 1, 6, 7, 20, 24]
        assert list(table_sounds(str(path), wanted)) == [sounds[number] for number in wanted]
        assert [one.key for one in inputs_of(str(path))] == [f"{path}/{number:08d}" for number in range(25)]
    (tmp_path / "none.parquet").write_bytes(b"no table")
    with pytest.raises(EarnestError, match="not a readable Parquet table"):
        list(inputs_of(str(tmp_path / "none.parquet")))


def one_cell_in_many_rows(path: Path, column: str, cell: bytes | str, n_rows: int) -> None:
    """Write a table whose rows all name one cell: a small file that holds much."""
    import pyarrow.parquet

    words = pyarrow.array([cell])
    cells = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * n_rows, pyarrow.int32()), words)
    table = pyarrow.table({column: cells})
    pyarrow.parquet.write_table(
        table, path, compression="zstd", dictionary_pagesize_limit=2**30, store_schema=False, write_statistics=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is counted otherwise")
def test_a_small_table_takes_no_memory_a_row(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    n_rows, cell = 100, 20 * 2**20
    one_cell_in_many_rows(tmp_path / "sounds.parquet", "audio", bytes(cell), n_rows)
    one_cell_in_many_rows(tmp_path / "names.parquet", "path", "x" * cell, n_rows)
    assert all(path.stat().st_size < 20_000 for path in tmp_path.iterdir())
    script = f"""
from pathlib import Path
from earnest.apps.batch.inputs import Fetcher, inputs_of
from earnest.errors import EarnestError
inputs = list(inputs_of({str(tmp_path / "sounds.parquet")!r}))
for fetched in Fetcher("").fetched(inputs):
    assert fetched.copy.stat().st_size == {cell}
    fetched.forget()
try:
    list(inputs_of({str(tmp_path / "names.parquet")!r}))
except EarnestError as error:
    (most,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(len(inputs), int(most.split()[1]) // 1024, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    n_inputs, mib, why = done.stdout.split(" ", 2)
    assert int(n_inputs) == n_rows
    assert int(mib) < 600  # sixteen rows at once took 320 more, 100 names 2,000
    assert "names.parquet: its column path holds 20 MiB in 100 rows. Names are shorter" in why


def test_a_cell_that_is_too_large_is_a_row_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    one_cell_in_many_rows(tmp_path / "a.parquet", "audio", bytes(2**20 + 1), 3)
    monkeypatch.setattr(inputs, "MOST_CELL_BYTES", 2**20)
    found = list(Fetcher("").fetched(list(inputs_of(str(tmp_path / "a.parquet")))))
    assert [one.error for one in found] == [
        f"{tmp_path}/a.parquet/{number:08d}: larger than 1 MiB. Keep it as a file, and its path in the table."
        for number in range(3)
    ]


def test_rows_of_a_table_are_called_by_its_key_and_else_by_number(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    import pyarrow.parquet

    def named(**columns: object) -> list[str]:
        pyarrow.parquet.write_table(
            pyarrow.table({"audio": [b"one", b"two"], **columns}), path := tmp_path / "t.parquet"
        )
        return [one.key.removeprefix(f"{path}/") for one in inputs_of(str(path))]

    assert named() == ["00000000", "00000001"]
    assert named(path=["x.wav", "y.wav"]) == ["x.wav", "y.wav"]
    assert named(path=["x.wav", "y.wav"], id=[None, 7]) == ["00000000", "7"]


def test_who_speaks_is_known_from_lists_and_tables(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    import pyarrow.parquet

    def speakers(path: Path) -> list[str]:
        return [one.speaker for one in inputs_of(str(path))]

    (tmp_path / "t.csv").write_text("path,participant\na.wav,anna\nb.wav,\n")
    assert speakers(tmp_path / "t.csv") == ["anna", ""]
    for columns in ({"path": ["a.wav", "b.wav"]}, {"audio": [b"one", b"two"]}):
        table = pyarrow.table({**columns, "speaker_id": [7.0, None]})  # as pandas writes numbers with a gap
        pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
        assert speakers(tmp_path / "t.parquet") == ["7", ""]


def test_a_channel_in_a_table_is_heard_as_one_in_a_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    import pyarrow.parquet

    def channels(**columns: object) -> list[tuple[str, int | None]]:
        pyarrow.parquet.write_table(pyarrow.table(columns), path := tmp_path / "t.parquet")
        return [(Path(one.key).name, one.channel) for one in inputs_of(str(path))]

    calls = ["a.wav", "a.wav", "b.wav"]
    told = [("a.wav#1", 1), ("a.wav#2", 2), ("b.wav", None)]
    assert channels(path=calls, channel=[1, 2, None]) == told
    assert channels(path=calls, channel=[1.0, 2.0, None]) == told
    assert channels(audio=[b"one", b"one", b"two"], id=calls, channel=[1, 2, None]) == told
    with pytest.raises(EarnestError, match="row 1: channel '0', "):
        channels(path=calls, channel=[1, 0, 2])
    with pytest.raises(EarnestError, match="row 1: names a part of a recording"):
        channels(path=calls, start_s=[0.0, 2.5, None], end_s=[None, None, None])
    sounds = {"audio": [b"one", b"one", b"two"], "id": calls, "start_s": [0.0, 2.5, None]}  # the parts by themselves
    assert channels(**sounds) == [("a.wav", None), ("a.wav", None), ("b.wav", None)]
    assert not caplog.records
    assert channels(path=calls, channel=["telephone", "1", ""]) == [(call, None) for call in calls]
    assert "the column 'channel' is not read, for it holds no numbers" in caplog.text
