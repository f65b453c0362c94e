"""``python -m research``: see `research.commands`."""

from research.commands import cli

cli()
