"""Predictions and embeddings as text (JSON lines and CSV, and back) and as data frames of pandas, polars and Arrow.

No package of data frames is imported before it is needed.
"""

import json
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from earnest.errors import EarnestError, counted, named, needs_extra, printable_json
from earnest.files.tables import csv_row, load_pyarrow
from earnest.labels import AFFECT
from earnest.runtime.prediction import TOLD, Prediction, Status, VocalBurst

_BEFORE = ("path", "status", "duration_s", "speech_s", "emotion", "confidence")
_AFTER = ("polarity", "gender_female", "gender_male", *AFFECT, "affect_derived", "intensity")
_LAST = ("quality", "adapted", "adaptation_weight", "shares", "vocal_bursts", "model", "error")
_PREFIX = "p_"
_GENDERS = ("female", "male")
FLAGS = ("affect_derived", "adapted")
_SECONDS, _SHARE = (0.0, math.inf), (0.0, 1.0)
_LIMITS = {
    **dict.fromkeys(("duration_s", "speech_s"), _SECONDS),
    **dict.fromkeys(("confidence", "intensity", "adaptation_weight"), _SHARE),
    "polarity": (-1.0, 1.0),
}
_FLAG_VALUES = {"true": True, "false": False, True: True, False: False}
Kind: TypeAlias = Literal["text", "number", "flag", "vector"]
Vector: TypeAlias = npt.NDArray[np.float32]


class _HasValues(Protocol):
    def to_dict(self) -> Mapping[str, Any]: ...


def json_line(row: _HasValues) -> str:
    """Return a row or an event as one JSON object without line breaks, whatever a file is called; NaN is refused."""
    return printable_json(json.dumps(row.to_dict(), ensure_ascii=False, allow_nan=False))


def csv_header(classes: Sequence[str], told: Container[str] = ()) -> str:
    """Return the line of column names; probabilities are called ``p_<class>``."""
    return csv_row(_columns(classes, told))


def csv_line(prediction: Prediction, classes: Sequence[str], told: Container[str] = ()) -> str:
    """Return one row of CSV, see `earnest.files.tables`; what there is no value for is empty.

    Quality words are joined by spaces, ``shares`` and ``vocal_bursts`` are JSON.
    """
    values = flat_values(prediction, classes, told)
    values |= {name: "true" if values[name] else "false" for name in FLAGS}
    return csv_row(values.values())


def flat_values(prediction: Prediction, classes: Sequence[str], told: Container[str] = ()) -> dict[str, Any]:
    """Return column → value, in the order of `csv_header`.

    Parameters
    ----------
    told : those of `TOLD` that have a column, as where a list told one
    """
    values = prediction.to_dict()
    for name in _GENDERS:
        values[f"gender_{name}"] = (values["gender"] or {}).get(name)
    values |= values["affect"] or {}
    values["quality"] = " ".join(prediction.quality)
    values["shares"] = json.dumps(values["shares"]) if values["shares"] else None
    values["vocal_bursts"] = json.dumps(values["vocal_bursts"]) if values["vocal_bursts"] else None
    values |= {f"{_PREFIX}{name}": values["probabilities"].get(name) for name in classes}
    return {name: values.get(name) for name in _columns(classes, told)}


def check_columns(names: Sequence[str]) -> None:
    """Raise `ValueError` unless these are the columns of a file of predictions, in any order."""
    classes = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"the column '{name}' is there twice")
    if missing := [name for name in _columns(classes) if name not in names]:
        raise ValueError(f"the column '{missing[0]}' is missing")
    if unknown := set(names) - set(_columns(classes, TOLD)):
        raise ValueError(f"the column '{min(unknown)}' is not one of `earnest predict`")


