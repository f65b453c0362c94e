"""A page about answers alone, as `earnest predict` and `timeline` write them: nobody says what is true.

So nothing is scored.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from statistics import median
from typing import Any

from earnest.audio.source import file_and_channel, recording_and_start
from earnest.corpora.own.tables import Row, read_table
from earnest.errors import EarnestError, first_line, shown
from earnest.evaluation.answers import speakers_apart
from earnest.evaluation.importers import SPANS, recognised
from earnest.evaluation.texts import NONE, ShownNumber, percent, shown_number
from earnest.export.card import begun_in
from earnest.files.reading import parsed_json
from earnest.files.tables import text_of
from earnest.files.writing import write_atomically, write_json
from earnest.report.build import folder_of_page
from earnest.report.section import Places, Section, Table, counts_picture, render, write_pictures
from earnest.runtime.answers import summary_of
from earnest.runtime.timeline_plot import clock

MOST_ROWS = 100  # of a table
LEAD = (
    "These are answers. Nobody said what is true, so the page can't tell how many are right: 'earnest models NAME' "
    "tells how many were on the recordings that the model was tested on."
)


@dataclass(frozen=True)
class Answer:
    """One row of the page."""

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
    """All that is shown of one table.

    Attributes
    ----------
    unit : what a row is about: "recordings", or "parts" where all are parts of recordings
    """

    name: str
    unit: str
    n_rows: int
    n_with_emotion: int
    speech_s: float
    sections: Sequence[Section]

    @property
    def facts(self) -> dict[str, str]:
        """Facts at the top of the page."""
        return {
            self.unit: str(self.n_rows),
            "with an emotion": f"{self.n_with_emotion} ({percent(self.n_with_emotion / self.n_rows)} %)",
            "speech": clock(round(self.speech_s, 1)),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``report.json``."""
        return {
            "answers": self.name,
            f"n_{self.unit}": self.n_rows,
            "n_with_emotion": self.n_with_emotion,
            "speech_s": round(self.speech_s, 3),
            "sections": [section.to_dict() for section in self.sections],
        }


def read_answers_alone(path: Path) -> list[Answer] | None:
    """Read answers of `earnest predict` or `timeline` to which nobody added the column ``truth``; None of other files.

    A spreadsheet may have saved them, and added columns such as ``speaker``. The spans of a recording, as `earnest
    timeline` writes them, become one answer.
    """
    form = recognised(path) if path.is_file() else ""
    if form not in ("predict", SPANS) or "truth" in (table := read_table(path)).columns:
        return None
    answers: dict[str, list[Answer]] = {}
    are_spans = form == SPANS
    for where, row in table.rows:
        try:
            answer = _span(row) if are_spans else _answer(row)
        except (EarnestError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = f"{where}: no row of `earnest predict` or `timeline` ({shown(first_line(error))})"
            raise EarnestError(f"{told}. Remove it, or answer the recordings again.") from error
        answers.setdefault(answer.path if are_spans else where, []).append(answer)
    return [_together(some) for some in answers.values()]


def _answer(cells: Row) -> Answer:
    shares, quality = cells.get("shares") or {}, cells.get("quality") or ""
    shares = parsed_json(shares, "shares") if isinstance(shares, str) else shares
    return Answer(
        **{name: text_of(cells[name]) for name in ("path", "status", "emotion")},
        confidence=_number(cells.get("confidence"), math.nan),
        speech_s=_number(cells.get("speech_s"), 0.0),
        shares={name: float(share) for name, share in shares.items()},
        quality=quality.split() if isinstance(quality, str) else [str(word) for word in quality],
        **{name: text_of(cells.get(name)) for name in ("error", "speaker")},
    )


def _span(cells: Row) -> Answer:
    seconds = _number(cells["end_s"], math.nan) - _number(cells["start_s"], math.nan)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"it lasts {seconds} s")
    emotion = text_of(cells["emotion"])
    status, told = summary_of({emotion: seconds})
    return _answer({**cells, "status": status, "emotion": told, "speech_s": seconds, "shares": {emotion: 1.0}})


def _together(spans: Sequence[Answer]) -> Answer:
    """Make one answer of the spans of a recording, as its timeline does."""
    if len(spans) == 1:
        return spans[0]
    seconds: Counter[str] = Counter()
    for span in spans:
        seconds.update(span.seconds)
    status, emotion = summary_of(dict(seconds.most_common()))
    total_s = seconds.total()
    # Mean confidence over the time for which the emotion held: Σ s·c / Σ s.
    weighted = math.fsum(span.speech_s * span.confidence for span in spans if span.emotion == emotion)
    return replace(
        spans[0],
        status=status,
        emotion=emotion or "",
        confidence=weighted / seconds[emotion] if emotion and seconds[emotion] else math.nan,
        speech_s=total_s,
        shares={name: own_s / total_s for name, own_s in seconds.items()} if total_s else {},
    )


def _number(cell: Any, absent: float) -> float:
    text = text_of(cell).strip()
    return float(text.replace(",", ".")) if text else absent  # a spreadsheet may have written a decimal comma


