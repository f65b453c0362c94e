"""One part of a report, its pictures with the words and numbers that say the same, and the page of all parts."""

import base64
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earnest.audio.source import common_folder
from earnest.errors import needs_extra, printable_lines
from earnest.evaluation.texts import ShownNumber, markdown_row, percent, range_text, spread_text
from earnest.files.writing import write_atomically
from earnest.installation import __version__
from earnest.plots.recordings import draw_counts
from earnest.plots.style import BLUE, DPI, GRID, INK, MUTED, ORANGE, PAPER, SKY, new_figure, save_as

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
    """Text ready to show; numbers among it are `ShownNumber`.

    Attributes
    ----------
    words : how many of the first columns hold words; the others hold numbers
    names : of the columns in JSON, with units; empty where ``columns`` will do
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    names: Sequence[str] = ()

    def to_list(self) -> list[dict[str, Any]]:
        """Return one object a row, for JSON, with numbers in place of their texts."""
        names = self.names or self.columns
        return [dict(zip(names, map(plain, row), strict=True)) for row in self.rows]

    def taken(self, columns: Sequence[str]) -> list[list[str]]:
        """Return the rows with these columns alone."""
        places = [self.columns.index(name) for name in columns]
        return [[row[place] for place in places] for row in self.rows]

    def markdown(self) -> str:
        """Return the table as Markdown; what would break its cells is escaped."""
        lines = [self.columns, ["---"] * self.words + ["---:"] * (len(self.columns) - self.words), *self.rows]
        return "\n".join(markdown_row(map(_escaped, line)) for line in lines)


@dataclass(frozen=True)
class ReportPicture:
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


def plain(cell: str) -> Any:
    """Return the number of a `ShownNumber`, and any other text as it is."""
    return cell.value if isinstance(cell, ShownNumber) else cell


def picture(figure: "Figure", name: str, title: str, alt: str, table: Table | None = None) -> ReportPicture:
    """Save a figure in both forms; the same figure gives the same bytes."""
    from matplotlib import rc_context

    svg, png = io.BytesIO(), io.BytesIO()
    with rc_context({"svg.hashsalt": name}):
        save_as(figure, svg, format="svg", transparent=True, metadata={"Date": None})
        save_as(figure, png, format="png", dpi=DPI)
    return ReportPicture(name, title, alt, NOT_IN_XML.sub(b"", svg.getvalue()), png.getvalue(), table)


def counts_picture(
    counts: Mapping[str, int], name: str, title: str, table: Table | None = None, unit: str = "recordings"
) -> ReportPicture:
    """Draw how many recordings, or other units, each class has, with the numbers in words beside it."""
    figure = new_figure(6.4, 0.9 + 0.36 * len(counts))
    draw_counts(figure.subplots(), counts, unit)
    alt = f"Bars of the number of {unit}: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    return picture(figure, name, title, alt, table)


def data_address(content: bytes, kind: str) -> str:
    """Return content as an address that needs no other host."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _following_the_reader(svg: bytes) -> bytes:
    text = svg.decode()
    start = re.search(r"<svg[^>]*>", text)
    assert start is not None
    body = text[start.end() :]
    for colour in DARK:
        body = body.replace(colour, f"var(--c{colour[1:]})")

    def values(dark: bool) -> str:
        return "".join(f"--c{light[1:]}:{other if dark else light};" for light, other in DARK.items())

    style = f"<style>:root{{{values(False)}}}@media(prefers-color-scheme:dark){{:root{{{values(True)}}}}}</style>"
    return (text[: start.end()] + style + body).encode()


def _escaped(cell: str) -> str:
    text = re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", cell)
    return " ".join(text.split())


@dataclass(frozen=True)
class Card:
    """One utterance with its answer.

    Attributes
    ----------
    utterance_id, speaker, truth, predicted : text to show
    confidence : probability of the answer, 0 to 1, shown in per cent
    image, audio : ``data:`` addresses, "" for none
    """

    utterance_id: str
    speaker: str
    truth: str
    predicted: str
    confidence: ShownNumber
    right: bool
    image: str = ""
    audio: str = ""

    @property
    def alt(self) -> str:
        """A description of the image."""
        return f"Log-mel spectrogram of {self.utterance_id}: spoken {self.truth}, answered {self.predicted}"


@dataclass(frozen=True)
class Section:
    """A heading with what belongs below it.

    Attributes
    ----------
    name : part of the heading's address
    lead : sentences before everything else
    tables : caption → table
    missing : why something, or all, is left out
    """

    name: str
    title: str
    lead: Sequence[str] = ()
    pictures: Sequence[ReportPicture] = ()
    tables: Mapping[str, Table] | None = None
    cards: Sequence[Card] = ()
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``report.json``, without what is drawn or heard."""
        tables = dict(self.tables or {}) | {one.title: one.table for one in self.pictures if one.table}
        return {
            "name": self.name,
            "title": self.title,
            "lead": list(self.lead),
            "pictures": [{"name": one.name, "title": one.title, "alt": one.alt} for one in self.pictures],
            "tables": {caption: table.to_list() for caption, table in tables.items()},
            "clips": [
                {
                    "utterance_id": card.utterance_id,
                    "speaker": card.speaker,
                    "truth": card.truth,
                    "predicted": card.predicted,
                    "confidence": card.confidence.value,
                }
                for card in self.cards
            ],
            "missing": self.missing,
        }


def render(template: str, **values: object) -> str:
    """Fill one of the package's templates.

    The page's policy forbids scripts, other hosts, and every style but the page's own, which is known by its hash.
    """
    with needs_extra("Writing a page", "report"):
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    environment: Any = Environment(
        loader=PackageLoader("earnest.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("style.css").render()
    return str(
        environment.get_template(template).render(
            **values,
            style=Markup(style),
            style_hash=f"sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}",
            version=__version__,
            spread=spread_text,
            percent=percent,
            limits=range_text,
        )
    )


class Places:
    """Absolute paths as a page shows them: below the folder that they have in common.

    People publish pages, and that folder tells who they are and how they keep their recordings.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._folder = common_folder({path for path in paths if os.path.isabs(path)})  # noqa: PTH117

    def shown(self, text: str) -> str:
        """Return a path, or a text that names some, without that folder."""
        return text.replace(f"{self._folder}{os.sep}", "") if self._folder else text


def write_pictures(folder: Path, sections: Sequence[Section], start: str = "") -> None:
    """Write the pictures of sections as SVG and PNG; their names begin with ``start``."""
    for one in (one for section in sections for one in section.pictures):
        name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in start + one.name)
        write_atomically(folder / f"{name}.svg", one.svg)
        write_atomically(folder / f"{name}.png", one.png)
