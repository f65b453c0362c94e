"""Every deliberate error, and what makes its message fit to be read: what is wrong, where, and what to do."""

import errno
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from earnest.installation import install_command

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_SHOWN = 120
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")


def is_printable(text: str) -> bool:
    """Whether text is printable; U+200C and U+200D, by which Persian and scripts of India are spelt, are."""
    return text.isprintable() or text.replace("\u200c", "").replace("\u200d", "").isprintable()


def printable(text: str) -> str:
    """Return text that can go to a terminal in one line, whatever a file or a class is called.

    Control characters (BEL, ESC …), those that turn the direction of writing (U+202A to U+202E, U+2066 to U+2069 …),
    line breaks and halves of characters are replaced.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if is_printable(letter) else REPLACEMENT for letter in text)


def printable_lines(text: str) -> str:
    """Return text of several lines, each as `printable` gives it."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """Return JSON that holds the same values and, beyond its line breaks, printable characters only."""
    return "\n".join(_BEYOND_ASCII.sub(_escaped, line) for line in text.split("\n"))


def _escaped(match: re.Match[str]) -> str:
    letter = match.group()
    if letter.isprintable():
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def _is_short(values: list[object] | tuple[object, ...] | dict[object, object]) -> bool:
    inside = [*values, *values.values()] if isinstance(values, dict) else values
    return len(inside) < 10 and all(isinstance(item, str | float | bool | None) for item in inside)


def shown(value: object) -> str:
    """Return a value as a message quotes it: short and printable, whatever it holds and however deep it is."""
    if isinstance(value, str):
        text = repr(value[: LONGEST_SHOWN + 1])
    elif isinstance(value, list | tuple | dict) and not _is_short(value):
        kind = "a table" if isinstance(value, dict) else "a list"
        text = f"{kind} of {len(value)}" if value else "an empty " + kind.split()[1]
    else:
        try:
            text = repr(value)
        except ValueError:  # of a whole number of thousands of digits
            text = f"a huge {type(value).__name__}"
    return printable(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")


LONGEST = 64  # of a wrong name that is compared: its time grows with the length
NEAR_FROM = 0.55  # share of letters in common: "happiness" is near "happy" (0.57), "filename" not near "valence" (0.53)

N_NAMED = 3  # how many offenders a message names


def counted(count: int, what: str) -> str:
    """Format "1 recording", "2 recordings", "3 processes"."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"


def in_percent(share: float, decimals: int = 0) -> str:
    """Write a share in per cent, without the sign: "73". What is above zero is never "0", but "< 1" or "< 0.1"."""
    text = f"{100 * share:.{decimals}f}"
    return f"< {10**-decimals:.{decimals}f}" if share > 0 and float(text) == 0 else text


def named(names: Sequence[str], most: int = N_NAMED) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def suggestion(wrong: str, right: Iterable[str], typed: Mapping[str, str] | None = None) -> str:
    """Return " Did you mean 'x'?" or the list of choices, ready to end an error message.

    Parameters
    ----------
    typed : how a choice is typed, of those that are typed otherwise than compared
    """
    choices = sorted(right)
    near = get_close_matches(wrong[:LONGEST], choices, n=1, cutoff=NEAR_FROM)
    words = [typed.get(name, name) for name in near or choices] if typed else near or choices
    if near:
        return f" Did you mean '{words[0]}'?"
    return f" Choose one of: {', '.join(words)}." if words else ""


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


class SharedGroupError(SplitError):
    """A group of recordings, such as a dialogue, is in two sets of a split."""


class WeightsNotFoundError(EarnestError):
    """Pre-trained weights that a recipe names are on no path."""


class MissingExtraError(EarnestError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        needs = f"{what} needs more packages, those of earnest[{extra}]."
        super().__init__(f"{needs} Install them with: {install_command(extra)}")
        self.what, self.extra = what, extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Survive the way from a worker process."""
        return type(self), (self.what, self.extra)


@contextmanager
def needs_extra(what: str, extra: str) -> Iterator[None]:
    """Raise `MissingExtraError` where the block imports a package of an extra, and it is not installed."""
    try:
        yield
    except ImportError:
        raise MissingExtraError(what, extra) from None


def unwritable(path: Path, error: OSError) -> EarnestError:
    """Return the error for a file that can't be written."""
    if error.errno in _FULL:
        return EarnestError(f"{path}: the disk is full, or a quota. Free some space and give the same command again.")
    is_open = sys.platform == "win32" and isinstance(error, PermissionError)  # or a folder is protected
    do = "Close it where it is open, such as in Excel, or choose" if is_open else "Choose"
    return EarnestError(f"{path}: not writable ({error.strerror or error}). {do} another place, or allow it.")


@contextmanager
def told(path: Path, hint: str = "") -> Iterator[None]:
    """Turn what goes wrong with a file into words, which end with the hint."""
    try:
        yield
    except OSError as error:
        raise EarnestError(f"{unwritable(path, error)} {hint}".rstrip()) from error


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error: what it stops may raise one of its own, as modules in C do."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def said_by(error: BaseException) -> str:
    """Return what the system says in words of an error, else its first line, or its kind."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(said).split("\n")[0][:200])


def first_line(error: BaseException) -> str:
    """Return the first line of what another library's error says, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
