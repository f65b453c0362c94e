"""Cohen's kappa of two annotators, against scikit-learn and by hand."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.annotations import agreement, cohen_kappa
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, EarnestError


def test_kappa_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 200))
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    assert cohen_kappa(table) == pytest.approx(metrics.cohen_kappa_score(first, second))


def test_kappa_is_not_defined_where_both_say_one_word_or_nothing() -> None:
    assert cohen_kappa([[5.0]]) is None
    assert cohen_kappa(np.zeros((2, 2))) is None
    assert cohen_kappa([[3, 0], [0, 2]]) == 1


def test_stretches_that_both_labelled_count_by_their_seconds() -> None:
    def row(start_s: float, end_s: float | None, emotion: str) -> Utterance:
        return Utterance(f"{start_s}-{emotion}", Path("a.wav"), start_s, end_s, emotion=emotion)

    found = agreement([row(0, 4, "sad"), row(4, 6, "happy")], [row(1, 5, "sad"), row(5, 9, "happy")])
    assert [(one.start_s, one.end_s, one.first, one.second) for one in found.shared] == [
        (1, 4, "sad", "sad"),
        (4, 5, "happy", "sad"),
        (5, 6, "happy", "happy"),
    ]
    assert found.classes == ("happy", "sad")
    assert found.table.tolist() == [[1, 1], [0, 3]]
    assert found.observed == pytest.approx(0.8)
    assert found.kappa == pytest.approx((0.8 - 0.56) / 0.44)


def test_own_words_agree_only_where_they_are_the_same() -> None:
    def row(start_s: float, word: str) -> Utterance:
        return Utterance(f"{start_s}", Path("a.wav"), start_s, start_s + 1, emotion="other", native_emotion=word)

    found = agreement([row(0, "stressed"), row(1, "bored")], [row(0, "stressed"), row(1, "stressed")])
    assert [(one.first, one.second) for one in found.shared] == [("stressed", "stressed"), ("bored", "stressed")]


def test_whole_recordings_count_once_each() -> None:
    rows = [Utterance(name, Path(f"{name}.wav"), emotion=emotion) for name, emotion in (("a", "sad"), ("b", "happy"))]
    others = [Utterance("a", Path("a.wav"), emotion="sad"), Utterance("c", Path("c.wav"), emotion="sad")]
    found = agreement(rows, others)
    assert (len(found.shared), found.table.sum()) == (1, 1)


def test_a_stretch_without_an_end_counts_to_the_end_of_the_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", np.zeros(5 * 8_000), 8_000)

    def row(name: str, start_s: float, end_s: float | None, emotion: str) -> Utterance:
        return Utterance(f"{start_s}-{emotion}", tmp_path / name, start_s, end_s, emotion=emotion)

    mine = [row("talk.wav", 0, 1, "sad"), row("talk.wav", 1, None, "happy")]
    found = agreement(mine, [row("talk.wav", 0, 2, "sad"), row("talk.wav", 2, None, "happy")])
    assert found.classes == ("happy", "sad")
    assert found.table.tolist() == [[3, 1], [0, 1]]
    assert [one.end_s for one in found.shared] == [1, 2, 5]
    with pytest.raises(AudioError, match=r"gone\.wav"):
        agreement([row("gone.wav", 1, None, "sad")], [row("gone.wav", 0, None, "sad")])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(0.0, 2.0), (1.5, 3.0)], "at 1.5 s"),
        ([(0.0, None), (4.0, 5.0)], "at 4 s"),
        ([(0.0, None), (0.0, None)], "at 0 s"),
    ],
    ids=["stretches overlap", "the first has no end", "a recording stands twice"],
)
def test_no_second_of_one_annotator_counts_twice(rows: list[tuple[float, float | None]], told: str) -> None:
    twice = [Utterance(str(n), Path("a.wav"), *ends, emotion="sad") for n, ends in enumerate(rows)]
    once = [Utterance("a", Path("a.wav"), 0.0, 9.0, emotion="sad")]
    for both in ((twice, once), (once, twice)):
        with pytest.raises(EarnestError, match=f"are both {told}. Each second counts once"):
            agreement(*both)
