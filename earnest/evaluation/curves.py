"""UA over the signal-to-noise ratio and the share of training data, the loss over epochs."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from earnest.errors import EarnestError, shown
from earnest.evaluation.intervals import Spread
from earnest.evaluation.metrics import Scores
from earnest.evaluation.splits import Split
from earnest.files.reading import read_text


@dataclass(frozen=True)
class NoiseCurve:
    """WA and UA (shares from 0 to 1, over folds) of clean test utterances and of each level; ``n`` utterances each.

    Attributes
    ----------
    levels : SNR in dB → (WA, UA)
    """

    clean: tuple[Spread, Spread]
    levels: Mapping[float, tuple[Spread, Spread]]
    n: int

    @classmethod
    def of(cls, clean: Scores, levels: Mapping[float, Scores]) -> "NoiseCurve":
        """Take the means and deviations over folds of scores."""

        def both(scores: Scores) -> tuple[Spread, Spread]:
            return scores.over_folds["wa"], scores.over_folds["ua"]

        return cls(both(clean), {level: both(scores) for level, scores in levels.items()}, clean.n)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str) -> "NoiseCurve":
        """Read the curve from a ``metrics-noise.json``."""
        try:
            rows = {row["snr_db"]: (Spread(**row["wa"]), Spread(**row["ua"])) for row in document["levels"]}
            return cls(rows.pop(None), rows, document["n"])
        except (KeyError, TypeError) as error:
            raise EarnestError(f"{where}: not from `earnest evaluate --noise` ({error!r}).") from error

    def to_list(self) -> list[dict[str, Any]]:
        """Return one row a level, clean (``snr_db`` null) first."""
        rows = [(None, self.clean), *self.levels.items()]
        return [{"snr_db": db, "wa": asdict(wa), "ua": asdict(ua), "n": self.n} for db, (wa, ua) in rows]


@dataclass(frozen=True)
class Amount:
    """A point of the learning curve: scores with a share of the training data.

    Attributes
    ----------
    clips, speakers : trained on, mean over folds
    wa, ua : on the same test utterances as with all data, over folds
    """

    share: float
    clips: float
    speakers: float
    wa: Spread
    ua: Spread

    @classmethod
    def of(cls, share: float, splits: Sequence[Split], scores: Scores) -> "Amount":
        """Average training sizes and scores over splits."""
        n = len(splits)
        clips = sum(len(split.train) for split in splits) / n
        speakers = sum(len({row.speaker for row in split.train}) for split in splits) / n
        return cls(share, clips, speakers, scores.over_folds["wa"], scores.over_folds["ua"])


def read_history(path: Path) -> list[dict[str, float]]:
    """Read ``history.csv``, one row an epoch, without empty cells (validation, where there is none); [] for no file."""
    if not path.exists():
        return []
    try:
        reader = csv.DictReader(StringIO(read_text(path, what="history"), newline=""))
        rows = [{name: value for name, value in row.items() if value} for row in reader]
        for row in rows:
            for name, value in row.items():
                if not isinstance(value, str) or not math.isfinite(float(value)):
                    raise ValueError(f"column {shown(name)} holds {shown(value)}")
            float(row["epoch"])
    except (KeyError, ValueError, csv.Error) as error:
        raise EarnestError(f"{path}: not a history of `earnest train` ({error}). Remove it, or train again.") from error
    return [{name: float(value) for name, value in row.items()} for row in rows]
