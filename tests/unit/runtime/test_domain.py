"""The verdict "out-of-domain" of recordings and streams, and bundles that lie about it."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import write_bundle
from voices import voice

import earnest
from earnest.bundle import load_bundle
from earnest.errors import BundleError
from earnest.runtime.domain import FILE, Domain, DomainEntry
from earnest.runtime.stream import Windowing

LOUD, QUIET = (voice(7.0, level=level) for level in (0.4, 0.05))


def write_knowing(folder: Path, domain: Domain, data: bytes | None = None, **changes: Any) -> Path:
    """Write a bundle with a domain; ``changes`` go into what ``bundle.json`` says about it."""
    entry = {**domain.entry().to_dict(), **changes}
    return write_bundle(folder, more_files={FILE: data or domain.to_bytes()}, domain=entry)


def loudness() -> Domain:
    """Return the domain of quiet voices: the stand-in's first number is the mean of |x|."""
    return Domain(np.zeros(3, np.float32), np.array([[100.0, 0.0, 0.0]], np.float32), 3.0, 10.0)


def test_the_distance_is_the_root_mean_square_over_directions() -> None:
    domain = Domain(np.ones(3, np.float32), np.array([[1, 0, 0], [0, 2, 0]], np.float32), 1.0, 10.0)
    found = domain.distances(np.array([[2.0, 2.0, 9.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(found, [np.sqrt((1 + 4) / 2), 0])


def test_recordings_and_streams_far_from_training_are_told(tmp_path: Path) -> None:
    model = earnest.load(write_knowing(tmp_path, loudness()))
    for waveform, is_strange in ((LOUD, True), (QUIET, False)):
        clip = (waveform, 16_000)
        together = next(model.predict_many([clip]))
        timeline = model.timeline(clip, Windowing(1.0, 1.0))
        words = [found.quality for found in (model.predict(clip), together, timeline.prediction)]
        assert ["out-of-domain" in found for found in words] == [is_strange] * 3


def test_the_verdict_changes_nothing_else(tmp_path: Path) -> None:
    plain = earnest.load(write_bundle(tmp_path / "plain")).predict((LOUD, 16_000)).to_dict()
    knowing = earnest.load(write_knowing(tmp_path / "knowing", loudness())).predict((LOUD, 16_000)).to_dict()
    assert knowing.pop("quality") == [*plain.pop("quality"), "out-of-domain"]
    assert knowing == plain


def test_silence_gets_no_verdict(tmp_path: Path) -> None:
    model = earnest.load(write_knowing(tmp_path, loudness(), threshold=1e-9))
    assert model.predict((np.zeros(16_000, np.float32), 16_000)).quality == ()


def test_a_window_longer_than_training_clips_gets_no_verdict(tmp_path: Path) -> None:
    model = earnest.load(write_knowing(tmp_path, loudness(), longest_s=6.9))
    assert "out-of-domain" not in model.predict((LOUD, 16_000)).quality  # one window of 7 s
    assert "out-of-domain" in model.timeline((LOUD, 16_000), Windowing(1.0, 1.0)).prediction.quality


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = Domain.of(load_bundle(write_knowing(tmp_path, loudness())))
    assert found is not None
    assert found.entry() == DomainEntry(FILE, 3.0, 10.0)
    assert found.to_bytes() == loudness().to_bytes()


def test_the_file_is_written_row_by_row_however_the_directions_lie_in_memory() -> None:
    known = loudness()
    turned = replace(known, directions=np.asfortranarray(np.vstack([known.directions, -known.directions])))
    assert b"'fortran_order': False" in turned.to_bytes()


def npy(value: Any) -> bytes:
    stored = io.BytesIO()
    np.save(stored, value)
    return stored.getvalue()


HUGE = npy(np.zeros((2, 3), np.float32)).replace(
    b"'shape': (2, 3), }                  ", b"'shape': (999999999999, 3), }      "
)
HOSTILE = {
    "no npy": (b"text", "not readable"),
    "truncated": (npy(np.zeros((2, 3), np.float32))[:-4], "not readable"),
    "pickled": (npy(np.array([{}], object)), "not readable"),
    "huge": (HUGE, "not readable"),
    "one row": (npy(np.zeros((1, 3), np.float32)), "impossible"),
    "vector": (npy(np.zeros(3, np.float32)), "impossible"),
    "empty": (npy(np.zeros((3, 0), np.float32)), "impossible"),
    "other type": (npy(np.zeros((2, 3), np.complex64)), "impossible"),
    "NaN": (npy(np.full((2, 3), np.nan, np.float32)), "impossible"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(kind: str, tmp_path: Path) -> None:
    data, message = HOSTILE[kind]
    with pytest.raises(BundleError, match=message):
        earnest.load(write_knowing(tmp_path, loudness(), data))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "other.npy"}, "'files' doesn't list 'other.npy'"),
        ({"threshold": -1.0}, "impossible"),
        ({"longest_s": 0.0}, "impossible"),
        ({"threshold": None}, "threshold must be a float"),
        ({"threshhold": 1.0}, "Did you mean 'threshold'"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        earnest.load(write_knowing(tmp_path, loudness(), **changes))


def test_a_domain_of_other_embeddings_is_refused(tmp_path: Path) -> None:
    other = Domain(np.zeros(4, np.float32), np.ones((1, 4), np.float32), 1.0, 10.0)
    with pytest.raises(BundleError, match="embeddings of 4 numbers, the graph gives 3"):
        earnest.load(write_knowing(tmp_path, other)).predict((LOUD, 16_000))
