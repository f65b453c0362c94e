"""What a model says about one recording."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any, Literal

Status = Literal["ok", "unsure", "no-speech", "too-short", "error"]
POSITIVE = frozenset({"happy", "surprised"})
NEGATIVE = frozenset({"sad", "angry", "disgust", "fearful"})
ABSTAIN_BELOW = 0.5


@dataclass(frozen=True)
class Prediction:
    """One recording's answer.

    Attributes
    ----------
    path : as it was given, "-" for standard input
    status : "ok" has an emotion, all others have none; "unsure" comes from `abstaining`, "too-short" is below the
        bundle's shortest input (0.1 s), "no-speech" never louder than -65 dBFS in any 25 ms, "error" could not be read
    speech_s : seconds that are loud enough to be speech, by energy alone
    confidence : probability of ``emotion``
    probabilities : class → probability, calibrated, in the bundle's order; empty without an answer
    polarity : happy + surprised − (sad + angry + disgust + fearful), -1 to 1
    gender : probabilities of "female" and "male", the words that the training corpora have for voices: what this one
        sounds like, not who somebody is; None where the model doesn't answer it
    quality : "clipped" when more than 0.1 % of the samples lie at full scale, "low-bandwidth" when less than a
        millionth of the power lies above 4.2 kHz (telephone), "noisy" when quiet moments come within 10 dB of loud
        ones, "out-of-domain" when it is far from what the model was trained on (`earnest.runtime.domain`)
    error : why there is no answer, in a sentence
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
    affect: Mapping[str, float] | None = None
    intensity: float | None = None
    quality: tuple[str, ...] = ()
    adapted: bool = False
    model: str = ""
    error: str | None = None

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities, the first one first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]

    def abstaining(self, below: float = ABSTAIN_BELOW) -> "Prediction":
        """Return this prediction, "unsure" and without an emotion where its confidence is below the threshold.

        Probabilities are calibrated on speakers that the model never heard: of the answers given with confidence p, a
        share p is right. Below 0.5 an answer is more often wrong than right, so that is the default.
        """
        if self.status != "ok" or self.confidence is None or self.confidence >= below:
            return self
        return replace(self, status="unsure", emotion=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; numbers are rounded to six decimals."""
        return {name: _rounded(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Prediction":
        """Return the prediction that `to_dict` was made from, but for rounding."""
        return cls(**{**values, "quality": tuple(values["quality"])})

    def _repr_html_(self) -> str:
        title = escape(f"{self.path}: {self.emotion or self.status}")
        if self.error:
            return f"<p><b>{title}</b><br>{escape(self.error)}</p>"
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td><meter value='{share:.4f}'></meter></td><td>{share:.1%}</td></tr>"
            for name, share in sorted(self.probabilities.items(), key=lambda item: -item[1])
        )
        return f"<p><b>{title}</b></p><table>{rows}</table>"


def polarity_of(probabilities: Mapping[str, float]) -> float:
    """Return pleasant minus unpleasant probability, -1 to 1; classes on neither side count as zero."""
    return sum(share * ((name in POSITIVE) - (name in NEGATIVE)) for name, share in probabilities.items())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
