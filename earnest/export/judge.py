"""Accuracy control: is a quantised graph near enough to the exact one, on speakers it was not trained on?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from earnest.export.calibration import Clips

MOST_LOST = 0.005  # of accuracy, as a share of clips
MOST_CHANGED = 0.015  # of labels; 0.03 may, on clips that nobody has heard: more change there, 400 clips err by 0.005
BY_CHANCE = 1.645  # standard errors; one time in twenty chance alone goes further

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
        """Return how far answers are from the limits on lost accuracy and changed labels: negative beyond them.

        Of a few hundred clips half a point is one or two, so accuracy counts as lost only beyond chance
        (McNemar, 1947): were a changed answer as likely to become right as wrong, lost minus won would vary by the root
        of their sum.
        """
        was_right, is_right = (answers.argmax(axis=1) == self.clips.targets for answers in (self.exact, found))
        lost, won = (was_right & ~is_right).sum(), (is_right & ~was_right).sum()
        surely_lost = (lost - won - BY_CHANCE * np.sqrt(lost + won)) / len(self.exact)
        return float(min(MOST_LOST - surely_lost, MOST_CHANGED - self.changed(found)))

    def changed(self, found: Probabilities) -> float:
        """Return the share of labels that change.

        How far each clip moves is held against how sure each other one was too: by these pairs the share varies half as
        much from one set of clips to the next as by counting the few labels that did change.
        """
        margins = self._margins(self.exact)
        moves = margins - self._margins(found)
        return float((moves[:, None] > margins).mean())

    def _margins(self, answers: Probabilities) -> Probabilities:
        """Return by how much the exact label's log-probability exceeds the best other one's, shape (clips,)."""
        logs = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
        is_label = np.arange(logs.shape[1]) == self.exact.argmax(axis=1)[:, None]
        best_other: Probabilities = np.where(is_label, -np.inf, logs).max(axis=1)
        margins: Probabilities = logs[is_label] - best_other
        return margins

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
    ranking: Callable[[], Sequence[str]],
) -> Model:
    """Quantise as many layers as the judge allows.

    Where all of them are too many, those that ``ranking`` names last stay in float, one more until the limits are kept.
    """
    found = quantised(layers)
    if judge.slack(answers(found, judge.clips)) >= 0:
        return found
    left = list(ranking())
    while left:
        left.pop()
        found = quantised(left)
        if judge.slack(answers(found, judge.clips)) >= 0:
            break
    return found


def ranked(
    layers: Sequence[str],
    quantised: Callable[[Sequence[str]], Model],
    answers: Callable[[Model, Clips], Probabilities],
    judge: Judge,
) -> list[str]:
    """Try each layer alone; those that move probabilities most come last."""
    few = judge.only(range(0, len(judge.exact), RANKED))
    harm = {layer: few.moved(answers(quantised([layer]), few.clips)) for layer in layers}
    return sorted(layers, key=lambda layer: harm[layer])
