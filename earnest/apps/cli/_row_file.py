"""Rows that survive a kill: one JSON line each in ``NAME.partial``, and the file itself only when it is whole."""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, MissingExtraError
from earnest.runtime.formats import csv_header, csv_line, flat_values, from_flat_values, json_line
from earnest.runtime.prediction import Prediction

Form = Literal["json", "csv", "parquet"]
PARQUET_ROWS = 10_000
_TEXTS = ("path", "status", "emotion", "quality", "shares", "vocal_bursts", "model", "error")


class RowFile:
    """Collects predictions for a file; `publish` puts it in place in one step.

    Attributes
    ----------
    done : path → rows that are there already, from the run that is resumed
    """

    def __init__(self, output: Path, form: Form, info: BundleInfo, resume: bool) -> None:
        self._output, self._form, self._classes = output, form, info.classes
        self._journal = output.with_name(f"{output.name}.partial")
        if form == "parquet":
            _pyarrow()
        if self._journal.exists() and not resume:
            raise EarnestError(f"{self._journal}: a run did not end. Go on with --resume, or delete this file.")
        try:
            self.done = Counter(self._paths_done(info.name)) if resume else Counter[str]()
            self._file = self._journal.open("ab", buffering=0)  # a row is one write: it is there or it isn't
        except OSError as error:
            raise EarnestError(f"{output}: not writable ({error.strerror}). Name another file.") from error

    def _paths_done(self, model: str) -> Iterator[str]:
        for row in self._recovered():
            if row.model != model:
                raise EarnestError(f"{self._output}: holds answers of the model '{row.model}'. Name another file.")
            if row.probabilities and set(row.probabilities) != set(self._classes):
                held = ", ".join(row.probabilities)
                raise EarnestError(
                    f"{self._output}: holds probabilities of {held}. Ask for these, or name another file."
                )
            yield row.path

    def write(self, prediction: Prediction) -> None:
        """Add a row; it is safe when this returns."""
        self._file.write(json_line(prediction).encode() + b"\n")

    def publish(self) -> None:
        """Write the file from all rows so far, beside its place, and move it there."""
        whole = self._output.with_name(f"{self._output.name}.whole")
        if self._form == "json":
            shutil.copyfile(self._journal, whole)
        elif self._form == "csv":
            with whole.open("w", encoding="utf-8", newline="") as file:
                file.write(csv_header(self._classes) + "\n")
                file.writelines(csv_line(row, self._classes) + "\n" for row in _rows(self._journal))
        else:
            _write_parquet(whole, _rows(self._journal), self._classes)
        os.replace(whole, self._output)  # noqa: PTH105

    def close(self) -> None:
        """Publish, and forget the journal."""
        self.publish()
        self._file.close()
        self._journal.unlink()

    def _recovered(self) -> Iterator[Prediction]:
        """Yield the rows of the run before; a half-written last line is cut off."""
        if not self._journal.exists() and self._output.exists():
            self._adopt_output()
        if not self._journal.exists():
            return
        with self._journal.open("r+b") as file:
            end = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
            file.truncate(end)
        yield from _rows(self._journal)

    def _adopt_output(self) -> None:
        begun = self._journal.with_name(f"{self._journal.name}.begun")
        with begun.open("w", encoding="utf-8") as file:
            file.writelines(json_line(row) + "\n" for row in _rows_of_output(self._output, self._form))
        os.replace(begun, self._journal)  # noqa: PTH105


def _rows(journal: Path) -> Iterator[Prediction]:
    with journal.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield Prediction.from_dict(json.loads(line))
            except (ValueError, TypeError) as error:
                raise EarnestError(f"{journal}, line {number}: not a row of predictions. Delete the file.") from error


def _rows_of_output(output: Path, form: Form) -> Iterator[Prediction]:
    if form == "json":
        yield from _rows(output)
    elif form == "parquet":
        yield from map(from_flat_values, _pyarrow().parquet.read_table(output).to_pylist())
    else:
        with output.open(encoding="utf-8", newline="") as file:
            yield from map(from_flat_values, csv.DictReader(file))


def _write_parquet(path: Path, rows: Iterator[Prediction], classes: Sequence[str]) -> None:
    pyarrow = _pyarrow()
    kinds = {"adapted": pyarrow.bool_()} | dict.fromkeys(_TEXTS, pyarrow.string())
    names = flat_values(Prediction("", "error"), classes)
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in names])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := [flat_values(row, classes) for row in islice(rows, PARQUET_ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    return pyarrow
