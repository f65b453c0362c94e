"""``run.json``: what a finished run says about itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.bundle import TrainingCorpus
from earnest.config import from_mapping
from earnest.evaluation.calibration import FittedCalibration
from earnest.reading import read_json
from earnest.training_settings import Task

RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """What ``run.json`` says about a finished run.

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
    learned : tasks beside the emotion that training clips had labels for; the model answers no others
    adaptation, domain : as in the bundle, None where there is none
    calibration : ECE and NLL of the validation clips; None without any
    gender_temperature, gender_calibration : the same of the gender, over clips whose gender is known
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


def read_record(folder: Path) -> RunRecord:
    """Read ``run.json`` of a finished run."""
    path = folder / RECORD
    missing = f"no finished run ({RECORD} is missing). Give the folder of `earnest train`."
    values = read_json(path, missing=missing)
    return from_mapping(RunRecord, values, str(path))
