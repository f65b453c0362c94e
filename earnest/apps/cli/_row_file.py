"""Rows that survive a kill: one JSON line each in ``NAME.partial``, and the file itself only when it is whole."""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from earnest.audio.source import place_of
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, printable, printable_json, told
from earnest.files.csv_cells import csv_rows
from earnest.files.writing import (
    Journal,
    cut_half_line,
    refuse_changed,
    refuse_existing,
    replacing,
    undone,
    whole_lines,
    write_sum,
)
from earnest.runtime.batch import AnsweredRecording
from earnest.runtime.formats import (
    check_columns,
    csv_header,
    csv_line,
    flat_values,
    from_flat_values,
    from_json_line,
    json_line,
)
from earnest.runtime.frames import load_pyarrow, prediction_schema
from earnest.runtime.prediction import Prediction

if TYPE_CHECKING:
    from earnest.apps.cli.predict import Existing

Form = Literal["json", "csv", "parquet"]
T = TypeVar("T")
PARQUET_ROWS = 10_000
ROUNDED = 1e-5  # numbers of rows have six decimals
RESUMES = "--resume keeps the rows so far."
GO_ON = "Continue it with --resume, replace it with --overwrite"
_HEARD = b'{"plain":'  # a line of what was heard begins so
NOT_OURS = "Name another --output, or replace it with --overwrite."
_WRONG = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


Adapted = Callable[[Callable[[], Iterator[AnsweredRecording]]], Iterator[Prediction]]
"""What answers recordings again, adapted, that it is given twice."""


