"""The plan of a batch run: its inputs, once each, cut into shards; and what was asked of it.

``inputs.parquet`` holds the inputs, a group of rows a shard, so that a worker reads its own alone. ``batch.json`` says
what was asked; with it the plan begins to hold, and it doesn't change any more.
"""

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from io import BytesIO
from typing import Any

from earnest.apps.batch.inputs import Input
from earnest.apps.batch.places import Place, is_sound, is_url, sum_name
from earnest.errors import EarnestError, RecipeError, first_line, printable, shown
from earnest.files.reading import parsed_json
from earnest.files.tables import damaged_table, load_pyarrow
from earnest.settings.limits import from_mapping

INPUTS, REQUEST, SHARDS = "inputs.parquet", "batch.json", "shards"
LARGE_BYTES = 64 * 2**20  # a larger file has a shard of its own, and such shards are begun first
SHARD_SIZE = 500
LEAST_SHARDS = 16  # so that a few workers end at about the same time


@dataclass(frozen=True)
class Request:
    """The request of a batch run; a run that goes on with it must have the same.

    Attributes
    ----------
    table : what a row holds, by a name of `earnest.apps.batch.shard.TABLES`
    models : name, version and digest of each bundle
    inputs_sha256 : of ``inputs.parquet``
    channel : of every input, from 1; None for the mean of all, or those that a list names
    n_speakers : whom a list or a table names; with any, tables have a column ``speaker``
    """

    source: str
    table: str
    models: tuple[str, ...]
    classes: tuple[str, ...]
    abstain_below: float | None
    tta: str
    n_inputs: int
    n_shards: int
    inputs_sha256: str
    channel: int | None = None
    n_speakers: int = 0

    def words(self) -> dict[str, Any]:
        """Return the settings that a person gave, without those that were found."""
        return {name: value for name, value in asdict(self).items() if not name.startswith(("n_", "inputs_"))}


@dataclass(frozen=True)
class ArrayPart:
    """The ``number``-th of ``count`` equal parts of the shards, from 1."""

    number: int = 1
    count: int = 1


