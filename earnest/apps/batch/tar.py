"""Tar files → names and places of what is in them, in one pass whose time grows with the number of headers.

Python's own reader follows sizes below zero back for ever, and looks through large headers again and again (in versions
that have not been mended). A list needs names and places alone, so a header is read here, and its blocks by `tarfile`.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_BLOCK = 512
_MOST_HEADER_BYTES = 2**20  # of a long name, or of what pax says of a member: names have 4 KiB, attributes 64
_MOST_OFFSET = 2**62
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PATH, _SIZE, _SPARSE = b"path", b"size", b"GNU.sparse."


class Member(NamedTuple):
    """A regular file in a tar file, and where its bytes are."""

    name: str
    offset: int
    n_bytes: int


def members(file: BinaryIO) -> Iterator[Member]:
    """Yield the regular files of a tar file; sparse ones, whose bytes lie in pieces, are left out.

    Raises `tarfile.TarError` when it is none, ends too early, or has headers that no program writes.
    """
    shared, own = dict[bytes, bytes](), dict[bytes, bytes]()  # what pax says of all members, and of the next one
    offset = 0
    while header := _header(file, offset):
        begin, size = offset + _BLOCK, _checked(header.size)
        if header.type in (*_PAX, *_NAMES, tarfile.XGLTYPE):
            held = _held(file, size)
            if header.type in _PAX:
                own |= _records(held)
            elif header.type == tarfile.XGLTYPE:
                shared |= _records(held)
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                own.setdefault(_PATH, held.partition(b"\0")[0])
            offset = begin + _whole(size)
            continue
        said = shared | own
        is_sparse = header.type == tarfile.GNUTYPE_SPARSE or _SPARSE in said
        if header.type == tarfile.GNUTYPE_SPARSE:
            begin = _behind_map(file, begin)
        if _SIZE in said:
            size = _number(said[_SIZE])
        if header.isreg() and not is_sparse:
            name = said[_PATH].decode("utf-8", "surrogateescape").rstrip("/") if _PATH in said else header.name
            yield Member(name, begin, size)
        has_data = header.isreg() or header.type not in tarfile.SUPPORTED_TYPES
        offset, own = begin + (_whole(size) if has_data else 0), {}
    if own:
        raise tarfile.ReadError("ends behind a header")


def _header(file: BinaryIO, offset: int) -> tarfile.TarInfo | None:
    """Read a header; None at the end."""
    file.seek(max(offset - 1, 0))
    block = file.read(_BLOCK + (offset > 0))
    if offset:
        if not block:
            raise tarfile.ReadError("unexpected end of data")
        block = block[1:]
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if offset == 0:
            raise tarfile.ReadError(str(error)) from None
        return None  # zeros, or what others put behind the last member


def _held(file: BinaryIO, size: int) -> bytes:
    if size > _MOST_HEADER_BYTES:
        raise tarfile.ReadError(f"a header of {size} bytes")
    held = file.read(size)
    if len(held) < size:
        raise tarfile.ReadError("unexpected end of data")
    return held


def _records(held: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header that say name, size, or that a member is sparse: ``LENGTH KEY=VALUE\\n``."""
    found, at = dict[bytes, bytes](), 0
    while at < len(held) and held[at]:
        length = _number(held[at : at + 8].partition(b" ")[0])
        key, _, value = held[at : at + length].partition(b" ")[2].partition(b"=")
        if length < len(b"5 a=\n") or at + length > len(held):
            raise tarfile.ReadError("a record longer than its header")
        if key in (_PATH, _SIZE):
            found[key] = value[:-1]
        elif key.startswith(_SPARSE):
            found[_SPARSE] = b""
        at += length
    return found


def _behind_map(file: BinaryIO, begin: int) -> int:
    """Return where the data of a GNU sparse member begins, behind the blocks that go on with its map."""
    file.seek(begin - _BLOCK)
    block = file.read(_BLOCK)
    is_more = len(block) == _BLOCK and block[482]
    while is_more:
        block = file.read(_BLOCK)
        begin += _BLOCK
        is_more = len(block) == _BLOCK and block[504]
    return begin


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > len(str(_MOST_OFFSET)):
        raise tarfile.ReadError("a header without a number")
    return _checked(int(digits))


def _checked(size: int) -> int:
    if not 0 <= size < _MOST_OFFSET:
        raise tarfile.ReadError(f"a member of {size} bytes")
    return size


def _whole(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
