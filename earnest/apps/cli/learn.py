"""``earnest learn``: labelled recordings of one's own to a tested model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import earnest
from earnest.apps.cli import say
from earnest.apps.cli._options import JOBS, MODEL, option, options
from earnest.apps.cli._own_recordings import OwnOptions
from earnest.apps.cli._typed import EXIT_SOME_FAILED, FOLDER, PATH, command_line, output_options, overwrite_option
from earnest.bundle import path_of_bundle
from earnest.corpora.own.data import kinds_of
from earnest.errors import counted
from earnest.evaluation.texts import SCORES_IN_WORDS
from earnest.export.card import refuse_full
from earnest.installation import install_command
from earnest.own.bundle import CLASS_COLUMNS, Learned

N_REASONS = 5


@dataclass(frozen=True)
class LayoutOptions(OwnOptions):
    """Where labels and speakers stand, and where paths start."""

    root: Path | None = option("--root", type=FOLDER, help="Folder in which relative paths of a table start.")


@dataclass(frozen=True)
class CardOptions:
    """Options for the model card; nobody but the maker knows them."""

    name: str = option("--name", default="", help="Name of the model. Default: the name of its folder.")
    licence: str = option("--licence", default="", help="Licence of the model: may others use it?")
    data_licence: str = option("--data-licence", default="", help="Licence of the recordings.")
    attribution: str = option("--attribution", default="", help="Who made the recordings; the card names them.")


@dataclass(frozen=True)
class FitOptions:
    """Options of the fit."""

    model: str = option("--from", **{**MODEL, "help": "Bundle whose network is kept; its last layer is learnt."})
    balance: bool = option(
        "--balance/--as-frequent",
        default=True,
        help="Treat classes as equally frequent (default), or as frequent as in the recordings.",
    )
    augment: bool = option(
        "--augment", is_flag=True, help="Learn also from a noisy, distant or telephone copy of each recording."
    )
    continued: Path | None = option(
        "--continue", type=PATH, metavar="MODEL", help="Learn from the recordings of this model of yours too."
    )
    keep: bool = option(
        "--keep/--forget",
        default=True,
        help="Keep embeddings for --continue (default; they are personal data), or don't.",
    )
    seed: int = option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all draws.")
    jobs: int = option("--jobs", **JOBS, help="Recordings to decode at a time.")
    report: bool = option("--report/--no-report", default=True, help="Write report.html too (default), or don't.")


@click.command()
@click.argument("source", type=PATH)
@click.option("-o", "--output", required=True, type=FOLDER, help="Folder to write: the model.")
@overwrite_option
@options("layout", LayoutOptions)
@options("fit", FitOptions)
@options("card", CardOptions)
@output_options
@click.pass_context
def command(
    context: click.Context,
    source: Path,
    output: Path,
    overwrite: bool,
    layout: LayoutOptions,
    fit: FitOptions,
    card: CardOptions,
) -> None:
    """Learn a model of your own from labelled recordings; test it.

    SOURCE is a folder with a folder for each class (with or without train and test above), an audiofolder with
    metadata, an audformat database, a table (CSV, JSON lines, Parquet; parts of recordings too), a list of files, or
    annotations beside recordings: ELAN (.eaf), Praat (.TextGrid), a label track of Audacity.
    Labels are your words. Nothing but the last layer is learnt: about a minute for 500 short recordings, no torch.
    Scores come from cross-validation. Where speakers are known, whole speakers are left out.

    \b
    Examples:
      earnest learn recordings/ --output mine
      earnest learn calls.csv --label-column state --speaker-column caller --output mine
      earnest learn interviews/ --label-column emotion --output mine    # a tier of ELAN or Praat
      earnest learn clips/ --speaker-pattern '([A-Z]+)_[^/]*$' --output mine --licence CC0-1.0
      earnest learn more/ --continue mine --output mine2
      earnest predict talk.wav --model mine

    Exit codes: 0 all recordings were used, 1 an error that was explained, 2 wrong usage, 3 some recordings could not be
    used (learn.json says why), 130 stopped by Ctrl-C.
    """
    refuse_full(output, overwrite)  # first, and in words of the command line
    values: dict[str, Any] = {**vars(layout), **vars(card), **vars(fit)}
    learned = earnest.learn(source, output, **values, overwrite=overwrite, progress=say.progress())
    if not say.answer(learned.to_dict()):
        _tell(learned, fit.report)
    if learned.refused:
        context.exit(EXIT_SOME_FAILED)


def _tell(learned: Learned, wants_report: bool) -> None:
    for warning in learned.warnings:
        say.line(f"NOTE: {warning}")
    say.line(
        f"Read as {learned.layout}; labels: {learned.label_from}; speakers: {learned.speaker_from or 'unknown'}.\n"
    )
    say.table(("", "out of fold"), learned.rows())
    say.line()
    say.table(CLASS_COLUMNS, learned.class_rows(), right=("n", "speakers", "recall %"))
    _tell_refused(learned)
    say.line(f"\n{SCORES_IN_WORDS}")
    if say.is_quiet():
        return
    say.line("\nWhat would help most:")
    for sentence in learned.advice:
        say.line(f"  * {sentence}")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in learned.seconds.items())
    page = learned.report or f"no report.html: {install_command('report')}"
    say.line(f"\n{learned.path} ({seconds})" + (f"; {page}" if wants_report else ""))
    say.line(f"Try it: {command_line('predict', 'RECORDING', '--model', path_of_bundle(learned.path))}")


def _tell_refused(learned: Learned) -> None:
    if not learned.refused:
        return
    say.line(f"\n{counted(len(learned.refused), 'recording')} could not be used:")
    kinds = kinds_of(learned.refused)
    for told in kinds[:N_REASONS]:
        say.line(f"  {told}")
    if len(kinds) > N_REASONS:
        say.line(f"  and {counted(len(kinds) - N_REASONS, 'other reason')}: {learned.path / 'learn.json'}")
