"""Label schemes: what they keep, merge and drop is counted."""

from collections.abc import Iterator

import pytest

from earnest.corpora.base import CORPORA
from earnest.errors import RecipeError
from earnest.labels import EMOTIONS, SCHEMES, count_labels, in_canonical_order, scheme_called


def labels_of(corpus: str) -> Iterator[tuple[str, str, str]]:
    """One triple a clip of the published corpus."""
    for emotion, count in CORPORA.get(corpus).class_counts.items():
        yield from [(emotion, corpus, emotion)] * count


@pytest.mark.parametrize(
    ("scheme", "corpus", "kept"),
    [
        ("ravdess8", "ravdess", 1440),
        ("six", "crema-d", 7442),
        ("six", "emodb", 535 - 81),
        ("emodb7", "emodb", 535),
        ("iemocap4", "iemocap", 4490),
        ("iemocap4-excited", "iemocap", 5531),
        ("multitask8", "iemocap", 10_039 - 2 - 2510),
        ("moody7", "ravdess", 1440),
        ("moody7", "emodb", 535),
        ("vino5", "ravdess", 1440),
    ],
)
def test_a_scheme_keeps_the_published_number_of_clips(scheme, corpus, kept):
    counts = count_labels(SCHEMES[scheme], labels_of(corpus))
    assert sum(counts.kept.values()) == kept
    assert sum(counts.kept.values()) + sum(counts.dropped.values()) == CORPORA.get(corpus).n_utterances


def test_what_is_merged_and_dropped_is_said():
    counts = count_labels(SCHEMES["iemocap4-excited"], labels_of("iemocap"))
    assert counts.merged == {("excited", "happy"): 1041}
    assert counts.dropped["frustration"] == 1849
    assert "1041 excited counted as happy" in counts.sentence()
    assert "1849 frustration dropped" in counts.sentence()


def test_vino5_merges_four_emotions_into_negative():
    counts = count_labels(SCHEMES["vino5"], labels_of("ravdess"))
    assert counts.kept == {"neutral": 96, "calm": 192, "happy": 192, "surprised": 192, "negative": 4 * 192}


def test_moody7_keeps_one_secondary_emotion_of_jl_corpus():
    scheme = SCHEMES["moody7"]
    assert scheme.class_of("other", "jl-corpus", "anxious") == "fearful"
    assert scheme.class_of("excited", "jl-corpus", "excited") == "surprised"
    assert scheme.class_of("other", "jl-corpus", "assertive") is None


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_rules_lead_to_classes_and_start_from_canonical_names(scheme):
    assert set(scheme.merges) <= set(EMOTIONS)
    assert {*scheme.merges.values(), *filter(None, scheme.native.values())} <= set(scheme.classes)
    assert len(set(scheme.classes)) == len(scheme.classes)
    assert not set(scheme.merges) & set(scheme.classes)


def test_native_takes_the_emotions_that_are_there_in_canonical_order():
    assert scheme_called("native", ["sad", "angry", "neutral", "sad"]).classes == ("neutral", "sad", "angry")


def test_a_wrong_scheme_name_gets_the_nearest_right_one():
    with pytest.raises(RecipeError, match="Did you mean 'ravdess8'"):
        scheme_called("ravdes8")


def test_canonical_emotions_come_first_in_their_order_then_the_other_words_in_that_of_the_alphabet() -> None:
    assert in_canonical_order(["zornig", "sad", "froh", "neutral", "sad"]) == ("neutral", "sad", "froh", "zornig")
