"""Streams with any shares of emotions: how they are drawn, answered in every way, and scored."""

import json

import numpy as np
import pytest

from earnest.errors import CorpusError
from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.streams import (
    COLUMNS,
    HOWS,
    KINDS,
    N_DRAWS,
    SPEAKER_COLUMNS,
    WAYS,
    Floats,
    LabelledRows,
    adapted_in,
    adapted_predictions,
    answered_streams,
    blind_mean,
    losses_sentence,
    speakers_table,
    streams_document,
    streams_table,
)

CLASSES = ("neutral", "happy", "sad")


def recordings(
    n_speakers: int = 7, counts: tuple[int, ...] = (8, 8, 8), offset: float = 0.0, seed: int = 0
) -> Predictions:
    """Return answers that are mostly right; each speaker moves all of theirs by about ``offset``."""
    rng = np.random.default_rng(seed)
    emotion = np.tile(np.repeat(np.arange(3), counts), n_speakers)
    speaker = np.repeat([f"s{number}" for number in range(n_speakers)], sum(counts))
    moves = np.repeat(offset * rng.normal(size=(n_speakers, 3)), sum(counts), axis=0)
    logits = 2.5 * np.eye(3)[emotion] + rng.normal(size=(len(emotion), 3)) + moves
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        CLASSES,
        text_column(map(str, range(len(emotion)))),
        same_text("made", len(emotion)),
        text_column(speaker.tolist()),
        same_text("", len(emotion)),
        same_text("f", len(emotion)),
        emotion,
        p.argmax(axis=1),
        p.astype(np.float32),
    )


def labelled(predictions: Predictions) -> LabelledRows:
    return LabelledRows(predictions.emotion, predictions.speaker, 0)


def drawn(kind: str, predictions: Predictions) -> list[np.ndarray]:
    return list(KINDS[kind][0](labelled(predictions), np.random.default_rng(0)))


def shift(plain: Floats) -> tuple[Floats, Floats]:
    """Adapt by half of the stream's mean, as far as there are recordings."""
    moved = 0.5 * plain + 0.5 * blind_mean(plain)
    return moved, np.full(len(plain), len(plain) / (len(plain) + 1))


def test_streams_have_the_shares_that_their_names_say() -> None:
    found = recordings(counts=(8, 5, 5))
    for rows in drawn("neutral-heavy", found):
        assert np.mean(found.emotion[rows] == 0) == 0.8
        assert sorted(found.emotion[rows][8:]) == [1, 2]  # the others take turns
    assert {tuple(np.unique(found.emotion[rows])) for rows in drawn("one emotion", found)} == {(0,), (1,), (2,)}
    pairs = {(0, 1), (0, 2), (1, 2)}
    assert {tuple(np.unique(found.emotion[rows])) for rows in drawn("two emotions", found)} == pairs
    for kind in ("balanced", "neutral-heavy", "one emotion", "two emotions"):
        assert all(len(set(found.speaker[rows])) == 1 for rows in drawn(kind, found))
    assert [len(drawn(kind, found)) for kind in KINDS] == [7, 7, 21, 21, 2]


def test_mixed_streams_hold_all_recordings_of_three_speakers_and_of_who_is_left_over() -> None:
    found = recordings(n_speakers=7)
    streams = drawn("mixed speakers", found)
    assert sorted(len(set(found.speaker[rows])) for rows in streams) == [3, 4]
    assert sorted(np.concatenate(streams)) == list(range(len(found)))
    assert drawn("mixed speakers", recordings(n_speakers=2)) == []


def test_who_has_hardly_any_neutral_recording_has_no_neutral_heavy_stream() -> None:
    assert drawn("neutral-heavy", recordings(counts=(3, 9, 9))) == []
    assert drawn("neutral-heavy", recordings(counts=(9, 0, 0))) == []


def test_each_way_hears_what_it_says() -> None:
    sizes: list[int] = []

    def noted(plain: Floats) -> tuple[Floats, Floats]:
        sizes.append(len(plain))
        return shift(plain)

    plain = np.asarray(recordings().probabilities, np.float64)[:14]
    for way, expected in (("batch", [14]), ("ten", [10, 11, 11, 11, 11]), ("causal", list(range(2, 15)))):
        sizes.clear()
        adapted, weights = adapted_in(way, noted, plain)  # type: ignore[arg-type]
        assert sizes == expected
        assert adapted.shape == plain.shape and weights.shape == (14,)
    assert (adapted[0] == plain[0]).all() and weights[0] == 0  # causal: nothing was heard before
    np.testing.assert_allclose(adapted[5], shift(plain[:6])[0][5])
    np.testing.assert_allclose(adapted_in("ten", shift, plain)[0][12], shift(plain[[*range(10), 12]])[0][10])


def test_one_recording_alone_keeps_its_plain_answer() -> None:
    plain = np.array([[0.2, 0.3, 0.5]])
    for way in WAYS:
        adapted, weights = adapted_in(way, shift, plain)
        assert (adapted == plain).all() and weights.tolist() == [0]


