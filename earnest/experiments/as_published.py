"""One recipe three times: the epoch chosen on test as its authors did, on validation clips, and on unseen speakers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earnest.evaluation.author_protocols import STAMP, author_protocol, chosen_on_test
from earnest.evaluation.report import result_row
from earnest.experiments.evaluate import Evaluation, evaluate
from earnest.experiments.task import Task


@dataclass(frozen=True)
class AsPublished:
    """The outcomes.

    Attributes
    ----------
    on_test : the author's number; it is no result
    on_validation : the same splits, epoch chosen on a tenth of the training clips
    unseen : the honest protocol of the same task
    """

    on_test: Evaluation
    on_validation: Evaluation
    unseen: Evaluation

    @property
    def columns(self) -> Mapping[str, Evaluation]:
        """The three by name."""
        return {"epoch_on_test": self.on_test, "same_split": self.on_validation, "unseen_speakers": self.unseen}

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
        """Return by how many points of WA (mean over folds) the author's number lies above the others."""
        wa = {name: 100 * one.scores.over_folds["wa"].mean for name, one in self.columns.items()}
        return {name: wa["epoch_on_test"] - wa[name] for name in ("same_split", "unseen_speakers")}

    def sentences(self) -> list[str]:
        """Say the gaps."""
        gaps = self.gaps()
        return [
            f"Choosing the epoch on test instead of validation: {gaps['same_split']:+.1f} points of WA.",
            f"That, and speakers that training heard: {gaps['unseen_speakers']:+.1f} points of WA.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "note": f"epoch_on_test is for comparison only ({STAMP})",
            "gaps_in_points_of_wa": self.gaps(),
            **{name: one.document for name, one in self.columns.items()},
        }


def evaluate_as_published(
    published: Task,
    unseen: Task,
    output: Path,
    command: str,
    jobs: int = 1,
    on_fold: Callable[[str], object] | None = None,
) -> AsPublished:
    """Train and score the three.

    Parameters
    ----------
    published : under the protocol that a publication reports
    unseen : under the honest protocol of the same task
    output : gets a folder for each of the three
    """
    on_test = replace(published.with_splits(chosen_on_test), protocol=author_protocol(published.protocol))
    outcomes = [
        evaluate(task, output / task.protocol.name, command, jobs, on_fold) for task in (on_test, published, unseen)
    ]
    return AsPublished(*outcomes)
