"""What a shell offers for the values of options and arguments; nothing heavy is imported."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_from(names: Callable[[], Iterable[str]], files: bool = False) -> Completer:
    """Return a completer that offers ``names()``, and with ``files`` also the files and folders there are."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


def bundle_names() -> list[str]:
    """Return the names of the shipped bundles."""
    from earnest.bundle import shipped_bundles

    return shipped_bundles()


def corpus_names() -> list[str]:
    """Return the names of the corpora that can be read."""
    from earnest.corpora.base import CORPORA

    return CORPORA.names()


def protocol_names() -> list[str]:
    """Return the names of the protocols."""
    from earnest.evaluation.protocol_table import PROTOCOL_TABLE

    return [protocol.name for protocol in PROTOCOL_TABLE]


def variant_names() -> list[str]:
    """Return the names of the variants that ``--tta`` averages over."""
    from earnest.augment.tta import VARIANTS

    return list(VARIANTS)
