import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earnest.errors import CorpusError
from earnest.evaluation.answers import MOST_LABELS, once_each
from earnest.evaluation.importers import read_any
from earnest.evaluation.predictions import (
    WITH_TRUTH,
    Predictions,
    joined,
    of_classes,
    read_answers,
    read_predictions,
    write_predictions,
)
from tests.prediction_rows import PredictionRow, predictions_of, to_rows

HEADER = "utterance_id,corpus,speaker,gender,fold,emotion,predicted,p_happy,p_sad"
GOOD = "a,made,ann,female,f1,happy,sad,0.25,0.75"


def answer(name: str, emotion: str = "happy", predicted: str = "sad", fold: str = "f1") -> PredictionRow:
    return PredictionRow(name, "made", "ann", "female", fold, emotion, predicted, {"happy": 0.25, "sad": 0.75})


def written(folder: Path, *lines: str) -> Path:
    path = folder / "predictions.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_columns_are_the_agreed_ones(tmp_path):
    write_predictions(predictions_of([answer("a")], ["happy", "sad"]), tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text().splitlines() == [HEADER, GOOD]


def test_adapted_is_a_column_only_where_adaptation_was_a_matter(tmp_path):
    path = written(tmp_path, HEADER + ",adapted", GOOD + ",true", GOOD.replace("a,", "b,", 1) + ",false")
    predictions = read_predictions(path)
    assert predictions.adapted is not None
    assert predictions.adapted.tolist() == [True, False]
    write_predictions(predictions, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == path.read_text()


def test_a_row_without_an_answer_is_minus_one_and_may_lack_probabilities(tmp_path):
    predictions = read_predictions(written(tmp_path, HEADER, GOOD, "b,made,ann,,f1,sad,,,"))
    assert predictions.predicted.tolist() == [1, -1]
    assert predictions.probabilities is not None
    assert np.isnan(predictions.probabilities[1]).all()
    assert to_rows(predictions)[1].probabilities == {}


def test_the_smallest_file_has_three_columns_and_classes_in_canonical_order(tmp_path):
    predictions = read_predictions(written(tmp_path, "utterance_id,emotion,predicted", "a,sad,happy", "b,neutral,"))
    assert predictions.classes == ("neutral", "happy", "sad")
    assert predictions.probabilities is None
    assert predictions.speaker.tolist() == ["", ""]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["speaker_nr,utterance_id,emotion,predicted", "0,a,sad,sad"], "'speaker_nr'. Did you mean 'speaker'? Rename"),
        (["utterance_id,emotion,predictd", "a,sad,sad"], ":1: unknown column 'predictd'. Did you mean 'predicted'?"),
        (
            ["utterance_id,emotion", "a,sad"],
            ":1: the column 'predicted' is missing. There are 'utterance_id', 'emotion'.",
        ),
        (["utterance_id,emotion,predicted,emotion", "a,sad,sad,sad"], ":1: the column 'emotion' is there twice"),
        ([HEADER], "holds no predictions"),
        ([HEADER, "a,made"], ":2: 2 cells, but the header has 9"),
        ([HEADER, GOOD, GOOD.replace(",sad", ",happy")], ":3: 'a' is in line 2 already"),
        (
            ["utterance_id,fold,emotion,predicted", "1.wav,ann,sad,sad", "1.wav,bob,happy,sad"],
            ":3: '1.wav' has the emotion 'happy', but 'sad' in line 2. Give each recording a name of its own",
        ),
        (
            ["utterance_id,fold,speaker,emotion,predicted", "1.wav,1,ann,sad,sad", "1.wav,2,bob,sad,sad"],
            ":3: '1.wav' has the speaker 'bob', but 'ann' in line 2.",
        ),
        (
            ["utterance_id,emotion,predicted", "a,sad,sad", "b,Sad,sad"],
            "the truth says 'sad' and 'Sad'. Say --map sad=Sad",
        ),
        ([HEADER, GOOD.replace("0.25", "x")], ":2, column 'p_happy': expected a number, got 'x'"),
        ([HEADER, GOOD.replace("0.25", "")], ":2, column 'p_happy': expected a number, got ''"),
        ([HEADER, GOOD.replace("0.25", "nan")], ":2, column 'p_happy': a probability is from 0 to 1, got nan"),
        ([HEADER, GOOD.replace("0.25", "-0.25")], ":2, column 'p_happy': a probability is from 0 to 1"),
        ([HEADER, GOOD.replace("0.25", "0.5")], ":2: the probabilities sum to 1.25, not to 1"),
        ([HEADER, GOOD.replace("happy", "calm")], ":2, column 'emotion': 'calm' has no column p_calm"),
        ([HEADER, GOOD.replace("sad", "calm")], ":2, column 'predicted': 'calm' has no column p_calm"),
        ([HEADER, GOOD.replace("happy", "")], ":2, column 'emotion': it is empty"),
        ([HEADER, GOOD[1:]], ":2, column 'utterance_id': it is empty"),
        ([HEADER + ",adapted", GOOD + ",maybe"], ":2, column 'adapted': expected true or false, got 'maybe'"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_column(lines, message, tmp_path):
    with pytest.raises(CorpusError, match=re.escape(message)):
        read_predictions(written(tmp_path, *lines))


def test_columns_of_other_names_or_of_none_are_not_read(tmp_path):
    header = ",utterance_id,emotion,predicted,speaker,session,folder,speakers,"
    answers = read_answers(written(tmp_path, header, "0,a,sad,happy,ann,Ses01,x,2,"))
    assert answers.unread == ("", "session", "folder", "speakers", "")
    assert read_predictions(answers.source).speaker.tolist() == ["ann"]


@pytest.mark.parametrize("name", ["Speaker", "speaker_id", "participant"])
@pytest.mark.parametrize("header", ["utterance_id,emotion,{},sex,predicted", "file,truth,{},sex,predicted"])
def test_who_speaks_is_told_by_columns_that_learn_takes(header, name, tmp_path):
    (tmp_path / "p.csv").write_text(header.format(name) + "\na,sad,ann,female,happy\nb,happy,bob,male,happy\n")
    found = read_any(tmp_path / "p.csv")
    assert found.text("speaker").tolist() == ["ann", "bob"]
    assert found.text("gender").tolist() == ["female", "male"]
    assert found.own_truth().tolist() == ["sad", "happy"]
    assert found.unread == ()


@pytest.mark.parametrize("name", ["file", "Recording", "path"])
@pytest.mark.parametrize("truth", ["truth", "label", "emotion"])
def test_a_table_made_by_hand_has_notes_beside_the_answers(name, truth, tmp_path):
    (tmp_path / "p.csv").write_text(f"{name},Note,{truth},seconds,predicted\na,loud,sad,1.5,happy\nb,,happy,2,happy\n")
    for found in (read_any(tmp_path / "p.csv"), read_answers(tmp_path / "p.csv", WITH_TRUTH)):
        assert (found.name.tolist(), found.own_truth().tolist()) == (["a", "b"], ["sad", "happy"])
        assert (found.classes(), found.unread) == (("happy", "sad"), ("Note", "seconds"))


def test_probabilities_in_capital_letters_are_a_slip_and_no_column_of_others(tmp_path):
    with pytest.raises(CorpusError, match=r"unknown column 'P_sad'\. Did you mean 'p_sad'"):
        read_predictions(written(tmp_path, "utterance_id,emotion,predicted,P_sad", "a,sad,sad,0.9"))


@pytest.mark.parametrize("told", ["Unsure", "UNSURE", "No-speech"])
def test_what_stands_for_no_answer_may_be_in_any_letters(tmp_path, told):
    assert read_predictions(written(tmp_path, HEADER, f"a,,,,,sad,{told},,")).predicted.tolist() == [-1]
    lines = ["utterance_id,emotion,predicted", f"a,sad,{told}", "b,happy,sad"]
    assert read_predictions(written(tmp_path, *lines)).classes == ("happy", "sad")
    own = read_predictions(written(tmp_path, *lines, f"c,{told},{told}"))
    assert own.classes == ("happy", "sad", told)
    assert own.predicted.tolist() == [2, 1, 2]


@pytest.mark.parametrize("left", ["", ",,,,,,,,", " ,,,,,,,,"])
def test_rows_that_a_spreadsheet_left_behind_are_no_answers(left, tmp_path):
    path = written(tmp_path, HEADER, GOOD, left, GOOD.replace("a,", "b,", 1), left)
    assert read_predictions(path).utterance_id.tolist() == ["a", "b"]


def test_files_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00RIFF")
    for path in (tmp_path / "p.csv", tmp_path / "absent.csv", tmp_path):
        with pytest.raises(CorpusError, match=r"not a readable predictions file|no such file|a folder, not a file"):
            read_predictions(path)


def test_an_utterance_may_be_tested_in_several_folds(tmp_path):
    assert len(read_predictions(written(tmp_path, HEADER, GOOD, GOOD.replace("f1", "f2")))) == 2


def test_folds_taken_apart_and_joined_are_the_whole():
    whole = predictions_of([answer("a"), answer("b", fold="f2"), answer("c", predicted="")], ["happy", "sad"])
    assert whole.folds == ["f1", "f2"]
    again = joined([whole.of_fold("f1"), whole.of_fold("f2")])
    assert sorted(map(repr, to_rows(again))) == sorted(map(repr, to_rows(whole)))


def test_predictions_of_different_classes_are_not_joined():
    other = predictions_of([answer("b")], ["sad", "happy"])
    with pytest.raises(CorpusError, match="different classes"):
        joined([predictions_of([answer("a")], ["happy", "sad"]), other])


def test_answers_beside_the_emotion_are_kept_and_written_again(tmp_path):
    header = HEADER + ",predicted_gender,predicted_valence,predicted_arousal,predicted_dominance"
    path = written(tmp_path, header, GOOD + ",male,0.5,0.25,", "b" + GOOD[1:] + ",,,,")
    predictions = read_predictions(path)
    assert predictions.predicted_gender.tolist() == ["male", ""]
    assert predictions.predicted_affect is not None
    np.testing.assert_array_equal(predictions.predicted_affect, [[0.5, 0.25, np.nan], [np.nan] * 3])
    write_predictions(predictions, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_what_the_corpus_says_beside_the_emotion_is_kept_and_written_again(tmp_path):
    path = written(
        tmp_path, HEADER + ",intensity,valence,arousal,dominance", GOOD + ",strong,4.5,1.0,", "b" + GOOD[1:] + ",,,,"
    )
    predictions = read_predictions(path)
    assert predictions.intensity.tolist() == ["strong", ""]
    np.testing.assert_array_equal(predictions.affect, [[4.5, 1.0, np.nan], [np.nan] * 3])
    assert predictions.predicted_affect is None
    write_predictions(predictions, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    plain = predictions_of([answer("c")], ["happy", "sad"])
    both = joined([predictions, plain])
    assert both.intensity.tolist() == ["strong", "", ""]
    assert np.isnan(both.affect[2]).all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("valence", "high", ":3, column 'valence': expected a number, got 'high'"),
        ("predicted_gender", "man", ":3, column 'predicted_gender': expected female, male or nothing, got 'man'"),
        ("predicted_arousal", "high", ":3, column 'predicted_arousal': expected a number, got 'high'"),
        ("predicted_arousal", "nan", ":3, column 'predicted_arousal': expected a number, got 'nan'"),
        ("predicted_valence", "-1e999", ":3, column 'predicted_valence': expected a number, got '-1e999'"),
    ],
)
def test_a_wrong_answer_beside_the_emotion_is_named(column, value, message, tmp_path):
    path = written(tmp_path, f"{HEADER},{column}", GOOD + ",", f"b{GOOD[1:]},{value}")
    with pytest.raises(CorpusError, match=re.escape(message)):
        read_predictions(path)


def many_lines(n: int) -> list[str]:
    return [HEADER, *(f"clip-{index},made,ann,female,f1,happy,sad,0.25,0.75" for index in range(n))]


@pytest.mark.parametrize("row", [0, 1, 600, 1199])
def test_the_culprit_is_named_wherever_it_stands(row, tmp_path):
    lines = many_lines(1200)
    lines[row + 1] = lines[row + 1].replace("0.75", "0.74")
    with pytest.raises(CorpusError, match=f":{row + 2}: the probabilities sum to 0.99, not to 1"):
        read_predictions(written(tmp_path, *lines))


@pytest.mark.parametrize("cells", ["0.33,0.33,0.33,0.00", "0.251,0.251,0.250,0.249"])
def test_probabilities_that_were_rounded_are_made_to_sum_to_one(cells, tmp_path):
    header = "utterance_id,emotion,predicted,p_happy,p_sad,p_angry,p_neutral"
    read = read_predictions(written(tmp_path, header, f"a,happy,happy,{cells}"))
    assert read.probabilities.sum() == pytest.approx(1, abs=2e-3)
    wrong = cells.replace("0.00", "0.05").replace("0.249", "0.299")
    with pytest.raises(CorpusError, match="the probabilities sum to"):
        read_predictions(written(tmp_path, header, f"a,happy,happy,{wrong}"))


def test_a_repeated_utterance_is_found_far_below(tmp_path):
    lines = many_lines(1200)
    lines.append(lines[3].replace("0.25", "0.2").replace("0.75", "0.8"))
    with pytest.raises(CorpusError, match=f":{len(lines)}: 'clip-2' is in line 4 already, with another probability"):
        read_predictions(written(tmp_path, *lines))


def test_lines_are_those_of_the_file_where_cells_span_several(tmp_path):
    with pytest.raises(CorpusError, match=r":4: the probabilities sum"):
        read_predictions(written(tmp_path, HEADER, GOOD.replace("a,", '"a\nb",', 1), "c" + GOOD[1:-2]))


def test_equal_names_of_other_corpora_are_no_repeats(tmp_path):
    assert len(read_predictions(written(tmp_path, HEADER, GOOD, GOOD.replace("made", "other")))) == 2


def test_rows_that_say_the_same_count_once(tmp_path):
    answers = read_answers(written(tmp_path, *many_lines(3)))
    assert once_each(answers) is answers
    again = read_answers(written(tmp_path, *many_lines(3), many_lines(3)[2]))
    assert (again.name.tolist(), again.line.tolist()) == (["clip-0", "clip-1", "clip-2"], [2, 3, 4])
    assert again.notes == [*answers.notes, "Rows that say of a recording what a row before says, counted once: 1."]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"predicted": "sad"}, "answer ('happy' there, 'sad' here)"),
        ({"predicted": ""}, "answer ('happy' there, none here)"),
        ({"emotion": "sad"}, "true label ('happy' there, 'sad' here)"),
        ({"speaker": "ben"}, "speaker ('ann' there, 'ben' here)"),
        ({"p_happy": "0.25", "p_sad": "0.75"}, "probability"),
        ({"adapted": "true"}, "adaptation"),
        ({"predicted_valence": "0.5"}, "predicted affect"),
        ({"valence": "2"}, "rating"),
    ],
)
def test_rows_that_contradict_are_told_with_their_lines(tmp_path, other, told):
    row = {"utterance_id": "a", "speaker": "ann", "emotion": "happy", "predicted": "happy", "p_happy": "0.75"}
    row |= {"p_sad": "0.25", "adapted": "false"}
    row |= {f"{prefix}{name}": "1" for prefix in ("", "predicted_") for name in ("valence", "arousal", "dominance")}
    path = written(tmp_path, *(",".join(cells) for cells in (row, row.values(), {**row, **other}.values())))
    with pytest.raises(CorpusError, match=re.escape(f":3: 'a' is in line 2 already, with another {told}. Keep one.")):
        read_predictions(path)