def from_flat_values(values: Mapping[str, Any]) -> Prediction:
    """Return the prediction that `flat_values` or a row of CSV was made from.

    Raises `ValueError` for what can't have come from there.
    """
    known: dict[str, Any] = {name: None if value == "" else value for name, value in values.items()}
    for name in ("quality", "shares", "vocal_bursts"):
        if not isinstance(known[name], str | None):
            raise ValueError(f"'{name}' must be text, got {known[name]!r}")
    for name in FLAGS:
        if known[name] not in _FLAG_VALUES:
            raise ValueError(f"'{name}' must be true or false, got '{known[name]}'")
    affect: dict[str, float | None] = {name: _number(known[name]) for name in AFFECT}
    shares = {name.removeprefix(_PREFIX): known[name] for name in known if name.startswith(_PREFIX)}
    return _checked(
        Prediction(
            path=known["path"] or "",
            status=known["status"],
            **{name: _number(known[name]) for name in ("duration_s", "speech_s", "confidence", "polarity")},
            intensity=_number(known["intensity"]),
            emotion=known["emotion"],
            probabilities=_numbers(shares) or {},
            gender=_numbers({name: known[f"gender_{name}"] for name in _GENDERS}),
            affect=affect if any(value is not None for value in affect.values()) else None,
            affect_derived=_FLAG_VALUES[known["affect_derived"]],
            quality=tuple((known["quality"] or "").split()),
            adapted=_FLAG_VALUES[known["adapted"]],
            adaptation_weight=float(known["adaptation_weight"]),
            shares=json.loads(known["shares"] or "null"),
            vocal_bursts=tuple(VocalBurst(**burst) for burst in json.loads(known["vocal_bursts"] or "[]")),
            model=known["model"] or "",
            error=known["error"],
            speaker=known.get("speaker"),
            text=known.get("text"),
        )
    )


def from_json_line(line: str | bytes) -> Prediction:
    """Return the prediction that `json_line` was made from.

    For what can't have come from there it raises ValueError, TypeError, KeyError, AttributeError or RecursionError.
    """
    values = json.loads(line)
    if not isinstance(values["quality"], list) or not isinstance(values["probabilities"], dict):
        raise ValueError("'quality' must be a list, 'probabilities' numbers by name")
    return _checked(Prediction.from_dict(values))


def _columns(classes: Sequence[str], told: Container[str] = ()) -> tuple[str, ...]:
    named = (name for name in TOLD if name in told)
    return (*_BEFORE, *(f"{_PREFIX}{name}" for name in classes), *_AFTER, *_LAST, *named)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _numbers(values: Mapping[str, Any]) -> dict[str, float] | None:
    return {name: float(value) for name, value in values.items() if value is not None} or None


def _checked(row: Prediction) -> Prediction:
    """Raise `ValueError` for a row that no model answers: other types, other words, numbers out of their range."""
    if row.status not in get_args(Status):
        raise ValueError(f"there is no status '{row.status}'")
    for name in ("path", "model", "emotion", "error", *TOLD):
        text = getattr(row, name)
        if not (isinstance(text, str) or (text is None and name not in ("path", "model"))):
            raise ValueError(f"'{name}' must be text, got {text!r:.40}")
        (text or "").encode()
    if any(type(getattr(row, name)) is not bool for name in FLAGS):
        raise ValueError(f"{' and '.join(map(repr, FLAGS))} must be true or false")
    if not all(isinstance(word, str) for word in row.quality):
        raise ValueError("'quality' must be words")
    " ".join(row.quality).encode()
    for name, limits in _LIMITS.items():
        _check_number(name, getattr(row, name), *limits)
    for what, names in (("probabilities", None), ("gender", _GENDERS), ("shares", None)):
        for name, value in _mapping(what, getattr(row, what), names).items():
            _check_number(f"{what} of '{name}'", value, *_SHARE)
    for name, value in _mapping("affect", row.affect, AFFECT).items():
        _check_number(name, value, -math.inf, math.inf)
    for burst in row.vocal_bursts:
        if not isinstance(burst.kind, str):
            raise ValueError("a vocal burst's kind must be text")
        _check_number("confidence of a vocal burst", burst.confidence, *_SHARE)
        _check_number("start_s", burst.start_s, *_SECONDS)
        _check_number("end_s", burst.end_s, *_SECONDS)
    return row


