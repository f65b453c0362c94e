"""What a learnt model keeps is read as it was written; what doesn't fit together is refused in words."""

import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from stand_in import as_shipped, stand_in_model, write_bundle

from earnest.bundle import Bundle, load_bundle
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.own.recordings import (
    ARRAYS,
    FOLDER,
    OwnEmbeddings,
    last_layer,
    read_kept,
    write_kept,
)

BASE: Any = SimpleNamespace(info=SimpleNamespace(files={"model.onnx": "0" * 64}, name="m"))
ROWS = tuple(
    Utterance(
        utterance_id=name, path=Path(f"{name}.wav"), corpus="own", speaker=name, emotion="happy", native_emotion="joy"
    )
    for name in "ab"
)
KEPT = {
    "embeddings": np.eye(2, 3, dtype=np.float32),
    "seconds": np.ones(2),
    "speech_s": np.array([0.4, 0.9]),
    "copies": np.zeros((0, 3), np.float32),
}


def kept(folder: Path, **others: Any) -> Path:
    write_kept(folder, OwnEmbeddings(ROWS, **{**KEPT, **others}), BASE)
    return folder


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    found = read_kept(kept(tmp_path), BASE)
    assert [row.utterance_id for row in found.rows] == ["a", "b"]
    for name, values in KEPT.items():
        np.testing.assert_array_equal(getattr(found, name), values)


def test_what_an_earlier_version_kept_counts_as_speech_from_end_to_end(tmp_path: Path) -> None:
    path = kept(tmp_path, seconds=np.array([0.7, 2.0])) / FOLDER / ARRAYS
    with np.load(path) as arrays:
        np.savez(path, **{name: arrays[name] for name in arrays if name != "speech_s"})
    rows = path.with_name("recordings.jsonl")
    rows.write_text(re.sub(', "arrays": "[0-9a-f]+"', "", rows.read_text()))
    np.testing.assert_array_equal(read_kept(tmp_path, BASE).speech_s, [0.7, 2.0])


def test_arrays_of_other_rows_are_refused(tmp_path: Path) -> None:
    one, other = kept(tmp_path / "one"), kept(tmp_path / "other", seconds=np.array([0.7, 2.0]))
    shutil.copy(other / FOLDER / ARRAYS, one / FOLDER / ARRAYS)
    with pytest.raises(EarnestError, match="its files don't fit together"):
        read_kept(one, BASE)


@pytest.mark.parametrize(("speech_s", "expected"), [([0.4, 0.9], 0.65), ([1.2, 3.0], 1.5)])
def test_a_head_is_as_sure_as_of_half_of_its_recordings_and_of_all_speech_that_is_not_short(
    speech_s: list[float], expected: float
) -> None:
    assert OwnEmbeddings(ROWS, **{**KEPT, "speech_s": np.array(speech_s)}).sure_from_s == pytest.approx(expected)


LABELS = ("loud", "soft", "slow")


def heard(confused: int, names: str = "clip{}.wav", n_labels: int = 3) -> OwnEmbeddings:
    """Thirty recordings of some labels, each told by a value of its own, but for some that have their neighbour's."""
    labels = list(LABELS[:n_labels]) * (30 // n_labels)
    rows = tuple(
        Utterance(
            utterance_id=str(at), path=Path(names.format(at)), corpus="own", speaker=str(at % 5), native_emotion=label
        )
        for at, label in enumerate(labels)
    )
    values = np.array([[label == one for one in LABELS] for label in labels], np.float32)
    values[:confused] = values[1 : confused + 1]
    return OwnEmbeddings(rows, values, np.ones(30), np.ones(30), np.zeros((0, 3), np.float32))


def a_base(folder: Path, **changes: Any) -> Bundle:
    model = as_shipped(stand_in_model())
    weights = next(one for one in model.graph.initializer if one.name == "last_weights")
    table = np.zeros((6, 3), np.float32)
    table[[2, 4, 5], [0, 1, 2]] = 9.0  # its answers are "sad", "fearful" and "disgust", whatever the labels are called
    weights.CopyFrom(numpy_helper.from_array(table, weights.name))
    return load_bundle(write_bundle(folder, model, **changes))


def test_the_scores_of_a_base_are_learnt_from_unless_it_knows_the_recordings_by_heart(tmp_path: Path) -> None:
    base = a_base(tmp_path / "base")
    layer = last_layer(heard(confused=3), base)
    assert layer is not None and layer.weights.shape == (6, 3)
    assert last_layer(heard(confused=1), base) is None  # 29 of 30 told apart
    assert last_layer(heard(confused=0, n_labels=2), base) is not None  # two are told apart in new voices, too
    line = {"name": "crema-d", "licence": "ODbL", "n_utterances": 1, "n_speakers": 1, "hours": 1.0}
    knowing = a_base(tmp_path / "knowing", training_corpora=[line])
    assert last_layer(heard(confused=3), knowing) is not None
    assert last_layer(heard(3, "10{:02}_DFA_ANG_XX.wav"), knowing) is None
    own = a_base(tmp_path / "own", training_corpora=[line | {"name": "own recordings"}])
    assert last_layer(heard(confused=3), own) is None  # it may have learnt from these


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
        ("speech_s", np.zeros(2)),
        ("copies", np.array(1.0)),
        ("copies", np.ones((1, 3))),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, name: str, values: Any) -> None:
    with pytest.raises(EarnestError, match="don't fit together"):
        read_kept(kept(tmp_path, **{name: values}), BASE)
