"""What a caller asks of an answer: of which classes, and how sure it must be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError
from earnest.suggest import suggestion

Shares: TypeAlias = npt.NDArray[np.floating]
Classes: TypeAlias = Sequence[str] | str | None
"""Names of classes, or a text of them with commas; None for all."""
_LEAST = 1e-12  # probability of a class; where all that are asked for have less, they are equal
_SAME_WITHOUT = {"calm": "neutral"}  # where the first is not asked for, it counts as the second


@dataclass(frozen=True)
class Options:
    """What a caller asks.

    Attributes
    ----------
    classes : those asked for, two at least; empty for all of the model's
    abstain_below : confidence, 0 to 1, below which an answer is "unsure"; 0 tells every answer, None is the bundle's
    """

    classes: tuple[str, ...] = ()
    abstain_below: float | None = None

    @classmethod
    def of(cls, classes: Classes = None, abstain_below: float | None = None) -> "Options":
        """Read what a caller gave: names in a list, or in one text with commas between them."""
        names = classes.split(",") if isinstance(classes, str) else classes or ()
        if abstain_below is not None and not 0 <= abstain_below <= 1:
            raise EarnestError(f"abstain_below must be 0 to 1, got {abstain_below}.")
        return cls(tuple(dict.fromkeys(name.strip() for name in names if name.strip())), abstain_below)

    def words(self) -> dict[str, Any]:
        """Return what the methods of `earnest.runtime.predictor.Predictor` take by name."""
        return {"classes": self.classes, "abstain_below": self.abstain_below}


class ClassChoice:
    """Probabilities of the classes asked for alone: p_k / Σ_j p_j over those j.

    Where "calm" is not asked for and "neutral" is, its probability is added to neutral's.

    Attributes
    ----------
    classes : in the order in which they were asked for
    """

    def __init__(self, info: BundleInfo, options: Options) -> None:
        self.classes = options.classes or info.classes
        unknown = next((name for name in self.classes if name not in info.classes), None)
        if unknown is not None:
            hint = suggestion(unknown, info.classes)
            raise EarnestError(f"'{info.name}' has no class '{unknown}', but {', '.join(info.classes)}.{hint}")
        if len(self.classes) < 2:
            raise EarnestError(f"Ask for two classes or more, not for '{self.classes[0]}' alone.")
        self._is_all = self.classes == info.classes
        named = [_SAME_WITHOUT.get(name, name) if name not in self.classes else name for name in info.classes]
        self._taken = np.array([[name == asked for asked in self.classes] for name in named], np.float64)

    def of(self, probabilities: Shares) -> Shares:
        """Map the model's probabilities (…, its classes) to those asked for, (…, classes)."""
        if self._is_all:
            return probabilities
        taken = probabilities.astype(np.float64) @ self._taken + _LEAST
        return np.asarray(taken / taken.sum(axis=-1, keepdims=True))
