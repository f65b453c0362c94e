"""How far long work is: a bar on standard error, or nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Shows how far work is; who starts the work says whether anybody looks."""

    visible: bool = False

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[], object]]:
        """Draw a bar, ``what`` before it; yield what to call for each of ``total`` steps."""
        if not self.visible:
            yield lambda: None
            return
        from rich import progress
        from rich.console import Console

        with progress.Progress(console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(what, total=total)
            yield lambda: bars.advance(task)


SILENT = Progress()
