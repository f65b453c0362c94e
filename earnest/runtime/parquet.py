"""Predictions as columns of Parquet."""

from collections.abc import Sequence
from typing import Any

from earnest.errors import MissingExtraError
from earnest.runtime.formats import FLAGS, flat_values
from earnest.runtime.prediction import Prediction

_TEXTS = ("path", "status", "emotion", "quality", "shares", "vocal_bursts", "model", "error")


def prediction_schema(classes: Sequence[str]) -> Any:
    """Return the schema of a table of `earnest.runtime.formats.flat_values`."""
    pyarrow = load_pyarrow()
    kinds = dict.fromkeys(FLAGS, pyarrow.bool_()) | dict.fromkeys(_TEXTS, pyarrow.string())
    names = flat_values(Prediction("", "error"), classes)
    return pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in names])


def load_pyarrow() -> Any:
    """Return the package pyarrow, with what reads and writes Parquet.

    Raises
    ------
    MissingExtraError
        Where it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    return pyarrow