def test_a_speakers_offset_is_taken_away_by_the_blind_mean_and_one_emotion_with_it() -> None:
    found = answered_streams(recordings(offset=3.0, counts=(12, 12, 12)), shift, CLASSES)
    balanced, one = found["balanced"].scores(), found["one emotion"].scores()
    assert balanced["blind mean"].wa > balanced["plain"].wa + 0.05
    assert one["blind mean"].wa < 0.6 < one["plain"].wa
    assert balanced["plain"].largest_loss == 0
    assert one["blind mean"].largest_loss > 0.2


def test_scores_are_of_all_recordings_and_of_each_speaker() -> None:
    found = recordings(n_speakers=4, offset=2.0)
    scores = answered_streams(found, shift, CLASSES)["balanced"].scores()["plain"]
    right = found.predicted == found.emotion
    each = {name: right[found.speaker == name].mean() for name in set(found.speaker)}
    assert scores.n == N_DRAWS * len(found)
    assert scores.wa == pytest.approx(right.mean())
    assert scores.worst_wa == pytest.approx(min(each.values())) == each[scores.worst_speaker]
    assert scores.speaker_wa == pytest.approx(np.mean(list(each.values())))


def test_late_recordings_alone_are_scored_where_there_are_any() -> None:
    found = answered_streams(recordings(counts=(8, 8, 8)), shift, CLASSES)
    late = found["balanced"].scores(20)
    assert late["causal"].n == late["plain"].n == N_DRAWS * 7 * 5
    assert found["one emotion"].scores(20) == {}


def test_streams_of_fewer_classes_are_answered_among_these_alone() -> None:
    predictions = recordings()
    seen: set[int] = set()

    def noted(plain: Floats) -> tuple[Floats, Floats]:
        seen.add(plain.shape[1])
        return shift(plain)

    found = answered_streams(predictions, noted, ("sad", "neutral"))
    assert seen == {3}  # adaptation hears all probabilities
    for streams in found.values():
        assert set(streams.emotion) == {0, 1}
        for answers in streams.answers.values():
            np.testing.assert_allclose(answers.sum(axis=1), 1)
            assert answers.shape == (len(streams.emotion), 2)
    assert found["balanced"].scores()["plain"].n == N_DRAWS * 7 * 16


def test_the_same_streams_are_drawn_again() -> None:
    first, second = (streams_document({"made": answered_streams(recordings(), shift, CLASSES)}) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)


def test_tables_have_a_row_a_corpus_and_kind_and_the_means_over_corpora() -> None:
    corpora = {
        "one": answered_streams(recordings(), shift, CLASSES),
        "two": answered_streams(recordings(n_speakers=2, seed=1), shift, CLASSES),  # too few to be mixed
    }
    document = streams_document(corpora)
    table = streams_table(document)
    assert all(len(row) == len(COLUMNS) for row in table)
    assert [row[:2] for row in table] == [
        *(["one", kind] for kind in KINDS),
        *(["two", kind] for kind in KINDS if kind != "mixed speakers"),
        *(["mean", kind] for kind in KINDS),
    ]
    cells = {(one["corpus"], one["kind"]): one for one in document["cells"]}
    both = [cells[corpus, "balanced"]["ways"]["batch"]["ua"] for corpus in ("one", "two")]
    assert document["mean"]["balanced"]["batch"]["ua"] == pytest.approx(np.mean(both))
    assert table[0][2].startswith(f"{100 * cells['one', 'balanced']['ways']['plain']['ua']:.1f} / ")
    assert table[2][-1] == "–"  # streams of one emotion end before the 20th recording
    assert [len(row) for row in speakers_table(document)] == [len(SPEAKER_COLUMNS)] * 9
    gain = {key: one["ways"]["batch"]["speaker_wa"] - one["ways"]["plain"]["speaker_wa"] for key, one in cells.items()}
    (corpus, kind), lowest = min(gain.items(), key=lambda item: item[1])
    assert f"batch −{-100 * lowest:.1f} ({corpus}, {kind}); " in losses_sentence(document)


def test_recordings_without_speakers_or_probabilities_are_refused() -> None:
    predictions = recordings()
    predictions.speaker[3] = ""
    with pytest.raises(CorpusError, match="whose speakers are known"):
        answered_streams(predictions, shift, CLASSES)


@pytest.mark.parametrize("how", HOWS)
def test_each_speaker_is_adapted_to_alone(how: str) -> None:
    predictions = recordings(n_speakers=3, offset=2.0)
    whole = adapted_predictions(predictions, shift, how, 0)  # type: ignore[arg-type]
    assert whole.probabilities is not None and whole.adapted is not None
    assert whole.utterance_id.tolist() == predictions.utterance_id.tolist()
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1, atol=1e-6)
    n_first = {"causal": 3, "one-emotion": 9}.get(how, 0)  # the first recording of each stream
    assert np.count_nonzero(~whole.adapted) == n_first
    plain = predictions.probabilities
    assert plain is not None and (whole.probabilities[~whole.adapted] == plain[~whole.adapted]).all()
    alone = adapted_predictions(predictions.take(np.flatnonzero(predictions.speaker == "s0")), shift, how, 0)  # type: ignore[arg-type]
    assert alone.probabilities is not None
    np.testing.assert_array_equal(whole.probabilities[:24], alone.probabilities)