def test_the_first_wrong_line_is_named(tmp_path):
    lines = many_lines(3)
    lines[2] = lines[2].replace("0.25", "x")
    lines[3] = lines[3].replace("happy", "")
    with pytest.raises(CorpusError, match=":3, column 'p_happy': expected a number, got 'x'"):
        read_predictions(written(tmp_path, *lines))


def test_the_line_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes("\n".join([HEADER, GOOD, "b"]).encode() + b"\xff" + GOOD[1:].encode())
    with pytest.raises(CorpusError, match=r":3: not a readable predictions file \(not UTF-8"):
        read_predictions(path)


def test_long_and_broken_cells_make_a_message_of_one_line(tmp_path):
    path = written(tmp_path, HEADER, GOOD.replace("0.25", '"' + "x\n" * 500 + '"'))
    with pytest.raises(CorpusError) as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_more_labels_than_a_confusion_matrix_can_have_are_refused(tmp_path):
    lines = [f"u{index},e{index},e{index}" for index in range(MOST_LABELS + 1)]
    with pytest.raises(CorpusError, match=f"{MOST_LABELS + 1} different labels; at most {MOST_LABELS}"):
        read_predictions(written(tmp_path, "utterance_id,emotion,predicted", *lines))


def test_a_file_without_truth_says_how_to_give_it(tmp_path):
    answers = read_answers(written(tmp_path, "path,predicted", "x/a.wav,sad"))
    assert answers.name.tolist() == ["x/a.wav"]
    with pytest.raises(CorpusError, match="Say --manifest FILE"):
        Predictions.of(answers)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_and_tabs_part_cells_too_and_then_commas_stand_in_numbers(mark, tmp_path):
    header = "utterance_id,speaker,emotion,predicted,p_happy,p_sad,p_angry,adapted".replace(",", mark)
    rows = [mark.join(["a", "ann", "happy", "sad ", "0,33", "0,33", "0,33", "WAHR"])]
    rows.append(mark.join(["b,c", "ann", " sad", "", "", "", "", "FALSCH"]))
    (tmp_path / "p.csv").write_bytes("\ufeff".encode() + "\r\n".join([f"sep={mark}", header, *rows, ""]).encode())
    predictions = read_predictions(tmp_path / "p.csv")
    assert predictions.classes == ("happy", "sad", "angry")
    assert predictions.utterance_id.tolist() == ["a", "b,c"]
    assert (predictions.emotion.tolist(), predictions.predicted.tolist()) == ([0, 1], [1, -1])
    assert predictions.probabilities[0].tolist() == pytest.approx([1 / 3] * 3)
    assert predictions.adapted.tolist() == [True, False]