def _mapping(what: str, values: Any, names: Sequence[str] | None) -> Mapping[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(name, str) and name.encode() for name in values):
        raise ValueError(f"'{what}' must be numbers by name")
    if names and not values.keys() <= set(names):
        raise ValueError(f"'{what}' has {', '.join(names)} alone")
    return values


def _check_number(what: str, value: Any, least: float, most: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"'{what}' must be a finite number, got {value!r:.40}")
    if not least <= value <= most:
        raise ValueError(f"'{what}' must be from {least:g} to {most:g}, got {value:g}")


_TEXTS = frozenset({"path", "status", "emotion", "quality", "shares", "vocal_bursts", "model", "error", *TOLD})
_KNOWN = ("path", "status", "duration_s", "speech_s", "model", "error")  # of a recording, beside its vector
_HEARD = frozenset({"unsure", "mixed"})  # of the emotion, which is not asked here


@dataclass(frozen=True)
class FrameColumn:
    """A column of a data frame.

    Attributes
    ----------
    kind : text, number (float64), flag (true or false), or vector (float32, all of one length)
    values : a row each, None where there is none
    width : of each vector
    """

    kind: Kind
    values: Sequence[Any]
    width: int = 0


class Framed(ABC):
    """Rows that can become a data frame."""

    @abstractmethod
    def columns(self) -> Mapping[str, FrameColumn]:
        """Return name → column, in order."""

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame; what there is no number for is NaN.

        Raises `MissingExtraError` where pandas is not installed.
        """
        with needs_extra("A pandas frame", "pandas"):
            import pandas
        kinds = {"number": "float64", "flag": "bool", "text": "object", "vector": "object"}
        columns = self.columns().items()
        return pandas.DataFrame(
            {name: pandas.Series(list(column.values), dtype=kinds[column.kind]) for name, column in columns}
        )

    def to_polars(self) -> Any:
        """Return a polars.DataFrame; vectors are of the type Array(Float32, width).

        Raises `MissingExtraError` where polars is not installed.
        """
        with needs_extra("A polars frame", "polars"):
            import polars
        kinds = {"text": polars.String, "number": polars.Float64, "flag": polars.Boolean}
        columns = self.columns().items()
        return polars.DataFrame(
            [
                _polars_vectors(name, column)
                if column.kind == "vector"
                else polars.Series(name, column.values, kinds[column.kind])
                for name, column in columns
            ]
        )

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table; vectors are fixed-size lists of float32.

        Raises `MissingExtraError` where pyarrow is not installed.
        """
        with needs_extra("An Arrow table", "parquet"):
            import pyarrow
        kinds = _arrow_kinds(pyarrow)
        columns = self.columns()
        types = [
            pyarrow.list_(pyarrow.float32(), column.width) if column.kind == "vector" else kinds[column.kind]
            for column in columns.values()
        ]
        arrays = [pyarrow.array(column.values, kind) for column, kind in zip(columns.values(), types, strict=True)]
        return pyarrow.table(arrays, pyarrow.schema(list(zip(columns, types, strict=True))))


class Frame(Framed):
    """Columns that are at hand."""

    def __init__(self, columns: Mapping[str, FrameColumn]) -> None:
        self._columns = dict(columns)

    def columns(self) -> Mapping[str, FrameColumn]:
        """See `Framed`."""
        return self._columns


