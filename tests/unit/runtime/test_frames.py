"""Results as frames: the values are there, and come back."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import write_bundle, write_hearing

import earnest
from earnest import Prediction, PredictionRows
from earnest.audio.io import load_waveform
from earnest.errors import AudioError, BundleError, EarnestError, MissingExtraError
from earnest.runtime.graph import Graph
from earnest.runtime.prediction import VocalBurst
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice, write_voice

PACKAGES = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
packages = pytest.mark.parametrize("package", PACKAGES)
ROWS = [
    Prediction(
        "a.wav", "mixed", 9.0, 8.0, probabilities={"happy": 0.5, "sad": 0.5}, polarity=0.0,
        gender={"female": 0.25, "male": 0.75}, affect={"valence": 0.1, "arousal": 0.2, "dominance": None},
        affect_derived=True, quality=("noisy", "clipped"), shares={"happy": 0.5, "unsure": 0.5},
        adapted=True, adaptation_weight=0.5, vocal_bursts=(VocalBurst(0.5, 1.0, "laughter", 0.9),), model="m",
    ),
    Prediction("b.wav", "ok", 1.5, 1.0, "sad", 0.75, {"happy": 0.25, "sad": 0.75}, -0.5, model="m"),
    Prediction("c.wav", "error", model="m", error="c.wav: no such file."),
]  # fmt: skip


def framed(what: Any, package: str) -> Any:
    pytest.importorskip(PACKAGES[package], reason=f"needs {PACKAGES[package]}")
    return getattr(what, f"to_{package}")()


def column(frame: Any, name: str) -> list[Any]:
    values = frame[name]
    return values.to_pylist() if hasattr(values, "to_pylist") else values.to_list()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Predictor:
    return earnest.load(folder)


@packages
@pytest.mark.parametrize("rows", [ROWS, ROWS[1:2], ROWS[2:], []])
def test_predictions_come_back_from_a_frame(package: str, rows: list[Prediction]) -> None:
    frame = framed(PredictionRows(rows), package)
    assert list(PredictionRows.from_frame(frame)) == rows


@packages
def test_a_frame_can_be_made_twice(package: str) -> None:
    rows = PredictionRows(iter(ROWS))
    first, second = framed(rows, package), framed(rows, package)
    assert column(first, "path") == column(second, "path") == ["a.wav", "b.wav", "c.wav"]


def test_rows_that_were_read_make_no_empty_frame() -> None:
    rows = PredictionRows(iter(ROWS))
    assert next(rows) == ROWS[0]
    assert list(rows.columns()["path"].values) == ["b.wav", "c.wav"]
    assert list(rows) == []
    all_read = PredictionRows(iter(ROWS))
    assert list(all_read) == ROWS
    with pytest.raises(EarnestError, match=r"3 rows read already.*PredictionRows\(rows\)"):
        all_read.columns()


def test_a_frame_has_the_columns_and_types_of_the_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, earnest[parquet]")
    from command_line import earnest_cli

    bundle, clip = write_bundle(tmp_path / "bundle"), write_voice(tmp_path / "a.wav")
    earnest_cli("predict", clip, "--model", bundle, "--output", tmp_path / "a.parquet", "-q")
    written, made = parquet.read_table(tmp_path / "a.parquet"), earnest.load(bundle).predict_many([clip]).to_arrow()
    assert written.schema.remove_metadata() == made.schema
    assert written.equals(made)
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    back = next(PredictionRows.from_frame(pandas.read_parquet(tmp_path / "a.parquet")))
    assert back.to_dict() == earnest.load(bundle).predict(clip).to_dict()


@packages
def test_predict_many_is_a_frame_of_all_its_rows(model: Predictor, package: str, tmp_path: Path) -> None:
    sources = [write_voice(tmp_path / "a.wav"), tmp_path / "none.wav"]
    frame = framed(model.predict_many(sources), package)
    assert column(frame, "path") == list(map(str, sources))
    assert column(frame, "status") == ["ok", "error"]
    assert column(frame, "p_sad")[0] == pytest.approx(model.predict(sources[0]).probabilities["sad"], abs=1e-6)


@packages
def test_embeddings_come_back_from_a_frame(model: Predictor, package: str, tmp_path: Path) -> None:
    found = model.embed([write_voice(tmp_path / "a.wav"), tmp_path / "none.wav", (voice(1.0, seed=3), 16_000)])
    frame = framed(found, package)
    assert column(frame, "path") == list(found.names)
    vectors = column(frame, "embedding")
    assert vectors[1] is None
    for number in (0, 2):
        np.testing.assert_array_equal(np.asarray(vectors[number], np.float32), found.vectors[number])
    assert len(framed(model.embed([]), package)) == 0


@packages
def test_a_timeline_gives_its_spans_and_windows(model: Predictor, package: str) -> None:
    timeline = model.timeline((voice(8.0), 16_000))
    frame = framed(timeline, package)
    assert column(frame, "emotion") == [span.emotion for span in timeline.spans]
    assert column(frame, "end_s") == [span.end_s for span in timeline.spans]
    windows = framed(timeline.window_rows(), package)
    assert column(windows, "p_angry") == [window.probabilities["angry"] for window in timeline.windows]
    assert len(column(windows, "start_s")) == len(timeline.windows) > 1


@pytest.mark.parametrize("frame", [[], {"a": 1}, None])
def test_a_frame_of_something_else_is_told(frame: Any) -> None:
    with pytest.raises(EarnestError, match="holds no predictions"):
        PredictionRows.from_frame(frame)
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    with pytest.raises(EarnestError, match="the column 'path' is missing"):
        PredictionRows.from_frame(pandas.DataFrame({"a": [1]}))


def test_of_a_merged_frame_it_is_told_what_to_drop() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    rows = [Prediction("a.wav", "ok", emotion="sad", probabilities={"sad": 1.0})]
    theirs = pandas.DataFrame({"path": ["a.wav"], "emotion": ["happy"], "call": [7]})
    frame = PredictionRows(rows).to_pandas()
    with pytest.raises(EarnestError, match=r"frame\.drop\(columns=\['call'\]\)\.") as caught:
        PredictionRows.from_frame(frame.merge(theirs.drop(columns="emotion"), on="path"))
    assert "suffixes" not in str(caught.value)
    with pytest.raises(EarnestError, match=r"emotion got another name in the merge: .*suffixes=\('', '_theirs'\)"):
        PredictionRows.from_frame(frame.merge(theirs, on="path"))
    merged = frame.merge(theirs, on="path", suffixes=("", "_theirs")).drop(columns=["emotion_theirs", "call"])
    assert list(PredictionRows.from_frame(merged)) == rows


@packages
def test_a_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[package], None)
    with pytest.raises(MissingExtraError, match=r"pip install .*'.\["):
        getattr(PredictionRows(ROWS), f"to_{package}")()


def test_no_frame_package_is_imported_unless_one_is_wanted(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    code = (
        "import sys, earnest; model = earnest.load(sys.argv[1]); list(model.predict_many([])); model.embed([]); "
        "print(sorted({'pandas', 'polars', 'pyarrow', 'sklearn', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]


RATE_HZ = 16_000


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
        earnest.load([folder, "small"]).embed(["a.wav"])
    with pytest.raises(AudioError, match="Expected several recordings"):
        earnest.load(folder).embed("a.wav")


def test_the_width_is_known_before_anything_is_heard(model: Predictor) -> None:
    assert model.embedding_width == 3
    assert model.embed([]).vectors.shape == (0, 3)
    model.graph.embedding_width = None  # type: ignore[union-attr]
    vars(model).pop("embedding_width")
    assert model.embedding_width == 3  # told by running
