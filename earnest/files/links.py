"""Links to folders: not followed, as they may lead in circles or out of what was handed over; and that is said."""

import os
from collections.abc import Iterator
from pathlib import Path

from earnest.errors import printable

MOST_NAMED = 3


def linked_folders(root: Path) -> Iterator[Path]:
    """Yield the links to folders below a folder, in hidden folders none."""
    for parent, folders, _ in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (path for name in folders if (path := Path(parent, name)).is_symlink())


def unfollowed(root: Path) -> str:
    """Say which links to folders below a folder are not followed, and what to do; "" without any."""
    links = list(linked_folders(root))
    if not links:
        return ""
    names = ", ".join(printable(str(path.relative_to(root))) for path in links[:MOST_NAMED])
    more = f" and {len(links) - MOST_NAMED} more" if len(links) > MOST_NAMED else ""
    what = "A folder is a link, which is" if len(links) == 1 else f"{len(links)} folders are links, which are"
    return f"{what} not followed: {names}{more}. Name where it leads, or copy it; links to files are read."
