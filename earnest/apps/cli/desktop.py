"""``earnest desktop``: the application with a window."""

import os
import sys
from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import names_from
from earnest.apps.cli._typed import EXIT_SOME_FAILED, FOLDER, output_options
from earnest.bundle import shipped_bundles
from earnest.errors import EarnestError, MissingExtraError
from earnest.runtime.formats import json_line


@click.command()
@click.argument("paths", nargs=-1)
@click.option(
    "--model",
    envvar="EARNEST_MODEL",
    metavar="NAME|PATH",
    shell_complete=names_from(shipped_bundles, files=True),
    help="The bundle that answers. Default: the one that was used last.",
)
@click.option(
    "--folder",
    type=FOLDER,
    help="Where settings, recordings and corrections are kept. Default: the system's place for them.",
)
@click.option(
    "--language", type=click.Choice(["system", "en", "de"]), help="Language of the window. Default: what was set."
)
@click.option(
    "--until-answered",
    is_flag=True,
    help="Close the window when PATHS are answered, and write one JSON object per line.",
)
@output_options
def command(
    paths: tuple[str, ...], model: str | None, folder: Path | None, language: str | None, until_answered: bool
) -> None:
    """Open the window: files, folders, microphone, corrections.

    PATHS are recordings, folders or pictures that `earnest spectrogram` made. More can be opened or dropped there.

    \b
    Examples:
      earnest desktop
      earnest desktop interview.mp3 recordings/
    """
    if say.is_json() and not until_answered:
        raise click.UsageError("--json: a window writes no JSON. Add --until-answered, or use earnest predict --json.")
    if until_answered and not paths:
        raise click.UsageError("--until-answered needs PATHS.")
    try:
        from earnest.apps.desktop.start import run
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "earnest":
            raise
        raise MissingExtraError("the desktop application", "desktop") from None
    except ImportError as error:  # PySide6 is there, a library of the system is not
        raise EarnestError(
            f"Qt can't be loaded ({error}). Debian, Ubuntu: apt install libegl1 libgl1 libglib2.0-0 libfontconfig1 "
            "libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0."
        ) from error
    _check_display()
    rows = run(paths, folder, model, language, say.is_quiet(), until_answered)
    say.encode("json")
    for row in rows:
        click.echo(json_line(row))
    if any(row.error for row in rows):
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _check_display() -> None:
    """Raise where Qt would end the process, as there is nothing to draw on."""
    if sys.platform == "linux" and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise EarnestError("There is no display here. Start it in a desktop session, or with ssh -X.")