def test_commas_are_no_points_where_commas_part_cells(tmp_path):
    with pytest.raises(CorpusError, match="column 'p_happy': expected a number, got '0,25'"):
        read_predictions(written(tmp_path, HEADER, GOOD.replace("0.25", '"0,25"')))


def test_a_column_truth_is_another_name_of_emotion(tmp_path):
    predictions = read_predictions(written(tmp_path, "utterance_id,truth,predicted", "a,sad,happy"))
    assert [predictions.classes[number] for number in predictions.emotion] == ["sad"]
    with pytest.raises(CorpusError, match="both 'emotion' and 'truth' name the true labels"):
        read_predictions(written(tmp_path, "utterance_id,truth,emotion,predicted", "a,sad,sad,happy"))
    with pytest.raises(CorpusError, match=":2, column 'truth': it is empty"):
        read_predictions(written(tmp_path, "utterance_id,truth,predicted", "a,,happy"))
    with pytest.raises(CorpusError, match=r"'emotion' is missing \(the true labels; it may be called 'truth' too"):
        read_predictions(written(tmp_path, "utterance_id,predicted", "a,happy"))


def test_parts_with_and_without_probabilities_are_joined():
    plain = predictions_of([replace(answer("b"), probabilities={})], ["happy", "sad"])
    both = joined([predictions_of([answer("a")], ["happy", "sad"]), plain])
    assert both.probabilities is not None
    np.testing.assert_array_equal(both.probabilities, np.array([[0.25, 0.75], [np.nan, np.nan]], dtype=np.float32))


