"""What `earnest predict --resume` goes on with: finished files of predictions, and journals of runs that did not."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from earnest.apps.cli._row_file import Form, RowFile
from earnest.runtime.events import VocalBurst
from earnest.runtime.prediction import Prediction
from fuzz.readers import Reader

INFO: Any = SimpleNamespace(name="m", classes=("happy", "sad"))
SHARES = {"happy": 0.25, "sad": 0.75}
ROWS = (
    Prediction("=a\nb.wav", "ok", 1.5, 1.0, "sad", 0.75, SHARES, -0.5, model="m"),
    Prediction("b.wav", "error", error="-1 is no file", model="m"),
    Prediction(
        "c.wav", "mixed", 9.0, 8.0, probabilities=SHARES, polarity=0.0, gender={"female": 0.25, "male": 0.75},
        affect={"valence": 0.1, "arousal": 0.2, "dominance": 0.3}, quality=("noisy", "clipped"), shares=SHARES,
        vocal_bursts=(VocalBurst(0.5, 1.0, "laughter", 0.9),), model="m",
    ),
)  # fmt: skip
FORMS: tuple[tuple[str, Form, Any], ...] = (
    ("csv", "csv", "csv"),
    ("jsonl", "json", "lines"),
    ("parquet", "parquet", "bytes"),
)


def resumed_readers() -> list[Reader]:
    """Return a reader for each form of finished file, and one for the journal."""
    found = [
        Reader(f"resumed {end}", f"rows.{end}", _finished(end, form), _go_on(end, form), kind=kind)
        for end, form, kind in FORMS
    ]
    journal = Reader("journal", "rows.csv.partial", _finished("jsonl", "json"), _go_on("csv", "csv"), kind="lines")
    return [*found, journal]


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
