from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.alignment import LabelMapping, join, relabelled
from earnest.evaluation.answers import SystemAnswers, TextColumn, text_column
from earnest.labels import Scheme, scheme_called


def clip(name: str, emotion: str = "happy", corpus: str = "made", folder: str = "/data", **more) -> Utterance:
    path = Path(folder) / f"{name}.wav"
    return Utterance(
        **{"utterance_id": name, "path": path, "corpus": corpus, "emotion": emotion, "speaker": "ann"} | more
    )


def said(*pairs: tuple[str, str], **more) -> SystemAnswers:
    names, labels = zip(*pairs, strict=True)
    line = np.arange(2, len(pairs) + 2)
    return SystemAnswers(Path("p.csv"), text_column(names), line, text_column(labels), **more)


def texts(**columns: list[str]) -> dict[str, TextColumn]:
    return {name: text_column(column) for name, column in columns.items()}


ROWS = [clip("a", gender="female"), clip("b", "sad"), clip("c", "angry", speaker="ben")]


@pytest.mark.parametrize("name", ["a", "made/a", "a.wav", "/elsewhere/x/a.flac", "C:\\recordings\\a.WAV"])
def test_a_clip_is_found_by_its_name_or_that_of_its_file(name):
    joined = join(said((name, "sad"), ("b", "sad"), ("c", "")), ROWS)
    predictions = joined.predictions
    assert predictions.utterance_id.tolist() == ["a", "b", "c"]
    assert predictions.classes == ("happy", "sad", "angry")
    assert predictions.emotion.tolist() == [0, 1, 2]
    assert predictions.predicted.tolist() == [1, 1, -1]
    assert predictions.speaker.tolist() == ["ann", "ann", "ben"]
    assert predictions.gender.tolist() == ["female", "", ""]
    assert (joined.n_unanswered, joined.n_unknown, joined.n_dropped) == (0, 0, 0)


def test_a_clip_without_an_answer_counts_as_wrong():
    values = np.array([[0.75, 0.25], [0, 1]], dtype=np.float32)
    probable = {"labels": ("angry", "happy"), "probabilities": values}
    answers = said(("c", "angry"), ("a", "happy"), texts=texts(fold=["f1", "f2"]), **probable)
    joined = join(answers, ROWS)
    assert joined.predictions.utterance_id.tolist() == ["c", "a", "b"]
    assert joined.predictions.predicted.tolist() == [2, 0, -1]
    assert joined.n_unanswered == 1
    assert joined.predictions.fold.tolist() == ["", "", ""]  # the missing one's fold is not known
    expected = [[0.25, 0, 0.75], [1, 0, 0], [np.nan] * 3]
    np.testing.assert_array_equal(joined.predictions.probabilities, expected)


def test_folds_stay_where_every_clip_is_answered():
    joined = join(said(("a", "sad"), ("a", "happy"), texts=texts(fold=["f1", "f2"])), ROWS[:1])
    assert joined.predictions.folds == ["f1", "f2"]


def test_an_unknown_clip_is_named_or_left_out():
    answers = said(("a", "sad"), ("z", "sad"), ("y", "sad"))
    with pytest.raises(
        CorpusError, match=r"p.csv:3: 2 of 3 rows name no recording of the manifest: 'z', 'y'. Say --ignore"
    ):
        join(answers, ROWS)
    joined = join(answers, ROWS, ignore_unknown=True)
    assert (len(joined.predictions), joined.n_unknown, joined.n_unanswered) == (3, 2, 2)
    assert joined.kept.tolist() == [0]


def test_one_clip_under_two_names_is_refused():
    with pytest.raises(CorpusError, match=r"p.csv:3: 'x/a.wav' and 'a' are the same recording"):
        join(said(("a", "sad"), ("x/a.wav", "sad")), ROWS)


def test_a_recording_that_two_raters_label_alike_counts_once_and_otherwise_is_told():
    again = clip("a#2", path=ROWS[0].path)
    for answers in (said(("a", "sad"), ("b", "sad")), said(("b", "sad"))):
        joined = join(answers, [*ROWS[:2], again])
        assert sorted(joined.predictions.utterance_id) == ["a", "b"]
        assert joined.n_repeats == 1
        with pytest.raises(CorpusError, match=r"a.wav: two rows of the manifest .*, happy \('a'\) and sad \('a#2'\)"):
            join(answers, [*ROWS[:2], replace(again, emotion="sad")])
    both = join(said(("a", "sad"), ("a#2", "happy")), [ROWS[0], again])
    assert (len(both.predictions), both.n_repeats) == (2, 0)
    part = replace(again, start_s=1.0)
    assert join(said(("a", "sad")), [ROWS[0], part]).n_unanswered == 1


def test_a_file_of_the_same_name_in_another_folder_is_another_recording():
    answers = said(("calls/ann/a.wav", "sad"), ("calls/data/a.wav", "happy"), ("calls/ben/a.wav", "angry"))
    with pytest.raises(
        CorpusError, match=r"p.csv:2: 2 of 3 rows name no recording .* 'calls/ben/a.wav'\. Say --ignore"
    ):
        join(answers, ROWS)
    joined = join(answers, ROWS, ignore_unknown=True)
    assert joined.kept.tolist() == [1]
    assert (joined.n_unknown, joined.n_unanswered, joined.n_by_name) == (2, 2, 0)


