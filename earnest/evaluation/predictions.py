"""``predictions.csv``: the seam between models, ours or anybody's, and evaluation; in memory plain columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from shlex import join
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.corpora.manifest import Utterance
from earnest.corpora.own.tables import PATH, guessed_name
from earnest.errors import LONGEST, CorpusError, EarnestError, named, shown, told
from earnest.evaluation.answers import (
    TEXTS,
    Layout,
    Probabilities,
    SystemAnswers,
    TextColumn,
    different,
    numbered,
    read_table,
    text_column,
    who_speaks,
)
from earnest.evaluation.calibration import known_rows
from earnest.files.reading import read_json
from earnest.files.tables import RowWriter, marked
from earnest.files.writing import replacing, unfollowed
from earnest.labels import AFFECT, composed, in_canonical_order

PREDICTIONS, METRICS = "predictions.csv", "metrics.json"


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows of a predictions file as columns.

    Attributes
    ----------
    classes : order of the probabilities and of every confusion matrix
    utterance_id, corpus, speaker, gender, fold : shape (rows,), texts
    emotion, predicted : shape (rows,), int64, index into ``classes``; ``predicted`` is −1 for no answer
    probabilities : shape (rows, classes), float32, NaN in rows that have none; None when no row has any
    adapted : shape (rows,), bool; None where adaptation was not a matter
    predicted_gender : "female", "male" or ""; None where the system doesn't answer it
    predicted_affect : valence, arousal and dominance, shape (rows, 3), float32, NaN where not answered; None when
        nowhere
    intensity : the corpus' own word of each utterance, "" for none; None where no utterance has one
    affect : rated valence, arousal and dominance in the corpus' own unit, shape (rows, 3), float32, NaN where not
        rated; None when nowhere
    """

    classes: tuple[str, ...]
    utterance_id: TextColumn
    corpus: TextColumn
    speaker: TextColumn
    gender: TextColumn
    fold: TextColumn
    emotion: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: Probabilities | None = None
    adapted: npt.NDArray[np.bool_] | None = None
    predicted_gender: TextColumn | None = None
    predicted_affect: npt.NDArray[np.float32] | None = None
    intensity: TextColumn | None = None
    affect: npt.NDArray[np.float32] | None = None

    @classmethod
    def of(cls, answers: SystemAnswers) -> "Predictions":
        """Return the rows of a file with the truth that the file itself holds.

        Raises `CorpusError` when it holds none, or answers and truth spell a label differently.
        """
        emotion = answers.own_truth()
        strange = in_canonical_order(set(emotion) - {*answers.classes(), ""})  # what is true, and nobody can answer
        classes, probabilities = (*answers.classes(), *strange), answers.probabilities
        if probabilities is not None and strange:
            beside = np.where(np.isnan(probabilities[:, :1]), np.nan, 0).repeat(len(strange), axis=1)
            probabilities = np.concatenate([probabilities, beside.astype(np.float32)], axis=1)
        return cls(
            classes=classes,
            utterance_id=answers.ids(),
            **{name: answers.text(name) for name in TEXTS},
            emotion=numbered(emotion, classes),
            predicted=numbered(answers.predicted, classes),
            probabilities=probabilities,
            adapted=answers.adapted,
            predicted_gender=answers.predicted_gender,
            predicted_affect=answers.predicted_affect,
            intensity=answers.texts.get("intensity"),
            affect=answers.affect,
        )

    def __len__(self) -> int:
        return len(self.utterance_id)

    @property
    def identities(self) -> list[tuple[str, str]]:
        """Corpus and utterance_id of each row."""
        return list(zip(self.corpus, self.utterance_id, strict=True))

    @cached_property
    def recording(self) -> npt.NDArray[np.int64]:
        """Number the recordings in the order in which they appear, shape (rows,); some may have several answers."""
        found = self.identities
        number = {identity: count for count, identity in enumerate(dict.fromkeys(found))}
        return np.array([number[identity] for identity in found], dtype=np.int64)

    @property
    def n_recordings(self) -> int:
        """Number of recordings; fewer than answers where several trainings answered the same ones."""
        return int(self.recording.max(initial=-1)) + 1

    @property
    def folds(self) -> list[str]:
        """Names of the folds, in the order in which they appear."""
        return different(self.fold)

    def of_fold(self, fold: str) -> "Predictions":
        """Return the rows of one fold."""
        return self.take(np.flatnonzero(self.fold == fold))

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> "Predictions":
        """Return the rows at ``indices``, shape (n,), in that order."""
        found = {name: getattr(self, name) for name in _COLUMNS}
        return replace(self, **{name: column[indices] for name, column in found.items() if column is not None})


