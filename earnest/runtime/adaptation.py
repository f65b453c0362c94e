"""Unsupervised adaptation to a speaker and a channel: a network over the set of what was heard, without labels.

A speaker, a microphone and a language move all answers about the same way. What they do shows in the answers
themselves: so a small network reads the set of a speaker's plain probabilities and gives each of them again, adapted.
It learned that from made-up sets with any shares of the emotions, several speakers among them, so it knows a strange
voice from one that shows a single emotion. How far it goes it says itself: the adaptation weight, from 0 to 1.

It needs nothing but probabilities. So it serves every engine, averages over models and variants, and answers that were
kept in a table. The order of a set is of no meaning, and its cost grows as the set does.
"""

from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from earnest.bundle import ADAPTATION, AdaptationEntry, Bundle, BundleInfo
from earnest.errors import BundleError, EarnestError, counted, first_line
from earnest.onnx.check import check_onnx
from earnest.runtime.engine import OnnxRuntime, Runner
from earnest.runtime.profile import MOST_ROWS, Profile

Vector = npt.NDArray[np.float64]
LARGEST_SET = 20_000  # rows in one run of the network: 50 MB
LEAST_SET = 2  # rows: one alone says nothing about what its speaker does to others
_LEAST_WEIGHT = 1e-3  # of a window that adds nothing to those before it
_INPUTS = {"probabilities": "float32", "weights": "float32"}
_TOLERANCE = 1e-2  # of float16
_AGAIN = "Export the bundle again."


class AdaptedAnswer(NamedTuple):
    """One window's or recording's answer: probabilities (classes,), and the share of the adapted answer in them."""

    probabilities: Vector
    weight: float


class AdaptedAnswers(NamedTuple):
    """A set's answers: probabilities (rows, classes), and the share of the adapted answer in each (rows,), 0 to 1."""

    probabilities: Vector
    weights: Vector


