"""``earnest embed``: recordings to the vectors before the network's last layer.

Rows of the file, ``.npz`` or ``.parquet``, survive a kill as those of `earnest predict` do.
"""

import json
import math
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click
import numpy as np

from earnest.apps.cli import say
from earnest.apps.cli._options import ModelOptions, options
from earnest.apps.cli._recordings import Hearing, NamedRecordings, counter_of
from earnest.apps.cli._row_file import LONGEST_SAMPLE_S, JournaledFile, MadeBy, Sample, not_ours
from earnest.apps.cli._typed import EXIT_SOME_FAILED, FILE, output_options
from earnest.apps.cli.predict import DecodingOptions, Existing, ExistingOptions, is_done, where_failed
from earnest.audio.source import Source
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, printable_json
from earnest.files.tables import load_pyarrow
from earnest.files.writing import held_file, unfollowed
from earnest.learning.domain import UNREADABLE
from earnest.runtime.formats import EmbeddedRecording, Embeddings, Vector, json_line
from earnest.runtime.predictor import Predictor

Form: TypeAlias = Literal["npz", "parquet"]
TEXTS = ("path", "status", "model", "error")
SECONDS = ("duration_s", "speech_s")
_WRONG = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
_WRONG_FILE = (*_WRONG, *UNREADABLE, zipfile.BadZipFile, zlib.error)
_FORMS: dict[str, Form] = {".npz": "npz", ".parquet": "parquet"}


class EmbeddingFile(JournaledFile[EmbeddedRecording]):
    """Collects embeddings for a file."""

    def __init__(
        self, output: Path, form: Form, info: BundleInfo, width: int, existing: Existing, retried: Container[str] = ()
    ) -> None:
        self._form, self._model, self._width = form, info.name, width
        if form == "parquet":
            load_pyarrow()
        made_by = MadeBy(info.name, info.version, info.network_digest)  # which the adaptation doesn't change
        super().__init__(output, made_by, existing, retried)

    def _line(self, row: EmbeddedRecording) -> str:
        return journal_line(row)

    def _path_and_failed(self, row: EmbeddedRecording) -> tuple[str, bool]:
        return row.path, row.vector is None

    def _sample(self, row: EmbeddedRecording) -> "Sample | None":
        if row.vector is None or row.duration_s is None or row.duration_s > LONGEST_SAMPLE_S:
            return None
        return row.path, row.vector.tolist()

    def _write_whole(self, path: Path) -> None:
        found = Embeddings.of(self._journaled(), self._width)
        with open(path, "wb", opener=unfollowed) as file:
            if self._form == "parquet":
                load_pyarrow().parquet.write_table(found.to_arrow(), file)
            else:
                np.savez(file, **arrays(found))

    def _journaled(self) -> Iterator[EmbeddedRecording]:
        for number, line in self._lines_of_rows():
            yield self._checked(f"{self._journal}, line {number}", line)

    def _rows_of_output(self) -> Iterator[EmbeddedRecording]:
        try:
            rows = _parquet_rows(self._output) if self._form == "parquet" else _npz_rows(self._output)
            yield from (self._own(_row(values)) for values in rows)
        except _WRONG_FILE as error:
            raise not_ours(str(self._output), str(error), "embed") from error

    def _checked(self, where: str, line: bytes) -> EmbeddedRecording:
        try:
            values = json.loads(line)
            if values["embedding"] is not None:
                values["embedding"] = np.frombuffer(b64decode(values["embedding"], validate=True), "<f4")
            return self._own(_row(values))
        except _WRONG as error:
            raise not_ours(where, str(error), "embed") from error

    def _own(self, row: EmbeddedRecording) -> EmbeddedRecording:
        """Return a row, which must be of this model."""
        if row.model != self._model or (row.vector is not None and len(row.vector) != self._width):
            raise EarnestError(f"{self._output}: holds embeddings of the model '{row.model}'. Name another file.")
        return row


def journal_line(row: EmbeddedRecording) -> str:
    """Return a row as one line of JSON, the vector as float32, little-endian, in base64."""
    vector = None if row.vector is None else b64encode(row.vector.astype("<f4").tobytes()).decode()
    values = replace(row, vector=None).to_dict() | {"embedding": vector}
    return printable_json(json.dumps(values, ensure_ascii=False, allow_nan=False))


def arrays(found: Embeddings) -> Mapping[str, Any]:
    """Return the arrays of an ``.npz`` file: ``embedding`` (recordings, width), and the rest, each (recordings,)."""
    texts = {name: np.array([getattr(row, name) or "" for row in found.rows], np.str_) for name in TEXTS}
    seconds = {name: np.array([getattr(row, name) for row in found.rows], np.float64) for name in SECONDS}
    return {"embedding": found.vectors, **texts, **seconds}


