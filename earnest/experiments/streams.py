"""The streams' protocol: how the models of a finished evaluation adapt to test speakers, whatever these speak.

The plain answers to the test recordings are there; each fold's adaptation network answers streams drawn of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from earnest.evaluation.predictions import different, read_predictions
from earnest.evaluation.streams import AnsweredStreams, answered_streams, streams_document
from earnest.experiments.conditions import read_adaptation
from earnest.experiments.evaluate import METRICS
from earnest.experiments.stress import evaluation_document
from earnest.files.writing import refuse_changed, write_json
from earnest.labels import scheme_called
from earnest.progress import SILENT, Progress
from earnest.training.run import PREDICTIONS

METRICS_STREAMS = "metrics-streams.json"


def measure_streams(folder: Path, command: str, progress: Progress = SILENT) -> dict[str, Any]:
    """Draw streams from the test recordings of every fold, answer them in every way, score and write.

    Streams of one corpus count together, whichever fold's model answers them.

    Parameters
    ----------
    folder : of a finished `earnest evaluate`; gets metrics-streams.json

    Returns
    -------
    what is written, see `earnest.evaluation.streams.streams_document`
    """
    document = evaluation_document(folder / METRICS)
    refuse_changed(folder)
    predictions = read_predictions(folder / PREDICTIONS)
    classes = _asked_classes(document, predictions.classes)
    parts: dict[str, dict[str, list[AnsweredStreams]]] = {}
    with progress.bar("answering streams", len(predictions.folds)) as advance:
        for fold in predictions.folds:
            refuse_changed(folder / fold)
            adaptation, tested = read_adaptation(folder / fold), predictions.of_fold(fold)
            for corpus in different(tested.corpus):
                own = tested.take(np.flatnonzero(tested.corpus == corpus))
                for kind, streams in answered_streams(own, adaptation.answer, classes).items():
                    parts.setdefault(corpus, {}).setdefault(kind, []).append(streams)
            advance()
    corpora = {
        corpus: {kind: AnsweredStreams.joined(several) for kind, several in kinds.items()}
        for corpus, kinds in parts.items()
    }
    facts = {name: document.get(name) for name in ("protocol", "speaker_independent", "title")}
    evaluated = {"command": command, "evaluation": document.get("command"), "classes": list(classes)}
    found = {**facts, **evaluated, **streams_document(corpora)}
    write_json(folder / METRICS_STREAMS, found)
    return found


def _asked_classes(document: Mapping[str, Any], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fewer classes that the protocol scores among, where it has some."""
    subsets = list(document.get("class_subsets", ()))
    return scheme_called(subsets[0]).classes if subsets else classes
