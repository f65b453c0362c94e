"""UA over the amount of training data: values of one recipe, and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.evaluation.intervals import Spread
from earnest.evaluation.metrics import Scores
from earnest.evaluation.plots import BLUE, DPI, GRID, MUTED, headline, new_figure
from earnest.evaluation.splits import Split
from earnest.run_files import replacing


@dataclass(frozen=True)
class Amount:
    """How well a recipe does with a share of the training data.

    Attributes
    ----------
    clips, speakers : trained on, mean over folds
    wa, ua : on the same test clips as with all data, over folds
    """

    share: float
    clips: float
    speakers: float
    wa: Spread
    ua: Spread

    @classmethod
    def of(cls, share: float, splits: Sequence[Split], scores: Scores) -> "Amount":
        """Count what was trained on."""
        n = len(splits)
        clips = sum(len(split.train) for split in splits) / n
        speakers = sum(len({row.speaker for row in split.train}) for split in splits) / n
        return cls(share, clips, speakers, scores.over_folds["wa"], scores.over_folds["ua"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values: Mapping[str, Any] = {"share": self.share, "clips": self.clips, "speakers": self.speakers}
        return {**values, "wa": self.wa.to_dict(), "ua": self.ua.to_dict()}


def plot_data_curve(amounts: Sequence[Amount], path: Path, title: str) -> None:
    """Draw UA over the number of training clips; bars are standard deviations over folds, where there are several."""
    figure = new_figure(6.6, 4.3)
    axes = figure.subplots()
    ordered = sorted(amounts, key=lambda amount: amount.share)
    deviations = [100 * (amount.ua.sd or 0.0) for amount in ordered]
    clips = [amount.clips for amount in ordered]
    axes.errorbar(clips, [100 * amount.ua.mean for amount in ordered], deviations if any(deviations) else None,
                  color=BLUE, marker="o", capsize=3)  # fmt: skip
    axes.set_xscale("log")
    axes.minorticks_off()
    labels = [f"{amount.clips:.0f}\n{amount.speakers:.0f} speakers" for amount in ordered]
    axes.set_xticks(clips, labels)
    axes.set_xlabel("training clips (logarithmic)", color=MUTED)
    axes.set_ylabel("UA in %", color=MUTED)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    headline(figure, title, "validation and test clips are the same throughout")
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)