def answers_page(path: Path) -> AnswersPage | None:
    """Make every section; None of a file of no answers, or of some with the truth beside them."""
    rows = read_answers_alone(path)
    if rows is None:
        return None
    places = Places(row.path for row in rows)
    rows = [replace(row, path=places.shown(row.path), error=places.shown(row.error)) for row in rows]
    n_answered, speech_s = sum(bool(row.emotion) for row in rows), sum(row.speech_s for row in rows)
    are_parts = all(recording_and_start(row.path)[1] is not None for row in rows)
    unit = "parts" if are_parts else "recordings"
    without = "Spans don't tell: earnest predict does." if recognised(path) == SPANS else "None."
    groups = {
        "folder": [str(PurePath(row.path).parent) for row in rows],
        "channel": [str(file_and_channel(row.path)[1] or NONE) for row in rows],
        "speaker": [one or NONE for one in speakers_apart([row.path for row in rows], [row.speaker for row in rows])],
    }
    sections = [
        _emotions(rows, unit),
        _counted("status", Counter(row.status for row in rows), len(rows), unit),
        _counted("quality", Counter(word for row in rows for word in row.quality), len(rows), unit, without),
        *(_groups(rows, name, own, unit) for name, own in groups.items() if len(set(own)) > 1),
        _counted("error", Counter(row.error for row in rows if row.error), len(rows), unit, without),
    ]
    return AnswersPage(path.stem, unit, len(rows), n_answered, speech_s, sections)


def write_answers_page(page: AnswersPage, place: Path) -> Path:
    """Write the page and, in a folder of its name beside it, pictures and ``report.json``; return the folder."""
    folder = folder_of_page(place)
    with begun_in(folder):
        write_pictures(folder, page.sections)
        write_json(folder / "report.json", page.to_dict())
        write_atomically(place, render("answers.html", page=page, lead=LEAD).encode())
    return folder


def _emotions(rows: Sequence[Answer], unit: str) -> Section:
    counts = dict(Counter(row.emotion for row in rows if row.emotion).most_common())
    if not counts:
        return Section("emotion", "Emotions", missing=f"None of the {unit} has an emotion.")
    seconds: Counter[str] = Counter()
    for row in rows:
        seconds.update(row.seconds)
    total, total_s = sum(counts.values()), seconds.total()
    cells = []
    for name in dict.fromkeys((*counts, *(name for name, own_s in seconds.most_common() if own_s))):
        sure = [row.confidence for row in rows if row.emotion == name and not math.isnan(row.confidence)]
        # Speech that has no emotion is in seconds alone; recordings without one are counted below, by their status.
        number = shown_number(counts[name]) if name in counts else ShownNumber(NONE, None)
        share = counts[name] / total if name in counts else None
        share_s = seconds[name] / total_s if total_s else None
        cells.append([name, number, *map(percent, (share, share_s, median(sure) if sure else None))])
    columns = ("", unit, "% of those with an emotion", "% of all speech", "median confidence, %")
    percentages = ("percent_of_those_with_an_emotion", "percent_of_all_speech", "median_confidence_percent")
    table = Table(columns, cells, names=("emotion", f"n_{unit}", *percentages))
    drawing = counts_picture(counts, "emotions", f"{unit.capitalize()} by emotion", unit=unit)
    return Section("emotion", "Emotions", pictures=[drawing], tables={"Emotions, and speech without one": table})


def _counted(name: str, counts: Counter[str], total: int, unit: str, without: str = "None.") -> Section:
    if not counts:
        return Section(name, name.capitalize(), missing=without)
    cells = [[what, shown_number(count), percent(count / total)] for what, count in counts.most_common(MOST_ROWS)]
    table = Table((name, unit, "% of all"), cells, names=(name, f"n_{unit}", "percent_of_all"))
    return Section(name, name.capitalize(), tables={_caption(unit.capitalize(), len(counts)): table})


def _groups(rows: Sequence[Answer], name: str, groups: Sequence[str], unit: str) -> Section:
    """Compare folders, channels or speakers: shares of the emotions of each, among its recordings and in its speech.

    A long recording that is mostly neutral counts as neutral, or as none: what else was in it is told by seconds alone.
    """
    counts: dict[str, Counter[str]] = {group: Counter() for group in sorted(set(groups))}
    seconds: dict[str, Counter[str]] = {group: Counter() for group in counts}
    for row, group in zip(rows, groups, strict=True):
        counts[group].update([row.emotion] if row.emotion else [])
        seconds[group].update(row.seconds)
    shown_groups = list(counts)[:MOST_ROWS]
    numbers = [[shown_number(groups.count(group)), shown_number(counts[group].total())] for group in shown_groups]
    columns = (unit, f"n_{unit}"), ("with an emotion", "n_with_emotion")
    tables = {f"Shares of the emotions among {unit} with one": _shares(name, counts, columns, numbers)}
    if unit == "parts" or any(row.shares for row in rows):  # some are longer than others
        speech = [[shown_number(round(seconds[group].total(), 1))] for group in shown_groups]
        tables["Shares of the emotions in the speech"] = _shares(name, seconds, (("speech, s", "speech_s"),), speech)
    return Section(name, f"Each {name}", tables={_caption(told, len(counts)): table for told, table in tables.items()})


def _shares(
    name: str,
    groups: Mapping[str, Counter[str]],
    columns: Sequence[tuple[str, str]],
    numbers: Sequence[Sequence[ShownNumber]],
) -> Table:
    """Make a table of what is counted for each group: its name, its numbers under ``columns``, then the shares."""
    emotions = [emotion for emotion, amount in sum(groups.values(), Counter[str]()).most_common() if amount]
    cells = []
    for (group, own), told in zip(groups.items(), numbers, strict=False):  # of more groups than rows the first
        shares = [percent(own[emotion] / own.total() if own.total() else None) for emotion in emotions]
        cells.append([group, *told, *shares])
    percentages = ((f"{emotion}, %", f"{emotion}_percent") for emotion in emotions)
    shown_columns, names = zip(*columns, *percentages, strict=True)
    return Table((name, *shown_columns), cells, names=(name, *names))


def _caption(text: str, n_rows: int) -> str:
    return f"{text}, {MOST_ROWS} of {n_rows}" if n_rows > MOST_ROWS else text