@dataclass(frozen=True)
class BatchPlan:
    """The plan of a batch run at a place: its shards, done or not."""

    place: Place
    request: Request

    def done(self) -> set[int]:
        """Return the numbers of the shards that are whole: each has its checksum, which is written after it."""
        names = self.place.names(SHARDS)
        numbers = (number for number in range(self.request.n_shards) if _last(shard_name(number)) in names)
        return {number for number in numbers if _last(sum_name(shard_name(number))) in names}

    def of(self, part: ArrayPart) -> range:
        """Return the numbers of the shards of a part."""
        return range(part.number - 1, self.request.n_shards, part.count)

    def left(self, part: ArrayPart, verify: bool) -> list[int]:
        """Return the numbers of the shards of a part that are not done.

        Parameters
        ----------
        verify : whether shards are read that seem done; one that isn't what its checksum says is done again
        """
        done = self.done()
        return [
            number
            for number in self.of(part)
            if number not in done or (verify and not is_sound(self.place, shard_name(number)))
        ]

    def to_do(self, part: ArrayPart, verify: bool, retries: bool) -> tuple[list[int], int]:
        """Return the shards of a part that are to be done, and how many rows of the others have an error.

        Parameters
        ----------
        verify : as in `left`; elsewhere than on this machine reading them takes long, and none is said to have failed
        retries : whether shards that hold rows with an error are done again
        """
        left = self.left(part, verify)
        done = sorted({*self.of(part)} - {*left})
        failed = self.failed(done) if verify or retries else {}
        return (sorted([*left, *failed]), 0) if retries else (left, sum(failed.values()))

    def failed(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return how many rows of each shard have an error, of shards that have such rows."""
        counts = {number: self._n_failed(number) for number in numbers}
        return {number: count for number, count in counts.items() if count}

    def _n_failed(self, number: int) -> int:
        with self.opened(number) as table:
            statuses: list[str] = table.read(["status"], use_threads=False).column(0).to_pylist()
        return statuses.count("error")

    @contextmanager
    def opened(self, number: int) -> Iterator[Any]:
        """Open the table of a shard; what can't be read inside the block is an `EarnestError` that says what to do."""
        pyarrow, name = load_pyarrow(), shard_name(number)
        try:
            with self.place.open(name) as file, pyarrow.parquet.ParquetFile(file) as table:
                yield table
        except damaged_table() as error:
            raise EarnestError(
                f"{self.place.name}/{name}: not written by `earnest batch` ({first_line(error)}). Delete that file and "
                "give the same command again."
            ) from error

    def keys(self) -> set[str]:
        """Return the keys of all inputs."""
        with _opened_inputs(self.place) as table:
            return set(table.read(["key"], use_threads=False).column(0).to_pylist())

    def sizes(self) -> list[int]:
        """Return the number of inputs of each shard."""
        with _opened_inputs(self.place) as table:
            return [table.metadata.row_group(number).num_rows for number in range(table.num_row_groups)]


def shard_name(number: int) -> str:
    """Return the name of a shard's file."""
    return f"{SHARDS}/{number:06d}.parquet"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def cut(
    inputs: Iterable[Input], shard_size: int | None = None, n_least: int = LEAST_SHARDS
) -> tuple[list[list[Input]], int]:
    """Cut inputs into shards; return them and how many inputs were there already.

    Another sound under the same key, such as a row of the same id, is called "key (2)": nothing is lost.

    Parameters
    ----------
    shard_size : inputs in one; None for `SHARD_SIZE`, or fewer where that makes less than ``n_least`` shards
    """
    by_key: dict[str, Input] = {}
    numbers: Counter[str] = Counter()
    n_found = 0
    for one in inputs:
        key = one.key
        while (known := by_key.get(key)) and known.sound != one.sound:
            numbers[one.key] += 1
            key = f"{one.key} ({numbers[one.key] + 1})"
        if known and known.speaker != one.speaker:
            told = f"one row says that {shown(known.speaker)} speaks, another one {shown(one.speaker)}"
            raise EarnestError(f"{printable(key)}: {told}. Keep one of them, or name each one's channel.")
        by_key.setdefault(key, one if key == one.key else replace(one, key=key))
        n_found += 1
    if not by_key:
        raise EarnestError("There are no inputs. Name another source.")
    large = sorted((one for one in by_key.values() if _is_alone(one)), key=lambda one: -one.n_bytes)
    small = [one for one in by_key.values() if not _is_alone(one)]
    size = shard_size or max(1, min(SHARD_SIZE, math.ceil(len(small) / n_least)))
    slices = [small[begin : begin + size] for begin in range(0, len(small), size)]
    return [*([one] for one in large), *slices], n_found - len(by_key)


def _is_alone(one: Input) -> bool:
    return one.n_bytes > LARGE_BYTES


def packed(shards: Sequence[Sequence[Input]]) -> bytes:
    """Return the bytes of ``inputs.parquet``; equal shards give equal bytes."""
    pyarrow, schema = load_pyarrow(), _schema()
    data = BytesIO()
    with pyarrow.parquet.ParquetWriter(data, schema, compression="zstd") as writer:
        for shard in shards:
            writer.write_table(pyarrow.Table.from_pylist(list(map(asdict, shard)), schema))
    return data.getvalue()


def _schema() -> Any:
    pyarrow = load_pyarrow()
    text, number = pyarrow.string(), pyarrow.int64()
    kinds = (text, text, pyarrow.binary(), number, number, number, text)
    return pyarrow.schema(list(zip((field.name for field in fields(Input)), kinds, strict=True)))


def write_plan(place: Place, shards: Sequence[Sequence[Input]], words: dict[str, Any]) -> BatchPlan:
    """Write a plan; words are those of `Request.words`."""
    data = packed(shards)
    digest = hashlib.sha256(data).hexdigest()
    speakers = {one.speaker for shard in shards for one in shard} - {""}
    words = {**words, "n_inputs": sum(map(len, shards)), "n_shards": len(shards), "n_speakers": len(speakers)}
    request = Request(**words, inputs_sha256=digest)
    place.write(INPUTS, data)
    place.write(REQUEST, f"{json.dumps(asdict(request), indent=2)}\n".encode())
    return BatchPlan(place, request)


def read_plan(place: Place) -> BatchPlan | None:
    """Return the plan at a place, None where there is none. Raises `EarnestError` when what is there is no plan."""
    if REQUEST not in place.names(""):
        return None
    where = f"{place.name}/{REQUEST}"
    values = parsed_json(place.read(REQUEST).decode("utf-8", "replace"), where)
    try:
        request = from_mapping(Request, values, where)
    except RecipeError as error:
        raise EarnestError(f"{error} It was not written by `earnest batch`. {_OTHER}") from error
    if not 0 < request.n_shards <= request.n_inputs:
        raise EarnestError(f"{where}: not written by `earnest batch` (its numbers don't fit). {_OTHER}")
    return BatchPlan(place, request)


_OTHER = "Choose another --output."


def check_same(plan: BatchPlan, words: dict[str, Any]) -> None:
    """Raise `EarnestError` where a run was asked something else than the one that began at this place."""
    for name, value in plan.request.words().items():
        if value != words[name] and not (name == "source" and _same_source(plan.request.source, words[name])):
            raise EarnestError(
                f"{plan.place.name}: was started with {name} {_told(value)}, not {_told(words[name])}. {_OTHER}"
            )


def _same_source(one: str, other: str) -> bool:
    """Whether two sources differ in their spelling alone, as ``calls`` and ``./calls/`` do."""
    if is_url(one):
        return one.rstrip("/") == other.rstrip("/")
    return os.path.normpath(one) == os.path.normpath(other)


def _told(value: object) -> str:
    if value is None or value == ():
        return "as by default"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def shard_inputs(place: Place, request: Request, number: int) -> list[Input]:
    """Return the inputs of a shard.

    Raises `EarnestError` when ``inputs.parquet`` isn't what was written, or can't be read now.
    """
    with _opened_inputs(place) as table:
        if table.num_row_groups != request.n_shards or table.metadata.num_rows != request.n_inputs:
            raise EarnestError(f"{place.name}/{INPUTS}: doesn't fit {REQUEST}. {_OTHER}")
        rows = table.read_row_group(number, use_threads=False).to_pylist()
        return [Input(**{"channel": request.channel, **row}) for row in rows]  # plans of before lack columns


@contextmanager
def _opened_inputs(place: Place) -> Iterator[Any]:
    """Open ``inputs.parquet``; what can't be read inside the block is an `EarnestError`."""
    pyarrow = load_pyarrow()
    try:
        with place.open(INPUTS) as file, pyarrow.parquet.ParquetFile(file) as table:
            yield table
    except damaged_table() as error:
        told = f"{place.name}/{INPUTS}: not readable ({first_line(error)})"
        raise EarnestError(f"{told}. Give the same command again; if that is no help: {_OTHER}") from error
