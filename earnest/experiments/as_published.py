"""One recipe as its authors trained it, with the epoch chosen on validation clips, and on unseen speakers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earnest.evaluation.author_protocols import STAMP, author_protocol, chosen_on_test, published_as
from earnest.evaluation.report import result_row
from earnest.experiments.engines import ONE_BY_ONE, FoldEngine
from earnest.experiments.evaluate import Evaluation, evaluate
from earnest.experiments.task import Task

ON_TEST, SAME_SPLIT, UNSEEN = "epoch_on_test", "same_split", "unseen_speakers"


@dataclass(frozen=True)
class AsPublished:
    """The outcomes, the authors' first.

    Attributes
    ----------
    columns : "epoch_on_test", the author's number where test clips chose it, which is no result; "same_split", the
        same splits with the epoch chosen on validation clips; "unseen_speakers", the honest protocol of the same task,
        where that is another
    """

    columns: Mapping[str, Evaluation]

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of a table, as texts."""
        found = []
        for one in self.columns.values():
            row = result_row("", one.protocol, one.scores)
            chosen_on = "TEST" if one.document["selected_on"] == "test" else "validation"
            found.append(
                {
                    "protocol": row.protocol,
                    "speakers": row.speakers,
                    "epoch chosen on": chosen_on,
                    "WA": row.wa,
                    "UA": row.ua,
                    "WA interval": row.interval,
                }
            )
        return found

    def gaps(self) -> dict[str, float]:
        """Return by how many points of WA (mean over folds) the first lies above the others."""
        wa = {name: 100 * one.scores.over_folds["wa"].mean for name, one in self.columns.items()}
        first = next(iter(wa))
        return {name: wa[first] - value for name, value in wa.items() if name != first}

    def sentences(self) -> list[str]:
        """Say the gaps."""
        gaps = self.gaps()
        if not gaps:
            return ["Its authors chose the epoch on validation clips and tested unseen speakers, as we do."]
        if ON_TEST not in self.columns:
            chosen = "Its authors chose the epoch on validation clips, as we do."
            return [chosen, f"Speakers that training heard: {gaps[UNSEEN]:+.1f} points of WA."]
        return [
            f"Choosing the epoch on test instead of validation: {gaps[SAME_SPLIT]:+.1f} points of WA.",
            f"That, and speakers that training heard: {gaps[UNSEEN]:+.1f} points of WA.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        note = f"{ON_TEST} is for comparison only ({STAMP})" if ON_TEST in self.columns else ""
        return {
            "note": note,
            "gaps_in_points_of_wa": self.gaps(),
            **{name: one.document for name, one in self.columns.items()},
        }


def evaluate_as_published(
    published: Task,
    unseen: Task,
    output: Path,
    command: str,
    engine: FoldEngine = ONE_BY_ONE,
    on_fold: Callable[[str], object] | None = None,
) -> AsPublished:
    """Train and score each.

    Parameters
    ----------
    published : under the protocol that a publication reports
    unseen : under the honest protocol of the same task
    output : gets a folder for each
    """
    tasks = {SAME_SPLIT: published, UNSEEN: unseen}
    if unseen.protocol.name == published.protocol.name:
        del tasks[UNSEEN]
    if published_as(published.protocol.name).chosen_on == "test":
        on_test = replace(published.with_splits(chosen_on_test), protocol=author_protocol(published.protocol))
        tasks = {ON_TEST: on_test, **tasks}
    return AsPublished(
        {name: evaluate(task, output / task.protocol.name, command, engine, on_fold) for name, task in tasks.items()}
    )
