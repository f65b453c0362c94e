"""What the packaged folder starts: `earnest desktop`, its errors as one line."""

import multiprocessing
import sys

import click

from earnest.apps.cli.desktop import command
from earnest.errors import EarnestError


def main() -> None:
    """Open the window."""
    multiprocessing.freeze_support()
    try:
        command.main(prog_name="earnest-desktop")
    except EarnestError as error:
        click.echo(f"earnest-desktop: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
