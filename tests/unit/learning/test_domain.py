"""The domain of a bundle is read from a file of numpy's that may be anybody's."""

import numpy as np
import pytest

from earnest.errors import BundleError
from earnest.learning.domain import Domain, DomainEntry

ENTRY = DomainEntry("domain.npy", 2.0, 3.0)


def npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


@pytest.mark.parametrize(
    "data",
    [
        *(npy(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': (2, 2), }}") for kind in ("(2,f4", "f4,(", "O")),
        npy("{'descr': '<f4', ("),
        npy("no header"),
        b"\x93NUMPY",
        b"",
    ],
)
def test_a_file_that_numpy_cannot_read_is_told_as_that(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"^mine: domain\.npy: not readable \("):
        Domain.read(ENTRY, data, "mine")


def test_what_was_written_comes_back() -> None:
    written = Domain(np.ones(3, np.float32), np.eye(3, dtype=np.float32)[:2], 2.0, 3.0)
    found = Domain.read(ENTRY, written.to_bytes(), "mine")
    assert np.array_equal(found.mean, written.mean)
    assert np.array_equal(found.directions, written.directions)
