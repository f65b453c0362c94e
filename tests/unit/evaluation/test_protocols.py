import hashlib
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, MissingExtraError, RecipeError, SplitError
from earnest.evaluation.protocols import PROTOCOLS, coverage_of, protocol_called, splits_of
from earnest.evaluation.splits import Split
from earnest.evaluation.splitters import emocatcher_order, partners_of
from earnest.labels import CORE_EMOTIONS

RAVDESS_FOLDS = {
    "f1": {1, 11, 20, 21},
    "f2": {4, 10, 12, 14},
    "f3": {8, 9, 19, 23},
    "f4": {3, 5, 7, 24},
    "f5": {2, 15, 16, 18},
    "f6": {6, 13, 17, 22},
}
TWINS = {"ravdess/03-01-03-01-02-01-07", "ravdess/03-01-03-01-02-02-07"}
NOW = {
    "ravdess-6fold": ("ravdess", 6),
    "emodb-loso": ("emodb", 10),
    "crema-d-5fold": ("crema_d", 5),
    "emocatcher-5fold": ("ravdess", 5),
    "emocatcher-holdout": ("ravdess", 1),
}


def speakers(rows) -> set[str]:
    return {row.speaker for row in rows}


def keys(rows) -> set[str]:
    return {row.key for row in rows}


def made_up(n_speakers: int, corpus: str = "made", emotions: tuple[str, ...] = ("happy", "sad")) -> list[Utterance]:
    return [
        Utterance(f"{speaker:02d}{emotion}", Path(f"{speaker:02d}{emotion}.wav"), corpus=corpus,
                  speaker=f"{corpus}-{speaker:02d}", emotion=emotion)
        for speaker in range(n_speakers)
        for emotion in emotions
    ]  # fmt: skip


@pytest.mark.parametrize("name", NOW)
def test_every_usable_clip_is_in_exactly_one_set_of_each_fold(name, request):
    corpus, n_folds = NOW[name]
    rows = request.getfixturevalue(corpus)
    splits = splits_of(name, rows)
    assert len(splits) == n_folds
    for split in splits:
        assert len(split.train) + len(split.valid) + len(split.test) == protocol_called(name).n_utterances
        assert keys(split.train) | keys(split.valid) | keys(split.test) <= keys(rows)


@pytest.mark.parametrize("name", [name for name in NOW if name != "emocatcher-holdout"])
def test_every_usable_clip_is_tested_exactly_once(name, request):
    tested = [row.key for split in splits_of(name, request.getfixturevalue(NOW[name][0])) for row in split.test]
    assert len(tested) == len(set(tested)) == protocol_called(name).n_utterances


@pytest.mark.parametrize("name", ["ravdess-6fold", "emodb-loso", "crema-d-5fold"])
def test_no_speaker_is_in_two_sets(name, request):
    for split in splits_of(name, request.getfixturevalue(NOW[name][0])):
        assert split.speaker_independent
        assert not speakers(split.train) & speakers(split.valid)
        assert not speakers(split.train) & speakers(split.test)
        assert not speakers(split.valid) & speakers(split.test)


@pytest.mark.parametrize("name", NOW)
def test_the_order_of_the_rows_does_not_matter(name, request):
    rows = request.getfixturevalue(NOW[name][0])
    shuffled = [rows[index] for index in np.random.default_rng(5).permutation(len(rows))]
    assert splits_of(name, shuffled) == splits_of(name, rows)


def test_ravdess_6fold_has_the_emobox_actors_and_validates_on_the_next_fold(ravdess):
    splits = splits_of("ravdess-6fold", ravdess)
    tested = {split.fold: {int(speaker[-2:]) for speaker in speakers(split.test)} for split in splits}
    assert tested == RAVDESS_FOLDS
    for split, following in zip(splits, [*splits[1:], splits[0]], strict=True):
        assert keys(split.valid) == keys(following.test)


def test_emodb_loso_validates_on_the_next_two_speakers(emodb):
    splits = splits_of("emodb-loso", emodb)
    order = ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]
    assert [split.fold for split in splits] == [f"emodb-{number}" for number in order]
    for position, split in enumerate(splits):
        following = {f"emodb-{order[(position + step) % 10]}" for step in (1, 2)}
        assert speakers(split.test) == {f"emodb-{order[position]}"}
        assert speakers(split.valid) == following


def test_crema_d_5fold_deals_the_speakers_out_by_number(crema_d):
    splits = splits_of("crema-d-5fold", crema_d)
    for fold, split in enumerate(splits):
        assert speakers(split.test) == {f"crema-d-{number}" for number in range(1001 + fold, 1092, 5)}
        assert keys(split.valid) == keys(splits[(fold + 1) % 5].test)