ALWAYS = ("utterance_id", *TEXTS, "emotion", "predicted")  # columns that are never None
_COLUMNS = tuple(name for name in Predictions.__dataclass_fields__ if name != "classes")


def identified(utterances: Sequence[Utterance]) -> dict[str, Any]:
    """Return the columns of `Predictions` that say which utterances they are about, and who speaks there."""
    return {
        "utterance_id": text_column(row.utterance_id for row in utterances),
        "corpus": text_column(row.corpus for row in utterances),
        "speaker": text_column(row.speaker for row in utterances),
        "gender": text_column(row.gender or "" for row in utterances),
    }


def rated(utterances: Sequence[Utterance]) -> dict[str, Any]:
    """Return a corpus' labels beside emotion and gender: ``intensity`` and ``affect`` of `Predictions`."""
    intensity = text_column(row.intensity for row in utterances)
    ratings = [(row.valence, row.arousal, row.dominance) for row in utterances]
    affect = np.array(ratings, dtype=np.float32).reshape(-1, len(AFFECT))  # None becomes NaN
    return {"intensity": intensity if any(intensity) else None, "affect": None if np.isnan(affect).all() else affect}


def of_emotion(predictions: Predictions) -> Predictions:
    """Return predictions without the answers beside the emotion, for utterances whose emotion alone is asked anew."""
    return replace(predictions, predicted_gender=None, predicted_affect=None)


def of_classes(predictions: Predictions, classes: Sequence[str]) -> Predictions:
    """Return the utterances of some classes, answered among these alone: p_k / Σ_j p_j over the classes j asked for.

    Raises `CorpusError` when the predictions lack one of the classes, or have no probabilities.
    """
    if missing := [name for name in classes if name not in predictions.classes]:
        raise CorpusError(f"There are no probabilities of '{missing[0]}', only of {', '.join(predictions.classes)}.")
    if predictions.probabilities is None:
        raise CorpusError("Answers without probabilities can't be scored among fewer classes.")
    places = [predictions.classes.index(name) for name in classes]
    number = np.full(len(predictions.classes), -1, np.int64)
    number[places] = np.arange(len(classes))
    kept = predictions.take(np.flatnonzero(number[predictions.emotion] >= 0))
    assert kept.probabilities is not None
    probabilities = among(kept.probabilities, places).astype(np.float32)
    predicted = np.where(known_rows(probabilities), probabilities.argmax(axis=1), -1).astype(np.int64)
    return replace(
        kept, classes=tuple(classes), emotion=number[kept.emotion], predicted=predicted, probabilities=probabilities
    )


def among(probabilities: npt.NDArray[np.floating], places: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the columns at ``places`` of probabilities (rows, classes), renormalised; equal where all are zero."""
    asked = probabilities[:, places].astype(np.float64) + np.finfo(np.float32).tiny
    return np.asarray(asked / asked.sum(axis=1, keepdims=True))


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds below each other; all must have the same classes."""
    classes = parts[0].classes
    if any(part.classes != classes for part in parts):
        raise CorpusError("Predictions with different classes can't be joined.")
    return Predictions(
        classes=classes,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ALWAYS},
        probabilities=_stacked(parts, "probabilities", (len(classes),), np.nan),
        adapted=_stacked(parts, "adapted", (), False),
        predicted_gender=_stacked(parts, "predicted_gender", (), ""),
        predicted_affect=_stacked(parts, "predicted_affect", (len(AFFECT),), np.nan),
        intensity=_stacked(parts, "intensity", (), ""),
        affect=_stacked(parts, "affect", (len(AFFECT),), np.nan),
    )


