"""What ``earnest evaluate`` scores beside the plain answers: adapted, by variants, with noise."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.progress import Progress

if TYPE_CHECKING:
    from earnest.evaluation.metrics import Scores
    from earnest.training.adaptation import How
    from earnest.training.evaluate import Evaluation
    from earnest.training.evaluate_noisy import NoiseTest, NoisyEvaluation
    from earnest.training.task import Task

DEFAULT_LEVELS = "0,5,10,20"


@dataclass(frozen=True)
class Again:
    """What was asked for; `checked` before anything is trained.

    Attributes
    ----------
    noise_words : the options of the noise, as they were typed
    """

    adapt: "Sequence[How]"
    tta: Sequence[str]
    noise: "NoiseTest | None"
    noise_words: Sequence[str] = ()

    @classmethod
    def checked(
        cls, adapt: "Sequence[How]", tta: Sequence[str], folder: str | None, snr_db: str | None, names: str | None
    ) -> "Again":
        """Refuse unknown variants, and noises and levels that aren't there."""
        from earnest.augment.tta import variants_called

        for name in tta:
            variants_called(name)
        if folder is None:
            if snr_db is not None or names is not None:
                raise click.UsageError("--snr-db and --noise-names say more about --noise FOLDER. Add it.")
            return cls(adapt, tta, None)
        from earnest.training.evaluate_noisy import NoiseTest

        words = ["--noise", folder, "--snr-db", snr_db or DEFAULT_LEVELS]
        noise = NoiseTest(folder, numbers(snr_db or DEFAULT_LEVELS, "--snr-db", DEFAULT_LEVELS), listed(names))
        return cls(adapt, tta, noise, [*words, *(["--noise-names", names] if names else [])])


@dataclass(frozen=True)
class Outcomes:
    """Results beside the plain one: kind → name → evaluation; and those with noise."""

    more: "Mapping[str, Mapping[str, Evaluation]]" = field(default_factory=dict)
    noisy: "NoisyEvaluation | None" = None

    def documents(self) -> dict[str, object]:
        """Return what belongs beside the plain document in ``--json``."""
        found: dict[str, object] = {
            kind: {name: one.document for name, one in outcomes.items()} for kind, outcomes in self.more.items()
        }
        return found | ({"noise": self.noisy.document} if self.noisy else {})

    def scores(self, name: str) -> "dict[str, Scores]":
        """Return the lines of the table of results."""
        lines = {
            f"{name}, {kind}: {how}": one.scores for kind, found in self.more.items() for how, one in found.items()
        }
        if self.noisy:
            lines |= {f"{name}, noise: {level:g} dB": scores for level, scores in self.noisy.levels.items()}
        return lines


def evaluate_again(again: Again, task: "Task", output: Path, words: Sequence[str], progress: Progress) -> Outcomes:
    """Score what was asked for.

    Parameters
    ----------
    output : of the plain result
    words : the command of the plain result
    """
    more: dict[str, Mapping[str, Evaluation]] = {}
    noisy = None
    if again.adapt:
        from earnest.training.evaluate_adapted import evaluate_adapted

        typed = shlex.join([*words, *(word for how in again.adapt for word in ("--adapt", how))])
        heard = evaluate_adapted(task, output, typed, again.adapt, progress)
        more["adapted"] = {str(how): one for how, one in heard.items()}
    if again.tta:
        from earnest.training.evaluate_variants import evaluate_variants

        typed = shlex.join([*words, *(word for name in again.tta for word in ("--tta", name))])
        more["tta"] = evaluate_variants(task, output, typed, again.tta)
    if again.noise:
        from earnest.evaluation.noise_curve import plot_noise_curves
        from earnest.training.evaluate_noisy import evaluate_noisy

        noisy = evaluate_noisy(task, output, shlex.join([*words, *again.noise_words]), again.noise)
        name = Path(words[2]).stem
        plot_noise_curves({name: noisy.curve}, output / "noise.png", f"{name}, {task.title}", noisy.sentence())
    return Outcomes(more, noisy)


def listed(words: str | None) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in (words or "").split(",") if word.strip())


def numbers(words: str, option: str, example: str) -> tuple[float, ...]:
    """Return the numbers between commas."""
    try:
        return tuple(float(word) for word in listed(words))
    except ValueError:
        raise click.UsageError(f"{option} expects numbers with commas, such as {example}; got '{words}'.") from None
