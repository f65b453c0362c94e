"""A speaker's or channel's profile: the plain answers to some of its recordings, from which others are adapted."""

import json
import logging
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earnest.bundle import LONGEST_NAME, MOST_CLASSES, BundleInfo
from earnest.errors import EarnestError, RecipeError, counted, is_printable, printable, shown
from earnest.files.reading import parsed_json, read_text
from earnest.files.writing import write_atomically
from earnest.installation import __version__
from earnest.settings.limits import from_mapping

MOST_ROWS = 600  # ten minutes of windows: more change no answer
MOST_BYTES = 1 << 22  # 600 rows of 256 classes, seven digits each: 1.5 MB
MOST_BRACKETS = 2 * MOST_ROWS  # that open: a list for each row, and what names of classes may hold
FORMAT: Literal[1] = 1  # higher with what earlier versions must not skip
_TOLERANCE, _LEAST_WEIGHT = 1e-2, 1e-6
_AGAIN = "Make it again with `earnest adapt`."
_log = logging.getLogger("earnest")
_TOLD: set[str] = set()  # models of whose old profiles this process has warned


@dataclass(frozen=True)
class _Written:
    """A profile's JSON."""

    model: str
    model_version: str
    classes: tuple[str, ...]
    speech_s: float
    probabilities: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    model_digest: str = ""
    format: Literal[1] = FORMAT


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of a speaker or a channel; it holds no sound, and no words that were said.

    Attributes
    ----------
    model, model_version : bundle that gave the answers
    classes : of the answers, in the bundle's order
    speech_s : seconds of speech that they are about
    probabilities : plain, calibrated, shape (rows, classes)
    weights : how much of a window no window before it held, above 0 to 1, shape (rows,)
    model_digest : `BundleInfo.network_digest`, of the network that gave the answers; "" in files of earlier versions
    """

    model: str
    model_version: str
    classes: tuple[str, ...]
    speech_s: float
    probabilities: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    model_digest: str = ""

    def __repr__(self) -> str:
        n_rows = counted(len(self.weights), "answer")
        return f"<Profile of '{self.model}' {self.model_version}: {self.speech_s:.1f} s of speech, {n_rows}>"

    @classmethod
    def of(
        cls,
        model: str,
        model_version: str,
        classes: tuple[str, ...],
        speech_s: float,
        probabilities: npt.NDArray[np.floating],
        weights: npt.NDArray[np.floating],
        model_digest: str = "",
    ) -> "Profile":
        """Make one of rows in any number; of more than `MOST_ROWS` every n-th is kept.

        Raises `EarnestError` when there is no row: nobody spoke.
        """
        if not len(probabilities):
            raise EarnestError("There is no speech to adapt to. Name other recordings.")
        # (kept,): spread evenly from the first row to the last, so that every part of the speech has a say.
        rows = np.linspace(0, len(probabilities) - 1, min(len(probabilities), MOST_ROWS)).round().astype(int)
        kept = np.asarray(probabilities, np.float32)[rows], np.asarray(weights, np.float32)[rows]
        return cls(model, model_version, classes, speech_s, *kept, model_digest)

    @classmethod
    def read(cls, path: str | Path) -> "Profile":
        """Read a file of `write`; an invalid one is an `EarnestError`."""
        return cls.parsed(read_text(Path(path), most=MOST_BYTES, what="profile of `earnest adapt`"), str(path))

    @classmethod
    def parsed(cls, text: str, where: str) -> "Profile":
        """Read a profile's JSON; what is none is an `EarnestError` that begins with ``where``."""
        if len(text) > MOST_BYTES:
            raise EarnestError(f"{where}: larger than a profile may be ({MOST_BYTES:,} bytes). {_AGAIN}")
        if has_too_many_lists(text):
            raise EarnestError(f"{where}: holds more lists than a profile does. {_AGAIN}")
        return cls.from_values(parsed_json(text, where, hint=_AGAIN), where)

    @classmethod
    def from_values(cls, values: Any, where: str) -> "Profile":
        """Read a profile from the values of its JSON; see `parsed`."""
        found = values.get("format") if isinstance(values, dict) else None
        if isinstance(found, int) and found > FORMAT:
            told = f"made by a newer earnest (format {shown(found)}; this one, {__version__}, reads {FORMAT})"
            raise EarnestError(f"{where}: {told}. Upgrade earnest, or make another profile with `earnest adapt`.")
        try:
            written = from_mapping(_Written, values, where)
        except RecipeError as error:
            raise EarnestError(f"{error} {_AGAIN}") from None
        if problem := _problem_with(written):
            raise EarnestError(f"{where}: {problem}. {_AGAIN}")
        probabilities = np.array(written.probabilities, np.float32)
        weights = np.array(written.weights, np.float32)
        names = written.model, written.model_version
        return cls(*names, written.classes, written.speech_s, probabilities, weights, written.model_digest)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: what `earnest adapt` writes, rounded to six decimals."""
        return {
            "format": FORMAT,
            "model": self.model,
            "model_version": self.model_version,
            "model_digest": self.model_digest,
            "classes": list(self.classes),
            "speech_s": round(self.speech_s, 3),
            "weights": [round(weight, 6) for weight in self.weights.tolist()],
            "probabilities": [[round(share, 6) for share in row] for row in self.probabilities.tolist()],
        }

    def to_json(self) -> str:
        """Return its JSON, a row of probabilities a line."""
        head = self.to_dict()
        rows = ",\n".join(map(json.dumps, head.pop("probabilities")))
        return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "probabilities": [\n{rows}\n]}}\n'

    def write(self, path: str | Path) -> None:
        """Write its JSON, in one step."""
        write_atomically(Path(path), self.to_json().encode())

    def check(self, info: BundleInfo, where: str = "profile") -> None:
        """Raise `EarnestError` unless its answers are those of this model.

        Where it doesn't say whose network gave them (it was made by an earlier version), there is a warning: a model
        that was learnt anew under its name and version answers otherwise.
        """
        ours, theirs = (info.name, info.version), (self.model, self.model_version)
        if _averaged(*ours) != _averaged(*theirs):
            made_for = f"made with the model {shown(' '.join(theirs))}, not with {shown(' '.join(ours))}"
            raise EarnestError(f"{where}: {made_for}. {_AGAIN}")
        if self.classes != info.classes:
            raise EarnestError(f"{where}: its classes are {shown(', '.join(self.classes))}. {_AGAIN}")
        if not self.model_digest:
            told = f"an earlier earnest wrote it, which didn't note the network of {shown(info.name)}"
            _warn_once(info.name, f"{where}: {told}. If the model has changed since then, it adapts wrongly. {_AGAIN}")
        elif self.model_digest != info.network_digest:
            told = f"made with another network than the {shown(' '.join(ours))} that answers now"
            raise EarnestError(f"{where}: {told} (an earlier one, learnt anew, or exported otherwise). {_AGAIN}")


def _warn_once(model: str, message: str) -> None:
    """Warn once for each model: a profile may be checked where it is read, and again where it is used."""
    if model not in _TOLD:
        _TOLD.add(model)
        _log.warning("%s", printable(message))


def has_too_many_lists(text: str) -> bool:
    """Whether a JSON opens more brackets than a profile does.

    ``json.loads`` makes a list of each, half a gigabyte of those in 16 MiB, and lets no other thread run meanwhile.
    """
    return text.count("[") + text.count("{") > MOST_BRACKETS


def _averaged(name: str, version: str) -> tuple[list[tuple[str, str]], str]:
    """Return the models that a mean is of, in one order, each with its version, and the variants it averages over.

    In which order they are named changes no plain answer.
    """
    names, _, variants = name.partition(" (tta ")
    return sorted(zip_longest(names.split("+"), version.split("+"), fillvalue="")), variants


def _problem_with(written: _Written) -> str | None:
    n_rows, n_classes = len(written.probabilities), len(written.classes)
    names = (written.model, *written.classes)
    if not all(is_printable(name) and 0 < len(name) <= LONGEST_NAME for name in written.classes):
        return f"'classes' must be names of 1 to {LONGEST_NAME} letters"
    if not all(is_printable(name) for name in (*names, written.model_version, written.model_digest)):
        return "'model', 'model_version' and 'model_digest' must be printable"
    if not 2 <= n_classes <= MOST_CLASSES or len(set(written.classes)) != n_classes:
        return f"'classes' must hold 2 to {MOST_CLASSES} different names"
    if not 1 <= n_rows <= MOST_ROWS or len(written.weights) != n_rows:
        return f"'probabilities' must hold 1 to {MOST_ROWS} rows, 'weights' a number for each"
    if any(len(row) != n_classes for row in written.probabilities):
        return f"each row of 'probabilities' must hold {n_classes} numbers"
    shares, weights = np.array(written.probabilities, np.float64), np.array(written.weights, np.float64)
    if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > _TOLERANCE:
        return "a row of 'probabilities' holds no probabilities"
    if not _LEAST_WEIGHT <= weights.min() <= weights.max() <= 1:
        return f"'weights' must be from {_LEAST_WEIGHT:g} to 1"
    return "'speech_s' must be seconds" if written.speech_s < 0 else None
