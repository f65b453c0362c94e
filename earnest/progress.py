"""Progress of long work: bars on standard error, or nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn

T = TypeVar("T")


class ShowAmount(Protocol):
    """What shows how much of some work is done; a total of 0 is unknown."""

    def __call__(self, done: int, total: int, name: str = "", /) -> object: ...


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
        from rich.progress import Progress as Bars

        with _drawn(*Bars.get_default_columns()) as bars:
            task = bars.add_task(what, total=total)
            yield lambda: bars.advance(task)

    def counted(self, what: str, items: Iterable[T], total: int, note: Callable[[], str] | None = None) -> Iterable[T]:
        """Return the items, ``total`` of them; the bar counts them and says how many a second there are.

        Parameters
        ----------
        note : gives what stands behind the bar now, such as how far the item is that is worked on
        """
        return _counted(what, items, total, note) if self.visible else items

    @contextmanager
    def amount(self, what: str, in_bytes: bool = False) -> Iterator[ShowAmount]:
        """Yield a function (done, total, name) for work that says itself how much it is; ``what`` where it has no name.

        Parameters
        ----------
        in_bytes : whether ``done`` and ``total`` are bytes
        """
        if not self.visible:
            yield lambda *_: None
            return
        from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        done_column = DownloadColumn() if in_bytes else MofNCompleteColumn()
        with _drawn(TextColumn("{task.description}"), BarColumn(), done_column, TimeRemainingColumn()) as bars:
            task = bars.add_task(what, total=None)
            yield lambda done, total, name="": bars.update(
                task, description=name or what, completed=done, total=total or None
            )


SILENT = Progress()


def _drawn(*columns: "ProgressColumn") -> "Bars":
    """Return bars on standard error that go away when the work is done."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    return Bars(*columns, console=Console(stderr=True), transient=True)


def _counted(what: str, items: Iterable[T], total: int, note: Callable[[], str] | None) -> Iterator[T]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = [TextColumn(what), BarColumn(), MofNCompleteColumn(), _rate(), TimeRemainingColumn()]
    with _drawn(*columns, *([_note(note)] if note else [])) as bars:
        task = bars.add_task("", total=total)
        for item in items:
            yield item
            bars.advance(task)


def _rate() -> "ProgressColumn":
    """Return a column with steps a second, of fewer than one those a minute, "–" before there is a first."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.speed or 0.0
            told = f"{speed:,.0f}/s" if speed >= 1 else f"{60 * speed:,.0f}/min" if speed else "–/s"
            return Text(told, style="cyan")

    return Rate()


def _note(note: Callable[[], str]) -> "ProgressColumn":
    """Return a column with what is said each time that the bar is drawn."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Note(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(note())

    return Note()
