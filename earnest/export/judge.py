"""Accuracy control: is a quantised graph near enough to the exact one, on speakers it was not trained on?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from earnest.export.calibration import Clips

MOST_LOST = 0.005  # of accuracy, as a share of clips
MOST_CHANGED = 0.015  # of labels; half of what may differ on clips that nobody has heard before

RANKED = 4  # layers are ranked by every fourth clip

Probabilities: TypeAlias = npt.NDArray[np.float32]
Model = TypeVar("Model")


@dataclass(frozen=True)
class Judge:
    """Clips of validation speakers, and what the exact graph says about them.

    Attributes
    ----------
    exact : shape (clips, classes)
    """

    clips: Clips
    exact: Probabilities

    def slack(self, found: Probabilities) -> float:
        """Return how far answers are from the limits on lost accuracy and changed labels: negative beyond them."""
        labels, targets = self.exact.argmax(axis=1), self.clips.targets
        lost = ((labels == targets).sum() - (found.argmax(axis=1) == targets).sum()) / len(targets)
        changed = (found.argmax(axis=1) != labels).sum() / len(targets)
        return float(min(MOST_LOST - lost, MOST_CHANGED - changed))

    def moved(self, found: Probabilities) -> float:
        """Return the mean absolute difference of probabilities."""
        return float(np.abs(found - self.exact).mean())

    def only(self, numbers: Sequence[int]) -> "Judge":
        """Return a judge of some of the clips."""
        waveforms = [self.clips.waveforms[number] for number in numbers]
        return Judge(Clips(waveforms, self.clips.targets[numbers]), self.exact[numbers])


def controlled(
    layers: Sequence[str],
    quantised: Callable[[Sequence[str]], Model],
    answers: Callable[[Model, Clips], Probabilities],
    judge: Judge,
) -> Model:
    """Quantise as many layers as the judge allows.

    Where all of them are too many, each is tried alone, and those that move probabilities most stay in float, one more
    until the limits are kept.
    """
    found = quantised(layers)
    if judge.slack(answers(found, judge.clips)) >= 0:
        return found
    few = judge.only(range(0, len(judge.exact), RANKED))
    harm = {layer: few.moved(answers(quantised([layer]), few.clips)) for layer in layers}
    left = sorted(layers, key=lambda layer: harm[layer])
    while left:
        left.pop()
        found = quantised(left)
        if judge.slack(answers(found, judge.clips)) >= 0:
            break
    return found
