"""The rows of complete corpora, without any audio."""

from pathlib import Path

import pytest

from earnest.corpora.load import corpus_called
from earnest.corpora.manifest import Utterance


def whole_corpus(name: str) -> list[Utterance]:
    """Return the rows that a complete, published corpus has."""
    corpus = corpus_called(name)
    parse = corpus.parser(Path())
    published = corpus.published(Path())
    assert published is not None
    return [parse(Path(f"{name}/{stem}.wav")) for stem in published]


@pytest.fixture(scope="session")
def ravdess() -> list[Utterance]:
    return whole_corpus("ravdess")


@pytest.fixture(scope="session")
def ravdess_song() -> list[Utterance]:
    return whole_corpus("ravdess-song")


@pytest.fixture(scope="session")
def emodb() -> list[Utterance]:
    return whole_corpus("emodb")


@pytest.fixture(scope="session")
def crema_d() -> list[Utterance]:
    return whole_corpus("crema-d")
