"""What ``--resume`` goes on with: finished files of predictions and embeddings, and journals of runs that did not."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np

from earnest.apps.cli._row_file import Form, MadeBy, RowFile
from earnest.apps.cli.embed import EmbeddingFile, journal_line
from earnest.apps.cli.embed import Form as EmbeddingForm
from earnest.audio.activity import Extent
from earnest.bundle import SOUNDS, BundleInfo
from earnest.corpora.manifest import Utterance
from earnest.own.recordings import ARRAYS, FOLDER, OwnEmbeddings, read_kept, write_kept
from earnest.own.recordings import ROWS as KEPT_ROWS
from earnest.runtime.adaptation import Adaptation
from earnest.runtime.bulk import AnsweredRecording, BatchAnswers
from earnest.runtime.formats import EmbeddedRecording
from earnest.runtime.prediction import Options, Prediction, VocalBurst
from earnest.runtime.windows import Over, Windowing, WindowSound
from fuzz.readers import Reader

INFO = BundleInfo("m", "1", ("happy", "sad"), 16_000, "CC0-1.0", {"model.onnx": "0" * 64}, abstain_below=0.5)
SHARES = {"happy": 0.25, "sad": 0.75}
ROWS = (
    Prediction("=a\nb.wav", "ok", 1.5, 1.0, "sad", 0.75, SHARES, -0.5, model="m"),
    Prediction("b.wav", "error", error="-1 is no file", model="m"),
    Prediction(
        "c.wav", "mixed", 9.0, 8.0, probabilities=SHARES, polarity=0.0, gender={"female": 0.25, "male": 0.75},
        affect={"valence": 0.1, "arousal": 0.2, "dominance": None}, affect_derived=True,
        quality=("noisy", "clipped"), shares=SHARES, vocal_bursts=(VocalBurst(0.5, 1.0, "laughter", 0.9),), model="m",
    ),
)  # fmt: skip
EMBEDDED = (
    EmbeddedRecording("=a\nb.wav", "ok", 1.5, 1.0, np.array([0.5, -1.0, 2.0], np.float32), "m"),
    EmbeddedRecording("b.wav", "error", model="m", error="-1 is no file"),
)
EMBEDDING_FORMS: tuple[EmbeddingForm, ...] = ("npz", "parquet")
FORMS: tuple[tuple[str, Form, Any], ...] = (
    ("csv", "csv", "csv"),
    ("jsonl", "json", "lines"),
    ("parquet", "parquet", "bytes"),
)


def resumed_readers() -> list[Reader]:
    """Return a reader for each form of finished file, and for the journals of predictions and of embeddings."""
    found = [
        Reader(f"resumed {end}", f"rows.{end}", _finished(end, form), _go_on(end, form), kind=kind)
        for end, form, kind in FORMS
    ]
    journal = Reader("journal", "rows.csv.partial", _journal, _go_on("csv", "csv"), kind="lines")
    heard = Reader("journal of heard", "rows.csv.partial", _heard, _go_on_adapting, kind="lines")
    embedded = [Reader(f"embedded {form}", f"rows.{form}", _embedded(form), _embed_on) for form in EMBEDDING_FORMS]
    lines = "".join(f"{journal_line(row)}\n" for row in EMBEDDED).encode()
    embedding = Reader("journal of embeddings", "rows.npz.partial", lambda: (lines,), _embed_on, kind="lines")
    return [*found, journal, heard, *embedded, embedding, *_kept()]


def _kept() -> Iterator[Reader]:
    """Yield a reader for each file that `earnest learn --continue` goes on with."""
    rows = tuple(
        Utterance(
            utterance_id=name,
            path=Path(f"{name}.wav"),
            corpus="own",
            speaker=f"own-{name}",
            emotion="happy",
            native_emotion="joy",
        )
        for name in "ab"
    )
    own = OwnEmbeddings(rows, np.eye(2, 3, dtype=np.float32), np.ones(2), np.ones(2), np.zeros((0, 3), np.float32))
    base: Any = SimpleNamespace(info=SimpleNamespace(files={"model.onnx": "0" * 64}, name="m"))

    def beside(folder: Path) -> None:
        write_kept(folder, own, base)

    def seed(name: str) -> tuple[bytes, ...]:
        with TemporaryDirectory() as folder:
            beside(Path(folder))
            return ((Path(folder) / FOLDER / name).read_bytes(),)

    def read(path: Path) -> None:
        read_kept(path.parent.parent, base)

    yield Reader("kept recordings", f"{FOLDER}/{KEPT_ROWS}", lambda: seed(KEPT_ROWS), read, beside, "lines")
    yield Reader("kept embeddings", f"{FOLDER}/{ARRAYS}", lambda: seed(ARRAYS), read, beside)


def _embedded(form: EmbeddingForm) -> Callable[[], tuple[bytes, ...]]:
    def seeds() -> tuple[bytes, ...]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"rows.{form}"
            with EmbeddingFile(path, form, INFO, 3, "overwrite") as file:
                for row in EMBEDDED:
                    file.write(row)
                file.close()
            return (path.read_bytes(),)

    return seeds


def _embed_on(path: Path) -> None:
    """Go on in a folder of its own: what was read is written anew."""
    form: EmbeddingForm = "parquet" if ".parquet" in path.name else "npz"
    with TemporaryDirectory() as folder:
        (Path(folder) / path.name).write_bytes(path.read_bytes())
        with EmbeddingFile(Path(folder) / f"rows.{form}", form, INFO, 3, "resume") as file:
            file.close()


def _heard() -> tuple[bytes, ...]:
    rate_hz = 16_000
    outputs = {"probabilities": np.array([0.25, 0.75]), "sound": np.array([0.9, 0.1, 0, 0, 0, 0, 0])}
    whole, long = Extent(0, 2 * rate_hz), [Extent(number * rate_hz, (number + 3) * rate_hz) for number in range(4)]
    silent = np.empty(0, np.float32)
    steps = ((WindowSound(whole, 0, silent), outputs), (Over(whole), {}))
    many = tuple((WindowSound(extent, 0, silent), outputs) for extent in long)
    rows = (
        AnsweredRecording(ROWS[0], True, steps),
        AnsweredRecording(ROWS[1]),
        AnsweredRecording(ROWS[2], False, (*many, (Over(Extent(0, 6 * rate_hz)), {}))),
    )
    return ("".join(json.dumps(row.to_dict()) + "\n" for row in rows).encode(),)


@cache
def _batch() -> BatchAnswers:
    from stand_in import stand_in_adaptation

    info = BundleInfo("m", "1", INFO.classes, 16_000, "CC0-1.0", {}, sounds=SOUNDS)
    return BatchAnswers(Adaptation.read(stand_in_adaptation(2), 2, "m"), info, Windowing(), Options())


def _go_on_adapting(path: Path) -> None:
    """Go on in a folder of its own, and answer all that is read."""

    def adapted(heard: Callable[[], Iterator[AnsweredRecording]]) -> Iterator[Prediction]:
        return _batch().answered(lambda: (("one", recording) for recording in heard()))

    with TemporaryDirectory() as folder:
        (Path(folder) / path.name).write_bytes(path.read_bytes())
        RowFile(Path(folder) / "rows.csv", "csv", INFO, "resume", adapted).close()


def _journal() -> tuple[bytes, ...]:
    """Return the journal of this version, and of an earlier one, without the line that says who made it."""
    (rows,) = _finished("jsonl", "json")()
    return (f"{MadeBy.of(INFO, '').to_json()}\n".encode() + rows, rows)


def _finished(end: str, form: Form) -> Callable[[], tuple[bytes, ...]]:
    def seeds() -> tuple[bytes, ...]:
        with TemporaryDirectory() as folder:
            file = RowFile(Path(folder) / f"rows.{end}", form, INFO, "overwrite")
            for row in ROWS:
                file.write(row)
            file.close()
            return ((Path(folder) / f"rows.{end}").read_bytes(),)

    return seeds


def _go_on(end: str, form: Form) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        """Go on in a folder of its own: what was read is written anew."""
        with TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(path.read_bytes())
            RowFile(Path(folder) / f"rows.{end}", form, INFO, "resume").close()

    return read
