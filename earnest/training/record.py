"""``run.json``: what a finished run says about itself, its calibration among it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.bundle import TrainingCorpus
from earnest.errors import printable
from earnest.evaluation.calibration import FittedCalibration, fit_temperature, quality, softmax
from earnest.files.reading import read_json
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Task

if TYPE_CHECKING:  # a report reads records where torch is missing
    from torch import Tensor

    from earnest.models.classifier import SpeechClassifier

NO_VALIDATION = "there are no validation recordings: the last epoch is kept, and probabilities are not calibrated"
RECORD = "run.json"
CHECKPOINT = "last.ckpt"  # in the folder of a run that isn't finished
History: TypeAlias = Sequence[dict[str, float]]
"""One row an epoch, with the names of `earnest.training.loop.HISTORY_COLUMNS`."""


@dataclass(frozen=True)
class RunRecord:
    """The record of a finished run, ``run.json``.

    Attributes
    ----------
    classes : output order
    best_epoch : chosen on validation data; 0 where training has no epochs
    epochs : trained before stopping
    origin : of the initial weights
    refitted : whether the weights come from a second training on training and validation data
    stop_reason : "epochs" where all were run, "patience" where too many brought nothing better, "closed form" where
        there are none; "" in runs of earlier versions
    temperature : fitted on validation data
    training_corpora : what the weights have heard
    learned : tasks beside the emotion that training utterances had labels for; the model answers no others
    adaptation, domain : as in the bundle, None where there is none
    calibration : ECE and NLL of the utterances that the temperature was fitted on; None without any
    warnings : signs that the network did not learn, see `earnest.training.module`, and doubts about what it learnt from
    gender_temperature, gender_calibration : the same of the gender, over utterances whose gender is known
    package : name and version of the package that the network is of; "" where it is ours
    code : digest of the code that trained, see `earnest.training.run.code_of`; "" in runs of earlier versions
    selected_on : of imported weights: which utterances chose the epoch, as in metrics.json; "" where the protocol says
        it
    """

    classes: tuple[str, ...]
    protocol: str
    fold: str
    speaker_independent: bool
    seed: int
    best_epoch: int
    epochs: int
    origin: str
    refitted: bool
    temperature: float
    n_parameters: int
    n_train: int
    n_valid: int
    n_test: int
    training_corpora: tuple[TrainingCorpus, ...]
    adaptation: Mapping[str, Any] | None = None
    domain: Mapping[str, Any] | None = None
    stop_reason: str = ""
    learned: tuple[Task, ...] = ()
    calibration: FittedCalibration | None = None
    gender_temperature: float = 1.0
    gender_calibration: FittedCalibration | None = None
    warnings: tuple[str, ...] = ()
    package: str = ""
    code: str = ""
    selected_on: str = ""


def read_record(folder: Path) -> RunRecord:
    """Read ``run.json`` of a finished run."""
    path = folder / RECORD
    values = read_json(path, missing=f"no finished run ({RECORD} is missing). {_instead(folder)}")
    return from_mapping(RunRecord, values, str(path))


def _instead(folder: Path) -> str:
    """What to give in place of a folder that is no finished run."""
    if (folder / "bundle.json").is_file():
        return "It is a bundle already, which `earnest predict --model` takes. Give the folder of `earnest train`."
    if folds := sorted(path.parent for path in folder.glob(f"*/{RECORD}")):
        return f"Give a run in it, such as {printable(str(folds[0]))}, or train on all with `earnest train --all-data`."
    return "Give the folder of `earnest train`."


def fit_calibration(logits: "Tensor", true: npt.NDArray[np.integer]) -> tuple[float, FittedCalibration]:
    """Return the temperature, and what it changes.

    Parameters
    ----------
    logits : (rows, classes), of utterances that the weights have not seen
    true : shape (rows,), class numbers
    """
    values = logits.numpy()
    # p = softmax(z/T), T minimises −(1/N)·Σ log p_y (Guo et al., 2017, eq. 9): the order of classes stays.
    temperature = fit_temperature(values, true)
    before, after = quality(softmax(values), true), quality(softmax(values, temperature), true)
    return temperature, FittedCalibration("temperature", before, after)


def calibrate(classifier: "SpeechClassifier", record: RunRecord) -> None:
    """Let a classifier's probabilities be those of a finished run."""
    classifier.temperature.fill_(record.temperature)
    classifier.gender_temperature.fill_(record.gender_temperature)
