"""A page about answers alone, of a table of `earnest predict`: nobody says what is true, so nothing is scored."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from statistics import median
from typing import Any

from earnest.audio.source import file_and_channel
from earnest.errors import EarnestError, first_line, shown
from earnest.evaluation.importers import recognised
from earnest.evaluation.texts import NONE, percent
from earnest.files.csv_cells import text_rows
from earnest.files.reading import parsed_json, read_text
from earnest.files.writing import write_atomically, write_json
from earnest.plots.recordings import draw_counts
from earnest.plots.style import new_figure
from earnest.report.build import folder_of_page
from earnest.report.section import Section, Table, picture, render, write_pictures

MOST_ROWS = 100  # of a table
LEAD = (
    "These are answers. Nobody said what is true, so the page can't tell how many are right: `earnest models NAME` "
    "tells how many were on the recordings that the model was tested on."
)


@dataclass(frozen=True)
class Answer:
    """What the page tells of a row."""

    path: str
    status: str
    emotion: str
    confidence: float
    speech_s: float
    shares: Mapping[str, float]
    quality: Sequence[str]
    error: str
    speaker: str

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of speech of each emotion, or of the status where there is none."""
        shares = self.shares or {self.emotion or self.status: 1.0}
        return {name: share * self.speech_s for name, share in shares.items()}


@dataclass(frozen=True)
class AnswersPage:
    """All that is shown of one table."""

    name: str
    facts: Mapping[str, str]
    sections: Sequence[Section]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``report.json``."""
        return {"answers": self.name, **self.facts, "sections": [section.to_dict() for section in self.sections]}


def has_answers_alone(path: Path) -> bool:
    """Whether a file is a table (CSV) of `earnest predict` to which nobody added the column ``truth``."""
    return path.is_file() and recognised(path) == "predict" and "truth" not in map(str.strip, next(_rows(path)))


def read_answers_alone(path: Path) -> list[Answer]:
    """Read the rows; a spreadsheet may have saved them, and added columns such as ``speaker``."""
    rows = _rows(path)
    header = [name.strip() for name in next(rows)]
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(_answer(dict(zip(header, row, strict=True))))
        except (EarnestError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = f"{path}, row {number}: no row of `earnest predict` ({shown(first_line(error))})"
            raise EarnestError(f"{told}. Remove it, or answer the recordings again.") from error
    if not found:
        raise EarnestError(f"{path}: holds no answers. Answer recordings: earnest predict … --output answers.csv.")
    return found


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        yield from text_rows(read_text(path, what="answers"), path.name)
    except csv.Error as error:
        raise EarnestError(f"{path}: not a readable table ({error}). Answer the recordings again.") from error


def _answer(cells: Mapping[str, str]) -> Answer:
    return Answer(
        **{name: cells[name] for name in ("path", "status", "emotion")},
        confidence=_number(cells.get("confidence", ""), math.nan),
        speech_s=_number(cells.get("speech_s", ""), 0.0),
        shares={name: float(share) for name, share in parsed_json(cells.get("shares") or "{}", "shares").items()},
        quality=cells.get("quality", "").split(),
        **{name: cells.get(name, "") for name in ("error", "speaker")},
    )


def _number(cell: str, absent: float) -> float:
    return float(cell.replace(",", ".")) if cell.strip() else absent  # a spreadsheet may have written a decimal comma


def answers_page(path: Path) -> AnswersPage:
    """Make every section."""
    rows = read_answers_alone(path)
    n_answered = sum(bool(row.emotion) for row in rows)
    facts = {
        "recordings": str(len(rows)),
        "with an emotion": f"{n_answered} ({percent(n_answered / len(rows))} %)",
        "hours of speech": f"{sum(row.speech_s for row in rows) / 3600:.2f}",
    }
    keys: Mapping[str, Callable[[Answer], str]] = {
        "folder": lambda row: str(PurePath(row.path).parent),
        "channel": lambda row: str(file_and_channel(row.path)[1] or NONE),
        "speaker": lambda row: row.speaker or NONE,
    }
    groups = {name: [key(row) for row in rows] for name, key in keys.items()}
    sections = [
        _emotions(rows),
        _counted("status", Counter(row.status for row in rows), len(rows)),
        _counted("quality", Counter(word for row in rows for word in row.quality), len(rows)),
        *(_groups(rows, name, own) for name, own in groups.items() if len(set(own)) > 1),
        _counted("error", Counter(row.error for row in rows if row.error), len(rows)),
    ]
    return AnswersPage(path.stem, facts, sections)


def write_answers_page(page: AnswersPage, place: Path) -> Path:
    """Write the page and, in a folder of its name beside it, pictures and ``report.json``; return the folder."""
    folder = folder_of_page(place)
    write_pictures(folder, page.sections)
    write_json(folder / "report.json", page.to_dict())
    write_atomically(place, render("answers.html", page=page, lead=LEAD).encode())
    return folder


def _emotions(rows: Sequence[Answer]) -> Section:
    counts = dict(Counter(row.emotion for row in rows if row.emotion).most_common())
    if not counts:
        return Section("emotion", "Emotions", missing="No recording has an emotion.")
    seconds: Counter[str] = Counter()
    for row in rows:
        seconds.update(row.seconds)
    total, total_s = sum(counts.values()), seconds.total()
    cells = []
    for name in dict.fromkeys((*counts, *(name for name, own_s in seconds.most_common() if own_s))):
        sure = [row.confidence for row in rows if row.emotion == name and not math.isnan(row.confidence)]
        shares = (counts.get(name, 0) / total, seconds[name] / total_s if total_s else None)
        cells.append([name, str(counts.get(name, 0)), *map(percent, (*shares, median(sure) if sure else None))])
    figure = new_figure(6.4, 0.9 + 0.36 * len(counts))
    draw_counts(figure.subplots(), counts)
    alt = "Bars of the number of recordings: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    table = Table(("", "recordings", "% of those with an emotion", "% of all speech", "median confidence, %"), cells)
    drawing = picture(figure, "emotions", "Recordings by emotion", alt)
    return Section("emotion", "Emotions", pictures=[drawing], tables={"Emotions, and speech without one": table})


def _counted(name: str, counts: Counter[str], total: int) -> Section:
    if not counts:
        return Section(name, name.capitalize(), missing="None.")
    cells = [[what, str(count), percent(count / total)] for what, count in counts.most_common(MOST_ROWS)]
    table = Table((name, "recordings", "% of all"), cells)
    return Section(name, name.capitalize(), tables={_caption("Recordings", len(counts)): table})


def _groups(rows: Sequence[Answer], name: str, groups: Sequence[str]) -> Section:
    """Compare folders, channels or speakers: shares of the emotions of each."""
    counts: dict[str, Counter[str]] = {group: Counter() for group in sorted(set(groups))}
    for row, group in zip(rows, groups, strict=True):
        counts[group].update([row.emotion] if row.emotion else [])
    emotions = [emotion for emotion, _ in sum(counts.values(), Counter[str]()).most_common()]
    cells = []
    for group, own in list(counts.items())[:MOST_ROWS]:
        shares = [percent(own[emotion] / own.total()) if own else NONE for emotion in emotions]
        cells.append([group, str(groups.count(group)), str(own.total()), *shares])
    table = Table((name, "recordings", "with an emotion", *(f"{emotion}, %" for emotion in emotions)), cells)
    caption = _caption("Shares of the emotions among recordings with one", len(counts))
    return Section(name, f"Each {name}", tables={caption: table})


def _caption(text: str, n_rows: int) -> str:
    return f"{text}, {MOST_ROWS} of {n_rows}" if n_rows > MOST_ROWS else text
