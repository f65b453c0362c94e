"""Classes of recordings whose words are anybody's."""

from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.corpora.schemes import scheme_of_rows
from earnest.errors import RecipeError
from earnest.labels import count_labels


def row(emotion: str, word: str, corpus: str = "mine") -> Utterance:
    return Utterance(f"{corpus}-{word}", Path("x.wav"), corpus=corpus, emotion=emotion, native_emotion=word)


def test_own_words_are_classes_behind_canonical_emotions() -> None:
    rows = [row("other", "zornig"), row("sad", "traurig"), row("other", "froh"), row("angry", "angry")]
    scheme = scheme_of_rows("native", rows)
    assert scheme.classes == ("sad", "angry", "froh", "zornig")
    assert [scheme.class_of(one.emotion, one.corpus, one.native_emotion) for one in rows] == [
        "zornig",
        "sad",
        "froh",
        "angry",
    ]
    counts = count_labels(scheme, ((one.emotion, one.corpus, one.native_emotion) for one in rows))
    assert counts.sentence() == "4 kept"


def test_what_a_published_corpus_calls_other_stays_one_class() -> None:
    rows = [row("other", "xxx", "iemocap"), row("other", "dis", "iemocap"), row("sad", "sad", "iemocap")]
    scheme = scheme_of_rows("native", rows)
    assert scheme.classes == ("sad", "other")
    assert scheme.class_of("other", "iemocap", "xxx") == "other"


def test_other_schemes_are_as_they_are() -> None:
    assert scheme_of_rows("four", [row("other", "zornig")]).classes == ("neutral", "happy", "sad", "angry")
    with pytest.raises(RecipeError, match="no label scheme 'fourr'"):
        scheme_of_rows("fourr", [])
