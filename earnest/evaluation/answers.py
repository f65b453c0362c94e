"""Answers of any system as columns, and the tables that hold them: read line by line, whoever wrote them."""

import csv
import math
import re
import shlex
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.source import file_and_channel, recording_and_start
from earnest.corpora.own.tables import SPEAKER, guessed_name
from earnest.errors import CorpusError, counted, named
from earnest.files.reading import opened, why_no_text
from earnest.files.tables import (
    delimiter_of,
    has_text,
    is_parquet,
    is_separator_line,
    opened_parquet,
    parquet_texts,
    unmarked,
    with_point,
    without_points,
)
from earnest.labels import AFFECT, composed, in_canonical_order

Probabilities = npt.NDArray[np.float32]
TextColumn: TypeAlias = npt.NDArray[np.object_]  # shape (rows,): one str a row
TEXTS = ("corpus", "speaker", "gender", "fold")


def text_column(texts: Iterable[str]) -> TextColumn:
    """Put texts into a column, shape (rows,)."""
    return np.array(list(texts), dtype=np.object_)


def same_text(text: str, n_rows: int) -> TextColumn:
    """Make a column that holds the same text in every row."""
    return np.full(n_rows, text, dtype=np.object_)


def different(column: Iterable[str]) -> list[str]:
    """List the texts of a column once each, in the order in which they first occur."""
    return list(dict.fromkeys(column))


