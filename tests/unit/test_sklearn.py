"""earnest in scikit-learn: its own checks, pipelines, grids, folds by group, joblib with two processes."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import write_bundle

import earnest
from earnest.bundle import load_bundle
from earnest.errors import AudioError, BundleError
from earnest.onnx.surgery import last_layer_of
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice, write_voice

pytest.importorskip("sklearn", minversion="1.6", reason="needs scikit-learn, earnest[sklearn]")

from joblib import Parallel, delayed
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_blobs
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from earnest.sklearn import EmotionClassifier, EmotionEmbedder

LEVELS = {"soft": 0.02, "plain": 0.06, "loud": 0.18}
N_SPEAKERS, N_TAKES = 4, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


def corpus() -> tuple[list[Any], list[str], list[int]]:
    """Voices, how loud they are, and speakers, some of whom are louder than others."""
    rows = [(level, s, take) for s in range(N_SPEAKERS) for level in LEVELS for take in range(N_TAKES)]
    clips = [(voice(1.0, seed=31 * s + take, level=LEVELS[level] * (1 + 0.1 * s)), 16_000) for level, s, take in rows]
    return clips, [row[0] for row in rows], [row[1] for row in rows]


def grouped_blobs(n_groups: int = 8, seed: int = 0) -> tuple[Any, Any, Any]:
    """Three classes whose rows lie around a place of their group: folds that divide groups promise too much."""
    X, y = make_blobs(240, 20, centers=3, cluster_std=6.0, random_state=seed)  # noqa: N806
    groups = np.arange(len(y)) % n_groups
    return X + np.random.default_rng(seed).normal(0, 4, (n_groups, 20))[groups], y, groups


CHECKS = [check for _, check in estimator_checks_generator(EmotionClassifier())]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: getattr(check, "func", check).__name__)
def test_the_classifier_passes_scikit_learns_checks(check: Any) -> None:
    check(EmotionClassifier())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")  # only numbers can be checked by themselves
def test_the_embedder_is_an_estimator(folder: Path) -> None:
    embedder = EmotionEmbedder(folder, jobs=2, errors="nan")
    again = clone(embedder).set_params(threads=2)
    assert again.get_params() == {"model": folder, "threads": 2, "jobs": 2, "errors": "nan"}
    assert not vars(again).keys() - again.get_params().keys()  # nothing is loaded before it is fitted
    checks = [check for _, check in estimator_checks_generator(embedder)]
    for check in checks:
        check(embedder)
    assert checks  # those on parameters; the others want numbers


def test_embeddings_are_the_models(folder: Path, tmp_path: Path) -> None:
    paths = [write_voice(tmp_path / f"{seed}.wav", 1.0, seed=seed) for seed in range(3)]
    expected = earnest.load(folder).embed(paths).vectors
    embedder = EmotionEmbedder(folder)
    np.testing.assert_array_equal(embedder.fit_transform(paths), expected)
    np.testing.assert_array_equal(EmotionEmbedder(folder).transform(np.array([str(path) for path in paths])), expected)
    assert list(embedder.get_feature_names_out()) == ["embedding0", "embedding1", "embedding2"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(embedder)).transform(paths), expected)
    with pytest.raises(AudioError, match=r'no such file\..* Or take errors="nan"'):
        embedder.transform([paths[0], "none.wav"])
    rows = EmotionEmbedder(folder, errors="nan").fit_transform([paths[0], "none.wav"])
    assert np.isfinite(rows).all(axis=1).tolist() == [True, False]
    with pytest.raises(BundleError, match="There is no bundle 'nothing'"):
        EmotionEmbedder("nothing").fit(paths)


def test_behind_a_recording_that_is_raised_nothing_more_is_heard(folder: Path, tmp_path: Path) -> None:
    path, n_asked = write_voice(tmp_path / "a.wav", 0.5), 0

    def recordings() -> Iterator[Path | str]:
        nonlocal n_asked
        for n_asked in range(1, 1_001):
            yield "none.wav" if n_asked == 1 else path

    with pytest.raises(AudioError, match="no such file"):
        EmotionEmbedder(folder).transform(recordings())
    assert n_asked < 200  # the others of its group


def test_parameters_that_are_set_behind_a_fit_hold(folder: Path, tmp_path: Path) -> None:
    path = write_voice(tmp_path / "a.wav", 1.0)
    embedder = EmotionEmbedder(folder).fit([path])
    assert embedder.set_params(model="small", threads=2).transform([path]).shape == (1, 768)
    assert len(embedder.get_feature_names_out()) == 768
    with pytest.raises(ValueError, match=r"errors must be 'raise' or 'nan'; got 'ignore'\."):
        embedder.set_params(errors="ignore").transform([path])


def test_a_column_of_a_frame_is_embedded(folder: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    paths = [str(write_voice(tmp_path / f"{seed}.wav", 1.0, seed=seed)) for seed in range(3)]
    frame = pandas.DataFrame({"path": paths, "age": [20.0, 30.0, 40.0]})
    expected = earnest.load(folder).embed(paths).vectors
    for column in ("path", ["path"]):
        columns = ColumnTransformer([("sound", EmotionEmbedder(folder), column)], remainder="passthrough")
        found = columns.fit_transform(frame)
        np.testing.assert_allclose(found[:, :3], expected)
        assert found[:, 3].tolist() == [20.0, 30.0, 40.0]


def test_a_pipeline_learns_recordings_of_speakers_that_it_hasnt_heard(folder: Path) -> None:
    clips, levels, speakers = corpus()
    model = make_pipeline(EmotionEmbedder(folder), EmotionClassifier())
    found = cross_val_predict(model, clips, levels, groups=speakers, cv=GroupKFold(N_SPEAKERS))
    assert np.mean(found == np.array(levels)) > 0.8
    probabilities = model.fit(clips, levels, emotionclassifier__groups=speakers).predict_proba(clips[:2])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert list(model.classes_) == sorted(LEVELS)


def test_a_grid_is_searched_with_folds_by_group() -> None:
    X, y, groups = grouped_blobs()  # noqa: N806
    steps = Pipeline([("scale", StandardScaler()), ("head", EmotionClassifier())])
    grid = GridSearchCV(steps, {"head__shrinkage": [0.2, 0.9, "auto"]}, cv=GroupKFold(4), scoring="neg_log_loss")
    grid.fit(X, y, groups=groups)
    assert grid.best_score_ == max(grid.cv_results_["mean_test_score"])
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


def test_groups_reach_the_classifier_by_metadata_routing() -> None:
    X, y, groups = grouped_blobs()  # noqa: N806
    with config_context(enable_metadata_routing=True):
        head = EmotionClassifier().set_fit_request(groups=True)
        scores = cross_val_score(head, X, y, cv=GroupKFold(4), params={"groups": groups})
    assert len(scores) == 4


def test_groups_make_probabilities_that_hold_for_new_groups() -> None:
    # Rows of one group share a place. A temperature from folds that divide groups is too sure about new groups.
    losses: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(5):
        X, y, groups = grouped_blobs(6, seed)  # noqa: N806
        test = groups >= 4
        for uses, found in losses.items():
            head = EmotionClassifier().fit(X[~test], y[~test], groups=groups[~test] if uses else None)
            found.append(log_loss(y[test], head.predict_proba(X[test])))
    assert np.mean(losses[True]) < np.mean(losses[False])


def test_of_few_rows_more_is_learnt_beside_what_the_base_says() -> None:
    layer = last_layer_of(load_bundle("small").model_bytes())
    assert layer is not None
    rng = np.random.default_rng(0)
    y = np.arange(300) % 6
    ways = layer[0] - layer[0].mean(axis=0)  # where the base tells its classes apart
    X = rng.normal(size=(300, ways.shape[1])) + 4 * (ways / np.linalg.norm(ways, axis=1, keepdims=True))[y]  # noqa: N806
    alone, beside = (EmotionClassifier(base=base).fit(X[:24], y[:24]) for base in (None, "small"))
    assert beside.score(X[24:], y[24:]) > alone.score(X[24:], y[24:]) + 0.1
    np.testing.assert_allclose(X @ beside.coef_.T + beside.intercept_, beside.decision_function(X))


def test_a_base_of_other_embeddings_is_refused() -> None:
    X, y, _ = grouped_blobs()  # noqa: N806
    with pytest.raises(BundleError, match=r"have 768 values, these rows 20\. Take those of EmotionEmbedder\('small'\)"):
        EmotionClassifier(base="small").fit(X, y)


def test_paths_in_place_of_numbers_are_told_what_to_do() -> None:
    X, y, _ = grouped_blobs()  # noqa: N806
    paths = [Path(f"{row}.wav") for row in range(len(y))]
    for given in (paths, list(map(str, paths)), np.array(list(map(str, paths)))):
        with pytest.raises(ValueError, match=r"make_pipeline\(EmotionEmbedder\(\), EmotionClassifier\(\)\)"):
            EmotionClassifier().fit(given, y)
    with pytest.raises(ValueError, match="expects numbers, got paths"):
        EmotionClassifier().fit(X, y).predict(paths)


def test_the_same_numbers_whatever_the_labels_are_called() -> None:
    X, y, groups = grouped_blobs()  # noqa: N806
    first = EmotionClassifier().fit(X, y, groups)
    labels = np.array(["froh", "traurig", "ärgerlich"])[y]  # as they are sorted
    second = EmotionClassifier().fit(X, labels, [f"speaker {group}" for group in groups])
    np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X))
    assert first.shrinkage_ in (0.2, 0.4, 0.6, 0.8, 0.95)


@pytest.mark.parametrize("n_features", [2, 50])
def test_a_class_whose_rows_are_all_the_same_is_learnt(n_features: int) -> None:
    X, y = np.repeat(np.random.default_rng(0).normal(size=(3, n_features)), 5, axis=0), np.repeat([0, 1, 2], 5)  # noqa: N806
    assert (EmotionClassifier().fit(X, y).predict(X) == y).all()


@pytest.mark.parametrize(("label", "told"), [("angry", "'angry'"), (1, "1")])
def test_one_class_alone_is_told_by_its_name(label: object, told: str) -> None:
    with pytest.raises(ValueError, match=rf"got 1 class: {told}\.$"):
        EmotionClassifier().fit(np.eye(4), [label] * 4)


@pytest.mark.parametrize(
    ("settings", "groups", "told"),
    [
        ({"shrinkage": 0}, None, "above 0, at most 1, or 'auto'"),
        ({"shrinkage": 1.5}, None, "above 0, at most 1, or 'auto'"),
        ({"shrinkage": "high"}, None, "above 0, at most 1, or 'auto'; got 'high'"),
        ({"shrinkage": None}, None, "above 0, at most 1, or 'auto'; got None"),
        ({"shrinkage": True}, None, "above 0, at most 1, or 'auto'; got True"),
        ({}, [1, 2], "2 groups for 240 rows"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], groups: Any, told: str) -> None:
    X, y, _ = grouped_blobs()  # noqa: N806
    with pytest.raises(ValueError, match=told):
        EmotionClassifier(**settings).fit(X, y, groups)


@pytest.mark.long
def test_two_processes_of_joblib_answer_as_one(folder: Path, tmp_path: Path) -> None:
    paths = [write_voice(tmp_path / f"{seed}.wav", 1.0, seed=seed) for seed in range(4)]
    model = earnest.load(folder)
    found = Parallel(n_jobs=2)(delayed(Predictor.predict)(model, path) for path in paths)
    assert found == [model.predict(path) for path in paths]
    clips, levels, speakers = corpus()
    pipeline = make_pipeline(EmotionEmbedder(folder), EmotionClassifier())
    alone, together = (
        cross_val_score(pipeline, clips, levels, groups=speakers, cv=GroupKFold(2), n_jobs=n_jobs) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(alone, together)
