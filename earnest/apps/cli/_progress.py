"""Progress of a long run on a terminal: how many, how fast, how long still."""

from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from earnest.runtime.prediction import Prediction


class RateColumn(ProgressColumn):
    """Recordings a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, "–" before there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "–/s", style="cyan")


def recordings_progress(predictions: Iterator[Prediction], total: int) -> Iterator[Prediction]:
    """Pass predictions on and count them on standard error."""
    columns = (TextColumn("Predicting"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        for prediction in predictions:
            yield prediction
            progress.advance(task)
