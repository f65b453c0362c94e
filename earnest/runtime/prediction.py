"""Answers: windows, spans, segments, vocal bursts and gaps over time; the request, and the prediction."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from io import StringIO
from itertools import chain
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict, get_args

import numpy as np
import numpy.typing as npt

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, in_percent, shown, suggestion
from earnest.labels import UNSURE, composed
from earnest.settings.limits import SHARE

Shares: TypeAlias = npt.NDArray[np.floating]
Classes: TypeAlias = Sequence[str] | Mapping[str, float | None] | str | None
"""Names of classes, a text of them with commas, or how frequent each is, see `ClassChoice`; None for all."""
Status = Literal["ok", "unsure", "mixed", "vocal-burst", "no-speech", "too-short", "error"]
ENVELOPE_STEPS = 4096


class _Told:
    """Methods of all events."""

    __slots__ = ()
    event: ClassVar[str]  # its kind, in JSON

    def values(self) -> dict[str, Any]:
        """Return plain values for JSON, as a timeline's lists hold them; numbers are rounded to six decimals."""
        return _values(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, as `earnest listen --json` writes them; ``event`` says which kind it is."""
        return {"event": self.event} | self.values()


@dataclass(frozen=True, slots=True)
class Segment(_Told):
    """Somebody speaks; seconds from the start of the recording, to the millisecond, as all times here."""

    event: ClassVar[str] = "segment"
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Window(_Told):
    """The network's answer to one window: class → probability."""

    event: ClassVar[str] = "window"
    start_s: float
    end_s: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Span(_Told):
    """One emotion, from a segment's start or a change to the next change or the segment's end.

    Attributes
    ----------
    emotion : "unsure" where the likeliest is less likely than the model's threshold
    confidence : mean of the emotion's smoothed probability, 0 to 1; where it is "unsure", of the likeliest's
    """

    event: ClassVar[str] = "span"
    start_s: float
    end_s: float
    emotion: str
    confidence: float


@dataclass(frozen=True, slots=True)
class VocalBurst(_Told):
    """A laugh, a cry, a scream, a sigh or another sound of a voice without words (Cowen et al., 2019).

    Attributes
    ----------
    kind : "laughter", "crying", "scream", "sigh" or, where none of these is likely, "other"
    """

    event: ClassVar[str] = "vocal-burst"
    start_s: float
    end_s: float
    kind: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Gap(_Told):
    """Sound that was lost because the listener was too slow; the clock went on, nothing was heard."""

    event: ClassVar[str] = "gap"
    start_s: float
    end_s: float


Event: TypeAlias = Window | Span | Segment | VocalBurst | Gap
_KINDS: Mapping[str, type[Event]] = {kind.event: kind for kind in get_args(Event)}


class Envelope:
    """The peaks of a recording of any length in at most 4,096 steps: when they are full, pairs are merged."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._step = max(sample_rate_hz // 100, 1)
        self._peaks = np.zeros(ENVELOPE_STEPS, np.float32)
        self._n_samples = 0

    def accept(self, block: npt.NDArray[np.float32]) -> None:
        """Take the next samples."""
        # Full: neighbours become one step of double length, so that memory stays the same for any duration.
        while (self._n_samples + len(block) - 1) // self._step >= ENVELOPE_STEPS:
            # (steps / 2, 2) → the larger of each pair, in the first half of the places; the others are free again.
            self._peaks = np.append(self._peaks.reshape(-1, 2).max(axis=1), np.zeros(ENVELOPE_STEPS // 2, np.float32))
            self._step *= 2
        if not len(block):
            return
        first = self._n_samples // self._step  # step that the block starts in, perhaps half filled
        # Where later steps start in the block.
        edges = np.arange((first + 1) * self._step - self._n_samples, len(block), self._step)
        peaks = np.maximum.reduceat(np.abs(block), [0, *edges])
        part = self._peaks[first : first + len(peaks)]
        np.maximum(part, peaks, out=part)  # in place, through the view
        self._n_samples += len(block)

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self._step / self._rate

    @property
    def peaks(self) -> npt.NDArray[np.float32]:
        """Largest absolute sample of each step, shape (steps,)."""
        return self._peaks[: -(-self._n_samples // self._step)]  # rounded up: the last step may be half filled


def burst_span(burst: VocalBurst) -> Span:
    """Return a vocal burst as a span whose label is its kind in parentheses."""
    return Span(burst.start_s, burst.end_s, f"({burst.kind})", burst.confidence)


def event_from_dict(values: Mapping[str, Any]) -> Event:
    """Return the event that its `to_dict` gave, but for rounding."""
    return _KINDS[values["event"]](**{name: value for name, value in values.items() if name != "event"})


_LEAST = 1e-12  # probability of a class; where all that are asked for have less, they are equal
_LEAST_LEFT = 1e-6  # of 1, for classes without a share
_SAME_WITHOUT = {"calm": "neutral"}  # where the first is not asked for, it counts as the second


class OptionWords(TypedDict, total=False):
    """Options by name."""

    classes: Classes
    abstain_below: float | None


@dataclass(frozen=True)
class Options:
    """A caller's options: classes, abstention.

    Attributes
    ----------
    classes : those asked for, two at least, or with their shares, see `ClassChoice`; empty for all of the model's
    abstain_below : confidence, 0 to 1, below which an answer is "unsure"; 0 tells every answer, None is the bundle's
    """

    classes: tuple[str, ...] = ()
    abstain_below: float | None = None

    def __post_init__(self) -> None:
        if self.abstain_below is not None and not SHARE.holds(self.abstain_below):
            told = "0 tells every answer, None goes by the model's own"
            raise EarnestError(
                f"abstain_below: expected a confidence {SHARE}, got {shown(self.abstain_below)}. {told}."
            )

    @classmethod
    def of(cls, classes: Classes = None, abstain_below: float | None = None) -> "Options":
        """Parse a caller's options: names in a list, or in one text with commas between them, as a row of CSV.

        "neutral=0.6" and {"neutral": 0.6} say how frequent a class is, see `ClassChoice`.
        """
        given: Any = () if classes is None else classes
        if isinstance(given, str):
            try:
                given = [*chain.from_iterable(csv.reader(StringIO(given, newline=""), skipinitialspace=True))]
            except csv.Error as error:
                raise EarnestError(f"classes: the text can't be read ({error}). Give names in a list.") from None
        if isinstance(given, Mapping):
            given = [name if share is None else f"{name}={share}" for name, share in given.items()]
        names = list(given) if isinstance(given, Iterable) else [given]
        if strange := next((name for name in names if not isinstance(name, str)), None):
            raise EarnestError(f"classes: expected names such as 'angry', got {shown(strange)}.")
        asked = tuple(dict.fromkeys(composed(name.strip()) for name in names if name.strip()))
        if not asked and not isinstance(classes, str | None):
            raise EarnestError("classes: the list is empty. Name two classes or more, or give None for all.")
        return cls(asked, abstain_below)

    @property
    def classes_text(self) -> str:
        """The classes in one text, as `of` reads it."""
        text = StringIO()
        csv.writer(text, lineterminator="").writerow(self.classes)
        return text.getvalue()

    def words(self) -> OptionWords:
        """Return the keywords for the methods of `earnest.runtime.predictor.Predictor`."""
        return {"classes": self.classes or None, "abstain_below": self.abstain_below}


class ClassChoice:
    """Probabilities of the classes asked for alone: p_k / Σ_j p_j over those j.

    Where "calm" is not asked for and "neutral" is, its probability is added to neutral's.

    A model treats its classes as equally frequent. Who knows better asks for "neutral=0.6": q_k is the share of class k
    among the recordings. The classes without one have equal parts of what is left of 1; where all have one, the model's
    other classes have them. Then it is (p_k·q_k/n_k) / Σ_j (p_j·q_j/n_j), where n_k of the model's classes count as k
    (Saerens, Latinne and Decaestecker, 2002, "Adjusting the outputs of a classifier to new a priori probabilities").

    What adapts to a speaker has heard how frequent each emotion is, and answers accordingly: of an answer that is
    adapted by the weight w, q_k/n_k counts with the power 1 − w, so that nothing counts twice.

    Attributes
    ----------
    classes : in the order in which they were asked for
    """

    def __init__(self, info: BundleInfo, options: Options) -> None:
        pairs = [_with_share(text, info.classes) for text in options.classes]
        asked = dict(pairs)
        if twice := next((name for name, share in pairs if share != asked[name]), ""):
            raise EarnestError(f"classes: {shown(twice)} is named with several shares. Give it one.")
        unknown = next((name for name in asked if name not in info.classes), None)
        if unknown is not None:
            hint = suggestion(unknown, info.classes)
            hint += ' A name with a comma stands in double quotes: "a, b",c.' if "," in "".join(info.classes) else ""
            raise EarnestError(f"'{info.name}' has no class '{unknown}', but {', '.join(info.classes)}.{hint}")
        shares = _filled(asked, info.classes)
        self.classes = tuple(shares or asked) or info.classes
        if len(self.classes) < 2:
            raise EarnestError(f"Ask for two classes or more, not for '{self.classes[0]}' alone.")
        self._is_all = self.classes == info.classes and not shares
        # Where each of the model's classes counts.
        named = [_SAME_WITHOUT.get(name, name) if name not in self.classes else name for name in info.classes]
        # (model's classes, classes), 0 or 1.
        self._taken = np.array([[name == wanted for wanted in self.classes] for name in named], np.float64)
        # q_k / n_k of each of the classes asked for, 1 where nothing is told.
        self._frequencies = np.array([*shares.values()]) / self._taken.sum(axis=0) if shares else np.array(1.0)

    def of(self, probabilities: Shares, adapted: float = 0.0) -> Shares:
        """Map the model's probabilities (…, its classes) to those asked for, (…, classes).

        Parameters
        ----------
        adapted : the share of the adapted answer in them, 0 to 1
        """
        if self._is_all:
            return probabilities
        # (…, model's classes) · (model's classes, classes); with _LEAST no sum is zero.
        taken = probabilities.astype(np.float64) @ self._taken * self._frequencies ** (1 - adapted) + _LEAST
        return np.asarray(taken / taken.sum(axis=-1, keepdims=True))


def _with_share(text: str, classes: Sequence[str]) -> tuple[str, float | None]:
    """Split "neutral=0.6" into a class and its share of the recordings; a class alone has none."""
    name, equals, number = text.rpartition("=")
    if text in classes or not equals:
        return text, None
    try:
        share = float(number)
    except ValueError:
        share = np.nan
    if not 0 < share < 1:
        raise EarnestError(f"classes: {shown(text)}: how frequent it is lies between 0 and 1: {name.strip()}=0.6.")
    return name.strip(), share


def _filled(asked: Mapping[str, float | None], classes: Sequence[str]) -> dict[str, float]:
    """Give each class its share, so that all are 1 together; empty where no class has one."""
    told = {name: share for name, share in asked.items() if share is not None}
    if not told:
        return {}
    left = 1 - sum(told.values())
    others = [name for name in asked if name not in told]
    if not others and left > _LEAST_LEFT:
        others = [name for name in classes if name not in told and _SAME_WITHOUT.get(name) not in told]
    if (left > _LEAST_LEFT) != bool(others) or left < -_LEAST_LEFT:
        rest = f"something less, for {', '.join(others)}" if others else "1"
        together = f"{1 - left:g} together. It must be {rest}."
        raise EarnestError(f"classes: what is given of how frequent they are is {together}")
    return {name: told.get(name, left / max(len(others), 1)) for name in dict.fromkeys([*asked, *others])}


POSITIVE = frozenset({"happy", "surprised", "excited", "positive"})
NEGATIVE = frozenset({"sad", "angry", "disgust", "fearful", "frustration", "contempt", "negative"})
# Words of `Prediction.quality`.
OVERLAPPED, OUT_OF_DOMAIN, NOT_ADAPTED = "overlapped-speech", "out-of-domain", "not-adapted"
_TALK_S = 10.0  # of speech; less is hardly a talk
TOLD = ("speaker", "text")  # fields of an answer that a list of recordings tells, and no model
HIGHEST_SHOWN = 0.95  # more than that is never shown as a number: too few recordings to measure it on


@dataclass(frozen=True)
class Prediction:
    """One recording's answer.

    Attributes
    ----------
    path : as it was given, "-" for standard input
    status : "ok" has an emotion, all others have none. "unsure": the likeliest is less likely than the model's
        threshold, below which answers outside its training corpora are right too rarely, or less than half of the
        speech was answered. "mixed": several emotions over time, none of which holds 60 % of the answered speech.
        "vocal-burst": a voice without words. "no-speech": noise, music, silence.
        "too-short": below the bundle's shortest input (0.1 s). "error": could not be read
    speech_s : seconds of speech, answered or not
    confidence : probability of ``emotion``, or of the likeliest where it is "unsure"; of a recording of several
        segments its mean over the time for which the emotion held, None where that is "mixed"
    probabilities : class → probability, calibrated, in the bundle's order or as asked for; empty without an answer
    polarity : pleasant minus unpleasant probability, -1 to 1, see `polarity_of`
    gender : probabilities of "female" and "male", the words that the training corpora have for voices: what this one
        sounds like, not who somebody is; None where the model doesn't answer it
    affect : "valence" (unpleasant 0, pleasant 1), "arousal" (calm 0, excited 1) and "dominance", 0.5 being the middle;
        None where the model doesn't answer it
    affect_derived : whether the model learnt ``affect`` from emotions and where they lie on the two scales, not from
        ratings: then it is no measurement, and dominance is None
    intensity : how strongly the emotion is expressed, 0 to 1: 0 as neutral, 1/3, 2/3 and 1 as actors who were asked for
        little, some or much; None where the model doesn't answer it
    quality : "clipped" when more than 0.1 % of the samples lie at full scale, "low-bandwidth" when less than a
        hundred-thousandth of the power that models hear, up to 8 kHz, lies above 4.6 kHz (telephone), "noisy" when
        quiet moments come within 10 dB of loud ones and no half second is 20 dB louder, "too-quiet" when no moment is
        louder than -55 dBFS (a microphone that is muted or far away), "separate-channels" when its channels take turns
        like two sides of a call and were all heard at once (ask for one with `earnest.Channel`), "other-tracks" when
        its file has more sound tracks, of which the first was heard, "overlapped-speech" when several people speak at
        once (the graph's output ``overlap``), "out-of-domain" when it is far from what the model was trained on (the
        graph's output ``distance``); of a server "not-adapted" when that was asked for and the model can't
    adapted : whether other recordings or windows of the speaker had a say, see `earnest.runtime.adaptation`
    adaptation_weight : share of the adapted answer in this one, 0 to 1; of several windows its mean over their time
    shares : of a recording of several segments, or longer than the model hears at once: emotion → share of its speech,
        the largest first, "unsure" among them; None for others, which are answered as a whole
    vocal_bursts : in order of time
    error : why there is no answer, in a sentence
    speaker, text : who speaks and what is said, where a list of recordings or a pattern told it; no answers of a model
    """

    path: str
    status: Status
    duration_s: float | None = None
    speech_s: float | None = None
    emotion: str | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    polarity: float | None = None
    gender: Mapping[str, float] | None = None
    affect: Mapping[str, float | None] | None = None
    affect_derived: bool = False
    intensity: float | None = None
    quality: tuple[str, ...] = ()
    adapted: bool = False
    adaptation_weight: float = 0.0
    shares: Mapping[str, float] | None = None
    vocal_bursts: tuple[VocalBurst, ...] = ()
    model: str = ""
    error: str | None = None
    speaker: str | None = None
    text: str | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """Those of the fields `TOLD` that a list told."""
        return tuple(name for name in TOLD if getattr(self, name) is not None)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds of the speech by what was told of them: an emotion, or a status in place of one."""
        shares = self.shares or {self.emotion or self.status: 1.0}
        return {name: share * (self.speech_s or 0.0) for name, share in shares.items()}

    @property
    def answered_shares(self) -> Mapping[str, float]:
        """Shares of the speech by emotion, "unsure" left out; empty where it was answered as a whole."""
        return {name: share for name, share in (self.shares or {}).items() if name != UNSURE}

    @property
    def is_emotional_talk(self) -> bool:
        """Whether more is told as emotional than as neutral, of a talk in several segments: `tells_emotional_talk`."""
        return "neutral" in self.probabilities and tells_emotional_talk(self.answered_shares, self.speech_s or 0.0)

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities, the first one first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, ``speaker`` and ``text`` where they are told; numbers have six decimals."""
        told = self.told
        return {name: value for name, value in _values(self).items() if name not in TOLD or name in told}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Prediction":
        """Return the prediction that `to_dict` was made from, but for rounding."""
        bursts = tuple(VocalBurst(**burst) for burst in values.get("vocal_bursts", ()))
        return cls(**{**values, "quality": tuple(values["quality"]), "vocal_bursts": bursts})

    def _repr_html_(self) -> str:
        title = escape(f"{self.path}: {self.emotion or self.status}")
        if self.error:
            return f"<p><b>{title}</b><br>{escape(self.error)}</p>"
        meter = "<meter value='{:.4f}'></meter>".format
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{meter(share)}</td><td>{escape(percent(share))}</td></tr>"
            for name, share in self.top(len(self.probabilities))
        )
        return f"<p><b>{title}</b></p><table>{rows}</table>"


def tells_emotional_talk(shares: Mapping[str, float], speech_s: float) -> bool:
    """Whether of 10 s of speech or more, more is told as emotional than as neutral.

    People who don't act are soon told as sad (docs/results/conversations.md): a model that is asked without classes
    treats all emotions as equally frequent.

    Parameters
    ----------
    shares : of the speech, or seconds, by emotion; what is told as none left out
    """
    neutral = shares.get("neutral", 0.0) + shares.get("calm", 0.0)
    return speech_s >= _TALK_S and sum(shares.values()) > 2 * neutral


def polarity_of(probabilities: Mapping[str, float]) -> float:
    """Return pleasant (`POSITIVE`) minus unpleasant (`NEGATIVE`) probability, -1 to 1; other classes count as zero."""
    # Σ_c p_c·v_c with v_c = 1, −1 or 0.
    return sum(share * ((name in POSITIVE) - (name in NEGATIVE)) for name, share in probabilities.items())


def with_notes(quality: tuple[str, ...], notes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the quality words of sound, and those for what was heard of a whole (`earnest.audio.io.AudioStream`)."""
    place = next((at for at, word in enumerate(quality) if word in (OVERLAPPED, OUT_OF_DOMAIN)), len(quality))
    return (*quality[:place], *notes, *quality[place:])


def percent(confidence: float) -> str:
    """Write a probability as people are shown it: "73%", at most "> 95%"; "< 1%" where it is small, but not zero."""
    return f"> {HIGHEST_SHOWN:.0%}" if confidence > HIGHEST_SHOWN else f"{in_percent(confidence)}%"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, _Told):
        return value.values()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _values(row: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(row, field.name)) for field in fields(row)}
