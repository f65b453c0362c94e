"""Tar files: what Python's own reader says, and an end for those that have none there."""

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from earnest.apps.batch.inputs import inputs_of
from earnest.apps.batch.tar import Member, members
from earnest.errors import EarnestError

NAMES = ["a.wav", "d/é\n.wav", "no text \udcff.wav", "x" * 99 + ".wav", "long/" * 60 + "a.wav", "\u2028" * 80]


def packed(*names: str, form: int = tarfile.PAX_FORMAT, shared: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, pax_headers=shared) as tar:
        for number, name in enumerate(names):
            for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.REGTYPE):
                member = tarfile.TarInfo(name if kind == tarfile.REGTYPE else f"{name}-{kind!r}")
                member.type, member.linkname = kind, name if kind == tarfile.SYMTYPE else ""
                member.size = 500 * number if kind == tarfile.REGTYPE else 0
                tar.addfile(member, io.BytesIO(bytes([number + 1]) * member.size))
    return file.getvalue()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a header, whose size may be below zero."""
    member = tarfile.TarInfo(name)
    member.type = kind
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"\xff" + (size % 2**88).to_bytes(11, "big") if size < 0 else b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def whole(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("shared", [None, {"comment": "of all"}])
def test_members_are_those_of_pythons_reader(form: int, shared: dict[str, str] | None) -> None:
    names = [name for name in NAMES if form != tarfile.USTAR_FORMAT or len(os.fsencode(name)) < 100]
    data = packed(*names, form=form, shared=shared)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [(one.name, one.offset_data, one.size) for one in tar if one.isreg()]
    assert list(members(io.BytesIO(data))) == expected
    assert [name for name, *_ in expected] == names


def test_the_size_that_pax_says_counts_and_sparse_files_are_left_out() -> None:
    records = b"16 size=0000700\n"
    large = header("x", len(records), tarfile.XHDTYPE) + whole(records) + header("a.wav", 0) + whole(b"a" * 700)
    records = b"22 GNU.sparse.major=1\n"
    pieces = header("x", len(records), tarfile.XHDTYPE) + whole(records) + header("b.wav", 3) + whole(b"abc")
    old = bytearray(header("c.wav", 4, tarfile.GNUTYPE_SPARSE))
    old[148:156], old[482] = b" " * 8, 1
    old[148:156] = b"%06o\0 " % sum(old)
    data = (
        large + pieces + bytes(old) + bytes(512) + whole(b"abcd") + header("d.wav", 5) + whole(b"abcde") + bytes(1024)
    )
    a, d = members(io.BytesIO(data))
    assert (a, d.name, data[d.offset : d.offset + d.n_bytes]) == (Member("a.wav", 1536, 700), "d.wav", b"abcde")


@pytest.mark.parametrize("size", [-512, -1, -(2**80)])
def test_a_size_below_zero_is_no_member(size: int, tmp_path: Path) -> None:
    data = header("a.wav", 3) + whole(b"abc") + header("n.wav", size) + header("b.wav", 3) + whole(b"abc")
    (tmp_path / "a.tar").write_bytes(data + bytes(1024))
    with pytest.raises(EarnestError, match=rf"not a readable tar file \(a member of {size} bytes\)\. Write it anew"):
        list(inputs_of(str(tmp_path / "a.tar")))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE])
@pytest.mark.parametrize("held", [b"1" * 2**20, b"30 path=" + b"1" * (2**20 - 8), b"1" * (2**20 + 1)])
def test_headers_cost_no_more_time_than_their_bytes(kind: bytes, held: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(header("x", len(held), kind) + whole(held) + header("a.wav", 0) + bytes(1024))
    begin = time.process_time()
    with pytest.raises(EarnestError, match="not a readable tar file"):
        list(inputs_of(str(tmp_path / "a.tar")))
    assert time.process_time() - begin < 2  # Python 3.11.7 takes hours


@pytest.mark.parametrize(
    "held", [b"0 path=\n", b"99 path=x\n", b"7 size=\n", b"9999999999999999999 path=x\n", b"-8 a=b\n"]
)
def test_records_that_say_nothing_sensible_are_refused(held: bytes) -> None:
    data = header("x", len(held), tarfile.XHDTYPE) + whole(held) + header("a.wav", 0) + bytes(1024)
    with pytest.raises(tarfile.TarError):
        list(members(io.BytesIO(data)))


def test_many_headers_for_one_member_end() -> None:
    data = (header("x", 0, tarfile.XHDTYPE) * 5_000) + header("a.wav", 0) + bytes(1024)
    assert [one.name for one in members(io.BytesIO(data))] == ["a.wav"]