def _stacked(parts: Sequence[Predictions], name: str, shape: tuple[int, ...], blank: float | bool | str) -> Any:
    """Put an optional array below each other, ``blank`` where a part has none; None when no part has any."""
    found = [getattr(part, name) for part in parts]
    if all(array is None for array in found):
        return None
    dtype = {bool: np.bool_, str: np.object_}.get(type(blank), np.float32)
    return np.concatenate(
        [
            np.full((len(part), *shape), blank, dtype=dtype) if array is None else array
            for part, array in zip(parts, found, strict=True)
        ]
    )


ADAPTED, GENDER = "adapted", "predicted_gender"
AFFECT_COLUMNS, INTENSITY = tuple(f"predicted_{name}" for name in AFFECT), "intensity"
WITH_TRUTH = ("utterance_id", "emotion", "predicted")  # what a file that needs nothing beside it has
TRUTH = "truth"  # another name of the column "emotion", as tables of `earnest predict` have it
TRUTHS = (TRUTH, "emotion", "label", "class_label")  # the first that is there holds the true labels
KNOWN = (*ALWAYS, "path", TRUTH, ADAPTED, GENDER, *AFFECT_COLUMNS, INTENSITY, *AFFECT)
PREFIX = "p_"
SLIP_FROM = 0.82  # share of letters in common: "speaker_nr" is near "speaker" (0.82), "folder" not near "fold" (0.80)
MOST_SHOWN = 8  # columns that a message names
MOST_COMPARED = 1000  # columns that are not ours; a file of features may have thousands


def told_by_run(predictions: Path) -> dict[str, Any]:
    """Return what a run says of its predictions, in the file `METRICS` beside them; empty where it names no protocol.

    Such as how speakers were kept apart, and what chose the epoch.
    """
    file = predictions_file(predictions)
    document = metrics_in(file.parent) if file.name == PREDICTIONS else {}
    return document if document.get("protocol") else {}


def metrics_in(folder: Path) -> dict[str, Any]:
    """Return the file `METRICS` in a folder, empty where there is none that can be read."""
    try:
        found = read_json(folder / METRICS)
    except EarnestError:
        return {}
    return found if isinstance(found, dict) else {}


def predictions_file(path: Path) -> Path:
    """Return the predictions file that a path means: itself, or the one in a folder of results.

    Raises `CorpusError` for a folder that has none, such as one of `earnest batch`.
    """
    if not path.is_dir():
        return path
    if any(path.glob("shards/*.parquet")):
        table = 'pandas.read_parquet("shards").to_parquet("answers.parquet")'
        raise CorpusError(
            f"{path}: holds the shards of `earnest batch`, and one table is read here. Make it there with "
            f"`python -c 'import pandas; {table}'`, and give {path / 'answers.parquet'}."
        )
    if (file := path / PREDICTIONS).is_file():
        return file
    if _tested_nothing(path):
        raise CorpusError(
            f"{path}: a run of `earnest train --all-data` or `earnest import`, for shipping: it kept no recordings to "
            f"test, and holds no {PREDICTIONS}. How good its recipe is: {join(['earnest', 'evaluate', str(path)])}"
        )
    results = "a predictions file, or a finished folder of `earnest train`, `evaluate` or `learn`"
    raise CorpusError(f"{path}: holds no {PREDICTIONS}. Give {results}.")


def _tested_nothing(run: Path) -> bool:
    """Whether a folder is a finished run that had no test recordings."""
    try:
        record = read_json(run / "run.json")
    except EarnestError:
        return False
    return isinstance(record, dict) and record.get("n_test") == 0


def read_predictions(path: Path) -> Predictions:
    """Read a predictions file, strictly.

    ``utterance_id``, ``emotion`` (or ``truth``) and ``predicted`` must be there. The ``p_`` columns say which classes
    there are; without them the classes are the labels that occur, in canonical order.

    Raises `CorpusError` for what is wrong, with line and column.
    """
    return Predictions.of(read_answers(path, WITH_TRUTH))


