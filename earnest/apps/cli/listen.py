"""``earnest listen``: emotions while somebody speaks; level, probabilities and the last spans on a terminal."""

import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from shlex import quote
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from earnest.apps.cli import say
from earnest.apps.cli._answers import NoteCounter, bar, exact_clock
from earnest.apps.cli._options import (
    CHANNEL,
    CHANNEL_NUMBER,
    AdaptationOptions,
    AnswerOptions,
    ModelOptions,
    WindowOptions,
    options,
)
from earnest.apps.cli._recordings import standard_input
from earnest.apps.cli._typed import output_options
from earnest.audio.feed import Lost, microphone, microphones, open_pipe
from earnest.corpora.turns import are_turns
from earnest.errors import AudioError, printable
from earnest.runtime.formats import json_line
from earnest.runtime.prediction import Event, Gap, Segment, Span, VocalBurst, Window, burst_span, percent
from earnest.runtime.stream import Stream
from earnest.runtime.timeline_plot import label_colour

N_SPANS = 6
_BAR = 30
_LOWEST_DBFS = -60.0


class LiveView:
    """The state of the live view, no more."""

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
        """Take an event: windows change, spans, bursts and segments are final."""
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
        """Build the picture that rich draws."""
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


Sound = Iterable[npt.NDArray[np.float32] | Lost]


def _pipe_or_microphone(_context: click.Context, _parameter: click.Parameter, word: str | None) -> str | None:
    if word not in (None, "-"):
        command = "predict" if are_turns(word) else "timeline"
        raise click.BadParameter(
            f"give - for a pipe, nothing for the microphone. A file: earnest {command} {quote(word)}"
        )
    return word


@click.command()
@click.argument("source", metavar="[-]", required=False, callback=_pipe_or_microphone)
@options("model", ModelOptions)
@options("adaptation", AdaptationOptions)
@options("answer", AnswerOptions)
@click.option(
    "--rate",
    default=16_000,
    show_default=True,
    type=click.IntRange(4_000, 192_000),
    help="Sample rate of a pipe without header, or to record at, in Hz.",
)
@click.option(
    "--channels", default=1, show_default=True, type=click.IntRange(1, 16), help="Channels of a pipe without header."
)
@click.option("--channel", type=CHANNEL_NUMBER, metavar="N", help=f"Of a pipe: {CHANNEL[0].lower()}{CHANNEL[1:]}")
@click.option("--device", help="Microphone to use: its number, or part of its name.")
@click.option("--devices", is_flag=True, help="List the microphones and end.")
@options("windows", WindowOptions)
@output_options
def command(
    source: str | None,
    model: ModelOptions,
    adaptation: AdaptationOptions,
    answer: AnswerOptions,
    rate: int,
    channels: int,
    channel: int | None,
    device: str | None,
    devices: bool,
    windows: WindowOptions,
) -> None:
    """Recognise emotions live, until Ctrl-C or the end of the pipe.

    Without - it listens to the microphone. With - it reads WAV, or raw 16-bit samples, from standard input. Spans
    below the model's threshold are "unsure". Vocal bursts stand in parentheses. With --json each event (window, span,
    segment, vocal-burst, gap) is one line.

    \b
    Examples:
      earnest listen
      ffmpeg -i talk.mp3 -f wav - | earnest listen -
      ffmpeg -i call.mp3 -f wav - | earnest listen - --channel 2
    """
    if devices:
        found = list(microphones())
        if not say.answer({"microphones": [{"number": number, "name": name} for number, name in found]}):
            say.table(("number", "microphone"), [(str(number), name) for number, name in found], right=("number",))
        return
    if source is None and (channel or channels > 1):
        raise click.UsageError("--channel and --channels are for a pipe (-): one channel is recorded of a microphone.")
    predictor = model.load()
    with _sound(source, rate, channels, channel, device) as (heard_hz, sound):
        asked = answer.of(predictor.info)
        adapter = adaptation.adapter(predictor, [channel] if channel else [])
        stream = predictor.stream(heard_hz, windows.windowing(), adapter, **asked.words())
        if say.is_json():
            say.encode("json")
            for event in events_of(stream, sound):
                click.echo(json_line(event))
        elif sys.stdout.isatty() and not say.is_quiet():
            _show(stream, sound, stream.classes)
        else:
            n_told = sum(tell(event) for event in events_of(stream, sound))
            if not n_told and not say.is_quiet():
                heard = f"no speech in {stream.received_s:.1f} s of sound" if stream.received_s else "no sound came"
                click.echo(heard, err=True)
        if not say.is_quiet():
            notes = NoteCounter("--channel 1, then --channel 2", asked.classes)
            notes.count(stream.prediction())
            notes.tell()


@contextmanager
def _sound(
    source: str | None, rate: int, channels: int, channel: int | None, device: str | None
) -> Iterator[tuple[int, Sound]]:
    if source == "-":
        pipe = open_pipe(standard_input(), rate, channels)
        yield pipe.sample_rate_hz, pipe.heard(channel)
        return
    with microphone(rate, device) as feed:
        yield rate, feed


def events_of(stream: Stream, sound: Sound) -> Iterator[Event]:
    """Yield events until the sound ends or somebody presses Ctrl-C; what is certain then is told too.

    So it is where the microphone stops, and at SIGTERM or SIGHUP: then that error or exit follows.
    """
    ended: BaseException | None = None
    with _exits_at_signals():
        try:
            for item in sound:
                yield from stream.skip(item.seconds) if isinstance(item, Lost) else stream.accept_waveform(item)
        except KeyboardInterrupt:
            pass
        except (AudioError, SystemExit) as error:
            ended = error
        yield from stream.finish()
    if ended is not None:
        raise ended


@contextmanager
def _exits_at_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit with the code that a shell tells; what nohup ignores is ignored."""
    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has one
    numbers = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def tell(event: Event) -> bool:
    """Write a span or a vocal burst as a line, lost sound as one on standard error; return whether one was written."""
    if isinstance(event, VocalBurst):
        event = burst_span(event)
    if isinstance(event, Span):
        click.echo(f"{event.start_s:9.1f} {event.end_s:9.1f}  {event.emotion:<11} {percent(event.confidence):>5}")
    if isinstance(event, Gap):
        click.echo(f"lost {event.end_s - event.start_s:.1f} s of sound at {event.start_s:.1f} s", err=True)
    return isinstance(event, Span | Gap)


def _show(stream: Stream, sound: Sound, classes: tuple[str, ...]) -> None:
    from rich.live import Live

    view = LiveView(classes)

    def watched() -> Iterator[npt.NDArray[np.float32] | Lost]:
        for item in sound:
            view.hear(item, stream.received_s, stream.is_speaking)
            live.update(view.picture())
            yield item

    with Live(view.picture(), refresh_per_second=12, transient=False) as live:
        for event in events_of(stream, watched()):
            view.take(event)
            live.update(view.picture())
