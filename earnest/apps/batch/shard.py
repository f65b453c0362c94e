"""One shard, from its number to its file: what a row of it holds, and what every engine calls, on any machine."""

import json
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any, TypeAlias

from earnest.apps.batch.inputs import Fetched, Fetcher
from earnest.apps.batch.places import place_at, write_summed
from earnest.apps.batch.plan import Request, shard_inputs, shard_name
from earnest.audio.io import AudioStream
from earnest.audio.source import Channel, Source, renamed
from earnest.errors import AudioError, EarnestError, MissingExtraError
from earnest.files.tables import load_pyarrow
from earnest.runtime.decoders import Decoders, InProcess, Reading
from earnest.runtime.engine import Backend, Provider
from earnest.runtime.formats import EmbeddedRecording, flat_values, prediction_schema
from earnest.runtime.picture import Picture
from earnest.runtime.prediction import ClassChoice, Options, Prediction
from earnest.runtime.predictor import TIMELINE_MAX_SECONDS, Predictor
from earnest.runtime.timeline import Timeline

Values = dict[str, Any]


class PredictionShard:
    """The columns of ``earnest predict --output predictions.parquet``."""

    def __init__(self, predictor: Predictor, request: Options) -> None:
        self._predictor, self._requested = predictor, request
        self._classes = ClassChoice(predictor.info, request).classes

    def schema(self) -> Any:
        """Return the columns, without ``read_s``; the first one is ``path``, the key of the input."""
        return prediction_schema(self._classes)

    def answers(self, sources: Iterable[Source]) -> Iterator[Values]:
        """Yield a row a source, in order; one that can't be read is a row with status "error"."""
        for answer in self._predictor.predict_many(sources, 1, **self._requested.words()):
            yield flat_values(answer, self._classes)

    def failed(self, why: str) -> Values:
        """Return the row of an input that could not be had at all."""
        return flat_values(Prediction("", "error", model=self._predictor.info.name, error=why), self._classes)


class TimelineShard(PredictionShard):
    """The columns of predictions, and the lists ``spans`` and ``windows``; a window's probabilities are in the order of
    the columns ``p_…``.
    """

    def schema(self) -> Any:
        """See `PredictionShard`."""
        pyarrow = load_pyarrow()
        second, share = pyarrow.float64(), pyarrow.float32()
        times = [("start_s", second), ("end_s", second)]
        span = pyarrow.struct([*times, ("emotion", pyarrow.string()), ("confidence", share)])
        window = pyarrow.struct([*times, ("probabilities", pyarrow.list_(share))])
        schema = super().schema().append(pyarrow.field("spans", pyarrow.list_(span)))
        return schema.append(pyarrow.field("windows", pyarrow.list_(window)))

    def answers(self, sources: Iterable[Source]) -> Iterator[Values]:
        """See `PredictionShard`."""
        reading = Reading(file_s=self._predictor.file_s)
        for source in sources:
            try:
                with reading.deadline(source):
                    yield self._values(self._predictor.timeline(source, **self._requested.words()))
            except (AudioError, MissingExtraError) as error:
                yield self.failed(str(error))

    def failed(self, why: str) -> Values:
        """See `PredictionShard`."""
        return super().failed(why) | {"spans": [], "windows": []}

    def _values(self, timeline: Timeline) -> Values:
        found = timeline.to_dict()
        windows = [
            {**window, "probabilities": [window["probabilities"].get(name) for name in self._classes]}
            for window in found["windows"]
        ]
        return flat_values(timeline.prediction, self._classes) | {"spans": found["spans"], "windows": windows}


class EmbeddingShard:
    """The vector before the network's last layer, in the column ``embedding``; see `earnest.runtime.formats`."""

    def __init__(self, predictor: Predictor, request: Options) -> None:
        self._predictor = predictor

    def schema(self) -> Any:
        """See `PredictionShard`."""
        pyarrow = load_pyarrow()
        text, number = pyarrow.string(), pyarrow.float64()
        vector = pyarrow.list_(pyarrow.float32(), self._predictor.embedding_width)
        kinds = {"path": text, "status": text, "duration_s": number, "speech_s": number, "embedding": vector}
        return pyarrow.schema([*kinds.items(), ("model", text), ("error", text)])

    def answers(self, sources: Iterable[Source]) -> Iterator[Values]:
        """See `PredictionShard`."""
        for row in self._predictor.embed_many(sources):
            yield self._values(row)

    def failed(self, why: str) -> Values:
        """See `PredictionShard`."""
        return self._values(EmbeddedRecording("", "error", model=self._predictor.info.name, error=why))

    def _values(self, row: EmbeddedRecording) -> Values:
        values = {name: getattr(row, name) for name in ("path", "status", "duration_s", "speech_s", "model", "error")}
        return values | {"embedding": row.vector}


ShardTable: TypeAlias = PredictionShard | EmbeddingShard
TABLES: Mapping[str, type[ShardTable]] = {
    "predictions": PredictionShard,
    "timelines": TimelineShard,
    "embeddings": EmbeddingShard,
}


