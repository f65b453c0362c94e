"""Links to folders: not followed, as they may lead in circles or out of what was handed over; and that is said."""

from collections.abc import Sequence
from pathlib import Path

from earnest.errors import printable

MOST_NAMED = 3


def links_among(root: Path, parent: str, folders: Sequence[str]) -> list[Path]:
    """The links among the folders of one step of `os.walk` below ``root``; hidden ones, and in hidden folders, none."""
    if any(part.startswith(".") for part in Path(parent).relative_to(root).parts):
        return []
    return [path for name in folders if not name.startswith(".") and (path := Path(parent, name)).is_symlink()]


def unfollowed(root: Path, links: Sequence[Path]) -> str:
    """Say which links to folders below a folder are not followed, and what to do; "" without any."""
    if not links:
        return ""
    names = ", ".join(printable(str(path.relative_to(root))) for path in links[:MOST_NAMED])
    more = f" and {len(links) - MOST_NAMED} more" if len(links) > MOST_NAMED else ""
    what = "A folder is a link, which is" if len(links) == 1 else f"{len(links)} folders are links, which are"
    return f"{what} not followed: {names}{more}. Name the folder it points to, or copy it; links to files are read."