class PredictionRows(Framed, Iterator[Prediction]):
    """Predictions in order: an iterator, and with the columns of `earnest predict --output` a data frame of the rest.

    Around a list of your own predictions it is what makes a frame of them: ``PredictionRows(mine).to_pandas()``.
    """

    def __init__(self, rows: Iterable[Prediction], classes: Sequence[str] = ()) -> None:
        self._rows, self._classes = iter(rows), tuple(classes)
        self._n_given = 0
        self._columns: Mapping[str, FrameColumn] | None = None

    def __repr__(self) -> str:
        return f"<PredictionRows, {self._n_given} read: go through them, or take list(…) or .to_pandas()>"

    def __next__(self) -> Prediction:
        row = next(self._rows)
        self._n_given += 1
        return row

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self._rows, Generator):
            raise EarnestError(
                "Rows that are still to come can't be pickled or copied. Take list(rows), and pickle that."
            )
        return self.__dict__

    def close(self) -> None:
        """Leave the rows that are left; what has begun to decode them ends."""
        if isinstance(self._rows, Generator):
            self._rows.close()

    def columns(self) -> Mapping[str, FrameColumn]:
        """Take all rows that are left, and keep their columns for the next time; see `Framed`.

        Raises `EarnestError` when rows were read, and none is left: they are not kept.
        """
        if self._columns is None:
            self._columns = self._of_the_rest()
        return self._columns

    def _of_the_rest(self) -> Mapping[str, FrameColumn]:
        rows = list(self._rows)
        if not rows and self._n_given:
            again = "Keep them, rows = list(…), and make the frame with PredictionRows(rows).to_pandas()"
            raise EarnestError(f"{counted(self._n_given, 'row')} read already, none is left for a frame. {again}.")
        classes = self._classes or tuple(dict.fromkeys(name for row in rows for name in row.probabilities))
        told = {name for row in rows for name in row.told}
        flat = [flat_values(row, classes, told) for row in rows]
        columns = _columns(classes, told)
        return {name: FrameColumn(_kind(name), [values[name] for values in flat]) for name in columns}

    @classmethod
    def from_frame(cls, frame: Any) -> "PredictionRows":
        """Read a frame of pandas, polars or Arrow back, such as ``pandas.read_parquet("emotions.parquet")``.

        Raises `EarnestError` when its columns or values are not those of predictions, or others were joined to them.
        """
        try:
            records = _records(frame)
            names = list(records[0]) if records else _columns(())
            _refuse_joined(names)
            check_columns(names)
            return cls([from_flat_values(record) for record in records])
        except (ValueError, TypeError, KeyError) as error:
            raise EarnestError(f"This frame holds no predictions of earnest: {error}.") from error


def _refuse_joined(names: Sequence[str]) -> None:
    """Raise `ValueError` for columns of predictions beside others, as after a merge with a table of recordings."""
    ours = _columns([name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)], TOLD)
    theirs, ours_there = [name for name in names if name not in ours], set(names).intersection(ours)
    if not theirs or len(ours_there) < len(_columns(())) / 2:
        return
    drop = f"Leave them out: frame.drop(columns={theirs!r})"
    if renamed := [name for name in _columns(()) if name not in ours_there]:
        drop += f". {named(renamed)} got another name in the merge: merge with suffixes=('', '_theirs')"
    raise ValueError(f"{named(theirs)} were joined to it. {drop}")


def _polars_vectors(name: str, column: FrameColumn) -> Any:
    import polars

    kind = polars.Array(polars.Float32, column.width)
    if not len(column.values):
        return polars.Series(name, [], kind)
    nothing = np.zeros(column.width, np.float32)
    vectors = np.array([nothing if one is None else one for one in column.values])
    found = polars.Series([one is not None for one in column.values], dtype=polars.Boolean)
    return polars.select(polars.when(found).then(polars.Series(name, vectors, kind))).to_series().alias(name)


def _kind(name: str) -> Kind:
    return "text" if name in _TEXTS else "flag" if name in FLAGS else "number"


def _records(frame: Any) -> list[dict[str, Any]]:
    """Return rows as name → value, of a frame of any of the three."""
    if hasattr(frame, "to_pylist"):
        records = frame.to_pylist()
    elif hasattr(frame, "to_dicts"):
        records = frame.to_dicts()
    elif hasattr(frame, "to_dict"):
        records = frame.to_dict("records")
    else:
        raise TypeError(f"a {type(frame).__name__} is no frame of pandas, polars or Arrow")
    return [{name: _known(value) for name, value in record.items()} for record in records]


