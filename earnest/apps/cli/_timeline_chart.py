"""A timeline on a terminal: one row an emotion, time from left to right, higher where it is more probable."""

from collections.abc import Iterator

import click

from earnest.apps.cli._predict_table import answer_words, bar
from earnest.printable import printable
from earnest.runtime.prediction import percent
from earnest.runtime.smoothing import UNSURE
from earnest.runtime.timeline import Span, Timeline, shares_over_time
from earnest.runtime.timeline_plot import clock, label_colour, tick_step_s

MAX_SPANS = 40
_BARS = " ▁▂▃▄▅▆▇█"
_BAR = 12


def chart(timeline: Timeline, columns: int) -> Iterator[str]:
    """Yield the lines: what it is, the chart, seconds of each emotion, the first spans."""
    prediction, longest_s = timeline.prediction, timeline.duration_s
    speech = f"{exact_clock(prediction.speech_s or 0)} of speech in {exact_clock(longest_s)}"
    title = f"{printable(timeline.path)}  {speech}"
    yield click.style(title, bold=True)
    yield click.style(answer_words(prediction), fg=None if prediction.emotion else "yellow")
    if not timeline.entries():
        return
    yield ""
    names = _leading(timeline)
    width = max(map(len, [*names, *(entry.emotion for entry in timeline.entries())]))
    shares = shares_over_time(timeline, max(columns - width - 2, 20))
    for name in names:
        row = "".join(_BARS[round(8 * float(share))] for share in shares[timeline.classes.index(name)])
        yield f"{printable(name):>{width}}  {_coloured(row, timeline, name)}".rstrip()
    yield " " * (width + 2) + _axis(longest_s, shares.shape[1])
    yield ""
    yield from _span_rows(timeline, width)


def _leading(timeline: Timeline) -> list[str]:
    """Return the emotions that lead in a span or a window, those that led the longest first."""
    leading = {name: 0 for name in timeline.seconds_by_emotion() if name != UNSURE}
    for window in timeline.windows:
        best = max(window.probabilities, key=window.probabilities.__getitem__)
        leading[best] = leading.get(best, 0) + 1
    return sorted(leading, key=lambda name: -leading[name])


def _coloured(text: str, timeline: Timeline, label: str) -> str:
    colour = label_colour(label, timeline.classes)
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return click.style(text, fg=(red, green, blue))


def _axis(longest_s: float, n_columns: int) -> str:
    """Return marks at round times, as many as fit."""
    step_s = tick_step_s(longest_s, n_columns / 12)
    line = ""
    for number in range(int(longest_s / step_s) + 1):
        mark = clock(number * step_s, longest_s)
        column = round(number * step_s * n_columns / longest_s)
        if column >= len(line) and column + len(mark) <= n_columns + 2:
            line = f"{line:<{column}}{mark}"
    return line


def _span_rows(timeline: Timeline, width: int) -> Iterator[str]:
    yield click.style(f"{'Start':>10}  {'End':>10}  {'Emotion':<{width}}  Confidence", bold=True)
    entries = timeline.entries()
    for span in entries[:MAX_SPANS]:
        yield _span_row(span, timeline, width)
    if len(entries) > MAX_SPANS:
        yield f"… {len(entries) - MAX_SPANS} more spans (all of them: --format csv). Seconds of each:"
        for name, seconds in timeline.seconds_by_emotion().items():
            yield f"  {printable(name):<{width}}  {seconds:9.1f}"


def _span_row(span: Span, timeline: Timeline, width: int) -> str:
    times = f"{exact_clock(span.start_s):>10}  {exact_clock(span.end_s):>10}"
    name = f"{printable(span.emotion):<{width}}"
    confidence = _coloured(bar(span.confidence, _BAR), timeline, span.emotion)
    return f"{times}  {name}  {confidence} {percent(span.confidence):>5}"


def exact_clock(seconds: float) -> str:
    """Return hours, minutes and seconds with a tenth: 1:02:03.4."""
    tenths = round(10 * seconds)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02d}.{rest % 10}"
