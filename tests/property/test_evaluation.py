"""Metrics equal scikit-learn's on any answers; files give back what was written; splits never leak."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.confusion import class_scores, confusion_counts, headline_scores
from earnest.evaluation.predictions import Predictions, read_predictions, write_predictions
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.split_files import protocol_of_files
from tests.prediction_rows import PredictionRow, predictions_of, to_rows

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")
N_CLASSES = 4
CLASSES = ("happy", "sad", "angry", "neutral")
answers = st.lists(
    st.tuples(st.integers(0, N_CLASSES - 1), st.integers(-1, N_CLASSES - 1)), min_size=1, max_size=60
).map(np.array)


@given(answers)
def test_the_metrics_are_those_of_scikit_learn(rows):
    true, predicted = rows.T
    scores = headline_scores(confusion_counts(true, predicted, N_CLASSES))
    labels = sorted(set(true) | set(predicted) - {-1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true", which is what is tested
        balanced = sklearn_metrics.balanced_accuracy_score(true, predicted)
    assert scores["wa"] == pytest.approx(sklearn_metrics.accuracy_score(true, predicted))
    assert scores["ua"] == pytest.approx(balanced)
    for name, average in (("macro_f1", "macro"), ("weighted_f1", "weighted")):
        reference = sklearn_metrics.f1_score(true, predicted, labels=labels, average=average, zero_division=0)
        assert scores[name] == pytest.approx(reference)


@given(answers)
def test_the_classes_scores_are_those_of_scikit_learn(rows):
    true, predicted = rows.T
    counts = confusion_counts(true, predicted, N_CLASSES)
    reference = sklearn_metrics.precision_recall_fscore_support(
        true, predicted, labels=range(N_CLASSES), zero_division=0
    )
    for index, one in enumerate(class_scores(counts)):
        ours = (one.precision or 0, one.recall or 0, one.f1 or 0, one.n)
        assert ours == pytest.approx(tuple(values[index] for values in reference))
    matrix = sklearn_metrics.confusion_matrix(true, predicted, labels=[*range(N_CLASSES), -1])
    assert counts.tolist() == matrix[:N_CLASSES].tolist()


@st.composite
def tables(draw) -> Predictions:
    names = draw(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1), min_size=1,
                          max_size=8, unique=True))  # fmt: skip
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    rows = []
    for name in names:
        values = rng.dirichlet(np.full(N_CLASSES, draw(st.sampled_from([0.01, 1.0])))).astype(np.float32)
        probabilities = dict(zip(CLASSES, values.tolist(), strict=True)) if draw(st.booleans()) else {}
        predicted = draw(st.sampled_from([*CLASSES, ""]))
        rows.append(PredictionRow(name, "made,up", 'a "b"', "", "f1", CLASSES[seed % 4], predicted, probabilities))
    return predictions_of(rows, CLASSES)


@given(tables())
def test_a_predictions_file_gives_back_exactly_what_was_written(predictions):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        write_predictions(predictions, path)
        again = read_predictions(path)
    assert [row.probabilities for row in to_rows(again)] == [row.probabilities for row in to_rows(predictions)]
    if predictions.probabilities is not None:
        assert again.classes == predictions.classes
        assert to_rows(again) == to_rows(predictions)


@st.composite
def manifests(draw) -> list[Utterance]:
    speakers = draw(st.lists(st.integers(0, 11), min_size=6, max_size=60))
    groups = draw(st.lists(st.integers(0, 30), min_size=len(speakers), max_size=len(speakers)))
    return [
        # A group is of one speaker, as a performance is.
        Utterance(f"u{index}", Path(f"u{index}.wav"), corpus="made", speaker=f"s{speaker:02d}",
                  group=f"{speaker}-{group}", emotion=("happy", "sad")[index % 2])
        for index, (speaker, group) in enumerate(zip(speakers, groups, strict=True))
    ]  # fmt: skip


def read_back(splits, rows):
    """Write split files and return the sets that they give."""
    with tempfile.TemporaryDirectory() as folder:
        for split in splits:
            (Path(folder) / f"{split.fold}.json").write_text(split.to_json(), encoding="utf-8")
        return {split.fold: split.sets for split in splits_of(protocol_of_files([Path(folder)]), rows)}


@settings(deadline=None)
@given(manifests(), st.randoms(use_true_random=False), st.sampled_from(["loso", "speaker-5fold", "speaker-holdout"]))
def test_speaker_independent_protocols_never_leak_and_ignore_the_order_of_rows(utterances, random, protocol):
    try:
        splits = splits_of(protocol, utterances)
    except SplitError as error:
        assert "needs at least" in str(error)
        return
    shuffled = random.sample(utterances, len(utterances))
    assert splits_of(protocol, shuffled) == splits
    for split in splits:
        together = [row.key for rows in split.sets.values() for row in rows]
        assert sorted(together) == sorted(row.key for row in utterances)
    assert read_back(splits, shuffled) == {split.fold: split.sets for split in splits}
    if protocol != "speaker-holdout":
        assert sorted(row.key for split in splits for row in split.test) == sorted(row.key for row in utterances)