def test_folders_tell_files_of_the_same_name_apart():
    rows = [clip("1", folder="/data/s1", path=Path("/data/s1/x.wav")), clip("2", path=Path("/data/s2/x.wav"))]
    joined = join(said(("else/s2/x.wav", "sad"), ("s1/x.wav", "sad")), rows)
    assert joined.predictions.utterance_id.tolist() == ["2", "1"]
    with pytest.raises(CorpusError, match=r"p.csv:2: 'x.wav' fits several recordings: 'made/1' and 'made/2'. Write"):
        join(said(("x.wav", "sad")), rows)


def test_folders_above_the_last_one_tell_recordings_apart_too():
    def take(speaker):
        return clip(f"{speaker}/angry/1.wav", "angry", path=Path(f"/data/{speaker}/angry/1.wav"))

    answers = said(("in/ann/angry/1.wav", "sad"), ("in/ben/angry/1.wav", "angry"), ("in/eve/angry/1.wav", "happy"))
    joined = join(answers, [take("ben"), take("eve")], ignore_unknown=True)
    assert (joined.kept.tolist(), joined.n_unknown, joined.n_by_name) == ([1, 2], 1, 0)
    assert join(said(("ann/angry/1.wav", "sad")), [take("ben")]).n_by_name == 1


def test_a_name_that_macos_wrote_is_the_name_as_typed():
    typed, apart = (
        [f"{one}/zwölf" for one in ("wütend", "fröhlich")],
        ["wu\u0308tend/zwo\u0308lf", "fro\u0308hlich/zwo\u0308lf"],
    )
    for names, ids in ((typed, apart), (apart, typed)):
        for ending in ("", ".wav"):
            joined = join(said(*((name + ending, "sad") for name in names)), [clip(one) for one in ids])
            assert (joined.predictions.utterance_id.tolist(), joined.n_by_name) == (ids, 0)
        elsewhere = [clip(one, path=Path(f"/data/{place}.wav")) for place, one in enumerate(ids)]
        assert join(said(*((name, "sad") for name in names)), elsewhere).n_by_name == 0


def test_two_recordings_of_one_name_in_a_manifest_are_refused():
    twice = [clip("a", corpus="", folder="/data/s1"), clip("a", "sad", corpus="", folder="/data/s2")]
    with pytest.raises(CorpusError, match=r"utterance_id 'a' twice: /data/s1/a\.wav and /data/s2/a\.wav"):
        join(said(("s1/a.wav", "sad"), ("s2/a.wav", "sad")), twice)


def test_the_corpus_tells_equal_ids_apart():
    rows = [clip("a", corpus="one"), clip("a", "sad", corpus="two")]
    joined = join(said(("a", "sad"), ("a", "sad"), texts=texts(corpus=["two", "one"])), rows)
    assert joined.predictions.corpus.tolist() == ["two", "one"]
    with pytest.raises(CorpusError, match=r"several recordings: 'one/a' and 'two/a'"):
        join(said(("a", "sad")), rows)


def test_the_start_tells_parts_of_a_file_apart():
    path = Path("/data/long.wav")
    rows = [clip("p1", path=path, start_s=0.0, end_s=1.5), clip("p2", "sad", path=path, start_s=1.5)]
    times = texts(start=["0 days 00:00:01.500000", "0 days"])
    joined = join(said(("long.wav", "sad"), ("long.wav", "sad"), texts=times), rows)
    assert joined.predictions.utterance_id.tolist() == ["p2", "p1"]
    by_name = join(said(("/data/long.wav@1.5-", "sad"), ("long.wav@0-1.5", "sad")), rows)  # as `earnest predict` does
    assert by_name.predictions.utterance_id.tolist() == ["p2", "p1"]


def test_a_scheme_folds_the_truth_and_drops_clips():
    rows = [clip("a", "excited"), clip("b", "calm"), clip("c", "sad")]
    scheme = scheme_called("iemocap4-excited")
    joined = join(said(("a", "happy"), ("b", "neutral")), rows, scheme)
    assert joined.predictions.utterance_id.tolist() == ["a", "c"]
    assert joined.predictions.emotion.tolist() == [2, 1]
    assert (joined.n_dropped, joined.n_unanswered) == (1, 1)
    with pytest.raises(CorpusError, match=r"no recording of the manifest has a label of the scheme"):
        join(said(("b", "sad")), rows[1:2], scheme)


def test_clips_called_unusable_are_not_scored():
    joined = join(said(("a", "happy"), ("b", "sad")), ROWS, left_out={"made/b", "made/c"})
    assert joined.predictions.utterance_id.tolist() == ["a"]
    assert (joined.n_dropped, joined.n_unanswered) == (2, 0)


