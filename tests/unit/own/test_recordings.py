"""What a learnt model keeps is read as it was written; what doesn't fit together is refused in words."""

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.own.recordings import ARRAYS, FOLDER, OwnEmbeddings, read_kept, write_kept

BASE: Any = SimpleNamespace(info=SimpleNamespace(files={"model.onnx": "0" * 64}, name="m"))
ROWS = tuple(
    Utterance(
        utterance_id=name, path=Path(f"{name}.wav"), corpus="own", speaker=name, emotion="happy", native_emotion="joy"
    )
    for name in "ab"
)
KEPT = {"embeddings": np.eye(2, 3, dtype=np.float32), "seconds": np.ones(2), "copies": np.zeros((0, 3), np.float32)}


def kept(folder: Path, **others: Any) -> Path:
    write_kept(folder, OwnEmbeddings(ROWS, **{**KEPT, **others}), BASE)
    return folder


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    found = read_kept(kept(tmp_path), BASE)
    assert [row.utterance_id for row in found.rows] == ["a", "b"]
    for name, values in KEPT.items():
        np.testing.assert_array_equal(getattr(found, name), values)


@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_member_that_is_no_array_is_refused(tmp_path: Path, name: str) -> None:
    path = kept(tmp_path) / FOLDER / ARRAYS
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, b"no array" if member.startswith(name) else data)
    with pytest.raises(EarnestError, match="don't fit together"):
        read_kept(tmp_path, BASE)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("embeddings", np.ones(2)),
        ("embeddings", np.ones((3, 3))),
        ("embeddings", np.full((2, 3), np.nan)),
        ("seconds", np.array(1.0)),
        ("seconds", np.ones(2, np.int64)),
        ("copies", np.array(1.0)),
        ("copies", np.ones((1, 3))),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, name: str, values: Any) -> None:
    with pytest.raises(EarnestError, match="don't fit together"):
        read_kept(kept(tmp_path, **{name: values}), BASE)
