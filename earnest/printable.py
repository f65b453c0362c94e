"""Text from outside that a person will see: one line, no control and no direction characters, not too long."""

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_SHOWN = 120
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")


def printable(text: str) -> str:
    """Return text that can go to a terminal in one line, whatever a file or a class is called.

    Control characters (BEL, ESC …), those that turn the direction of writing (U+202A to U+202E, U+2066 to U+2069 …),
    line breaks and halves of characters are replaced.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)


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
