"""``earnest cache``: what is kept on disk, so that it is made once."""

import click

from earnest.apps.cli import say
from earnest.apps.cli._typed import output_options
from earnest.files.cache import ENTRIES, LIMIT, CacheUsage, DiskCache, cache_folder, disk_cache


@click.group()
@output_options
def command() -> None:
    """Show or clear the cache of recordings and models on disk.

    `train`, `evaluate` and `tune` keep decoded sound, frames, and embeddings of networks that stay as they are, by
    content and settings: a file that changed, another front end or another version of earnest never finds an old entry.
    Where EARNEST_CACHE is set, models that OpenVINO has compiled are kept too. EARNEST_CACHE names the folder,
    EARNEST_CACHE_GB its largest size (default 10; 0 keeps nothing). When it is full, the entries not used for
    the longest time are removed first.

    \b
    Examples:
      earnest cache show
      earnest cache clear
    """


@command.command()
@output_options
def show() -> None:
    """Show the cache: its folder, its size and its limit.

    \b
    Example:
      earnest cache show --json
    """
    cache = _cache()
    usage = cache.usage()
    if say.answer({"folder": cache.folder, "entries": usage.entries, "bytes": usage.bytes, "limit": cache.most_bytes}):
        return
    limit = "" if say.is_quiet() else f"; at most {cache.most_bytes / 1e9:g} GB are kept ({LIMIT})"
    say.line(f"{cache.folder}: {_told(usage)}{limit}.")


@command.command()
@output_options
def clear() -> None:
    """Remove all entries, also of other projects. Running trainings go on, and compute them anew.

    \b
    Example:
      earnest cache clear
    """
    cache = _cache()
    removed = cache.clear()
    if not say.answer({"folder": cache.folder, "removed_entries": removed.entries, "removed_bytes": removed.bytes}):
        say.hint(f"{cache.folder}: {_told(removed)} removed.")


def _cache() -> DiskCache:
    """Return the cache; one that nothing is added to may still hold something."""
    return disk_cache() or DiskCache(cache_folder() / ENTRIES, 0)


def _told(usage: CacheUsage) -> str:
    return f"{usage.entries} {'entry' if usage.entries == 1 else 'entries'}, {usage.bytes / 1e6:.1f} MB"
