"""What ``earnest evaluate`` scores beside the plain answers: adapted, by variants, with noise."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli.output import echo, echo_table, percent
from earnest.evaluation.leakage import Leakage, sentences_over
from earnest.evaluation.report import results_table, spread_text
from earnest.progress import Progress

if TYPE_CHECKING:
    from earnest.evaluation.curves import Amount
    from earnest.evaluation.matrix import Matrix
    from earnest.evaluation.metrics import Scores
    from earnest.experiments.evaluate import Evaluation
    from earnest.experiments.reanswer import NoiseTest, NoisyEvaluation
    from earnest.experiments.task import Task
    from earnest.training.runtime_statistics import How


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
        from earnest.experiments.reanswer import NoiseTest

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
        from earnest.experiments.reanswer import evaluate_adapted

        typed = shlex.join([*words, *(word for how in again.adapt for word in ("--adapt", how))])
        heard = evaluate_adapted(task, output, typed, again.adapt, progress)
        more["adapted"] = {str(how): one for how, one in heard.items()}
    if again.tta:
        from earnest.experiments.reanswer import evaluate_variants

        typed = shlex.join([*words, *(word for name in again.tta for word in ("--tta", name))])
        more["tta"] = evaluate_variants(task, output, typed, again.tta)
    if again.noise:
        from earnest.evaluation.curves import plot_noise_curves
        from earnest.experiments.reanswer import evaluate_noisy

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


MOST_LINES = 12


def echo_results(outcome: "Evaluation", name: str, outcomes: Outcomes) -> None:
    """Write the results beside the published ones, and what belongs to them."""
    protocol = outcome.protocol
    columns = ("result", "WA", "UA", "macro-F1", "WA interval")
    scores = {name: outcome.scores, **outcomes.scores(name)}
    rows = [[row.result, row.wa, row.ua, row.macro_f1, row.interval] for row in results_table(scores, protocol)]
    echo_table(columns, rows, f"{outcome.document['title']}, per cent, {_means(outcome)}", right=columns[1:])
    echo(f"\n{outcome.scores.n} clips: {protocol.description}. 95 % interval over speakers, all folds together.")
    if outcome.scores.gender:
        echo(outcome.scores.gender.sentence())
    if outcome.over_repeats:
        wa, ua = (spread_text(outcome.over_repeats[name]) for name in ("wa", "ua"))
        seeds = ", ".join(map(str, outcome.document["repeats"]["seeds"]))
        echo(f"Over trainings with the seeds {seeds}: WA {wa}, UA {ua}.")
    if not outcome.coverage.complete:
        echo(f"The corpus is incomplete: {outcome.coverage.sentence()}.")
    if outcomes.noisy:
        echo(f"Noise: {outcomes.noisy.sentence()}.")
    echo(f"Labels: {outcome.labels.sentence()}.")
    for fold, chosen in outcome.document.get("selected", {}).items():
        settings = ", ".join(f"{key} = {value}" for key, value in chosen["settings"].items())
        score = f"{chosen['metric']} {percent(chosen['value'])}"
        echo(f"Chosen in {fold} of {chosen['trials']} trials ({score}): {settings}.")
    echo_leakage(outcome.leakage)


def _means(outcome: "Evaluation") -> str:
    n_folds = len(outcome.splits) // max(1, len(outcome.document.get("repeats", {}).get("seeds", ())))
    return f"mean ± sd over {n_folds} folds" if n_folds > 1 else "one fold"


def echo_leakage(lines: Sequence[Leakage]) -> None:
    """Write what sets have in common, each different line once."""
    echo("Leakage, over all folds:")
    sentences = sentences_over(lines)
    for sentence in sentences[:MOST_LINES]:
        echo(f"  {sentence}")
    if len(sentences) > MOST_LINES:
        echo(f"  and {len(sentences) - MOST_LINES} more such lines in metrics.json")


def echo_matrix(matrix: "Matrix") -> None:
    """Write UA of every pair of corpora."""
    from earnest.evaluation.matrix import NOTE

    columns = ("trained on", *matrix.corpora)
    echo_table(columns, matrix.table(), "\nUA in per cent, tested on", right=columns[1:])
    echo(f"{NOTE}.")


def echo_amounts(amounts: Sequence["Amount"]) -> None:
    """Write a line for each amount of training data."""
    columns = ("share of training data", "clips", "speakers", "WA", "UA")
    rows = [
        [f"{one.share:g}", f"{one.clips:.0f}", f"{one.speakers:.0f}", spread_text(one.wa), spread_text(one.ua)]
        for one in amounts
    ]
    echo_table(columns, rows, "\nThe same test clips, less training data", right=columns)


def echo_as_published(rows: Sequence[Mapping[str, str]], gaps: Sequence[str]) -> None:
    """Write the author's number beside the honest ones."""
    columns = ("protocol", "speakers", "epoch chosen on", "WA", "UA", "WA interval")
    echo_table(columns, [[row[column] for column in columns] for row in rows], right=columns[3:])
    for gap in gaps:
        echo(gap)
