"""Which protocol own recordings get, and what is said where none keeps speakers apart."""

from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.own_protocol import suitable_protocol
from earnest.evaluation.protocols import protocol_called, splits_of


def recordings(*speakers: str, group: str = "") -> list[Utterance]:
    return [
        Utterance(f"{number}-{take}", Path(f"{number}-{take}.wav"), corpus="mine", speaker=speaker, group=group,
                  emotion="other", native_emotion=f"word {take}")
        for number, speaker in enumerate(speakers)
        for take in range(2)
    ]  # fmt: skip


def people(n: int) -> list[str]:
    return [f"mine-{number:02d}" for number in range(n)]


@pytest.mark.parametrize(
    ("n", "expected"), [(3, "speaker-3fold"), (4, "speaker-3fold"), (5, "loso"), (10, "loso"), (11, "speaker-5fold")]
)
def test_speakers_are_kept_apart_however_many_there_are(n: int, expected: str) -> None:
    rows = recordings(*people(n))
    assert suitable_protocol(rows) == expected
    assert protocol_called(expected).speaker_independent
    tested = [row.key for split in splits_of(expected, rows) for row in split.test]
    assert sorted(tested) == sorted(row.key for row in rows)


@pytest.mark.parametrize("n", [3, 4, 20])
def test_one_training_tests_every_fifth_speaker(n: int) -> None:
    assert suitable_protocol(recordings(*people(n)), one_split=True) == "speaker-holdout"
    assert splits_of("speaker-holdout", recordings(*people(n)))[0].test


def test_names_that_are_no_folders_names_are_dealt_out_over_folds() -> None:
    assert suitable_protocol(recordings(*people(5), "mine-a/b")) == "speaker-5fold"


def test_partners_whom_a_group_ties_count_as_one() -> None:
    tied = [*recordings("mine-a", "mine-b", group="talk"), *recordings(*people(4))]
    rows = [Utterance(f"u{number}", row.path, corpus="mine", speaker=row.speaker, group=row.group, emotion="other")
            for number, row in enumerate(tied)]  # fmt: skip
    assert suitable_protocol(rows) == "speaker-5fold"
    splits_of("speaker-5fold", rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (recordings("", ""), r"The 4 recordings name no speakers\. .*--speaker-pattern REGEX.*stratified-5fold"),
        (recordings("", "mine-a"), r"2 of 4 recordings name no speaker: mine/0-0, mine/0-1\. Name theirs too"),
        (recordings("mine-a", "mine-b"), r"Three speakers are needed: .* There are 2\. .*stratified-5fold"),
        (recordings(*people(5), group="talk"), r"Three speakers of different groups are needed.* There are 1\."),
    ],
)
def test_where_speakers_can_not_be_kept_apart_it_says_what_to_do(rows: list[Utterance], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        suitable_protocol(rows)
