"""Every deliberate error: it says what is wrong, where, and what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earnest.printable import printable_lines

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class EarnestError(Exception):
    """Base of all errors that earnest raises on purpose; whatever files say, its message can go to a terminal."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(printable_lines(item) if isinstance(item, str) else item for item in arguments))


class RecipeError(EarnestError):
    """A recipe or another settings file is wrong."""


class CorpusError(EarnestError):
    """A corpus folder or a manifest is not what it should be."""


class AudioError(EarnestError):
    """A recording can't be decoded or holds no usable samples."""


class RecordingTooLongError(AudioError):
    """A recording lasts longer than may be read."""


class DecoderDiedError(AudioError):
    """A recording ended the process that decoded it."""


class TooLateError(EarnestError):
    """Nobody waits for this answer any more."""


class BundleError(EarnestError):
    """A model bundle is missing, damaged or not to be trusted."""


class NoPicturesError(BundleError):
    """A model that answers about recordings, not about their spectrograms."""


class SplitError(EarnestError):
    """A split would leak test data into training."""


class WeightsNotFoundError(EarnestError):
    """Pre-trained weights that a recipe names are on no path."""


class MissingExtraError(EarnestError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages. Install them with: pip install 'earnest[{extra}]'")
        self.what, self.extra = what, extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Survive the way from a worker process."""
        return type(self), (self.what, self.extra)


def unwritable(path: Path, error: OSError) -> EarnestError:
    """Return what to tell a person whose file can't be written."""
    if error.errno in _FULL:
        return EarnestError(f"{path}: the disk is full, or a quota. Free some space and give the same command again.")
    return EarnestError(f"{path}: not writable ({error.strerror or error}). Choose another place, or allow it.")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into words."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error
