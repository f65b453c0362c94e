"""A picture with the words and numbers that say the same: for the page, and as files."""

import base64
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earnest.evaluation.plots import BLUE, DPI, GRID, INK, MUTED, ORANGE, PAPER, SKY
from earnest.evaluation.report import NONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK = {
    INK: "#ececec",
    MUTED: "#a9adb3",
    GRID: "#3b3f46",
    PAPER: "#16181c",
    BLUE: "#56b4e9",
    ORANGE: "#f08c3a",
    SKY: "#f0e442",
}
"""What a colour of a picture becomes on dark paper."""
WIDE_PT = 400.0
NOT_IN_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True)
class Table:
    """Text ready to show.

    Attributes
    ----------
    words : how many of the first columns hold words; the others hold numbers
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def to_list(self) -> list[dict[str, str]]:
        """Return one object a row, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def markdown(self) -> str:
        """Return the table as Markdown; what would break its cells is escaped."""
        lines = [self.columns, ["---"] * self.words + ["---:"] * (len(self.columns) - self.words), *self.rows]
        return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


@dataclass(frozen=True)
class Picture:
    """One drawing.

    Attributes
    ----------
    name : of its files
    alt : what it shows, for those who don't see it
    svg : on clear paper, in the colours for light surroundings
    png : on white paper
    table : the same in numbers, where they say it
    """

    name: str
    title: str
    alt: str
    svg: bytes
    png: bytes
    table: Table | None = None

    @property
    def is_wide(self) -> bool:
        """Whether its text can't be read on a phone unless the picture is wider than the screen."""
        width = re.search(rb'<svg[^>]*? width="([0-9.]+)pt"', self.svg)
        return width is not None and float(width[1]) > WIDE_PT

    @property
    def source(self) -> str:
        """The drawing as a ``data:`` address; its colours follow the reader's choice of light or dark."""
        return data_address(_following_the_reader(self.svg), "image/svg+xml")


def picture(figure: "Figure", name: str, title: str, alt: str, table: Table | None = None) -> Picture:
    """Save a figure in both forms; the same figure gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar in somebody's name is a dollar
    svg, png = io.BytesIO(), io.BytesIO()
    with rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the words are in the table too
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
        figure.savefig(png, format="png", dpi=DPI)
    return Picture(name, title, alt, NOT_IN_XML.sub(b"", svg.getvalue()), png.getvalue(), table)


def data_address(content: bytes, kind: str) -> str:
    """Return content as an address that needs no other host."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def percent(value: float | None) -> str:
    """Format a share as per cent with one decimal."""
    return NONE if value is None or np.isnan(value) else f"{100 * value:.1f}"


def _following_the_reader(svg: bytes) -> bytes:
    text = svg.decode()
    start, length = re.search(r"<svg[^>]*>", text), 0
    assert start is not None
    length = start.end()
    body = text[length:]
    for colour in DARK:
        body = body.replace(colour, f"var(--c{colour[1:]})")

    def values(dark: bool) -> str:
        return "".join(f"--c{light[1:]}:{other if dark else light};" for light, other in DARK.items())

    style = f"<style>:root{{{values(False)}}}@media(prefers-color-scheme:dark){{:root{{{values(True)}}}}}</style>"
    return (text[:length] + style + body).encode()


def _escaped(cell: str) -> str:
    text = re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", cell)
    return " ".join(text.split())
