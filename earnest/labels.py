"""Canonical emotion names, and label schemes: which corpus labels become which classes."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from earnest.errors import RecipeError, suggestion

CORE_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
EMOTIONS = (*CORE_EMOTIONS, "boredom", "excited", "frustration", "contempt", "other")
UNSURE = "unsure"  # in place of an emotion that is too little likely
Affect = Literal["valence", "arousal", "dominance"]
AFFECT: tuple[Affect, ...] = ("valence", "arousal", "dominance")
# Nouns and other forms that tables write → the canonical name.
SYNONYMS: Mapping[str, str] = {
    "anger": "angry",
    "happiness": "happy",
    "sadness": "sad",
    "fear": "fearful",
    "surprise": "surprised",
    "disgusted": "disgust",
    "calmness": "calm",
    "bored": "boredom",
    "excitement": "excited",
    "frustrated": "frustration",
}


def in_canonical_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return each label once: canonical emotions in their order, and behind them the others in that of the alphabet."""
    found = set(labels)
    return (*(name for name in EMOTIONS if name in found), *sorted(found.difference(EMOTIONS)))


def composed(text: str) -> str:
    """Return a text in the one form in which texts are compared: é is one letter, as typed; macOS may write two."""
    return unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class Scheme:
    """An ordered set of classes and the mapping of labels onto them; a label that no rule names is dropped.

    Attributes
    ----------
    classes : in output order
    merges : canonical emotion → class, for emotions that take another class' name
    native : (corpus, native label) → class or None (drop); comes before the canonical rules
    """

    name: str
    classes: tuple[str, ...]
    merges: Mapping[str, str] = field(default_factory=dict)
    native: Mapping[tuple[str, str], str | None] = field(default_factory=dict)

    def class_of(self, emotion: str, corpus: str = "", native_emotion: str = "") -> str | None:
        """Return the class of one label, or None when the scheme drops it."""
        if (corpus, native_emotion) in self.native:
            return self.native[corpus, native_emotion]
        mapped = self.merges.get(emotion, emotion)
        return mapped if mapped in self.classes else None


@dataclass(frozen=True)
class SchemeCounts:
    """Counts of a label scheme: nothing is merged or dropped silently."""

    kept: Mapping[str, int]
    merged: Mapping[tuple[str, str], int]
    dropped: Mapping[str, int]

    def sentence(self) -> str:
        """Return one line for logs and tables."""
        parts = [f"{sum(self.kept.values())} kept"]
        parts += [f"{count} {old} counted as {new}" for (old, new), count in sorted(self.merged.items())]
        parts += [f"{count} {old} dropped" for old, count in sorted(self.dropped.items())]
        return ", ".join(parts)


def count_labels(scheme: Scheme, labels: Iterable[tuple[str, str, str]]) -> SchemeCounts:
    """Count the (emotion, corpus, native emotion) triples that ``scheme`` keeps, merges and drops."""
    kept: Counter[str] = Counter()
    merged: Counter[tuple[str, str]] = Counter()
    dropped: Counter[str] = Counter()
    for emotion, corpus, native in labels:
        target = scheme.class_of(emotion, corpus, native)
        if target is None:
            dropped[native or emotion] += 1
            continue
        kept[target] += 1
        if target not in (emotion, native):
            merged[native or emotion, target] += 1
    return SchemeCounts(dict(kept), dict(merged), dict(dropped))


_SCHEMES = (
    Scheme("ravdess8", CORE_EMOTIONS),
    Scheme("six", ("neutral", "happy", "sad", "angry", "fearful", "disgust")),
    Scheme("four", ("neutral", "happy", "sad", "angry")),
    Scheme("emodb7", ("neutral", "happy", "sad", "angry", "fearful", "disgust", "boredom")),
    Scheme("iemocap4", ("angry", "sad", "happy", "neutral")),
    Scheme("iemocap4-excited", ("angry", "sad", "happy", "neutral"), {"excited": "happy"}),
    Scheme(
        "moody7",
        ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
        {"calm": "neutral", "boredom": "neutral"},
        # JL-Corpus: "anxious" is the one secondary emotion that Moody keeps, "excited" becomes surprised.
        {("jl-corpus", "anxious"): "fearful", ("jl-corpus", "excited"): "surprised"},
    ),
    Scheme("multitask8", ("angry", "excited", "fearful", "frustration", "happy", "neutral", "sad", "surprised")),
    Scheme(
        "vino5",
        ("negative", "neutral", "calm", "happy", "surprised"),
        {"angry": "negative", "sad": "negative", "fearful": "negative", "disgust": "negative"},
    ),
)
SCHEMES: Mapping[str, Scheme] = {scheme.name: scheme for scheme in _SCHEMES}


def scheme_called(name: str, emotions: Iterable[str] = ()) -> Scheme:
    """Return a scheme by name; "native" has as classes the canonical names among ``emotions``, in canonical order."""
    if name == "native":
        present = set(emotions)
        return Scheme("native", tuple(emotion for emotion in EMOTIONS if emotion in present))
    if name not in SCHEMES:
        raise RecipeError(f"There is no label scheme '{name}'.{suggestion(name, [*SCHEMES, 'native'])}")
    return SCHEMES[name]
