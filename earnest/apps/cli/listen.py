"""``earnest listen``: emotion live, from the microphone or a pipe."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

import click
import numpy as np
import numpy.typing as npt

from earnest.apps.cli._model_options import (
    adapt_option,
    answer_options,
    chosen_adapter,
    chosen_options,
    model_options,
)
from earnest.apps.cli.output import echo_table, output_options
from earnest.audio.feed import Lost, open_pipe
from earnest.audio.microphone import microphone, microphones
from earnest.printable import printable_json
from earnest.runtime.engine import Backend, Provider
from earnest.runtime.prediction import VocalBurst, percent
from earnest.runtime.predictor import Predictor
from earnest.runtime.stream import Stream
from earnest.runtime.timeline import Event, Gap, Span, burst_span, event_dict
from earnest.runtime.windows import Windowing

Sound = Iterable[npt.NDArray[np.float32] | Lost]


@click.command()
@click.argument("source", type=click.Choice(["-"]), required=False)
@model_options
@adapt_option
@answer_options
@click.option(
    "--rate", default=16_000, show_default=True, type=click.IntRange(4_000, 192_000), help="Hz, without header."
)
@click.option("--channels", default=1, show_default=True, type=click.IntRange(1, 16), help="In a pipe without header.")
@click.option("--device", help="Microphone: number or part of its name.")
@click.option("--devices", is_flag=True, help="List microphones.")
@click.option("--window", "window_s", default=Windowing.window_s, show_default=True, help="Seconds heard at a time.")
@click.option("--hop", "hop_s", default=Windowing.hop_s, show_default=True, help="Seconds from one window to the next.")
@output_options
def command(
    source: str | None,
    model: str,
    threads: int,
    provider: Provider,
    backend: Backend,
    adapt: tuple[str, ...],
    classes: str | None,
    no_abstain: bool,
    abstain_below: float | None,
    rate: int,
    channels: int,
    device: str | None,
    devices: bool,
    window_s: float,
    hop_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell emotions while somebody speaks, until Ctrl-C or the end of the pipe.

    Spans below the model's threshold are "unsure"; vocal bursts stand in parentheses. Without SOURCE the microphone is
    used; - reads WAV or bare 16-bit samples from standard input. With --json each event (window, span, segment,
    vocal-burst, gap) is one line.

    \b
    Examples:
      earnest listen
      ffmpeg -i talk.mp3 -f wav - | earnest listen -
    """
    if devices:
        echo_table(("number", "microphone"), [(str(number), name) for number, name in microphones()], right=("number",))
        return
    predictor = Predictor.load(model, threads, provider, backend=backend)
    with _sound(source, rate, channels, device) as (heard_hz, sound):
        options = chosen_options(predictor.info, classes, no_abstain, abstain_below)
        adapter = chosen_adapter(predictor, adapt)
        stream = predictor.stream(heard_hz, Windowing(window_s, hop_s), adapter, **options.words())
        if as_json:
            for event in events_of(stream, sound):
                click.echo(printable_json(json.dumps(event_dict(event), ensure_ascii=False, allow_nan=False)))
        elif sys.stdout.isatty() and not quiet:
            _show(stream, sound, stream.classes)
        else:
            for event in events_of(stream, sound):
                tell(event)


@contextmanager
def _sound(source: str | None, rate: int, channels: int, device: str | None) -> Iterator[tuple[int, Sound]]:
    if source == "-":
        pipe = open_pipe(sys.stdin.buffer, rate, channels)
        with nullcontext():
            yield pipe.sample_rate_hz, pipe.chunks
        return
    with microphone(rate, device) as feed:
        yield rate, feed


def events_of(stream: Stream, sound: Sound) -> Iterator[Event]:
    """Yield events until the sound ends or somebody presses Ctrl-C; what is certain then is told too."""
    try:
        for item in sound:
            yield from stream.skip(item.seconds) if isinstance(item, Lost) else stream.accept_waveform(item)
    except KeyboardInterrupt:
        pass
    yield from stream.finish()


def tell(event: Event) -> None:
    """Write a span or a vocal burst as a line, lost sound as a line of its own on standard error."""
    if isinstance(event, VocalBurst):
        event = burst_span(event)
    if isinstance(event, Span):
        click.echo(f"{event.start_s:9.1f} {event.end_s:9.1f}  {event.emotion:<11} {percent(event.confidence):>5}")
    if isinstance(event, Gap):
        click.echo(f"lost {event.end_s - event.start_s:.1f} s of sound at {event.start_s:.1f} s", err=True)


def _show(stream: Stream, sound: Sound, classes: tuple[str, ...]) -> None:
    from rich.live import Live

    from earnest.apps.cli._live_view import LiveView

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