class Adaptation:
    """A bundle's adaptation network.

    Attributes
    ----------
    n_classes : of the probabilities that it reads and gives
    least_speech_s : seconds of speech before anything is adapted
    """

    def __init__(self, data: bytes, entry: AdaptationEntry, n_classes: int, where: str, runner: Runner) -> None:
        """Prepare the network.

        Raises `BundleError` when it can't be run, or is for another number of classes.

        Parameters
        ----------
        data : of its file, checked by `earnest.onnx.check`
        where : it comes from, for messages
        """
        self.n_classes, self.least_speech_s = n_classes, entry.least_speech_s
        self._where, self._runner = f"{where}: {entry.file}", runner
        try:
            self._session = runner.open(data)
        except runner.errors() as error:
            raise self._broken(f"{runner.name} refuses it ({first_line(error)[:200]})") from error
        inputs, sizes = dict(self._session.inputs), self._session.outputs
        if inputs != _INPUTS or not {"adapted", "weight"} <= sizes.keys():
            raise self._broken(f"from {inputs} to {', '.join(sizes)}, not from {_INPUTS} to adapted, weight")
        if sizes["adapted"] not in (n_classes, None):
            raise self._broken(f"{counted(sizes['adapted'], 'output')} for {n_classes} classes")

    @classmethod
    def of(cls, bundle: Bundle, runner: Runner) -> "Adaptation | None":
        """Prepare the bundle's, to be run by the engine of its graph; None where it has none."""
        entry, info = bundle.info.adaptation, bundle.info
        if entry is None:
            return None
        return cls(bundle.listed_bytes(entry.file), entry, len(info.classes), info.name, runner)

    @classmethod
    def read(cls, data: bytes, n_classes: int, where: str, least_speech_s: float = 0.0) -> "Adaptation":
        """Prepare a network that lies outside of a bundle, from the bytes of its file; see `Adaptation`."""
        check_onnx(data, Path(where))
        return cls(data, AdaptationEntry(ADAPTATION, least_speech_s), n_classes, where, OnnxRuntime())

    def answer(self, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> AdaptedAnswers:
        """Answer a set of recordings or windows of one speaker again.

        Parameters
        ----------
        probabilities : plain ones, calibrated, shape (rows, classes); a row at least
        weights : how much of a window no window before it held, above 0 to 1, shape (rows,); None: each row is a
            recording of its own
        """
        plain = np.asarray(probabilities, np.float64)
        counted = np.ones(len(plain)) if weights is None else np.asarray(weights, np.float64)
        answers = np.empty_like(plain)
        shares = np.empty(len(plain))
        n_sets = -(-len(plain) // LARGEST_SET)  # ⌈rows / LARGEST_SET⌉
        for number in range(n_sets):  # every n-th row: each set holds something of everything
            rows = slice(number, None, n_sets)
            answers[rows], shares[rows] = self._answered(plain[rows], counted[rows])
        return AdaptedAnswers(answers, shares)

    def _answered(self, plain: Vector, weights: Vector) -> AdaptedAnswers:
        # A graph in halves gives sums that are off by a thousandth.
        shares = np.maximum(plain, 0.0)
        feeds = {
            "probabilities": np.ascontiguousarray(shares / shares.sum(axis=1, keepdims=True), np.float32),
            "weights": np.ascontiguousarray(weights, np.float32),
        }
        try:
            adapted, weight = self._session.run(feeds, ["adapted", "weight"])
        except self._runner.errors() as error:
            raise self._broken(f"failed to run ({first_line(error)[:200]})") from error
        self._check(adapted, weight, plain.shape)
        adapted = np.maximum(adapted.astype(np.float64), 0.0)
        return AdaptedAnswers(adapted / adapted.sum(axis=1, keepdims=True), np.clip(weight.astype(np.float64), 0, 1))

    def _check(self, adapted: npt.NDArray[Any], weight: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        """Refuse answers about more or fewer rows than were asked about, and numbers that are no shares."""
        if adapted.shape != shape or weight.shape != shape[:1]:
            raise self._broken(f"expected shapes {shape} and {shape[:1]}, got {adapted.shape} and {weight.shape}")
        if not (np.isfinite(adapted).all() and np.isfinite(weight).all()):
            raise self._broken("an answer is not finite")
        # Up to what half precision rounds: p_c ≥ 0, Σ_c p_c = 1, and weights from 0 to 1.
        is_off = adapted.min() < -_TOLERANCE or np.abs(adapted.sum(axis=1) - 1).max() > _TOLERANCE
        if is_off or weight.min() < -_TOLERANCE or weight.max() > 1 + _TOLERANCE:
            raise self._broken("'adapted' or 'weight' holds no probabilities")

    def _broken(self, why: str) -> BundleError:
        return BundleError(f"{self._where}: {why}. {_AGAIN}")


class Listener(Protocol):
    """A listener to each window's plain answer in turn, which may know a better one."""

    def hear(self, plain: npt.NDArray[np.floating], seconds: float, new_s: float) -> AdaptedAnswer | None:
        """Answer one window, or a recording that is heard at once.

        Parameters
        ----------
        plain : its probabilities without adaptation, shape (classes,)
        seconds : its length
        new_s : how much of it no window before held; overlapping windows count as much as they add
        """


class Adapter:
    """Follows one speaker (causal adaptation), or stays with a profile; memory is a row for each of the latest windows.

    Attributes
    ----------
    model : whose answers it is for, name, version and digest; "" where that is not known
    is_active : whether enough was heard for anything to be adapted
    """

    def __init__(self, adaptation: Adaptation, profile: Profile | None = None, model: str = "") -> None:
        """Begin with nothing, or stay with what a profile holds: then each answer is that of profile and window."""
        self.model = model
        self._adaptation, self._is_fixed = adaptation, profile is not None
        self._set = _Rows(adaptation.n_classes)
        self._heard_s = 0.0
        if profile:
            self._set.extend(profile.probabilities, profile.weights)
            self._heard_s = profile.speech_s

    def __repr__(self) -> str:
        source = "of a profile" if self._is_fixed else "heard"
        return f"<Adapter, {self._heard_s:.1f} s of speech {source}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: the network that adapts stays in its process."""
        raise EarnestError(
            "An adapter can't be pickled or copied. Make it where it is used: model.adapter(profile), with the profile "
            "from model.profile(recordings), or its file. A model can be pickled."
        )

    @property
    def is_active(self) -> bool:
        """Whether enough was heard for anything to be adapted."""
        return self._heard_s >= self._adaptation.least_speech_s

    def hear(self, plain: npt.NDArray[np.floating], seconds: float, new_s: float) -> AdaptedAnswer | None:
        """Answer a window from the set of all so far, itself included; None while that is too little."""
        # Weight: new seconds over the window's. Never 0, because the graph divides by the sum of the weights.
        self._set.append(plain, max(new_s / seconds, _LEAST_WEIGHT))
        if not self._is_fixed:
            self._heard_s += max(new_s, 0.0)
        found = None
        if self.is_active and len(self._set) >= LEAST_SET:
            answers = self._adaptation.answer(self._set.probabilities, self._set.weights)
            found = AdaptedAnswer(answers.probabilities[-1], float(answers.weights[-1]))
        # A profile's set stays as it is; a window that adds nothing new is answered, but not kept.
        if self._is_fixed or new_s <= 0:
            self._set.forget_last()
        elif len(self._set) > MOST_ROWS:
            self._set.forget_first()
        return found


class BatchAdapter:
    """Hears all of one speaker first, and then tells, in the same order, the answers of one run over the whole set.

    Attributes
    ----------
    speech_s : heard so far
    """

    def __init__(self, adaptation: Adaptation) -> None:
        self._adaptation = adaptation
        self._set = _Rows(adaptation.n_classes)
        self._answers: AdaptedAnswers | None = None
        self._is_over, self._n_told = False, 0
        self.speech_s = 0.0

    def hear(self, plain: npt.NDArray[np.floating], seconds: float, new_s: float) -> AdaptedAnswer | None:
        """Note a window, or after `finish` tell its answer; None where all that was heard is too little."""
        if plain.shape != (self._adaptation.n_classes,):
            raise BundleError(
                f"An answer of {plain.size} classes can't be adapted, only of {self._adaptation.n_classes}."
            )
        if not self._is_over:
            self._set.append(plain, max(new_s / seconds, _LEAST_WEIGHT))
            self.speech_s += max(new_s, 0.0)
        elif self._answers is not None:
            row, self._n_told = self._n_told, self._n_told + 1
            return AdaptedAnswer(self._answers.probabilities[row], float(self._answers.weights[row]))
        return None

    def finish(self) -> None:
        """End the first pass: what is heard from now on is the same again, from the start."""
        self._is_over, self._n_told = True, 0
        if self.speech_s >= self._adaptation.least_speech_s and len(self._set) >= LEAST_SET:
            self._answers = self._adaptation.answer(self._set.probabilities, self._set.weights)

    def profile(self, info: BundleInfo) -> Profile:
        """Return the profile of the speaker who was heard by this model."""
        rows, model = self._set, (info.name, info.version, info.classes)
        return Profile.of(*model, self.speech_s, rows.probabilities, rows.weights, info.network_digest)


class _Rows:
    """A growing set of plain probabilities; room is made for twice as many at a time."""

    def __init__(self, n_classes: int) -> None:
        # (room, classes + 1): a window's probabilities, and its weight in the last column.
        self._rows, self._n_rows = np.empty((16, n_classes + 1), np.float32), 0

    def __len__(self) -> int:
        return self._n_rows

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        return self._rows[: self._n_rows, :-1]

    @property
    def weights(self) -> npt.NDArray[np.float32]:
        return self._rows[: self._n_rows, -1]

    def append(self, probabilities: npt.NDArray[np.floating], weight: float) -> None:
        if self._n_rows == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._n_rows, :-1] = probabilities
        self._rows[self._n_rows, -1] = weight
        self._n_rows += 1

    def extend(self, probabilities: npt.NDArray[np.floating], weights: npt.NDArray[np.floating]) -> None:
        for row, weight in zip(probabilities, weights, strict=True):
            self.append(row, float(weight))

    def forget_last(self) -> None:
        self._n_rows -= 1

    def forget_first(self) -> None:
        self._rows[: self._n_rows - 1] = self._rows[1 : self._n_rows].copy()
        self._n_rows -= 1
