"""Rows that survive a kill: one JSON line each in ``NAME.partial``, and the file itself only when it is whole."""

import csv
import json
import logging
import math
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from earnest.audio.source import Source, found_channel, place_of
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, RecipeError, counted, printable, shown, told
from earnest.files.reading import parsed_json
from earnest.files.tables import csv_rows, load_pyarrow
from earnest.files.writing import (
    Journal,
    cut_half_line,
    note_on_sum,
    refuse_changed,
    refuse_existing,
    refuse_planted,
    replacing,
    unfollowed,
    whole_lines,
    write_sum,
)
from earnest.installation import __version__
from earnest.runtime.bulk import AnsweredRecording
from earnest.runtime.formats import (
    check_columns,
    csv_header,
    csv_line,
    flat_values,
    from_flat_values,
    from_json_line,
    json_line,
    prediction_schema,
)
from earnest.runtime.prediction import Prediction
from earnest.settings.limits import from_mapping

if TYPE_CHECKING:
    from earnest.apps.cli.predict import Existing

Form = Literal["json", "csv", "parquet"]
T = TypeVar("T")
R = TypeVar("R")
PARQUET_ROWS = 10_000
N_SAMPLES, N_SAMPLES_UNNOTED, LONGEST_SAMPLE_S = 3, 50, 60.0  # more where no network is noted: some agree by chance
SAME = 0.02  # of a probability, or of an embedding's largest value: other batches and other processors differ by less
Sample = tuple[str, Sequence[float]]
"""The path of a recording, and the numbers that were answered."""
ROUNDED = 1e-5  # numbers of rows have six decimals
RESUMES = "Add --resume: it keeps the rows so far."
GO_ON = "Continue it with --resume, replace it with --overwrite"
_MADE_BY = '{"made_by":'  # the first line of a journal, and the note beside a finished file, begin so
_HEARD = b'{"plain":'  # a line of what was heard begins so
NOT_OURS = "Name another --output, or replace it with --overwrite."
_log = logging.getLogger(__name__)
_WRONG = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


Adapted = Callable[[Callable[[], Iterator[AnsweredRecording]]], Iterator[Prediction]]
"""What answers recordings again, adapted, that it is given twice."""


@dataclass(frozen=True)
class MadeBy:
    """A model as a run used it, and what else decides its rows.

    Attributes
    ----------
    digest : of its graphs, see `BundleInfo.digest`
    abstain_below : the threshold of the rows; None where they have none
    profile : SHA-256 of the profile that --profile names; "" for none, None where a file doesn't tell
    earnest : the version that wrote the file
    options : which classes, and whom it adapts to, as options; None where a file doesn't tell
    """

    model: str
    version: str
    digest: str
    abstain_below: float | None = None
    profile: str | None = None
    earnest: str = __version__
    options: str | None = None

    @classmethod
    def of(cls, info: BundleInfo, profile: str = "", options: str | None = None) -> "MadeBy":
        """Describe the rows of predictions."""
        return cls(info.name, info.version, info.digest, info.abstain_below, profile, options=options)

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps({"made_by": asdict(self)})

    def refuse_mixing(self, there: "MadeBy", output: Path) -> None:
        """Raise `EarnestError` where rows of this run don't belong among those of another one.

        Parameters
        ----------
        there : the other one; another name, and rows of another kind, are left to who checks the rows
        """
        if there.model != self.model or (there.abstain_below is None) != (self.abstain_below is None):
            return
        if there.digest != self.digest:
            ours, theirs = (shown(f"{one.model} {one.version}") for one in (self, there))
            one, other = (printable(made.digest[:12]) for made in (there, self))
            told = f"was made by another network ({theirs}, {one}) than the one here ({ours}, {other})"
            raise EarnestError(f"{output}: {told}, as before an upgrade. Its rows don't mix. {NOT_OURS}")
        if there.abstain_below != self.abstain_below and there.abstain_below is not None:
            theirs, ours = (f"{100 * (made.abstain_below or 0):g} %" for made in (there, self))
            told = f"was made with the threshold {theirs}, and here it is {ours}"
            raise EarnestError(f"{output}: {told}. Give --abstain-below {there.abstain_below:g}, as then. {NOT_OURS}")
        if there.profile and self.profile and there.profile != self.profile:
            told = "its answers are adapted to another profile than the one here"
            raise EarnestError(f"{output}: {told}. Give --profile as before. {NOT_OURS}")
        if there.options is not None and self.options is not None and there.options != self.options:
            told = f"was made with {printable(there.options)}, and here it is {printable(self.options)}"
            raise EarnestError(f"{output}: {told}. Give the same options. {NOT_OURS}")


