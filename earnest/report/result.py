"""A result to report: a folder of ``earnest train`` or ``earnest evaluate``, or anybody's predictions file."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from earnest.corpora.own.data import PROTOCOL
from earnest.errors import EarnestError
from earnest.evaluation.author_protocols import stamp_of
from earnest.evaluation.doubts import doubts
from earnest.evaluation.importers import SPANS, recognised
from earnest.evaluation.metrics import Scores, affect_results, scores_of
from earnest.evaluation.predictions import METRICS, WITH_TRUTH, Predictions, predictions_file, read_answers, told_by_run
from earnest.evaluation.protocols import kind_words
from earnest.evaluation.report import NoiseCurve, read_history
from earnest.evaluation.splits import without_repeats
from earnest.files.reading import read_json
from earnest.training.record import RECORD, RunRecord, read_record

METRICS_NOISE, HISTORY = "metrics-noise.json", "history.csv"
_FORMS = {
    "predict": "answers of `earnest predict`",
    SPANS: "spans of `earnest timeline`",
    "huggingface": "JSON",
    "nkululeko": "a table of nkululeko's form",
}


@dataclass(frozen=True)
class FoldRun:
    """One training: where it lies, what it says about itself, one row of history an epoch."""

    name: str
    folder: Path
    record: RunRecord
    history: Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Facts:
    """Facts in ``metrics.json`` beside scores; texts are empty and ``speaker_independent`` None where it has none.

    Attributes
    ----------
    part : which folds were tested, where some were left out
    stamp : `STAMP` where it was, otherwise empty
    leakage : one entry for each two sets of each fold, as `earnest evaluate` counts what they share
    affect : scores of valence, arousal and dominance, as `earnest.evaluation.metrics.affect_results` returns them
    models : names of those that answered, where `earnest score` found them
    learnt : name of the model that `earnest learn` made of all these recordings; its answers here are those of others,
        each without the recordings of its fold
    """

    protocol: str = ""
    speaker_independent: bool | None = None
    title: str = ""
    command: str = ""
    clips: str = ""
    labels: str = ""
    part: str = ""
    stamp: str = ""
    leakage: tuple[Mapping[str, Any], ...] = ()
    affect: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    learnt: str = ""

    @property
    def speakers(self) -> str:
        """Whether test speakers were heard in training, in words."""
        if self.speaker_independent is None:
            return "speakers unknown"
        return kind_words(self.speaker_independent)


@dataclass(frozen=True)
class Result:
    """One system under one protocol.

    Attributes
    ----------
    name : of its folder or file
    runs : the trainings behind it, none for a predictions file
    noise : UA over the noise level, where that was evaluated
    notes : what of the file is not read or not counted, and what it may mean otherwise
    """

    name: str
    predictions: Predictions
    scores: Scores
    facts: Facts
    runs: tuple[FoldRun, ...] = ()
    noise: NoiseCurve | None = None
    notes: Sequence[str] = ()

    @property
    def n_folds(self) -> int:
        """Number of folds, each with its repeats."""
        return len(without_repeats(self.scores.folds))


def read_results(paths: Sequence[Path]) -> list[Result]:
    """Read several results; those whose folders have one name get the name of the folder above in front."""
    results = [read_result(path) for path in paths]
    names = [result.name for result in results]
    unique = [
        result if names.count(result.name) == 1 else replace(result, name=f"{path.resolve().parent.name}/{result.name}")
        for path, result in zip(paths, results, strict=True)
    ]
    for path, result in zip(paths, unique, strict=True):
        if sum(other.name == result.name for other in unique) > 1:
            raise EarnestError(f"{path}: given twice, or another result is called '{result.name}' too. Rename it.")
    return unique


def read_result(path: Path) -> Result:
    """Read a run folder, the folder of an evaluation, or a predictions file."""
    if not path.exists():
        raise EarnestError(f"{path}: no such file or folder. Give a folder of `earnest evaluate` or a predictions.csv.")
    file = predictions_file(path)
    _refuse_other_forms(file)
    answers = read_answers(file, WITH_TRUTH)
    predictions = Predictions.of(answers)
    scores = scores_of(predictions)
    if not path.is_dir():
        facts = replace(_facts(told_by_run(path)), affect=affect_results(predictions) or {})
        return Result(path.stem, predictions, scores, facts, notes=[*answers.notes, *doubts(predictions)])
    name, facts = path.resolve().name, _facts(_document(path / METRICS))
    if facts.protocol == PROTOCOL:
        facts = replace(facts, learnt=str(_document(path / "bundle.json").get("name") or ""))
    return Result(name, predictions, scores, facts, _runs(path, predictions.folds), _noise(path, predictions))


def _refuse_other_forms(file: Path) -> None:
    """Raise `EarnestError` for answers that `earnest score` reads and that lack the truth, or have it elsewhere."""
    form = recognised(file)
    if form != "earnest":
        words = shlex.join(["earnest", "score", str(file), "-o", str(file.with_name(f"{file.stem}-scored"))])
        raise EarnestError(
            f"{file}: {_FORMS[form]}, no predictions file. Give a folder of `earnest evaluate`, a CSV with the columns "
            f"utterance_id, emotion (the true one) and predicted, or the folder into which this one is scored: {words}"
        )


def _facts(document: Mapping[str, Any]) -> Facts:
    known = document.get("speaker_independent")
    leakage, affect, models = (document.get(name) for name in ("leakage", "affect", "models"))
    return Facts(
        models=tuple(map(str, models)) if isinstance(models, list) else (),
        affect=affect if isinstance(affect, dict) else {},
        speaker_independent=known if isinstance(known, bool) else None,
        leakage=tuple(line for line in leakage if isinstance(line, dict)) if isinstance(leakage, list) else (),
        stamp=stamp_of(document),
        **{name: str(document.get(name) or "") for name in ("protocol", "title", "command", "clips", "labels", "part")},
    )


def _noise(folder: Path, predictions: Predictions) -> NoiseCurve | None:
    """Read the noise curve of the same folds; None where nobody asked, or of other folds."""
    path = folder / METRICS_NOISE
    if not path.exists():
        return None
    document = _document(path)
    if document.get("folds", predictions.folds) != predictions.folds:
        return None
    try:
        levels = {"n": document["n"], "levels": [dict(row) for row in document["levels"]]}
    except (KeyError, TypeError, ValueError) as error:
        raise EarnestError(f"{path}: not from `earnest evaluate --noise` ({error!r}).") from error
    return NoiseCurve.from_document(levels, str(path))


def _document(path: Path) -> dict[str, Any]:
    """Read a JSON object, empty where there is no file."""
    if not path.exists():
        return {}
    document = read_json(path, hint="Evaluate again, or remove it.")
    if not isinstance(document, dict):
        raise EarnestError(f"{path}: expected one JSON object. Evaluate again, or remove it.")
    return document


def _runs(folder: Path, folds: Sequence[str]) -> tuple[FoldRun, ...]:
    folders = [folder] if (folder / RECORD).exists() else [folder / fold for fold in folds if Path(fold).name == fold]
    return tuple(_run(run) for run in folders if (run / RECORD).exists())


def _run(folder: Path) -> FoldRun:
    record = read_record(folder)
    return FoldRun(record.fold or folder.name, folder, record, read_history(folder / HISTORY))
