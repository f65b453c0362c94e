"""``earnest streams``: how finished evaluations adapt to speakers who show all emotions, one, two, or hardly any."""

import shlex
from pathlib import Path
from typing import Any

import click

from earnest.apps.cli import say
from earnest.apps.cli._training import require_training
from earnest.apps.cli._typed import PATH, output_options
from earnest.evaluation.streams import BRIEF_COLUMNS, brief_table, losses_sentence, streams_legend, streams_markdown
from earnest.files.writing import held_folder, write_atomically

MARKDOWN = "streams.md"


@click.command()
@click.argument("evaluations", metavar="FOLDER...", nargs=-1, required=True, type=PATH)
@output_options
def command(evaluations: tuple[Path, ...]) -> None:
    """Measure adaptation to streams with any shares of emotions.

    FOLDERs are results of `earnest evaluate`; the models of their folds answer. A stream is the test recordings of a
    speaker: as recorded, 80 % neutral, one emotion, two emotions, three speakers mixed. Each stream is answered without
    adaptation, with its mean subtracted (for comparison), and with the adaptation of the fold: to all recordings, to
    ten of them, and to those heard before. The table has UA (unweighted accuracy, the mean recall over classes), WA
    (weighted accuracy, the share that is right), ECE (expected calibration error, 15 bins) and the worst speaker. Draws
    are seeded; nothing is decoded.

    \b
    Example:
      earnest streams runs/base-leave-one-corpus-out
    """
    require_training()
    from earnest.experiments.finished import METRICS_STREAMS, measure_streams

    documents = {}
    for folder in evaluations:
        with held_folder(folder):
            words = shlex.join(["earnest", "streams", str(folder)])
            found = measure_streams(folder, words, say.progress())
            text = f"# {_title(folder, found)}\n\n{streams_legend(found)}\n{streams_markdown(found)}"
            write_atomically(folder / MARKDOWN, text.encode())
        documents[str(folder)] = found
        if not say.is_json():
            _echo(folder, found)
            say.hint(f"\n{METRICS_STREAMS} and {MARKDOWN} are in {folder}\n")
    say.answer(documents)


def _title(folder: Path, found: dict[str, Any]) -> str:
    return f"{folder.resolve().name}, {found['title']}"


def _echo(folder: Path, found: dict[str, Any]) -> None:
    title = f"{_title(folder, found)}, among {', '.join(found['classes'])}: UA in per cent"
    say.table(BRIEF_COLUMNS, brief_table(found, "ua"), title, right=BRIEF_COLUMNS[2:])
    say.line()
    say.table(BRIEF_COLUMNS, brief_table(found, "wa"), "WA in per cent", right=BRIEF_COLUMNS[2:])
    say.line(f"\n{losses_sentence(found)}")
