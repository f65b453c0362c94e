from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.leakage import leakage
from earnest.evaluation.splits import Split


def row(name: str, speaker: str = "", group: str = "", text_id: str = "") -> Utterance:
    return Utterance(name, Path(f"{name}.wav"), corpus="made", speaker=speaker, group=group, text_id=text_id)


A, B, C = row("a", "ann"), row("b", "ben"), row("c", "cat")


def test_three_disjoint_sets_are_kept_as_they_are():
    split = Split([A], [B], [C], fold="f1", protocol="p")
    assert (split.train, split.valid, split.test) == ((A,), (B,), (C,))


@pytest.mark.parametrize("sets", [([A], [B], [A]), ([A], [A], [C]), ([A], [B, C], [C])])
def test_an_utterance_in_two_sets_is_refused_by_name(sets):
    with pytest.raises(SplitError, match=r"share the utterance made/[ac]"):
        Split(*sets, speaker_independent=False)


def test_an_utterance_twice_in_one_set_is_refused():
    with pytest.raises(SplitError, match="made/a is twice in train"):
        Split([A, A], [B], [C])


@pytest.mark.parametrize("where", ["valid", "test"])
def test_a_speaker_in_two_sets_is_refused_when_speaker_independent(where):
    sets = {"train": [A], "valid": [B], "test": [C]} | {where: [row("other", "ann")]}
    with pytest.raises(SplitError, match=f"train and {where} share the speaker ann"):
        Split(**sets)
    assert Split(**sets, speaker_independent=False).train == (A,)


def test_an_unknown_speaker_is_refused_when_speaker_independent():
    with pytest.raises(SplitError, match="made/d in test have no speaker"):
        Split([A], [B], [row("d")])


@pytest.mark.parametrize("speaker_independent", [True, False])
@pytest.mark.parametrize("pair", [("train", "valid"), ("train", "test"), ("valid", "test")])
def test_a_group_in_two_sets_is_refused(pair, speaker_independent):
    sets = {"train": A, "valid": B, "test": C}
    sets |= {name: replace(sets[name], group="dialogue1") for name in pair}
    with pytest.raises(SplitError, match="share the group made/dialogue1"):
        Split(*([utterance] for utterance in sets.values()), speaker_independent=speaker_independent)


def test_only_valid_and_test_may_hold_the_partners_of_a_dialogue():
    partners = [replace(B, group="dialogue1")], [replace(C, group="dialogue1")]
    assert leakage(Split([A], *partners, dialogue_partners=True))[2].groups == 1
    with pytest.raises(SplitError, match="train and test share the group"):
        Split(partners[0], [A], partners[1], dialogue_partners=True)


def test_groups_of_different_corpora_are_different_groups():
    other = replace(C, corpus="another", group="1")
    assert Split([replace(A, group="1")], [B], [other]).test == (other,)


def test_an_empty_training_set_is_refused():
    with pytest.raises(SplitError, match="training set is empty"):
        Split([], [B], [C])


def test_the_error_counts_the_offenders_it_does_not_name():
    rows = [row(f"n{number}", "ann") for number in range(9)]
    with pytest.raises(SplitError, match="made/n0, made/n1, made/n2 and 6 more"):
        Split(rows, [], rows, speaker_independent=False)


def test_a_split_file_holds_ids_and_no_paths():
    assert '"made/a"' in Split([A], [B], [C]).to_json()
    assert ".wav" not in Split([A], [B], [C]).to_json()