def test_written_probabilities_have_the_fewest_digits_over_many_rows(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(2), 5000).astype(np.float32)
    rows = [
        replace(answer(f"u{index}"), probabilities={"happy": float(one), "sad": float(other)})
        for index, (one, other) in enumerate(values)
    ]
    write_predictions(predictions_of(rows, ["happy", "sad"]), tmp_path / "p.csv")
    found = [line.split(",")[-2:] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    assert found == [[str(one), str(other)] for one, other in values]


def test_answers_among_fewer_classes_are_those_of_their_clips_with_their_probabilities_renormalised():
    classes = ("neutral", "happy", "disgust")
    rows = [
        PredictionRow("a", "c", "s", "", "f", "happy", "disgust", {"neutral": 0.1, "happy": 0.3, "disgust": 0.6}),
        PredictionRow("b", "c", "s", "", "f", "disgust", "happy", {"neutral": 0.0, "happy": 1.0, "disgust": 0.0}),
        PredictionRow("c", "c", "s", "", "f", "neutral", "disgust", {"neutral": 0.0, "happy": 0.0, "disgust": 1.0}),
        PredictionRow("d", "c", "s", "", "f", "neutral", "", {}),
    ]
    found = of_classes(predictions_of(rows, classes), ("happy", "neutral"))
    assert (found.classes, found.utterance_id.tolist()) == (("happy", "neutral"), ["a", "c", "d"])
    assert (found.emotion.tolist(), found.predicted.tolist()) == ([0, 1, 1], [0, 0, -1])
    assert found.probabilities is not None
    assert found.probabilities[:2].tolist() == [pytest.approx([0.75, 0.25]), [0.5, 0.5]]
    with pytest.raises(CorpusError, match="no probabilities of 'sad'"):
        of_classes(predictions_of(rows, classes), ("happy", "sad"))
    with pytest.raises(CorpusError, match="without probabilities"):
        of_classes(predictions_of(rows[3:], classes), ("happy", "neutral"))


def test_equal_rows_that_may_be_of_two_recordings_are_refused(tmp_path):
    header = "utterance_id,emotion,predicted"
    with pytest.raises(
        CorpusError, match=r":3: '1.wav' is in line 2 already. Keep one, or name each recording by a path"
    ):
        read_predictions(written(tmp_path, header, "1.wav,sad,sad", "1.wav,sad,sad"))
    assert len(read_predictions(written(tmp_path, header, "ann/1.wav,sad,sad", "ann/1.wav,sad,sad"))) == 1