def _npz_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in (*TEXTS, *SECONDS, "embedding")}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        texts = {name: str(row[name]) for name in TEXTS}
        seconds = {name: None if np.isnan(row[name]) else float(row[name]) for name in SECONDS}
        vector = row["embedding"] if np.isfinite(row["embedding"]).all() else None
        yield {**texts, **seconds, "error": texts["error"] or None, "embedding": vector}


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    pyarrow = load_pyarrow()
    try:
        for row in pyarrow.parquet.read_table(path).to_pylist():
            vector = row["embedding"]
            yield {**row, "embedding": None if vector is None else np.array(vector, np.float32)}
    except pyarrow.ArrowException as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def _row(values: Mapping[str, Any]) -> EmbeddedRecording:
    """Return a row that was read back; what no run writes is a `ValueError`."""
    for name in TEXTS:
        if not (isinstance(values[name], str) or (name == "error" and values[name] is None)):
            raise ValueError(f"'{name}' must be text")
    for name in SECONDS:
        if values[name] is not None and not 0 <= float(values[name]) < math.inf:
            raise ValueError(f"'{name}' must be seconds")
    vector: Vector | None = values["embedding"]
    if vector is not None and not (vector.ndim == 1 and np.isfinite(vector).all()):
        raise ValueError("'embedding' must be finite numbers")
    if (vector is None) == (values["error"] is None):
        raise ValueError("a row has an embedding or an error")
    own: dict[str, Any] = {name: values[name] for name in TEXTS}
    own |= {name: None if values[name] is None else float(values[name]) for name in SECONDS}
    return EmbeddedRecording(**own, vector=None if vector is None else vector.astype(np.float32))


@click.command()
@click.argument("paths", nargs=-1, required=True)
@options("models", ModelOptions)
@click.option("-o", "--output", type=FILE, help="File to write: .npz or .parquet.")
@options("existing", ExistingOptions)
@options("decoding", DecodingOptions)
@output_options
def command(
    paths: tuple[str, ...],
    models: ModelOptions,
    output: Path | None,
    existing: ExistingOptions,
    decoding: DecodingOptions,
) -> None:
    """Write the embeddings of recordings.

    An embedding is the vector before the network's last layer, the mean over windows of speech, plain: not adapted to a
    speaker. `earnest models` tells how many numbers it has. Where no speech is found, it is the mean over all sound.
    PATHS are files, folders (searched for recordings), lists (.csv or .tsv with the columns path and speaker) or - for
    standard input. Without --output, --json writes one object per line; with it, what was written. A recording that
    can't be read is a row with an error, and without an embedding. An --output file appears when it is whole; until
    then its rows are in NAME.partial, where --resume finds them. NAME.sha256 is its checksum.

    \b
    Examples:
      earnest embed recordings/ --output embeddings.npz
      earnest embed recordings/ --model large --output embeddings.parquet --resume
      earnest embed talk.wav --json

    Exit codes: 0 all embedded, 1 an error that was explained, 2 wrong usage, 3 some recordings have no embedding
    (their rows say why), 130 stopped by Ctrl-C.
    """
    found = existing.choice(output)
    if output is None and not say.is_json():
        raise click.UsageError("Name a file with --output, such as embeddings.npz, or give --json.")
    form = None if output is None else _FORMS.get(output.suffix.lower())
    if output is not None and form is None:
        raise click.UsageError(f"--output {output}: the name must end in {' or '.join(_FORMS)}.")
    predictor = decoding.load(models)
    sources = NamedRecordings(paths).sources(decoding.channels, output, counter_of(predictor))
    retried = existing.retried(sources)
    if output is None or form is None:
        n_failed = 0
        say.encode("json")
        for row in predictor.embed_many(sources, min(decoding.jobs, len(sources) or 1)):
            click.echo(json_line(row))
            n_failed += row.vector is None
    else:
        n_failed = _write_file(predictor, sources, decoding.jobs, output, form, found, retried)
    if n_failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _write_file(
    predictor: Predictor,
    sources: list[Source],
    jobs: int,
    output: Path,
    form: Form,
    existing: Existing,
    retried: frozenset[str],
) -> int:
    width = predictor.embedding_width

    def embedded(source: Source) -> Sequence[float]:
        (row,) = predictor.embed_many([source], 1)
        return [] if row.vector is None else row.vector.tolist()

    with (
        say.resumable(f"{output}.partial", " with --resume"),
        held_file(output),
        EmbeddingFile(output, form, predictor.info, width, existing, retried) as file,
    ):
        file.check_samples(embedded)
        n_held = file.done.total()
        left = [source for source in sources if not is_done(file.done, source)]
        hearing = Hearing(predictor, say.progress())
        found: Iterable[EmbeddedRecording] = hearing.predictor.embed_many(left, min(jobs, len(left) or 1))
        n_failed = 0
        for row in hearing.counted("Embedding", found, len(left)):
            file.write(row)
            n_failed += row.vector is None
        file.close()
    counts = {"embedded": len(left) - n_failed, "failed": n_failed, "held": n_held}
    if say.is_json():
        say.json({"output": output, "model": predictor.info.name, "width": width, **counts})
    elif not say.is_quiet():
        where = where_failed(output, n_held, n_failed, file.n_failed)
        click.echo(f"{counts['embedded']} embedded, {n_failed} failed{where}", err=True)
    return n_failed + file.n_failed
