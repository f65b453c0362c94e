"""What a model keeps of the recordings that it was learnt from, so that more can be added: embeddings and labels."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from earnest.bundle import Bundle
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, EarnestError
from earnest.files.reading import parsed_json, read_bytes, read_text
from earnest.files.writing import write_atomically
from earnest.learning.domain import UNREADABLE
from earnest.own.recordings import OwnEmbeddings

FOLDER = "learned"
ARRAYS, ROWS, PRIVACY = "embeddings.npz", "recordings.jsonl", "README.txt"
PRIVACY_TEXT = """These embeddings were made of people's voices. No sound can be had back from them, but who spoke and
how may be: treat them as personal data. The model works without this folder; `--continue` needs it.
"""


def write_kept(folder: Path, own: OwnEmbeddings, base: Bundle) -> None:
    """Write what `read_kept` needs."""
    stored = io.BytesIO()
    np.savez_compressed(stored, embeddings=own.embeddings, seconds=own.seconds, copies=own.copies)
    lines = [{"base": base.info.files["model.onnx"]}, *(_plain(row) for row in own.rows)]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    write_atomically(folder / FOLDER / ARRAYS, stored.getvalue())
    write_atomically(folder / FOLDER / ROWS, text.encode())
    write_atomically(folder / FOLDER / PRIVACY, PRIVACY_TEXT.encode())


def _plain(row: Utterance) -> dict[str, Any]:
    return asdict(row) | {"path": str(row.path.resolve())}


def read_kept(folder: Path, base: Bundle) -> OwnEmbeddings:
    """Read what a model keeps.

    Raises
    ------
    EarnestError
        When it keeps nothing, what is there is damaged, or it was heard by another base.
    """
    where = folder / FOLDER
    missing = "not there. Only a model that `earnest learn` made, and that kept its embeddings, can be continued."
    text = read_text(where / ROWS, EarnestError, missing)
    lines = [parsed_json(line, f"{where / ROWS}:{number}") for number, line in enumerate(text.splitlines(), 1)]
    try:
        if lines[0]["base"] != base.info.files["model.onnx"]:
            raise EarnestError(f"{folder}: was learnt from another model than '{base.info.name}'. Name that: --from.")
        rows = [_row(line) for line in lines[1:]]
        with np.load(io.BytesIO(read_bytes(where / ARRAYS)), allow_pickle=False) as arrays:
            found = OwnEmbeddings(tuple(rows), arrays["embeddings"], arrays["seconds"], arrays["copies"])
    except (*UNREADABLE, CorpusError, IndexError, AttributeError) as error:
        raise EarnestError(f"{where}: damaged ({error}). Learn from all recordings again.") from error
    _check(found, where)
    return found


def _row(line: dict[str, Any]) -> Utterance:
    return Utterance(**{**line, "path": Path(line["path"])})


def _check(found: OwnEmbeddings, where: Path) -> None:
    n_rows = len(found.rows)
    arrays: Sequence[Any] = (found.embeddings, found.seconds, *([found.copies] if len(found.copies) else []))
    right = n_rows > 0 and found.embeddings.ndim == 2 and all(len(one) == n_rows for one in arrays)
    if not right or not all(np.isfinite(one).all() and one.dtype.kind == "f" for one in arrays):
        raise EarnestError(f"{where}: its files don't fit together. Learn from all recordings again.")