def test_crema_d_5fold_leaves_out_the_contradicting_pairs_and_the_silent_clip(crema_d):
    split = splits_of("crema-d-5fold", crema_d)[0]
    used = keys(split.train) | keys(split.valid) | keys(split.test)
    assert {key.removeprefix("crema-d/") for key in keys(crema_d) - used} == {
        "1013_WSI_SAD_XX",
        "1013_WSI_DIS_XX",
        "1017_IWW_ANG_XX",
        "1017_IWW_FEA_XX",
        "1006_TIE_HAP_XX",
        "1006_TIE_NEU_XX",
        "1076_MTI_SAD_XX",
    }


def without_twins(keys_: set[str]) -> set[str]:
    return keys_ - TWINS


def test_emocatcher_5fold_is_scikit_learns_with_seed_999_over_its_published_order(ravdess):
    from sklearn.model_selection import StratifiedKFold

    names = emocatcher_order()
    folds = StratifiedKFold(5, shuffle=True, random_state=999).split(names, [name.split("-")[2] for name in names])
    for (_, test), split in zip(folds, splits_of("emocatcher-5fold", ravdess), strict=True):
        assert without_twins({f"ravdess/{names[index]}" for index in test}) == without_twins(keys(split.test))


def test_emocatcher_holdout_is_scikit_learns_with_seed_999_over_its_published_order(ravdess):
    from sklearn.model_selection import train_test_split

    names = emocatcher_order()
    labels = [name.split("-")[2] for name in names]
    train, test = train_test_split(names, test_size=0.2, random_state=999, stratify=labels)
    (split,) = splits_of("emocatcher-holdout", ravdess)
    assert keys(split.test) == {f"ravdess/{name}" for name in test}
    assert keys(split.train) | keys(split.valid) == {f"ravdess/{name}" for name in train}


@pytest.mark.parametrize("name", ["emocatcher-5fold", "emocatcher-holdout"])
def test_speaker_dependent_validation_is_a_stratified_tenth_of_the_training_clips(name, ravdess):
    for split in splits_of(name, ravdess):
        rest = len(split.train) + len(split.valid)
        assert abs(len(split.valid) - rest / 10) <= 2
        for emotion in CORE_EMOTIONS:
            chosen = sum(row.emotion == emotion for row in split.valid)
            there = chosen + sum(row.emotion == emotion for row in split.train)
            assert abs(chosen - there / 10) <= 2


@pytest.mark.parametrize("name", ["emocatcher-5fold", "emocatcher-holdout"])
def test_the_two_identical_recordings_stay_in_one_set(name, ravdess):
    for split in splits_of(name, ravdess):
        assert sorted(len(keys(rows) & TWINS) for rows in split.sets.values()) == [0, 0, 2]
        assert not split.speaker_independent


def test_the_published_folds_of_emocatcher_have_not_moved(ravdess):
    """The hash guards against a scikit-learn that draws differently; the rows are the 1,440 published names."""
    text = "\n".join(split.to_json() for split in splits_of("emocatcher-5fold", ravdess))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "a18af13ba11bb7c61dba6d7469c539cc66ca5f0330f6efb62f90cbed5308bfce"


def test_an_unknown_protocol_names_the_nearest():
    with pytest.raises(RecipeError, match="Did you mean 'ravdess-6fold'"):
        splits_of("ravdes-6fold", [])


def test_a_missing_speaker_is_an_error_that_counts_the_clips(ravdess):
    with pytest.raises(CorpusError, match=r"1380 of 1440 utterances; without ravdess-07"):
        splits_of("ravdess-6fold", [row for row in ravdess if row.speaker != "ravdess-07"])


def test_missing_clips_are_a_warning_that_counts_them(emodb, caplog):
    some = [row for row in emodb if row.emotion != "disgust" or row.utterance_id.startswith("1")]
    with caplog.at_level(logging.WARNING):
        splits_of("emodb-loso", some)
    assert f"emodb-loso: {len(some)} of 535 utterances" in caplog.text
    assert not coverage_of(protocol_called("emodb-loso"), some).complete
    assert coverage_of(protocol_called("emodb-loso"), emodb).complete


def test_another_corpus_is_refused(ravdess, emodb):
    with pytest.raises(CorpusError, match="ravdess-6fold is defined on ravdess; got 535 utterances of 'emodb'"):
        splits_of("ravdess-6fold", [*ravdess, *emodb])


def test_an_absent_corpus_is_named(ravdess):
    with pytest.raises(CorpusError, match="vino-random needs the corpus ravdess-song"):
        splits_of("vino-random", ravdess)


def test_a_strange_speaker_is_refused(ravdess):
    with pytest.raises(CorpusError, match="has no speaker 'ravdess-99'"):
        splits_of("ravdess-6fold", [*ravdess[1:], replace(ravdess[0], speaker="ravdess-99")])


def test_no_utterances_are_an_error():
    with pytest.raises(CorpusError, match="there are no utterances"):
        splits_of("loso", [])


