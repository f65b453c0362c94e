"""Options of all commands that use a bundle."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from earnest.bundle import DEFAULT_BUNDLE

F = TypeVar("F", bound=Callable[..., Any])


def model_options(function: F) -> F:
    """Add ``--model`` (or ``EARNEST_MODEL``) and ``--threads`` (or ``EARNEST_THREADS``)."""
    function = click.option(
        "--threads",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        envvar="EARNEST_THREADS",
        help="Cores for the network.",
    )(function)
    return click.option(
        "--model",
        default=DEFAULT_BUNDLE,
        show_default=True,
        envvar="EARNEST_MODEL",
        metavar="NAME|PATH",
        help="Which bundle answers.",
    )(function)
