"""Made-up results on disk: predictions with probabilities, two folds, four speakers, and what evaluate writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from earnest.evaluation.metrics import score
from earnest.evaluation.predictions import Predictions, write_predictions
from tests.prediction_rows import PredictionRow, predictions_of

CLASSES = ("happy", "sad", "angry")
SPEAKERS = {"ann": "female", "ben": "male", "cem": "male", "dora": "female"}
LEAKAGE = [
    {"sets": ["train", "test"], "shared": {"speakers": 0, "sentences": 2, "duplicates": None}},
    {"sets": ["train", "test"], "shared": {"speakers": 0, "sentences": 3, "duplicates": None}},
    {"sets": ["train", "valid"], "shared": {"speakers": 0, "sentences": 1, "duplicates": None}},
]


def made_up(seed: int = 0, sharpness: float = 2.0, names: dict[str, str] | None = None, n: int = 5) -> Predictions:
    """Answer ``n`` clips a class and speaker, more often rightly the sharper; ``names`` changes speakers."""
    rng = np.random.default_rng(seed)
    rows = []
    for position, (speaker, gender) in enumerate(SPEAKERS.items()):
        for emotion in CLASSES:
            for take in range(n):
                logits = rng.normal(0, 1, 3) + sharpness * (np.array(CLASSES) == emotion)
                p = np.exp(logits) / np.exp(logits).sum()
                rows.append(
                    PredictionRow(
                        f"{speaker}-{emotion}-{take}",
                        "made-up",
                        (names or {}).get(speaker, speaker),
                        gender,
                        f"f{1 + position // 2}",
                        emotion,
                        CLASSES[int(p.argmax())],
                        dict(zip(CLASSES, p.tolist(), strict=True)),
                    )
                )
    return predictions_of(rows, CLASSES)


def write_result(folder: Path, predictions: Predictions | None = None, **facts: Any) -> Path:
    """Write a folder as of `earnest evaluate`, without trainings."""
    folder.mkdir(parents=True)
    predictions = predictions or made_up()
    write_predictions(predictions, folder / "predictions.csv")
    document = {
        **score(predictions, np.random.default_rng(0)).to_dict(),
        "protocol": "speaker-5fold",
        "speaker_independent": True,
        "title": "speaker-5fold (speaker-independent)",
        "command": "earnest evaluate recipe.toml --protocol speaker-5fold",
        "clips": "60 clips",
        "labels": "60 kept",
        "leakage": LEAKAGE,
        **facts,
    }
    (folder / "metrics.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def write_run(folder: Path, fold: str = "f1", history: str = "") -> Path:
    """Write what a training leaves behind, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "classes": CLASSES,
        "protocol": "speaker-5fold",
        "fold": fold,
        "speaker_independent": True,
        "seed": 0,
        "best_epoch": 2 if history else 0,
        "epochs": 3 if history else 0,
        "origin": "random",
        "refitted": False,
        "temperature": 1.0,
        "n_parameters": 1,
        "n_train": 1,
        "n_valid": 1,
        "n_test": 1,
        "training_corpora": [],
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    if history:
        (folder / "history.csv").write_text(history, encoding="utf-8")
    return folder


HISTORY = "epoch,train_loss,valid_loss,valid_ua\n1,1.1,1.2,0.4\n2,0.9,1.0,0.625\n3,0.8,1.1,0.5\n"