def test_speaker_dependent_protocols_without_scikit_learn_name_the_extra(ravdess, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(MissingExtraError, match=r"earnest\[train\]"):
        splits_of("emocatcher-5fold", ravdess)
    assert len(splits_of("ravdess-6fold", ravdess)) == 6


def test_vino_random_is_80_10_10_of_2452_clips(ravdess, ravdess_song):
    (split,) = splits_of("vino-random", [*ravdess, *ravdess_song])
    assert sum(map(len, split.sets.values())) == 2452
    assert abs(len(split.valid) - 245.2) <= 2
    assert abs(len(split.test) - 245.2) <= 2


def test_moody_random_is_70_30_of_the_corpora_that_are_there(ravdess, emodb):
    (split,) = splits_of("moody-random", [*ravdess, *emodb])
    assert len(split.test) == pytest.approx(0.3 * (1440 + 535), abs=2)


def test_cross_corpus_tests_each_corpus_on_shared_classes_with_the_others_for_training(emodb, crema_d):
    splits = splits_of("cross-corpus", [*emodb, *crema_d])
    assert [split.fold for split in splits] == ["to-crema-d", "to-emodb"]
    for split, tested, trained in zip(splits, ["crema-d", "emodb"], ["emodb", "crema-d"], strict=True):
        assert {row.corpus for row in split.test} == {tested}
        assert {row.corpus for row in (*split.train, *split.valid)} == {trained}
        assert "boredom" not in {row.emotion for rows in split.sets.values() for row in rows}
        assert split.valid


def test_loso_works_for_any_manifest():
    splits = splits_of("loso", made_up(5))
    assert [split.fold for split in splits] == [f"made-{number:02d}" for number in range(5)]


@pytest.mark.parametrize("n", [3, 4, 7])
def test_the_default_split_needs_three_speakers(n):
    (split,) = splits_of("speaker-holdout", made_up(n))
    assert all(split.sets.values())


@pytest.mark.parametrize(("name", "n"), [("loso", 3), ("speaker-5fold", 4), ("speaker-holdout", 2)])
def test_too_few_speakers_are_refused(name, n):
    with pytest.raises(SplitError, match=f"has {n}"):
        splits_of(name, made_up(n))


def test_a_class_too_rare_for_stratified_folds_is_named():
    rows = [*made_up(9), replace(made_up(1)[0], utterance_id="alone", emotion="angry")]
    with pytest.raises(SplitError, match="needs at least 5 recordings for 5 stratified folds, and 'angry' has 1"):
        splits_of("stratified-5fold", rows)


def test_unnamed_speakers_are_refused():
    with pytest.raises(SplitError, match="have no speaker"):
        splits_of("speaker-5fold", [replace(row, speaker="") if row.speaker[-1] == "3" else row for row in made_up(9)])


def iemocap() -> list[Utterance]:
    return [
        Utterance(f"Ses0{session}{sex}_{dialogue}_{turn}", Path(f"Ses0{session}{sex}_{dialogue}_{turn}.wav"),
                  corpus="iemocap", speaker=f"iemocap-{session}{sex}", session=f"{session}", style="improvised",
                  group=f"Ses0{session}_{dialogue}", emotion=emotion)
        for session in range(1, 6)
        for sex in "FM"
        for dialogue in range(3)
        for turn, emotion in enumerate(("angry", "sad", "happy", "neutral", "excited", "surprised"))
    ]  # fmt: skip


def test_iemocap_10speaker_tests_each_speaker_and_validates_on_the_partner():
    splits = splits_of("iemocap-10speaker", iemocap())
    assert len(splits) == 10
    for split in splits:
        (tested,), (held) = speakers(split.test), speakers(split.valid)
        assert held == {tested.replace("F", "?").replace("M", "F").replace("?", "M")}
        assert {row.session for row in split.train} == set("12345") - {row.session for row in split.test}
        assert "excited" not in {row.emotion for row in split.train}


def test_iemocap_sessions_are_left_out_one_by_one():
    splits = splits_of("iemocap-5session-improvised", iemocap())
    assert [{row.session for row in split.valid} for split in splits] == [{"2"}, {"3"}, {"4"}, {"5"}, {"1"}]


def test_iemocap_5session_asserts_its_5531_utterances():
    with pytest.raises(CorpusError, match="150 of 5531 utterances; all are needed"):
        splits_of("iemocap-5session", iemocap())


def test_thai_ser_leaves_out_batches_of_ten_studio_recordings():
    rows = [
        Utterance(f"{place}{number}{microphone}", Path(f"{place}{number}{microphone}.wav"), corpus="thai-ser",
                  speaker=f"thai-ser-{place}{number}", session=f"{place}{number:02d}", group=f"{place}{number}",
                  emotion="happy")
        for place, last in (("studio", 80), ("zoom", 20))
        for number in range(1, last + 1)
        for microphone in ("con", "clip")
    ]  # fmt: skip
    splits = splits_of("thai-ser", rows)
    assert [split.fold for split in splits] == [f"batch{number}" for number in range(1, 9)]
    assert {row.session for row in splits[1].test} == {f"studio{number}" for number in range(11, 21)}
    assert keys(splits[0].valid) == keys(splits[1].test)


def test_every_protocol_describes_itself():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert protocol.description
        assert protocol.kind == ("speaker-independent" if protocol.speaker_independent else "speaker-dependent")


def test_splits_carry_the_name_of_their_protocol(emodb):
    assert {split.protocol for split in splits_of("emodb-loso", emodb)} == {"emodb-loso"}
    assert all(isinstance(split, Split) for split in splits_of("emodb-loso", emodb))


@pytest.mark.parametrize("name", ["speaker-holdout", "speaker-5fold"])
def test_partners_of_dialogues_stay_together(name):
    rows = iemocap()
    for split in splits_of(name, rows):
        sessions = [{row.session for row in members} for members in split.sets.values()]
        assert [len(found) for found in sessions] == [3, 1, 1]
        assert set.union(*sessions) == set("12345")
    assert keys(splits_of(name, rows)[0].test) == {row.key for row in rows if row.session == "1"}


def test_partners_stay_together_where_their_corpus_teaches_another():
    own, other = splits_of("cross-corpus", [*iemocap(), *made_up(6, "other")])
    assert (own.fold, other.fold) == ("to-iemocap", "to-other")
    assert [{row.session for row in rows} for rows in (other.train, other.valid)] == [set("2345"), {"1"}]
    assert speakers(own.valid) == {"other-00", "other-05"}


def test_speakers_that_are_tied_by_others_are_one_circle():
    def clip(speaker: str, group: str) -> Utterance:
        return Utterance(f"{speaker}{group}", Path("a.wav"), speaker=speaker, group=group)

    rows = [
        clip("d", "2"),
        clip("c", "1"),
        clip("b", "2"),
        clip("a", "1"),
        clip("b", "1"),
        clip("e", ""),
    ]
    assert partners_of(rows) == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e"}


def test_too_few_pairs_of_partners_are_told_as_pairs():
    with pytest.raises(SplitError, match="at least 3 pairs of dialogue partners, the data has 2"):
        splits_of("speaker-holdout", [row for row in iemocap() if row.session in "12"])


@pytest.mark.parametrize(("session", "told"), [(True, "session-loso"), (False, "speaker-holdout")])
def test_a_protocol_that_parts_a_dialogue_is_refused_with_one_that_does_not(session, told):
    rows = iemocap() if session else [replace(row, session="") for row in iemocap()]
    with pytest.raises(SplitError, match=f"share the group .* Say --protocol {told}: it keeps them together"):
        splits_of("loso", rows)
    assert splits_of(told, rows)


def test_clips_that_no_protocol_can_divide_are_told_so():
    with pytest.raises(SplitError, match="No protocol keeps them together"):
        splits_of("loso", [replace(row, group="one", session="1") for row in iemocap()])


def thai_turns() -> list[Utterance]:
    return [
        Utterance(f"{place}{number}{microphone}", Path(f"{place}{number}{microphone}.wav"), corpus="thai-ser",
                  speaker=f"thai-ser-{place}{number}", session=f"{place}{number:03d}", group=f"{place}{number}",
                  emotion="happy", style="improvised", channel=microphone)
        for place, last, microphones in (("studio", 80, ("con", "clip", "middle")), ("zoom", 20, ("mic",)))
        for number in range(1, last + 1)
        for microphone in microphones
    ]  # fmt: skip


def test_ntu_tests_the_first_half_of_a_batch_of_studios_and_validates_on_the_other():
    splits = splits_of("thai-ser-ntu", thai_turns())
    assert [split.fold for split in splits] == [f"batch{number}" for number in range(1, 9)]
    assert [row.session for row in splits[1].test] == [f"studio{number:03d}" for number in range(11, 16)]
    assert [row.session for row in splits[1].valid] == [f"studio{number:03d}" for number in range(16, 21)]
    assert [len(split.train) for split in splits] == [70] * 8  # one microphone a turn, nothing over Zoom


def test_zoom_is_tested_by_what_studios_taught():
    (split,) = splits_of("thai-ser-zoom", thai_turns())
    assert {row.session[:4] for row in split.test} == {"zoom"}
    assert [row.session for row in split.valid] == [f"studio{number:03d}" for number in range(71, 81)]
    assert (len(split.train), len(split.test)) == (70, 20)
    with pytest.raises(SplitError, match="at least 1 recordings of zoom"):
        splits_of("thai-ser-zoom", [row for row in thai_turns() if row.session.startswith("studio")])