def rows_of(table: ShardTable, timed: "TimedDecoders", fetched: Iterable[Fetched]) -> Iterator[Values]:
    """Yield the row of each input, in order, called by its key, with its speaker (None where nobody is named)."""
    waiting: deque[Fetched] = deque()

    def told(one: Fetched) -> Values:
        return {"path": one.one.key, "speaker": one.one.speaker or None}

    def readable() -> Iterator[Source]:
        for one in fetched:
            waiting.append(one)
            if one.heard is not None:
                yield one.heard

    def unreadable() -> Iterator[Values]:
        while waiting and waiting[0].source is None:
            one = waiting.popleft()
            yield table.failed(one.error or "") | told(one) | {"read_s": None}

    try:
        for values in table.answers(readable()):
            yield from unreadable()
            one = waiting.popleft()
            one.forget()
            assert one.heard is not None  # `unreadable` has told of the others
            error = renamed(values["error"], one.heard, one.one.key)
            yield values | told(one) | {"error": error, "read_s": timed.taken_s(one.heard)}
        yield from unreadable()
    finally:
        for one in waiting:
            one.forget()


class TimedDecoders:
    """Decoders that remember how long each recording was open.

    That is what decoding and finding speech take, and for recordings of more than a minute the network too, which
    hears them while they are read.
    """

    def __init__(self, decoders: Decoders) -> None:
        self._decoders, self._seconds, self._is_isolated = decoders, dict[str | int, float](), False

    def isolate(self) -> None:
        """Decode in a process of its own from now on; see `earnest.runtime.decoders`."""
        if isinstance(self._decoders, InProcess) and not self._is_isolated:
            from earnest.runtime.decoders import start_decoders

            self._decoders, self._is_isolated = start_decoders(1), True

    @contextmanager
    def open_audio(self, source: Source, max_seconds: float) -> Iterator[AudioStream]:
        """See `earnest.runtime.decoders.Decoders`."""
        begin = time.perf_counter()
        try:
            with self._decoders.open_audio(source, max_seconds) as stream:
                yield stream
        finally:
            name = _name(source)
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begin

    def kept_open(self) -> AbstractContextManager[None]:
        """See `earnest.runtime.decoders.Decoders`."""
        return self._decoders.kept_open()

    def read_picture(self, source: Source) -> Picture:
        """See `earnest.runtime.decoders.Decoders`."""
        return self._decoders.read_picture(source)

    def close(self) -> None:
        """See `earnest.runtime.decoders.Decoders`."""
        self._decoders.close()

    def taken_s(self, source: Source | None) -> float | None:
        """Return the seconds that a recording took, and forget them."""
        return self._seconds.pop(_name(source), None)


def _name(source: object) -> str | int:
    """Return the key of a source while it is in memory."""
    if isinstance(source, Channel):
        return f"{_name(source.source)}#{source.number}"
    return source if isinstance(source, str) else id(source)


GROUP = 64  # rows that are Python objects at a time
METADATA = "earnest.batch"


@dataclass(frozen=True)
class Work:
    """A worker's settings; they can be sent to another machine.

    Attributes
    ----------
    output : folder or address
    file_s : seconds for reading one recording
    isolate : whether recordings are decoded in a process of their own, see `earnest.runtime.decoders`
    """

    output: str
    request: Request
    models: tuple[str, ...]
    options: Options
    threads: int
    provider: Provider
    backend: Backend
    batch_s: float
    file_s: float
    isolate: bool


@dataclass(frozen=True)
class ShardReport:
    """The report of a shard: rows, failures, time, error.

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
        predictor.decoders = self._timed = TimedDecoders(InProcess())
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
        rows, data = rows_of(self._table, self._timed, self._fetcher.fetched(inputs)), BytesIO()
        n_rows, n_failed, sound_s = 0, 0, 0.0
        pyarrow = load_pyarrow()
        schema = self._table.schema()
        if self._work.request.n_speakers:
            schema = schema.append(pyarrow.field("speaker", pyarrow.string()))
        schema = schema.append(pyarrow.field("read_s", pyarrow.float32()))
        with pyarrow.parquet.ParquetWriter(data, schema, compression="zstd") as writer:
            while group := list(islice(rows, GROUP)):
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                n_rows += len(group)
                n_failed += sum(row["status"] == "error" for row in group)
                sound_s += sum(row["duration_s"] or 0.0 for row in group)
            seconds = time.perf_counter() - begin
            writer.add_key_value_metadata({METADATA: json.dumps(self._facts(number, seconds))})
        if n_rows != len(inputs):
            raise EarnestError(f"Shard {number}: {n_rows} rows for {len(inputs)} inputs. Give the same command again.")
        write_summed(self._place, shard_name(number), data.getvalue())
        return ShardReport(number, n_rows, n_failed, seconds, sound_s)

    def _facts(self, number: int, seconds: float) -> dict[str, Any]:
        request = self._work.request
        return {
            "shard": number,
            "inputs_sha256": request.inputs_sha256,
            "models": request.models,
            "seconds": round(seconds, 3),
            "host": socket.gethostname(),
        }
