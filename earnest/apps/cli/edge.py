"""``earnest edge``: label out, on OpenVINO alone."""

from typing import cast

import click

from earnest.apps.cli import say
from earnest.apps.cli._answers import NoteCounter, answer_words
from earnest.apps.cli._options import CHANNELS, MODEL, THREADS, AnswerOptions, options
from earnest.apps.cli._recordings import NamedRecordings, counter_of
from earnest.apps.cli._typed import EXIT_SOME_FAILED, output_options
from earnest.apps.cli.listen import events_of, tell
from earnest.audio.feed import microphone
from earnest.runtime.engine import Hint, Provider
from earnest.runtime.formats import json_line
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.predictor import Predictor


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--model", **MODEL)
@options("answer", AnswerOptions)
@click.option("--channel", "channels", **CHANNELS)
@click.option(
    "--device",
    type=click.Choice(["CPU", "GPU", "AUTO"], case_sensitive=False),
    default="CPU",
    show_default=True,
    help="What OpenVINO computes on. A microphone is chosen with --input.",
)
@click.option("--microphone", "listens", is_flag=True, help="Listen to the microphone instead, until Ctrl-C.")
@click.option("--input", "microphone_name", metavar="NAME", help="Microphone to use: its number, or part of its name.")
@click.option("--threads", **THREADS)
@click.option(
    "--hint",
    type=click.Choice(["latency", "throughput"]),
    default="latency",
    show_default=True,
    help="latency: one answer as soon as possible. throughput: many at once.",
)
@output_options
def command(
    paths: tuple[str, ...],
    model: str,
    answer: AnswerOptions,
    channels: tuple[int, ...],
    device: str,
    listens: bool,
    microphone_name: str | None,
    threads: int,
    hint: Hint,
) -> None:
    """Recognise emotions on a small device, with OpenVINO alone.

    It runs without onnxruntime. PATHS are recordings, folders, lists (.csv or .tsv with the column path), - for
    standard input, or pictures from `earnest spectrogram`. If the environment variable EARNEST_CACHE names a folder,
    compiled models are kept there.

    \b
    Examples:
      earnest edge talk.wav
      earnest edge call.wav --channel 1 --channel 2
      earnest edge talk.png --device AUTO
      earnest edge --microphone

    Exit codes: 0 all answered, 1 an error that was explained, 2 wrong usage, 3 some inputs could not be read, 130
    stopped by Ctrl-C (0 with --microphone, which has no other end).
    """
    if bool(paths) == listens:
        raise click.UsageError("Give PATHS, or --microphone.")
    if channels and listens:
        raise click.UsageError("--channel is for PATHS: one channel is recorded of a microphone.")
    provider = cast(Provider, device.lower())
    predictor = Predictor.load(model, threads, provider, backend="openvino", hint=hint)
    say.encode("json" if say.is_json() else "table")
    asked = answer.of(predictor.info)
    if listens:
        _listen(predictor, asked, microphone_name)
        return
    n_failed, notes = 0, NoteCounter("--channel 1 --channel 2")
    sources = NamedRecordings(paths).sources(channels, count=counter_of(predictor))
    for row in predictor.predict_many(sources, **asked.words()):
        n_failed += row.status == "error"
        notes.count(row)
        click.echo(json_line(row) if say.is_json() else _line(row))
    if not say.is_quiet():
        notes.tell()
    if n_failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _line(row: Prediction) -> str:
    """Format one answer as a line, or only as the word for it."""
    if say.is_quiet():
        return row.emotion or row.status
    return row.error or f"{row.path}: {answer_words(row)}"  # an error names its recording


def _listen(predictor: Predictor, options: Options, device: str | None) -> None:
    """Print spans and vocal bursts as they end."""
    rate_hz = predictor.info.sample_rate_hz
    with microphone(rate_hz, device) as feed:
        for event in events_of(predictor.stream(rate_hz, **options.words()), feed):
            click.echo(json_line(event)) if say.is_json() else tell(event)
