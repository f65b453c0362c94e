"""What a reader of own recordings finds: rows, what was refused, and where labels and speakers came from."""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from earnest.corpora.manifest import Utterance
from earnest.labels import EMOTIONS, Scheme

CORPUS = "own"  # of recordings whose table names no corpus
LONGEST_LABEL = 64  # letters


@dataclass(frozen=True)
class Refused:
    """A recording or a row that can't be used, and why.

    Attributes
    ----------
    where : path of the recording, or table and line
    """

    where: str
    reason: str


@dataclass(frozen=True)
class OwnData:
    """Own recordings with labels in the words of whoever made them.

    A row's ``native_emotion`` is its label; its ``emotion`` is the same where that is a canonical name, else "other".
    So `scheme` has the labels as classes, and a manifest that is written of the rows reads back the same.

    Attributes
    ----------
    layout : in words, "a folder for each class"
    label_from, speaker_from : in words, "column 'label'", "folder 2"; ``speaker_from`` is "" where speakers are unknown
    splits : key of an utterance → the word for its set ("train"), where the data says
    notes : what whoever made the data should know
    """

    source: Path
    layout: str
    utterances: tuple[Utterance, ...]
    refused: tuple[Refused, ...] = ()
    label_from: str = ""
    speaker_from: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels: canonical emotions in canonical order, then the others in that of the alphabet."""
        return in_order({row.native_emotion for row in self.utterances})

    @property
    def class_counts(self) -> dict[str, int]:
        """Label → recordings."""
        counts = Counter(row.native_emotion for row in self.utterances)
        return {label: counts[label] for label in self.labels}

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of all speakers that are known, sorted."""
        return tuple(sorted({row.speaker for row in self.utterances if row.speaker}))

    @property
    def knows_speakers(self) -> bool:
        """Whether each recording has a speaker."""
        return all(row.speaker for row in self.utterances)

    @property
    def scheme(self) -> Scheme:
        """The labels as classes, whatever words they are."""
        rules = {(row.corpus, row.native_emotion): row.native_emotion for row in self.utterances}
        return Scheme("native", self.labels, native=dict(rules))


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Sort labels: canonical emotions first, in their order."""
    return (*(name for name in EMOTIONS if name in labels), *sorted(labels - set(EMOTIONS)))


def cleaned(text: str) -> str:
    """Return a label or name in one form: without spaces around, composed (é is one letter, as typed)."""
    return unicodedata.normalize("NFC", text).strip()


def problem_with_label(label: str) -> str | None:
    """Say why a text is no name of a class, None where it is one."""
    if not label:
        return "no label"
    if len(label) > LONGEST_LABEL:
        return f"a label of {len(label)} letters; at most {LONGEST_LABEL} are a name"
    return None if label.isprintable() else "a label that can't be printed"