def _made_by_in(note: str, where: str) -> MadeBy | None:
    """Return what a journal's first line says, or the note beside a finished file; None where it is no such note."""
    if not note.startswith(_MADE_BY):
        return None
    values: Any = parsed_json(note, where)
    try:
        return from_mapping(MadeBy, values["made_by"], where)
    except RecipeError as error:
        raise EarnestError(f"{error} A newer earnest wrote it, or it is damaged.") from None


class JournaledFile(ABC, Generic[R]):
    """Collects rows for a file; `close` puts it in place in one step, from the journal ``NAME.partial``.

    Who uses it holds the file, see `earnest.files.writing.held_file`.

    Attributes
    ----------
    done : place of a recording → rows that are there already, from the run that is resumed
    n_failed : how many of these have an error
    """

    def __init__(self, output: Path, made_by: MadeBy, existing: "Existing", retried: Container[str] = ()) -> None:
        """Begin a file, or go on with one; what a subclass needs to read rows is set before.

        Parameters
        ----------
        made_by : whose rows are added
        retried : places of recordings whose rows with an error are forgotten, so that they are answered again
        """
        self.n_failed, self.done, self._samples, self._is_copy = 0, Counter[str](), list[Sample](), False
        self._ours, self._noted = made_by, ""
        self._output = Path(os.path.realpath(output)) if output.is_symlink() else output
        self._journal = self._output.with_name(f"{self._output.name}.partial")
        refuse_existing(output, existing != "refuse", GO_ON)
        refuse_planted(self._journal)
        refuse_existing(self._journal, existing != "refuse", f"That run did not end. {GO_ON}")
        with told(output):
            if existing == "overwrite":
                self._journal.unlink(missing_ok=True)
            if existing == "resume":
                self._is_copy = not self._journal.exists()
                try:
                    self._go_on(retried)
                except BaseException:
                    self._leave_nothing()
                    raise
            self._file = Journal(self._journal, RESUMES)
        if self._file.is_empty:
            self._noted = made_by.to_json()
            self._file.append(self._noted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the journal, also where the run was stopped; what it holds stays."""
        self._file.close()

    def check_samples(self, answered: Callable[[Source], Sequence[float]]) -> None:
        """Answer a few recordings of the run before again: a model that was learnt anew has the same name.

        Raises `EarnestError` when one is answered otherwise than the file tells.
        """
        if self._samples and not self._noted:
            told = "nothing says which network made it, as in files of earlier versions"
            count = f"{counted(len(self._samples), 'recording')} of it are answered again to compare"
            _log.warning("%s", printable(f"{self._output}: {told}. {count}; to be sure, begin another --output."))
        for path, numbers in self._samples:
            if not Path(found_channel(path)[0]).is_file():
                continue
            again = answered(path)
            least = SAME * max(1.0, *map(abs, numbers))
            if len(again) != len(numbers) or max(map(abs, map(sub, again, numbers))) > least:
                self._file.close()
                self._leave_nothing()
                raise EarnestError(
                    f"{self._output}: {printable(path)} is answered otherwise now than this file tells. It was made by "
                    f"another model of this name, or the recording was replaced. {NOT_OURS}"
                )

    def _leave_nothing(self) -> None:
        """Remove the journal that a refused run began from the finished file; one that was there before stays."""
        if self._is_copy:
            self._journal.unlink(missing_ok=True)

    def write(self, row: R) -> None:
        """Add a row; it is safe when this returns, and not there at all when this raises."""
        self._file.append(self._line(row))

    def publish(self) -> None:
        """Write the file from all rows so far, beside its place, and move it there."""
        with told(self._output, RESUMES), replacing(self._output) as whole:
            self._write_whole(whole)
        write_sum(self._output, self._noted)

    def close(self) -> None:
        """Publish, and forget the journal."""
        self.publish()
        self._file.remove()

    def _go_on(self, retried: Container[str]) -> None:
        """Count the rows of the run before: of its journal, else of the file that it finished."""

        def is_forgotten(row: R) -> bool:
            path, is_failed = self._path_and_failed(row)
            return is_failed and place_of(path) in retried

        if not self._journal.exists() and self._output.exists():
            refuse_changed(self._output)
            self._note(note_on_sum(self._output), f"{self._output}.sha256")
            self._begin_journal(self._rows_of_output())
        if not self._journal.exists():
            return
        first = next((line for _, line in whole_lines(self._journal)), b"")
        self._note(first.decode("utf-8", "replace"), f"{self._journal}, line 1")
        n_samples = N_SAMPLES if self._noted else N_SAMPLES_UNNOTED
        for row in self._journaled():
            self._check(row)
            path, is_failed = self._path_and_failed(row)
            if not is_forgotten(row):
                self.n_failed += is_failed
                self.done[place_of(path)] += 1
            if len(self._samples) < n_samples and (sample := self._sample(row)):
                self._samples.append(sample)
        cut_half_line(self._journal)  # only now: the file may be somebody else's, and stays as it is then
        if retried:
            self._begin_journal(row for row in self._journaled() if not is_forgotten(row))

    def _note(self, note: str, where: str) -> None:
        """Keep who made the rows so far, which must be as this run; "" where an earlier version didn't say it."""
        if made_by := _made_by_in(note, where):
            self._ours.refuse_mixing(made_by, self._output)
        self._noted = made_by.to_json() if made_by else ""

    def _begin_journal(self, rows: Iterable[R]) -> None:
        with replacing(self._journal) as begun, open(begun, "w", encoding="utf-8", opener=unfollowed) as file:
            file.writelines([f"{self._noted}\n"] if self._noted else [])
            file.writelines(f"{self._line(row)}\n" for row in rows)

    def _lines_of_rows(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the content of each line of the journal that holds a row."""
        return (
            (number, line)
            for number, line in whole_lines(self._journal)
            if number > 1 or not line.startswith(_MADE_BY.encode())
        )

    @abstractmethod
    def _line(self, row: R) -> str:
        """Return a row's line in the journal, without its end."""

    @abstractmethod
    def _journaled(self) -> Iterator[R]:
        """Yield the rows of the journal; a half-written last line is none."""

    @abstractmethod
    def _rows_of_output(self) -> Iterator[R]:
        """Yield the rows of the file that a run finished."""

    @abstractmethod
    def _path_and_failed(self, row: R) -> tuple[str, bool]:
        """Return the recording's path, and whether the row has an error."""

    @abstractmethod
    def _sample(self, row: R) -> Sample | None:
        """Return a sample for `check_samples`; None for a row that says little or takes long."""

    @abstractmethod
    def _write_whole(self, path: Path) -> None:
        """Write all rows as the file."""

    def _check(self, row: R) -> None:
        """Raise `EarnestError` for a row of the run before that this run would not have written."""


class RowFile(JournaledFile["Prediction | AnsweredRecording"]):
    """Collects predictions for a file.

    With batch adaptation the journal holds what was heard, and every `publish` answers all of it again.
    """

    def __init__(
        self,
        output: Path,
        form: Form,
        info: BundleInfo,
        existing: "Existing",
        adapted: Adapted | None = None,
        adapts: bool | None = None,
        retried: Container[str] = (),
        made_by: MadeBy | None = None,
    ) -> None:
        """Begin a file, or go on with one whose rows were made as these will be.

        Parameters
        ----------
        info : whose name, classes and threshold the rows have
        adapts : whether every answer is adapted, or none; None where it depends
        retried : as in `JournaledFile`
        made_by : what is told of the rows; None for what ``info`` says
        """
        self._adapted, self._adapts, self._below = adapted, adapts, info.abstain_below
        self._told = set[str]()  # columns that a list tells
        self._is_told = False  # whether rows of the run before hold answers, and no more what was heard
        self._form, self._classes, self._model = form, info.classes, info.name
        if form == "parquet":
            load_pyarrow()
        super().__init__(output, made_by or MadeBy.of(info), existing, retried)

    def _check(self, heard: "Prediction | AnsweredRecording") -> None:
        assert isinstance(heard, AnsweredRecording)
        row = heard.plain
        self._told.update(row.told)
        # Speech that was answered has steps, but for a spectrogram's picture, of which no seconds are known.
        self._is_told |= row.speech_s is not None and bool(row.probabilities) and not heard.steps
        if row.model != self._model:
            raise EarnestError(f"{self._output}: holds answers of the model '{row.model}'. Name another file.")
        if row.probabilities and set(row.probabilities) != set(self._classes):
            held = ", ".join(row.probabilities)
            raise EarnestError(
                f"{self._output}: holds probabilities of {held}. Name these with --classes, or give another file."
            )
        self._refuse_other_options(row)

    def _refuse_other_options(self, row: Prediction) -> None:
        """Raise `EarnestError` for an answer that these options would not have given."""
        if row.confidence is not None and row.shares is None and row.status in ("ok", "unsure"):  # of one window
            is_below = row.confidence < self._below
            if abs(row.confidence - self._below) > ROUNDED and is_below != (row.status == "unsure"):
                percent = f"{100 * row.confidence:g} % as {'an answer' if row.status == 'ok' else 'unsure'}"
                raise EarnestError(
                    f"{self._output}: tells {percent}, and here the threshold is {100 * self._below:g} %. The "
                    "model has changed since then, or other options were given: then give --abstain-below or "
                    f"--no-abstain as before. {NOT_OURS}"
                )
        if row.probabilities and self._adapts is not None and row.adapted != self._adapts:
            held = "adapted" if row.adapted else "not adapted"
            raise EarnestError(
                f"{self._output}: its answers are {held}. Give --adapt or --profile as before. {NOT_OURS}"
            )

    def refuse_more(self) -> None:
        """Raise `EarnestError` where rows of before hold adapted answers, which more recordings would change."""
        if self._adapted and self._is_told:
            why = "its answers are adapted, and each depends on all recordings of its speaker"
            self._file.close()
            self._leave_nothing()
            instead = "Answer all of them again with --overwrite, or use --adapt off and another --output."
            raise EarnestError(f"{self._output}: {why}. {instead}")

    def _line(self, row: "Prediction | AnsweredRecording") -> str:
        plain = row.plain if isinstance(row, AnsweredRecording) else row
        self._told.update(plain.told)
        return json_line(row if self._adapted else plain)

    def _path_and_failed(self, row: "Prediction | AnsweredRecording") -> tuple[str, bool]:
        plain = row.plain if isinstance(row, AnsweredRecording) else row
        return plain.path, plain.status == "error"

    def _sample(self, row: "Prediction | AnsweredRecording") -> Sample | None:
        plain = row.plain if isinstance(row, AnsweredRecording) else row
        if plain.adapted or not plain.probabilities or (plain.duration_s or math.inf) > LONGEST_SAMPLE_S:
            return None
        return plain.path, [plain.probabilities[name] for name in self._classes]

    def _write_whole(self, path: Path) -> None:
        if self._form == "parquet":
            _write_parquet(path, self._rows(), self._classes, self._told)
        elif self._form == "json" and not self._adapted:
            with open(path, "wb", opener=unfollowed) as file:
                file.writelines(line for _, line in self._lines_of_rows())
        else:
            with open(path, "w", encoding="utf-8", newline="", opener=unfollowed) as file:
                file.writelines(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        if self._form == "json":
            yield from map(json_line, self._rows())
        else:
            yield csv_header(self._classes, self._told)
            yield from (csv_line(row, self._classes, self._told) for row in self._rows())

    def _rows(self) -> Iterator[Prediction]:
        if self._adapted:
            return self._adapted(self._journaled)
        return (heard.plain for heard in self._journaled())

    def _journaled(self) -> Iterator[AnsweredRecording]:
        return _journal_rows(self._journal, self._lines_of_rows(), bool(self._adapted))

    def _rows_of_output(self) -> Iterator[AnsweredRecording]:
        return map(AnsweredRecording, _rows_of_output(self._output, self._form))


def _journal_rows(path: Path, lines: Iterable[tuple[int, bytes]], are_heard: bool) -> Iterator[AnsweredRecording]:
    """Yield the rows of a journal's lines; a run that adapted writes other lines than one that didn't."""
    for number, line in lines:
        if line.startswith(_HEARD) != are_heard:
            how = "without" if are_heard else "with"
            raise EarnestError(f"{path}: was started {how} --adapt auto. Give the same options, or --overwrite.")
        yield _understood(f"{path}, line {number}", _heard if are_heard else _answered, line)


def _heard(line: bytes) -> AnsweredRecording:
    values = json.loads(line)
    heard = AnsweredRecording.from_dict(values)
    from_json_line(json_line(heard.plain))  # checked as any row is
    return heard


def _answered(line: bytes) -> AnsweredRecording:
    return AnsweredRecording(from_json_line(line))


def _rows_of_output(output: Path, form: Form) -> Iterator[Prediction]:
    if form == "json":
        with output.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _understood(f"{output}, line {number}", from_json_line, line)
    else:
        yield from _parquet_rows(output) if form == "parquet" else _csv_rows(output)


def _csv_rows(path: Path) -> Iterator[Prediction]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv_rows(file)
            header = next(rows, [])
            _understood(str(path), check_columns, header)
            for number, row in enumerate(rows, 1):
                where = f"{path}, row {number}"
                if len(row) != len(header):
                    raise not_ours(where, f"{counted(len(row), 'cell')}, but the header has {len(header)}")
                yield _understood(where, from_flat_values, dict(zip(header, row, strict=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise not_ours(str(path), str(error)) from error


def _parquet_rows(path: Path) -> Iterator[Prediction]:
    pyarrow = load_pyarrow()
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _understood(str(path), check_columns, file.schema_arrow.names)
            for group in file.iter_batches(PARQUET_ROWS, use_threads=False):
                for row in group.to_pylist():
                    number += 1
                    yield _understood(f"{path}, row {number}", from_flat_values, row)
    except (pyarrow.ArrowException, OSError, MemoryError, *_WRONG) as error:
        raise not_ours(str(path), str(error).partition("\n")[0]) from error


def _understood(where: str, read: Callable[[Any], T], what: bytes | Sequence[str] | Mapping[str, Any]) -> T:
    try:
        return read(what)
    except _WRONG as error:
        raise not_ours(where, str(error)) from error


def not_ours(where: str, why: str, command: str = "predict") -> EarnestError:
    """Return the error for rows that a command has not written."""
    told_why = printable(why[:200]).rstrip(".")
    return EarnestError(f"{where}: not written by `earnest {command}`, or damaged ({told_why}). {NOT_OURS}")


def _write_parquet(path: Path, rows: Iterator[Prediction], classes: Sequence[str], told: Container[str]) -> None:
    pyarrow = load_pyarrow()
    schema = prediction_schema(classes, told)
    with open(path, "wb", opener=unfollowed) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while group := [flat_values(row, classes, told) for row in islice(rows, PARQUET_ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