def _known(value: Any) -> Any:
    """Return None for NaN, by which pandas tells that there is nothing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def prediction_schema(classes: Sequence[str], told: Container[str] = ()) -> Any:
    """Return the schema of a table of `earnest.runtime.formats.flat_values`."""
    pyarrow = load_pyarrow()
    kinds = _arrow_kinds(pyarrow)
    return pyarrow.schema([(name, kinds[_kind(name)]) for name in _columns(classes, told)])


def _arrow_kinds(pyarrow: Any) -> Mapping[str, Any]:
    return {"text": pyarrow.string(), "number": pyarrow.float64(), "flag": pyarrow.bool_()}


@dataclass(frozen=True, eq=False)
class EmbeddedRecording:
    """One recording's embedding.

    Attributes
    ----------
    path : as it was given
    status : "ok"; "vocal-burst" or "no-speech" where no speech was found, and the embedding is of all that was heard;
        "too-short", "error"
    vector : shape (width,): the mean over windows of speech, weighted by their length as a prediction's are; None where
        nothing was heard
    error : why there is no embedding, in a sentence
    """

    path: str
    status: str
    duration_s: float | None = None
    speech_s: float | None = None
    vector: Vector | None = None
    model: str = ""
    error: str | None = None

    @classmethod
    def of(cls, answer: Prediction, mean: npt.NDArray[np.float64] | None) -> "EmbeddedRecording":
        """Put an answer about a recording and the mean of its windows' embeddings together."""
        status = "ok" if answer.status in _HEARD else answer.status
        vector = None if mean is None or status == "error" else mean.astype(np.float32)
        error = answer.error
        if vector is None and error is None:
            error = (
                f"{answer.path}: {'shorter than the model hears' if status == 'too-short' else 'silent'}. Leave it out."
            )
        return cls(answer.path, status, answer.duration_s, answer.speech_s, vector, answer.model, error)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, as a line of `earnest embed --json`; the vector is the list ``embedding``."""
        # str() of a float32 has the digits that tell it from its neighbours, and no more.
        vector = None if self.vector is None else [float(str(value)) for value in self.vector]
        return {name: getattr(self, name) for name in _KNOWN} | {"embedding": vector}


@dataclass(frozen=True, eq=False)
class Embeddings(Framed):
    """Embeddings of several recordings; ``numpy.asarray`` gives the vectors.

    Attributes
    ----------
    names : the recordings' paths, as they were given
    vectors : shape (recordings, width), float32; a row without an embedding is NaN
    rows : what else is known of each, see `EmbeddedRecording`
    """

    names: tuple[str, ...]
    vectors: Vector
    rows: tuple[EmbeddedRecording, ...]

    @classmethod
    def of(cls, rows: Iterable[EmbeddedRecording], width: int) -> "Embeddings":
        """Gather rows, whose vectors have ``width`` values."""
        rows = tuple(rows)
        vectors = np.full((len(rows), width), np.nan, np.float32)
        for place, row in enumerate(rows):
            if row.vector is not None:
                vectors[place] = row.vector
        return cls(tuple(row.path for row in rows), vectors, rows)

    @property
    def model(self) -> str:
        """Name of the bundle; "" where there is no row."""
        return self.rows[0].model if self.rows else ""

    @property
    def width(self) -> int:
        """Values of one embedding."""
        return int(self.vectors.shape[1])

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Whether each recording has an embedding, shape (recordings,)."""
        return np.array([row.vector is not None for row in self.rows], bool)

    @property
    def errors(self) -> tuple[str | None, ...]:
        """Why a recording has no embedding, a sentence each; None for the others."""
        return tuple(row.error for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.vectors, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        n_without = int((~self.found).sum())
        return f"<Embeddings {len(self)} × {self.width} of '{self.model}', {n_without} without>"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the model, the width, and each of ``rows``, see `EmbeddedRecording.to_dict`."""
        return {"model": self.model, "width": self.width, "rows": [row.to_dict() for row in self.rows]}

    def columns(self) -> Mapping[str, FrameColumn]:
        """Return the facts about each recording, with the vectors in the column ``embedding``."""
        columns = {name: FrameColumn(_kind(name), [getattr(row, name) for row in self.rows]) for name in _KNOWN}
        return {**columns, "embedding": FrameColumn("vector", [row.vector for row in self.rows], self.width)}
