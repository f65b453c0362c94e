"""Embeddings are those of the graph, weighted over windows as a prediction's probabilities are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import write_bundle, write_hearing

import earnest
from earnest.audio.io import load_waveform
from earnest.errors import AudioError, BundleError
from earnest.runtime.graph import Graph
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice, write_voice

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Predictor:
    return earnest.load(folder)


def test_a_clips_embedding_is_the_graphs(model: Predictor, tmp_path: Path) -> None:
    paths = [write_voice(tmp_path / f"{seed}.wav", 1.5, seed=seed) for seed in range(3)]
    found = model.embed(paths, jobs=2)
    direct = [model.graph.run([load_waveform(path, RATE_HZ)], ["embedding"])["embedding"][0] for path in paths]
    np.testing.assert_allclose(found.vectors, direct, atol=1e-6)
    assert (found.vectors.dtype, found.vectors.shape, found.width) == (np.float32, (3, 3), 3)
    assert found.names == tuple(map(str, paths))
    assert found.found.all() and found.errors == (None,) * 3 and len(found) == 3
    np.testing.assert_array_equal(np.asarray(found), found.vectors)


def test_a_long_recordings_embedding_is_the_mean_of_its_windows_weighted_by_their_length(folder: Path) -> None:
    model = earnest.load(folder)
    assert isinstance(model.graph, Graph)
    seen: list[Any] = []
    plain = model.graph.run

    def run(waveforms: Any, names: Any = None) -> Any:
        outputs = plain(waveforms, (*model.graph.predicted, "embedding"))
        seen.append(outputs["embedding"][0])
        return outputs

    sound = np.concatenate([voice(12.0, seed=1), np.zeros(2 * RATE_HZ), 0.3 * voice(1.2, seed=2)]).astype(np.float32)
    found = model.embed([(sound, RATE_HZ)]).vectors[0]
    model.graph.run = run  # type: ignore[method-assign]  # a timeline hears its windows one by one
    windows = model.timeline((sound, RATE_HZ)).windows
    assert len(windows) == len(seen) > 5
    weights = [window.end_s - window.start_s for window in windows]
    assert len(set(weights)) > 1
    np.testing.assert_allclose(found, np.average(seen, axis=0, weights=weights), rtol=1e-3)


def test_what_cant_be_read_is_a_row_and_the_rest_goes_on(model: Predictor, tmp_path: Path) -> None:
    good = write_voice(tmp_path / "good.wav")
    short, silent = (voice(0.05), RATE_HZ), (np.zeros(RATE_HZ, np.float32), RATE_HZ)
    found = model.embed([good, tmp_path / "none.wav", None, short, silent])  # type: ignore[list-item]
    assert [row.status for row in found.rows] == ["ok", "error", "error", "too-short", "no-speech"]
    assert found.found.tolist() == [True, False, False, False, False]
    assert np.isnan(found.vectors[1:]).all()
    assert all(found.errors[1:]) and "no such file" in str(found.errors[1])
    assert repr(found) == "<Embeddings 5 × 3 of 'stand-in', 4 without>"


def test_sound_without_speech_has_the_embedding_of_all_that_was_heard(tmp_path: Path) -> None:
    model = earnest.load(write_hearing(tmp_path / "bundle"))
    loud = (np.clip(30 * voice(1.5), -0.9, 0.9), RATE_HZ)
    assert model.predict(loud).status in ("vocal-burst", "no-speech")
    row = model.embed([loud]).rows[0]
    assert row.status in ("vocal-burst", "no-speech") and row.vector is not None and row.error is None
    np.testing.assert_allclose(row.vector, model.graph.run([loud[0]], ["embedding"])["embedding"][0], atol=1e-5)


def test_several_models_have_no_embedding(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"no embedding of its own\. Name one model"):
        earnest.load([folder, folder]).embed(["a.wav"])
    with pytest.raises(AudioError, match="Expected several recordings"):
        earnest.load(folder).embed("a.wav")


def test_the_width_is_known_before_anything_is_heard(model: Predictor) -> None:
    assert model.embedding_width == 3
    assert model.embed([]).vectors.shape == (0, 3)
    model.graph.embedding_width = None  # type: ignore[union-attr]
    vars(model).pop("embedding_width")
    assert model.embedding_width == 3  # told by running