def test_words_are_mapped_and_common_nouns_need_no_word():
    label_mapping = LabelMapping({"ang": "angry"}, canonical=True)
    found = relabelled(said(("a", "ang"), ("b", "Sadness"), ("c", "")), label_mapping)
    assert found.answers.predicted.tolist() == ["angry", "sad", ""]
    assert not found.is_outside.any()
    with pytest.raises(CorpusError, match=r"the label 'hpy' is unknown. Say --map hpy=EMOTION. Did you mean 'happy'"):
        relabelled(said(("a", "ang"), ("b", "hpy")), label_mapping)
    with pytest.raises(CorpusError, match=r"no label 'ang' there, as --map says. Did you mean 'angr'"):
        relabelled(said(("a", "angr")), label_mapping)


def test_a_word_of_the_other_side_is_told_the_direction():
    scheme = Scheme("native", ("fröhlich", "traurig"))
    answers = said(("a", "happy"), ("b", "sad"))
    turned = LabelMapping({"fröhlich": "happy", "traurig": "sad"}, scheme, canonical=True)
    with pytest.raises(CorpusError, match=r"takes the file's word first.*--map 'happy=fröhlich' --map sad=traurig"):
        relabelled(answers, turned)
    right = LabelMapping({"happy": "fröhlich", "sad": "traurig"}, scheme, canonical=True)
    assert relabelled(answers, right).answers.predicted.tolist() == ["fröhlich", "traurig"]


def test_all_unknown_labels_are_told_at_once_and_quoted():
    answers = said(("a", "Fröhlich"), ("b", "sehr  traurig"), ("c", "x y"), ("d", "sad"))
    own = LabelMapping(scheme=Scheme("native", ("fröhlich", "sehr traurig")), canonical=True)
    words = "--map 'Fröhlich=fröhlich' --map 'sehr  traurig=sehr traurig' --map 'x y=EMOTION'"
    with pytest.raises(CorpusError, match=f"3 labels are unknown. Say {words}"):
        relabelled(answers, own)
    many = said(*((f"u{number}", f"odd{number}") for number in range(40)))
    with pytest.raises(CorpusError, match=r"40 labels are unknown.*and 28 more") as caught:
        relabelled(many, own)
    assert len(str(caught.value)) < 500


def test_labels_that_a_scheme_drops_are_named():
    scheme = Scheme("native", ("fröhlich", "sad"))
    answers = said(("a", "happy"), ("b", "sad"), ("c", "angry"), ("d", "happy"))
    found = relabelled(answers, LabelMapping(scheme=scheme, canonical=True))
    assert found.outside == ("angry", "happy")


def test_own_words_stay_where_nothing_asks_for_ours():
    assert relabelled(said(("a", "up"), ("b", "down")), LabelMapping({"up": "high"})).answers.predicted.tolist() == [
        "high",
        "down",
    ]


def test_probabilities_of_labels_of_one_class_are_added_and_those_that_lose_some_are_left_out():
    values = np.array([[0.25, 0.5, 0.25], [0.5, 0.5, 0], [np.nan] * 3], dtype=np.float32)
    answers = said(
        ("a", "calm"), ("b", "excited"), ("c", ""), labels=("happy", "excited", "calm"), probabilities=values
    )
    found = relabelled(answers, LabelMapping(scheme=scheme_called("iemocap4-excited"), canonical=True))
    assert found.answers.labels == ("angry", "sad", "happy", "neutral")
    np.testing.assert_array_equal(found.answers.probabilities, [[np.nan] * 4, [0, 0, 1, 0], [np.nan] * 4])
    assert found.answers.predicted.tolist() == ["", "happy", ""]
    assert found.is_outside.tolist() == [True, False, False]


def test_rows_whose_own_truth_the_scheme_drops_are_left_out():
    answers = replace(said(("a", "calm"), ("b", "sad")), emotion=text_column(["sad", "calm"]))
    found = relabelled(answers, LabelMapping(scheme=scheme_called("iemocap4"), canonical=True))
    assert found.answers.name.tolist() == ["a"]
    assert (found.n_dropped, found.is_outside.tolist()) == (1, [True])
    with pytest.raises(CorpusError, match=r"none of its true labels is in the scheme"):
        relabelled(answers.take(np.array([1])), LabelMapping(scheme=scheme_called("iemocap4"), canonical=True))


def test_classes_of_a_scheme_that_are_no_emotions_are_understood():
    label_mapping = LabelMapping({"bad": "negative"}, scheme_called("vino5"), canonical=True)
    assert relabelled(said(("a", "bad"), ("b", "anger")), label_mapping).answers.predicted.tolist() == [
        "negative",
        "negative",
    ]


def test_answers_beside_the_emotion_are_blank_for_missing_clips():
    answers = said(("b", "sad"), predicted_gender=text_column(["male"]),
                   predicted_affect=np.full((1, 3), 0.5, dtype=np.float32), adapted=np.array([True]))  # fmt: skip
    predictions = join(answers, ROWS[:2]).predictions
    assert predictions.predicted_gender.tolist() == ["male", ""]
    assert predictions.adapted is not None
    assert predictions.adapted.tolist() == [True, False]
    np.testing.assert_array_equal(predictions.predicted_affect, [[0.5] * 3, [np.nan] * 3])
