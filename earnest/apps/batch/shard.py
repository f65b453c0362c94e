"""One shard, from its number to its file: what every engine calls, on whichever machine."""

import json
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

from earnest.apps.batch.fetching import Fetcher
from earnest.apps.batch.places import place_at, write_summed
from earnest.apps.batch.plan import Request, shard_inputs, shard_name
from earnest.apps.batch.tables import TABLES, TimedDecoders, Values, rows_of
from earnest.errors import EarnestError
from earnest.runtime.decoders import InProcess
from earnest.runtime.engine import Backend, Provider
from earnest.runtime.frames import load_pyarrow
from earnest.runtime.prediction import Options
from earnest.runtime.predictor import TIMELINE_MAX_SECONDS, Predictor

GROUP = 64  # rows that are Python objects at a time
METADATA = "earnest.batch"


@dataclass(frozen=True)
class Work:
    """What a worker is told; it can be sent to another machine.

    Attributes
    ----------
    output : folder or address
    file_s : seconds for reading one recording
    isolate : whether recordings are decoded in a process of their own, see `earnest.runtime.decoder_pool`
    """

    output: str
    request: Request
    models: tuple[str, ...]
    options: Options
    threads: int = 1
    provider: Provider = "cpu"
    backend: Backend = "auto"
    batch_s: float = 20.0
    file_s: float = float("inf")
    isolate: bool = False


@dataclass(frozen=True)
class ShardReport:
    """What became of a shard.

    Attributes
    ----------
    n_failed : rows with an error
    seconds : from its first input to its file
    error : why there is no file, in a sentence
    """

    number: int
    n_rows: int = 0
    n_failed: int = 0
    seconds: float = 0.0
    sound_s: float = 0.0
    error: str | None = None


class ShardWorker:
    """A model that answers shards, one after the other."""

    def __init__(self, work: Work) -> None:
        self._work, self._place = work, place_at(work.output)
        request = work.request
        predictor = Predictor.load(work.models, work.threads, work.provider, work.batch_s, request.tta, work.backend)
        predictor.file_s, predictor.max_seconds = work.file_s, TIMELINE_MAX_SECONDS
        predictor.decoders = self._timed = TimedDecoders(InProcess(), request.channel)
        self._table = TABLES[request.table](predictor, work.options)
        self._fetcher = Fetcher(request.source)

    def ready(self) -> None:
        """Do nothing: who is answered knows that the model is loaded."""

    def answered(self, number: int, isolated: bool = False) -> ShardReport:
        """Answer a shard and put its file in place; what stands in the way of that is told in the report.

        Parameters
        ----------
        isolated : whether recordings are decoded in a process of their own from now on
        """
        try:
            if isolated or self._work.isolate:
                self._timed.isolate()
            return self._answered(number)
        except EarnestError as error:
            return ShardReport(number, error=str(error))

    def close(self) -> None:
        """End the processes that decode."""
        self._timed.close()

    def _answered(self, number: int) -> ShardReport:
        begin = time.perf_counter()
        inputs = shard_inputs(self._place, self._work.request, number)
        counted = _Counted(rows_of(self._table, self._timed, self._fetcher.fetched(inputs)))
        rows, data = iter(counted), BytesIO()
        pyarrow, schema = load_pyarrow(), self._schema()
        with pyarrow.parquet.ParquetWriter(data, schema, compression="zstd") as writer:
            while group := list(islice(rows, GROUP)):
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
            seconds = time.perf_counter() - begin
            writer.add_key_value_metadata({METADATA: json.dumps(self._facts(number, seconds))})
        if counted.n_rows != len(inputs):
            raise EarnestError(
                f"Shard {number}: {counted.n_rows} rows for {len(inputs)} inputs. Give the same command again."
            )
        write_summed(self._place, shard_name(number), data.getvalue())
        return ShardReport(number, counted.n_rows, counted.n_failed, seconds, counted.sound_s)

    def _schema(self) -> Any:
        pyarrow = load_pyarrow()
        return self._table.schema().append(pyarrow.field("read_s", pyarrow.float32()))

    def _facts(self, number: int, seconds: float) -> dict[str, Any]:
        request = self._work.request
        return {
            "shard": number,
            "inputs_sha256": request.inputs_sha256,
            "models": request.models,
            "seconds": round(seconds, 3),
            "host": socket.gethostname(),
        }


class _Counted:
    """Rows on their way to a file, and what they add up to."""

    def __init__(self, rows: Iterable[Values]) -> None:
        self._rows = rows
        self.n_rows, self.n_failed, self.sound_s = 0, 0, 0.0

    def __iter__(self) -> Iterator[Values]:
        for row in self._rows:
            self.n_rows += 1
            self.n_failed += row["status"] == "error"
            self.sound_s += row["duration_s"] or 0.0
            yield row
