"""What `earnest listen` shows on a terminal: level, probabilities now, the last spans."""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from earnest.apps.cli._predict_table import bar
from earnest.apps.cli._timeline_chart import exact_clock
from earnest.audio.feed import Lost
from earnest.printable import printable
from earnest.runtime.prediction import VocalBurst, percent
from earnest.runtime.timeline import Event, Gap, Segment, Span, Window, burst_span
from earnest.runtime.timeline_plot import label_colour

N_SPANS = 6
_BAR = 30
_LOWEST_DBFS = -60.0


class LiveView:
    """Keeps what is shown, no more."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._now = dict.fromkeys(classes, 0.0)
        self._spans: deque[Span] = deque(maxlen=N_SPANS)
        self._level_dbfs = _LOWEST_DBFS
        self._received_s = self._lost_s = 0.0
        self._speaking = False

    def hear(self, item: npt.NDArray[np.float32] | Lost, received_s: float, speaking: bool) -> None:
        """Note the level of what came last, and whether it is speech."""
        self._received_s, self._speaking = received_s, speaking
        if not isinstance(item, Lost) and len(item):
            self._level_dbfs = float(10 * np.log10(np.var(item) + 1e-20))

    def take(self, event: Event) -> None:
        """Note what is certain."""
        if isinstance(event, Window):
            self._now = dict(event.probabilities)
        elif isinstance(event, Span):
            self._spans.append(event)
        elif isinstance(event, VocalBurst):
            self._spans.append(burst_span(event))
        elif isinstance(event, Segment):
            self._now = dict.fromkeys(self._now, 0.0)
        elif isinstance(event, Gap):
            self._lost_s += event.end_s - event.start_s

    def picture(self) -> Any:
        """Return what rich draws."""
        parts: list[Any] = [self._head(), self._bars()]
        if self._spans:
            parts.append(self._last_spans())
        if self._lost_s:
            parts.append(Text(f"{self._lost_s:.1f} s of sound were lost: this computer is too slow.", style="bold red"))
        return Group(*parts)

    def _head(self) -> Text:
        share = min(max(1 - self._level_dbfs / _LOWEST_DBFS, 0.0), 1.0)
        state = ("● speech", "bold green") if self._speaking else ("○ pause", "dim")
        return Text.assemble(f"{exact_clock(self._received_s):>9}  ", (bar(share, 12, most=1.0), "cyan"), "  ", state)

    def _bars(self) -> Table:
        table = Table.grid(padding=(0, 1))
        leader = max(self._now, key=self._now.__getitem__)
        for name, share in self._now.items():
            style = "bold" if share and name == leader else "" if share else "dim"
            drawn = Text(bar(share, _BAR), style=self._colour(name))
            table.add_row(Text(f"{printable(name):>11}", style=style), drawn, Text(f"{percent(share):>5}", style=style))
        return table

    def _last_spans(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for span in self._spans:
            times = f"{exact_clock(span.start_s)} – {exact_clock(span.end_s)}"
            label = Text(printable(span.emotion), self._colour(span.emotion))
            table.add_row(f"{times:>19}", label, percent(span.confidence))
        return table

    def _colour(self, label: str) -> str:
        return label_colour(label, self._classes)
