"""Training health: signs, seen after an epoch, that a network is not learning, each told once with what to do."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from earnest.errors import named

EXPLODED = 10.0  # times the loss of constant answers
SAME = 1e-3  # answers that differ by less, over all utterances, are one answer
FEWEST_EPOCHS = 5  # before it is asked whether answers are better than chance


@dataclass
class Health:
    """Faults of one training, checked after each epoch.

    Attributes
    ----------
    epochs : planned
    n_classes : of the emotion
    chance_loss : of answers that don't depend on the utterance
    found : sign → sentence, in the order in which they were found
    """

    epochs: int
    n_classes: int
    chance_loss: float
    found: dict[str, str] = field(default_factory=dict)
    _constant_before: list[str] = field(default_factory=list)

    def state_dict(self) -> dict[str, object]:
        """Return the state for a resumed training."""
        return {"found": self.found, "constant_before": self._constant_before}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take over what was found before a kill."""
        found, constant = state["found"], state["constant_before"]
        assert isinstance(found, dict)
        assert isinstance(constant, list)
        self.found, self._constant_before = dict(found), list(constant)

    def check(
        self,
        history: Sequence[Mapping[str, float]],
        constant: Collection[str],
        dead: Collection[str],
        class_counts: Sequence[int],
    ) -> list[str]:
        """Return faults that an epoch shows for the first time.

        Parameters
        ----------
        history : of all epochs so far
        constant : answers that were the same for all validation utterances of this epoch, see `constant_answers`
        dead : weights that no gradient reached in this epoch, see `SilentWeights`
        class_counts : validation utterances of each class that has any
        """
        told = {
            "exploding": self._exploding(history[-1]),
            "constant": self._constant(history[-1], constant),
            "dead": _dead(history[-1], dead),
            "chance": self._chance(history, class_counts),
        }
        new = {sign: sentence for sign, sentence in told.items() if sentence and sign not in self.found}
        self.found |= new
        return list(new.values())

    def _exploding(self, row: Mapping[str, float]) -> str:
        if row["train_loss"] <= EXPLODED * self.chance_loss:
            return ""
        return (
            f"The loss explodes: in epoch {row['epoch']:.0f} it was {row['train_loss']:.3g}, where constant answers "
            f"have {self.chance_loss:.2g}. Try a smaller learning_rate, or gradient_clip = 1.0."
        )

    def _constant(self, row: Mapping[str, float], constant: Collection[str]) -> str:
        # Two epochs in a row: the first steps of a slow start may leave answers as good as equal.
        lasting = [name for name in constant if name in self._constant_before]
        self._constant_before = list(constant)
        if not lasting:
            return ""
        return (
            f"The answers are constant: in epoch {row['epoch']:.0f} all validation clips got the same "
            f"{' and '.join(lasting)}. Try a smaller learning_rate, and less dropout."
        )

    def _chance(self, history: Sequence[Mapping[str, float]], class_counts: Sequence[int]) -> str:
        """Ask once, after a third of the epochs, whether the mean UA of the last half of them is that of guesses."""
        n_done = len(history)
        if n_done != max(FEWEST_EPOCHS, math.ceil(self.epochs / 3)) or len(class_counts) < 2:
            return ""
        # Guesses among C classes: each recall has mean 1/C and variance (1/C)·(1 − 1/C)/n_c; UA is the recalls' mean.
        share = 1 / self.n_classes
        deviation = math.sqrt(sum(share * (1 - share) / n for n in class_counts)) / len(class_counts)
        last = [row["valid_ua"] for row in history[n_done // 2 :]]
        mean = sum(last) / len(last)
        if mean > share + deviation:
            return ""
        return (
            f"No better than chance: after {n_done} of {self.epochs} epochs UA on validation clips is "
            f"{100 * mean:.1f} %, guesses have {100 * share:.1f} ± {100 * deviation:.1f} %. "
            "Check labels and learning_rate."
        )


def _dead(row: Mapping[str, float], dead: Collection[str]) -> str:
    if not dead:
        return ""
    return (
        f"Dead layers: no gradient reached {named(sorted(dead))} in epoch {row['epoch']:.0f}. "
        "Try a smaller learning_rate, or another start."
    )


def constant_answers(answers: Mapping[str, Tensor]) -> list[str]:
    """Return the names of answers that are the same for all utterances.

    Parameters
    ----------
    answers : name → (utterances, numbers), probabilities or values from 0 to 1
    """
    # max − min over utterances of each number, (numbers,)
    spread = {name: values.amax(dim=0) - values.amin(dim=0) for name, values in answers.items() if len(values) > 1}
    return [name for name, ranges in spread.items() if float(ranges.max()) < SAME]


class SilentWeights:
    """The weights that no gradient reached since the last epoch began, of those that are part of the loss."""

    def __init__(self, network: nn.Module, declared: Collection[str]) -> None:
        self.network, self.declared = network, declared
        self.names: set[str] = set()
        self._waiting: dict[str, nn.Parameter] = {}

    def begin(self) -> None:
        """Begin an epoch."""
        self._waiting = {
            name: weight
            for name, weight in self.network.named_parameters()
            if weight.requires_grad and name not in self.declared
        }
        self.names = set()

    def see(self) -> None:
        """Look at the gradients of one step; a weight that has had one isn't looked at again."""
        for name, weight in list(self._waiting.items()):
            if weight.grad is None:  # no part of the loss: a head that nobody labelled
                continue
            if bool(weight.grad.any()):
                del self._waiting[name]
                self.names.discard(name)
            else:
                self.names.add(name)
