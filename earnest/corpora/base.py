"""What every corpus reader offers, and the registry that finds them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from earnest.corpora.manifest import Utterance
from earnest.registry import Registry


class Corpus(Protocol):
    """A corpus reader: facts about the corpus as class attributes, and `read`.

    Attributes
    ----------
    title : full name with year
    language : English name of the spoken language
    licence : SPDX identifier or the corpus' own words
    commercial_use : whether the licence allows it
    url : where to get it
    citation : authors and year
    n_speakers : in the whole corpus
    n_utterances : in the whole corpus
    class_counts : canonical emotion → clips in the whole corpus; empty where it is not fixed
    example : relative path → canonical emotion; tests build these files (made-up audio) and read them
    extra_files : relative path → text of label files that the example needs
    """

    title: str
    language: str
    licence: str
    commercial_use: bool
    url: str
    citation: str
    n_speakers: int
    n_utterances: int
    class_counts: Mapping[str, int]
    example: Mapping[str, str]
    extra_files: Mapping[str, str]

    def read(self, root: Path) -> Iterator[Utterance]:
        """Yield one row an utterance, sorted by path; raise `CorpusError` when ``root`` doesn't hold the corpus."""
        ...


CORPORA: Registry[type[Corpus]] = Registry("CORPORA", "corpus", "earnest.corpora")
