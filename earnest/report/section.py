"""One part of a report: what it says, shows and lists, or why it can't."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earnest.report.picture import Picture, Table


@dataclass(frozen=True)
class Card:
    """One clip with its answer.

    Attributes
    ----------
    utterance_id, speaker, truth, predicted, confidence : text to show; ``confidence`` is the probability of the answer
    image, audio : ``data:`` addresses, "" for none
    """

    utterance_id: str
    speaker: str
    truth: str
    predicted: str
    confidence: str
    right: bool
    image: str = ""
    audio: str = ""

    @property
    def alt(self) -> str:
        """What the image shows."""
        return f"Log-mel spectrogram of {self.utterance_id}: spoken {self.truth}, answered {self.predicted}"


@dataclass(frozen=True)
class Section:
    """A heading with what belongs below it.

    Attributes
    ----------
    name : part of the heading's address
    lead : sentences before everything else
    tables : caption → table
    missing : why something, or all, is left out
    """

    name: str
    title: str
    lead: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Mapping[str, Table] | None = None
    cards: Sequence[Card] = ()
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``report.json``, without what is drawn or heard."""
        tables = dict(self.tables or {}) | {one.title: one.table for one in self.pictures if one.table}
        return {
            "name": self.name,
            "title": self.title,
            "lead": list(self.lead),
            "pictures": [{"name": one.name, "title": one.title, "alt": one.alt} for one in self.pictures],
            "tables": {caption: table.to_list() for caption, table in tables.items()},
            "clips": [
                {
                    "utterance_id": card.utterance_id,
                    "speaker": card.speaker,
                    "truth": card.truth,
                    "predicted": card.predicted,
                    "confidence": card.confidence,
                }
                for card in self.cards
            ],
            "missing": self.missing,
        }