class RowFile:
    """Collects predictions for a file; `publish` puts it in place in one step.

    With batch adaptation the journal holds what was heard, and every `publish` answers all of it again.

    Who uses it holds the file, see `earnest.files.locks.held_file`.

    Attributes
    ----------
    done : place of a recording → rows that are there already, from the run that is resumed
    n_failed : how many of these have an error
    """

    def __init__(
        self,
        output: Path,
        form: Form,
        info: BundleInfo,
        existing: "Existing",
        adapted: Adapted | None = None,
        adapts: bool | None = None,
    ) -> None:
        """Begin a file, or go on with one whose rows were made as these will be.

        Parameters
        ----------
        info : whose name, classes and threshold the rows have
        adapts : whether every answer is adapted, or none; None where it depends
        """
        self._adapted, self.n_failed, self._adapts, self._below = adapted, 0, adapts, info.abstain_below
        self._is_told = False  # whether rows of the run before hold answers, and no more what was heard
        self._output = Path(os.path.realpath(output)) if output.is_symlink() else output
        self._form, self._classes = form, info.classes
        self._journal = self._output.with_name(f"{self._output.name}.partial")
        if form == "parquet":
            load_pyarrow()
        refuse_existing(output, existing != "refuse", GO_ON)
        refuse_existing(self._journal, existing != "refuse", f"That run did not end. {GO_ON}")
        with told(output):
            if existing == "overwrite":
                self._journal.unlink(missing_ok=True)
            self.done = Counter[str]()
            if existing in ("resume", "retry"):
                with undone(self._journal):
                    self._adopt_output()
                    if existing == "retry":
                        self._forget_failed()
                    self.done = Counter(self._places_done(info.name))
            self._file = Journal(self._journal, RESUMES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the journal, also where the run was stopped; what it holds stays."""
        self._file.close()

    def _places_done(self, model: str) -> Iterator[str]:
        for heard in self._recovered():
            row = heard.plain
            # Speech that was answered has steps, but for a spectrogram's picture, of which no seconds are known.
            self._is_told |= row.speech_s is not None and bool(row.probabilities) and not heard.steps
            if row.model != model:
                raise EarnestError(f"{self._output}: holds answers of the model '{row.model}'. Name another file.")
            if row.probabilities and set(row.probabilities) != set(self._classes):
                held = ", ".join(row.probabilities)
                raise EarnestError(
                    f"{self._output}: holds probabilities of {held}. Name these with --classes, or give another file."
                )
            self._refuse_other_options(row)
            self.n_failed += row.status == "error"
            yield place_of(row.path)

    def _refuse_other_options(self, row: Prediction) -> None:
        """Raise `EarnestError` for an answer that these options would not have given."""
        if row.confidence is not None and row.shares is None and row.status in ("ok", "unsure"):  # of one window
            is_below = row.confidence < self._below
            if abs(row.confidence - self._below) > ROUNDED and is_below != (row.status == "unsure"):
                percent = f"{100 * row.confidence:g} % as {'an answer' if row.status == 'ok' else 'unsure'}"
                raise EarnestError(
                    f"{self._output}: tells {percent}, and here the threshold is {100 * self._below:g} %. Give "
                    f"--abstain-below or --no-abstain as before. {NOT_OURS}"
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
            if self._output.exists():
                self._journal.unlink()
            instead = "Answer all of them again with --overwrite, or use --adapt off and another --output."
            raise EarnestError(f"{self._output}: {why}. {instead}")

    def write(self, row: Prediction | AnsweredRecording) -> None:
        """Add a row; it is safe when this returns, and not there at all when this raises."""
        self._file.append(_journal_line(row))

    def publish(self) -> None:
        """Write the file from all rows so far, beside its place, and move it there."""
        with told(self._output), replacing(self._output) as whole:
            if self._form == "parquet":
                _write_parquet(whole, self._rows(), self._classes)
            elif self._form == "json" and not self._adapted:
                shutil.copyfile(self._journal, whole)
            else:
                with whole.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(f"{line}\n" for line in self._lines())
        write_sum(self._output)

    def _lines(self) -> Iterator[str]:
        if self._form == "json":
            yield from map(json_line, self._rows())
        else:
            yield csv_header(self._classes)
            yield from (csv_line(row, self._classes) for row in self._rows())

    def _rows(self) -> Iterator[Prediction]:
        if self._adapted:
            return self._adapted(self._journaled)
        return (heard.plain for heard in self._journaled())

    def _journaled(self) -> Iterator[AnsweredRecording]:
        return _journal_rows(self._journal, bool(self._adapted))

    def close(self) -> None:
        """Publish, and forget the journal."""
        self.publish()
        self._file.remove()

    def _recovered(self) -> Iterator[AnsweredRecording]:
        """Yield the rows of the run before; a half-written last line is cut off."""
        if self._journal.exists():
            yield from self._journaled()
            cut_half_line(self._journal)  # only now: the file may be somebody else's, and stays as it is then

    def _forget_failed(self) -> None:
        """Leave the rows with an error out of the journal: these recordings are answered again."""
        if self._journal.exists():
            kept = [
                _journal_line(one if self._adapted else one.plain) for one in self._journaled() if not one.is_failed
            ]
            with replacing(self._journal) as begun:
                begun.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def _adopt_output(self) -> None:
        """Begin the journal with the rows of a run that ended."""
        if self._journal.exists() or not self._output.exists():
            return
        refuse_changed(self._output)
        with replacing(self._journal) as begun, begun.open("w", encoding="utf-8") as file:
            rows = _rows_of_output(self._output, self._form)
            file.writelines(_journal_line(AnsweredRecording(row) if self._adapted else row) + "\n" for row in rows)


def _journal_line(row: Prediction | AnsweredRecording) -> str:
    if isinstance(row, Prediction):
        return json_line(row)
    return printable_json(json.dumps(row.to_dict(), ensure_ascii=False, allow_nan=False))


def _journal_rows(path: Path, are_heard: bool) -> Iterator[AnsweredRecording]:
    """Yield what a journal holds; that of a run that adapted has other lines than that of one that didn't."""
    for number, line in whole_lines(path):
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


def _json_rows(path: Path, is_whole: bool = False) -> Iterator[Prediction]:
    """Yield the rows of JSON lines; unless the file is whole, a last line without an end was just being written."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if is_whole or line.endswith(b"\n"):
                yield _understood(f"{path}, line {number}", from_json_line, line)


def _rows_of_output(output: Path, form: Form) -> Iterator[Prediction]:
    if form == "json":
        yield from _json_rows(output, is_whole=True)
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
                    raise _not_ours(where, f"{len(row)} cells, but the header has {len(header)}")
                yield _understood(where, from_flat_values, dict(zip(header, row, strict=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise _not_ours(str(path), str(error)) from error


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
        raise _not_ours(str(path), str(error).partition("\n")[0]) from error


def _understood(where: str, read: Callable[[Any], T], what: bytes | Sequence[str] | Mapping[str, Any]) -> T:
    try:
        return read(what)
    except _WRONG as error:
        raise _not_ours(where, str(error)) from error


def _not_ours(where: str, why: str) -> EarnestError:
    told_why = printable(why[:200]).rstrip(".")
    return EarnestError(f"{where}: not written by `earnest predict`, or damaged ({told_why}). {NOT_OURS}")


def _write_parquet(path: Path, rows: Iterator[Prediction], classes: Sequence[str]) -> None:
    pyarrow = load_pyarrow()
    schema = prediction_schema(classes)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := [flat_values(row, classes) for row in islice(rows, PARQUET_ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