def read_answers(path: Path, needed: Sequence[str] = ("predicted",)) -> SystemAnswers:
    """Read a predictions file that may lack the truth and have ``path`` in place of ``utterance_id``."""
    return read_table(path, partial(layout_of, path=path, needed=needed))


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write ``predictions.csv``, whole or not; probabilities get the fewest digits that give the same float32 again."""
    names = (*predictions.classes, "")
    with (
        told(path),
        replacing(path) as beside,
        open(beside, "w", newline="", encoding="utf-8", opener=unfollowed) as file,
    ):
        writer, optional = RowWriter(file), dict(_optional_columns(predictions))
        writer.write_rows([[*ALWAYS, *optional]])
        labels = ([names[code] for code in codes] for codes in (predictions.emotion, predictions.predicted))
        texts = (predictions.utterance_id, *(getattr(predictions, name) for name in TEXTS), *labels)
        writer.write_plain(zip(*(map(marked, column) for column in texts), *optional.values(), strict=True))


def _optional_columns(predictions: Predictions) -> Iterator[tuple[str, Sequence[str] | TextColumn]]:
    """Yield name and cells of each column that not all predictions have."""
    if predictions.probabilities is not None:
        blank = ~known_rows(predictions.probabilities)
        for name, column in zip(predictions.classes, predictions.probabilities.T, strict=True):
            yield PREFIX + name, _number_texts(column, blank)
    if predictions.adapted is not None:
        yield ADAPTED, [str(flag).lower() for flag in predictions.adapted.tolist()]
    if predictions.predicted_gender is not None:
        yield GENDER, predictions.predicted_gender
    if predictions.predicted_affect is not None:
        yield from _affect_columns(AFFECT_COLUMNS, predictions.predicted_affect)
    if predictions.intensity is not None:
        yield INTENSITY, list(map(marked, predictions.intensity))
    if predictions.affect is not None:
        yield from _affect_columns(AFFECT, predictions.affect)


def _affect_columns(names: Sequence[str], values: npt.NDArray[np.float32]) -> Iterator[tuple[str, list[str]]]:
    return ((name, _number_texts(column, np.isnan(column))) for name, column in zip(names, values.T, strict=True))


def _number_texts(values: npt.NDArray[np.float32], blank: npt.NDArray[np.bool_]) -> list[str]:
    texts = list(map(str, values))
    for row in np.flatnonzero(blank):
        texts[row] = ""
    return texts


def layout_of(header: Sequence[str], path: Path, needed: Sequence[str] = ("predicted",)) -> Layout:
    """Check a header and say which column holds what.

    Columns of names that are not ours, or of none, are not read; a slip of the pen in one of ours is refused.
    """
    for name, count in Counter(header).items():
        if count > 1 and name:
            raise CorpusError(f"{path}:1: the column '{name}' is there twice.")
    speaks = who_speaks(header)
    identity = "utterance_id" if "utterance_id" in header else guessed_name(header, PATH)
    truth = next((name for name in TRUTHS if name in header), "emotion")
    ours = {*KNOWN, *speaks.values(), identity, truth}
    unread = tuple(name for name in header if name not in ours and not (name.startswith(PREFIX) and name != PREFIX))
    lacking = sorted(set(KNOWN).difference(header, speaks))
    for name in dict.fromkeys(unread[:MOST_COMPARED]):
        lower = name.lower()[:LONGEST]
        near = [lower] if lower.startswith(PREFIX) else get_close_matches(lower, lacking, n=1, cutoff=SLIP_FROM)
        if near:
            raise CorpusError(f"{path}:1: unknown column '{name}'. Did you mean '{near[0]}'? Rename or delete it.")
    if "emotion" in header and TRUTH in header:
        raise CorpusError(f"{path}:1: both 'emotion' and '{TRUTH}' name the true labels. Delete or rename one column.")
    called = {"emotion": truth, "utterance_id": identity}
    for name in needed:
        if called.get(name, name) not in header:
            also = f" (the true labels; it may be called '{TRUTH}' too)" if name == "emotion" else ""
            there = f"There are {named([*map(shown, header)], MOST_SHOWN)}." if header else "There is none."
            raise CorpusError(f"{path}:1: the column '{name}' is missing{also}. {there} See earnest score --help.")
    if identity is None:
        raise CorpusError(f"{path}:1: the column 'utterance_id' is missing, and so is 'path'.")
    columns = {name: name for name in header if name in KNOWN and name not in ("utterance_id", "path", TRUTH)}
    columns |= speaks
    if truth in header:
        columns["emotion"] = truth
    probabilities = {composed(name.removeprefix(PREFIX)): name for name in header if name.startswith(PREFIX)}
    return Layout({"name": identity, **columns}, probabilities, is_ours=True, is_marked=True, unread=unread)