def numbered(column: Iterable[str], order: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number each row by the place of its text in ``order``, shape (rows,); −1 for what isn't there."""
    place = {text: position for position, text in enumerate(order)}
    return np.array([place.get(text, -1) for text in column], dtype=np.int64)


SUM_TOLERANCE = 1e-3  # other people's files round their probabilities
ROUNDING = 1e-9  # of a sum of float64
LONGEST_SHOWN = 80
MOST_LABELS = 1000  # a confusion matrix has their square
MOST_TOLD = 12  # pairs of labels in a message
REPEATS = "Rows that say of a recording what a row before says, counted once"
TO_SCORE = " to earnest score (its --output can be compared and reported)"
NO_ANSWER = frozenset({"unsure", "mixed", "vocal-burst", "no-speech", "too-short", "error"})
"""What `earnest predict` says in place of an emotion, in any letters: no answer, unless it is a class of the file."""


@dataclass(frozen=True, eq=False)
class SystemAnswers:
    """The rows of a file as columns.

    Attributes
    ----------
    name : names of utterances, or paths of their recordings
    line, unit : where each row stands in the file, shape (rows,), int64: its line, entry or row
    predicted : the label answered, "" for none
    emotion : the true label, where the file says it
    texts : of corpus, speaker, gender, fold, start, intensity and model those that the file has
    labels, probabilities : shape (rows, labels), float32, NaN in rows without; None when none has any
    adapted, predicted_gender, predicted_affect, affect : see `Predictions`
    affect_derived : whether the system derived its affect from emotions, shape (rows,); None when nothing says so
    unread : columns of the file that say nothing here
    n_repeats : rows of the file that say what another one says, and are left out
    """

    source: Path
    name: TextColumn
    line: npt.NDArray[np.int64]
    predicted: TextColumn
    emotion: TextColumn | None = None
    texts: Mapping[str, TextColumn] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    probabilities: Probabilities | None = None
    adapted: npt.NDArray[np.bool_] | None = None
    predicted_gender: TextColumn | None = None
    predicted_affect: npt.NDArray[np.float32] | None = None
    affect: npt.NDArray[np.float32] | None = None
    affect_derived: npt.NDArray[np.bool_] | None = None
    unit: str = "line"
    unread: tuple[str, ...] = ()
    n_repeats: int = 0

    def __post_init__(self) -> None:
        columns = (self.labels, self.predicted, () if self.emotion is None else self.emotion)
        n_labels = max(len(set(column)) for column in columns)
        if n_labels > MOST_LABELS:
            raise CorpusError(f"{self.source}: {n_labels} different labels; at most {MOST_LABELS} can be scored.")

    def __len__(self) -> int:
        return len(self.name)

    @property
    def notes(self) -> list[str]:
        """What of the file is not read or not counted, in sentences."""
        names = [excerpt(name) or "one without a name" for name in dict.fromkeys(self.unread)]
        unread = [f"Columns that are not read: {named(names)}."] if names else []
        return unread + ([f"{REPEATS}: {self.n_repeats}."] if self.n_repeats else [])

    def text(self, name: str) -> TextColumn:
        """Return a column of ``texts``, empty texts where the file has none."""
        return self.texts[name] if name in self.texts else same_text("", len(self))

    def place(self, row: int) -> str:
        """Return the place of a row, for messages."""
        return _place(self.source, self.unit, self.line[row])

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> "SystemAnswers":
        """Return the rows at these indices, shape (n,), in that order."""
        columns = {name: getattr(self, name) for name in _ANSWER_COLUMNS}
        texts = {name: column[rows] for name, column in self.texts.items()}
        return replace(
            self, texts=texts, **{name: column[rows] for name, column in columns.items() if column is not None}
        )

    def classes(self) -> tuple[str, ...]:
        """Return the labels of the probabilities; without them all that occur, in canonical order."""
        if self.labels:
            return self.labels
        return in_canonical_order({*self.predicted, *(() if self.emotion is None else self.emotion)} - {""})

    def ids(self) -> TextColumn:
        """Return a name for each row: that of its utterance, and where files have several parts the start behind."""
        if "start" not in self.texts or len(set(self.name)) == len(self):
            return self.name
        pairs = zip(self.name, self.texts["start"], strict=True)
        return text_column(f"{name} {start}".rstrip() for name, start in pairs)

    def own_truth(self) -> TextColumn:
        """Return the true labels that the file itself holds, shape (rows,).

        Raises `CorpusError` when it holds none, or a label is spelt in two ways.
        """
        if self.emotion is None:
            raise CorpusError(
                f"{self.source}: it has no true labels. Say --manifest FILE (earnest corpus manifest FOLDER -o FILE "
                f"makes one of a folder for each class) or --data NAME=DIR{TO_SCORE}, or add a column truth."
            )
        true = set(self.emotion) - {""}
        where, pairs = "answers say {} where the truth says {}", twins(set(self.predicted) - true - {""}, true)
        if not pairs:
            where, pairs = "the truth says {} and {}", twins(true - set(self.labels), true)
        pairs = [(one, twin) for one, twin in pairs if one != twin]
        if pairs:
            told = ", ".join(where.format(f"'{excerpt(one)}'", f"'{excerpt(twin)}'") for one, twin in pairs[:MOST_TOLD])
            raise CorpusError(f"{self.source}: {told}. Say {map_words(pairs)}{TO_SCORE}.")
        return self.emotion


def _place(source: Path, unit: str, number: int) -> str:
    return f"{source}:{number}" if unit == "line" else f"{source}, {unit} {number}"


def _spoken(label: str) -> str:
    """Normalise a label's spelling: "Sad" and "sad", "1" and "1.0" are the same."""
    try:
        return f"{float(label):g}"
    except ValueError:
        return " ".join(label.split()).casefold()


def twins(labels: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pair each of some labels with the one of the others that differs by capitals, white space or digits alone."""
    spelt = {_spoken(label): label for label in sorted(others, reverse=True)}
    return [(label, twin) for label in sorted(labels) if (twin := spelt.get(_spoken(label))) is not None]


def map_words(pairs: Sequence[tuple[str, str]]) -> str:
    """Return ``--map`` options that read each first label as the second; of many pairs the first ones."""
    words = [f"--map {shlex.quote(f'{theirs}={ours}')}" for theirs, ours in pairs[:MOST_TOLD]]
    return " ".join(words) + (f" and {len(pairs) - MOST_TOLD} more" if len(pairs) > MOST_TOLD else "")


_OF_THE_FILE = ("source", "texts", "labels", "unit", "unread", "n_repeats")
_ANSWER_COLUMNS = tuple(name for name in SystemAnswers.__dataclass_fields__ if name not in _OF_THE_FILE)


def once_each(answers: SystemAnswers) -> SystemAnswers:
    """Keep the first of rows that say the same of an utterance in the same fold.

    Raises `CorpusError` for rows that contradict, and for an utterance that is another one's namesake.
    """
    parts = [answers.texts[name] for name in ("corpus", "start") if name in answers.texts]
    if len(set(zip(answers.name, *parts, strict=True))) == len(answers):
        return answers  # as in most files, in half of the memory
    columns = [answers.texts[name] for name in ("corpus", "fold", "start") if name in answers.texts]
    seen: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(zip(answers.name, *columns, strict=True)):
        first = seen.setdefault(key, row)
        where = f"{answers.unit} {answers.line[first]}"
        if first != row and not _is_known(answers, row):
            told = f"{answers.place(row)}: '{excerpt(key[0])}' is in {where} already. Keep one"
            raise CorpusError(f"{told}, or name each recording by a path of its own.")
        if first != row and (other := _contradiction(answers, first, row)):
            raise CorpusError(
                f"{answers.place(row)}: '{excerpt(key[0])}' is in {where} already, with another {other}. Keep one."
            )
    rows = np.array([*seen.values()], dtype=np.int64)
    _check_same(found := replace(answers.take(rows), n_repeats=len(answers) - len(rows)))
    return found


def _is_known(answers: SystemAnswers, row: int) -> bool:
    """Whether a row's name is a path, or it has probabilities: two recordings called 1.wav may have the same label."""
    has_numbers = answers.probabilities is not None and not np.isnan(answers.probabilities[row]).any()
    return has_numbers or "/" in answers.name[row]


def _contradiction(answers: SystemAnswers, first: int, row: int) -> str:
    """Name what two rows say differently; "" where they agree."""
    texts = {"answer": answers.predicted, "true label": answers.emotion, "predicted gender": answers.predicted_gender}
    for name, column in {**texts, **answers.texts}.items():
        if column is not None and column[first] != column[row]:
            there, here = (f"'{excerpt(text)}'" if text else "none" for text in (column[first], column[row]))
            return f"{name} ({there} there, {here} here)"
    numbers = {
        "probability": answers.probabilities,
        "predicted affect": answers.predicted_affect,
        "rating": answers.affect,
        "adaptation": answers.adapted,
        "origin of affect": answers.affect_derived,
    }
    for name, values in numbers.items():
        if values is not None and not np.allclose(values[first], values[row], 0, SUM_TOLERANCE, equal_nan=True):
            return name
    return ""


def _check_same(answers: SystemAnswers) -> None:
    """Refuse an utterance that another fold calls otherwise: two recordings of one name would count as one."""
    columns = [answers.texts[name] for name in ("corpus", "start") if name in answers.texts]
    keys = list(zip(answers.name, *columns, strict=True))
    for what, texts in (("emotion", answers.emotion), ("speaker", answers.texts.get("speaker"))):
        if texts is None:
            continue
        seen: dict[tuple[str, ...], int] = {}
        for row, key in enumerate(keys):
            first = seen.setdefault(key, row)
            if texts[first] != texts[row]:
                raise CorpusError(
                    f"{answers.place(row)}: '{excerpt(key[0])}' has the {what} '{excerpt(texts[row])}', but "
                    f"'{excerpt(texts[first])}' in {answers.unit} {answers.line[first]}. Give each recording a name of "
                    "its own, such as its path, or write a column corpus."
                )


_NUMBERED = re.compile(r"(SPEAKER_|spk_|speaker[_ ])(S?\d+|[A-Z])")  # what a program calls a speaker of one recording


def speakers_apart(names: Sequence[str], speakers: Sequence[str]) -> list[str]:
    """Return the speaker of each row; one that a program numbered behind the recording, as it is nobody elsewhere.

    Parameters
    ----------
    names : paths of recordings, or of turns in them: of one recording all speakers keep their names
    """
    places = {name: recording_and_start(name) for name in names} if any(map(_NUMBERED.fullmatch, speakers)) else {}
    recordings = {name: file_and_channel(recording)[0] for name, (recording, _) in places.items()}
    are_turns = {name for name, (_, start_s) in places.items() if start_s is not None}
    if len({*recordings.values()}) < 2:
        return list(speakers)
    return [
        f"{recordings[name]} {speaker}" if name in are_turns and _NUMBERED.fullmatch(speaker) else speaker
        for name, speaker in zip(names, speakers, strict=True)
    ]


def excerpt(text: str) -> str:
    """Return a stranger's text fit for one line of a message."""
    return repr(text[:LONGEST_SHOWN])[1:-1] + ("…" if len(text) > LONGEST_SHOWN else "")


TEXT_CELLS = ("name", "corpus", "speaker", "gender", "fold", "start", "emotion", "predicted", "predicted_gender",
              "intensity", "model")  # fmt: skip
REPEATED_CELLS = frozenset(TEXT_CELLS) - {"name", "start"}
GENDER_CELLS = ("gender_female", "gender_male")  # probabilities of the voice, where nobody made an answer of them
FLAG_CELLS = ("adapted", "affect_derived")
AFFECT_PREFIXES = ("predicted_", "")  # before names of answers, and of ratings
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "wahr": True, "falsch": False}  # German spreadsheets
LABEL_CELLS = ("emotion", "predicted")


@dataclass(frozen=True)
class Layout:
    """The layout of a table: its columns by what they hold.

    Attributes
    ----------
    columns : our name ("name", "predicted", "emotion", "speaker", "adapted", "predicted_valence" …) →
        header of the table
    probabilities : label, as `earnest.labels.composed` writes it → header of the table
    is_ours : labels must then be among those of the probabilities, and probabilities must sum to 1; of other
        people's tables, probabilities that don't are left out
    is_marked : texts that a spreadsheet would compute have a mark, as in all tables of earnest
    unread : headers of columns that say nothing here, of tables like ours
    """

    columns: Mapping[str, str]
    probabilities: Mapping[str, str] = field(default_factory=dict)
    is_ours: bool = False
    is_marked: bool = False
    unread: tuple[str, ...] = ()


def who_speaks(header: Sequence[str]) -> dict[str, str]:
    """Return "speaker" and "gender" → column that tells it: called so, or as `earnest learn` guesses it."""
    found = {name: name if name in header else guessed_name(header, name) for name in (SPEAKER, "gender")}
    return {ours: theirs for ours, theirs in found.items() if theirs}


def read_table(path: Path, layout_of: Callable[[list[str]], Layout]) -> SystemAnswers:
    """Read a CSV file with a header, or Parquet; `earnest.files.tables.delimiter_of` says how cells are parted.

    Raises `CorpusError` for what is wrong, with line (of Parquet row) and column; `MissingExtraError` for Parquet,
    where pyarrow is not installed.
    """
    if is_parquet(path):
        return _read_parquet(path, layout_of)
    try:
        with opened(path, CorpusError) as data, TextIOWrapper(data, "utf-8-sig", newline="") as file:
            start = next(file, "")
            delimiter = delimiter_of(start, path.name)
            reader = csv.reader(chain([start], file), delimiter=delimiter, strict=True)
            if is_separator_line(start):
                next(reader)
            header = [name.strip() for name in next(reader, [])]
            table = _Table(path, header, layout_of(header), delimiter)
            for row in filter(has_text, reader):
                table.add(row, reader.line_num)
    except UnicodeDecodeError as error:
        raise CorpusError(why_no_text(error, str(path), undecodable_line(path), "predictions file")) from None
    except (OSError, csv.Error) as error:
        raise CorpusError(f"{path}: not a readable predictions file ({error}).") from error
    return table.answers()


def _read_parquet(path: Path, layout_of: Callable[[list[str]], Layout]) -> SystemAnswers:
    with opened_parquet(path) as file:
        layout = layout_of(list(file.schema_arrow.names))
        wanted = list(dict.fromkeys((*layout.columns.values(), *layout.probabilities.values())))
        table = _Table(path, wanted, layout, unit="row")
        for number, row in enumerate(parquet_texts(path, file, wanted), 1):
            table.add(row, number)
    return table.answers()


def of_objects(
    path: Path, objects: Sequence[tuple[int, Mapping[str, str]]], layout_of: Callable[[list[str]], Layout], unit: str
) -> SystemAnswers:
    """Read a table of which each row is an object, such as a line of JSON, with its number: name → cell.

    Raises `CorpusError` as `read_table` does.

    Parameters
    ----------
    unit : what the numbers count
    """
    header = list(dict.fromkeys(chain.from_iterable(cells for _, cells in objects)))
    table = _Table(path, header, replace(layout_of(header), is_marked=False), unit=unit)
    for number, cells in objects:
        table.add([cells.get(name, "") for name in header], number)
    return table.answers()


def undecodable_line(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with opened(path, CorpusError) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


class _Table:
    """Takes rows and keeps what they say."""

    def __init__(
        self, path: Path, header: Sequence[str], layout: Layout, delimiter: str = ",", unit: str = "line"
    ) -> None:
        self.path, self.header, self.layout, self.delimiter, self.unit = path, header, layout, delimiter, unit
        self.texts: dict[str, list[str]] = {name: [] for name in TEXT_CELLS if name in layout.columns}
        self.known: dict[str, str] = {}  # texts that many rows share are kept once
        self.lines: list[int] = []
        self.flags: dict[str, list[bool]] = {name: [] for name in FLAG_CELLS if name in layout.columns}
        # Answered and rated valence, arousal and dominance of all rows in a line, where there are such columns.
        self.affect = {
            prefix: array("d") for prefix in AFFECT_PREFIXES if any(prefix + name in layout.columns for name in AFFECT)
        }
        self.probabilities = array("d")
        self.voices: list[str] = []

    def add(self, row: Sequence[str], line: int) -> None:
        """Check and keep a row that ends in ``line``."""
        if len(row) != len(self.header):
            raise CorpusError(
                f"{self._place(line)}: {counted(len(row), 'cell')}, but the header has {len(self.header)}."
            )
        cells = dict(zip(self.header, row, strict=True))
        said = {ours: cells[theirs] for ours, theirs in self.layout.columns.items()}
        self.lines.append(line)
        for name, kept in self.texts.items():
            text = unmarked(said[name]) if self.layout.is_marked and self.unit == "line" else said[name]
            if name in LABEL_CELLS:
                text = composed(text.strip())
            elif name == "start":
                text = with_point(text, self.delimiter)
            if reason := self._wrong(name, text):
                raise self._error(line, name, reason)
            kept.append(self.known.setdefault(text, text) if name in REPEATED_CELLS else text)
        for name, flags in self.flags.items():
            flag = _FLAGS.get(said[name].lower())
            if flag is None:
                raise self._error(line, name, f"expected true or false, got '{excerpt(said[name])}'")
            flags.append(flag)
        for prefix, numbers in self.affect.items():
            numbers.extend(self._affect(said, prefix, line))
        if set(GENDER_CELLS) <= said.keys():
            self.voices.append(self._voice([said[name] for name in GENDER_CELLS], line))
        if self.layout.probabilities:
            self.probabilities.extend(self._row_of_probabilities(cells, line))

    def answers(self) -> SystemAnswers:
        """Return all rows."""
        if not self.lines:
            raise CorpusError(f"{self.path}: it holds no predictions. Write one row a recording.")
        self._write_whole_numbers()
        if SPEAKER in self.texts:
            self.texts[SPEAKER] = speakers_apart(self.texts["name"], self.texts[SPEAKER])
        texts = {name: text_column(kept) for name, kept in self.texts.items()}
        probabilities = None
        if self.probabilities and not all(map(math.isnan, self.probabilities)):
            probabilities = np.array(self.probabilities, dtype=np.float32).reshape(len(self.lines), -1)
        columns: dict[str, Any] = {
            f"{prefix}affect": np.array(numbers, dtype=np.float32).reshape(-1, len(AFFECT))
            for prefix, numbers in self.affect.items()
        }
        columns |= {name: np.array(flags) for name, flags in self.flags.items()}
        classes = {*self.layout.probabilities, *self.texts.get("emotion", ())}
        none = NO_ANSWER.difference(map(str.lower, classes))
        answers = SystemAnswers(
            source=self.path,
            name=texts.pop("name"),
            line=np.array(self.lines, dtype=np.int64),
            predicted=text_column("" if label.lower() in none else label for label in texts.pop("predicted")),
            emotion=texts.pop("emotion", None),
            predicted_gender=text_column(self.voices) if any(self.voices) else texts.pop("predicted_gender", None),
            texts=texts,
            labels=tuple(self.layout.probabilities),
            probabilities=probabilities,
            unit=self.unit,
            unread=self.layout.unread,
            **columns,
        )
        return once_each(answers)

    def _write_whole_numbers(self) -> None:
        """Write speakers and labels that are numbers without the ".0" of pandas; not labels with probabilities."""
        labels = () if self.layout.probabilities else LABEL_CELLS
        for names in (labels, ("speaker",)):
            there = [name for name in names if name in self.texts]
            cells = iter(without_points([cell for name in there for cell in self.texts[name]]))
            for name in there:
                self.texts[name] = [*islice(cells, len(self.lines))]

    def _wrong(self, name: str, text: str) -> str:
        """Explain a wrong text of a column; nothing where it is right."""
        if name in ("name", "emotion") and not text:
            return "it is empty"
        if name == "predicted_gender" and text not in ("female", "male", ""):
            return f"expected female, male or nothing, got '{excerpt(text)}'"
        labels = self.layout.probabilities
        is_known = text in labels or not text or (name == "predicted" and text.lower() in NO_ANSWER)
        if name in LABEL_CELLS and self.layout.is_ours and labels and not is_known:
            return f"'{excerpt(text)}' has no column p_{excerpt(text)}"
        return ""

    def _affect(self, said: Mapping[str, str], prefix: str, line: int) -> list[float]:
        """Return valence, arousal and dominance, NaN for what is empty."""
        values = [math.nan] * len(AFFECT)
        for index, name in enumerate(AFFECT):
            if text := said.get(prefix + name):
                values[index] = self._number(prefix + name, text, line)
                if not math.isfinite(values[index]):
                    raise self._error(line, prefix + name, f"expected a number, got '{excerpt(text)}'")
        return values

    def _voice(self, cells: Sequence[str], line: int) -> str:
        """Return the likelier gender of a voice, "" where it has none."""
        if not all(cells):
            return ""
        shares = {name: self._number(name, text, line) for name, text in zip(GENDER_CELLS, cells, strict=True)}
        return max(shares, key=shares.__getitem__).removeprefix("gender_")

    def _row_of_probabilities(self, cells: Mapping[str, str], line: int) -> list[float]:
        """Return a probability a label, NaN where all cells are empty or, of other people's rows, don't sum to 1."""
        headers = self.layout.probabilities.values()
        nothing = [math.nan] * len(headers)
        if not any(cells[header] for header in headers):
            return nothing
        values = [self._number(header, cells[header], line) for header in headers]
        for header, value in zip(headers, values, strict=True):
            if self.layout.is_ours and not 0 <= value <= 1:
                raise self._error(line, header, f"a probability is from 0 to 1, got {excerpt(cells[header])}")
            if not math.isfinite(value):
                raise self._error(line, header, f"expected a number, got '{excerpt(cells[header])}'")
        total = sum(values)
        if abs(total - 1) <= SUM_TOLERANCE and min(values) >= 0:
            return values
        # Each of C cells of d decimals is off by up to ½·10⁻ᵈ, and not all of them in one direction.
        decimals = max(len(with_point(cells[header], self.delimiter).partition(".")[2]) for header in headers)
        if abs(total - 1) <= 0.5 * 10.0**-decimals * (len(values) - 1) + ROUNDING and min(values) >= 0 and decimals > 1:
            return [value / total for value in values]
        if self.layout.is_ours:
            raise CorpusError(
                f"{self._place(line)}: the probabilities sum to {total:.6g}, not to 1. Write those of all classes."
            )
        return nothing

    def _number(self, name: str, text: str, line: int) -> float:
        try:
            return float(with_point(text, self.delimiter))
        except ValueError:
            raise self._error(line, name, f"expected a number, got '{excerpt(text)}'") from None

    def _error(self, line: int, name: str, why: str) -> CorpusError:
        return CorpusError(f"{self._place(line)}, column '{self.layout.columns.get(name, name)}': {why}.")

    def _place(self, line: int) -> str:
        return _place(self.path, self.unit, line)
