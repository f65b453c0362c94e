import re
from pathlib import Path

import numpy as np
import pytest

from earnest.errors import CorpusError
from earnest.evaluation.predictions import (
    PredictionRow,
    Predictions,
    joined,
    read_predictions,
    to_rows,
    write_predictions,
)

HEADER = "utterance_id,corpus,speaker,gender,fold,emotion,predicted,p_happy,p_sad"
GOOD = "a,made,ann,female,f1,happy,sad,0.25,0.75"


def answer(name: str, emotion: str = "happy", predicted: str = "sad", fold: str = "f1") -> PredictionRow:
    return PredictionRow(name, "made", "ann", "female", fold, emotion, predicted, {"happy": 0.25, "sad": 0.75})


def written(folder: Path, *lines: str) -> Path:
    path = folder / "predictions.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_columns_are_the_agreed_ones(tmp_path):
    write_predictions(Predictions.from_rows([answer("a")], ["happy", "sad"]), tmp_path / "p.csv")
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
    assert predictions.speaker == ("", "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["utterance_id,emotion,predictd", "a,sad,sad"], ":1: unknown column 'predictd'. Did you mean 'predicted'?"),
        (["utterance_id,emotion", "a,sad"], ":1: the column 'predicted' is missing"),
        (["utterance_id,emotion,predicted,emotion", "a,sad,sad,sad"], ":1: the column 'emotion' is there twice"),
        ([HEADER], "holds no predictions"),
        ([HEADER, "a,made"], ":2: 2 cells, but the header has 9"),
        ([HEADER, GOOD, GOOD], ":3: 'a' is in line 2 already"),
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


def test_files_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00RIFF")
    for path in (tmp_path / "p.csv", tmp_path / "absent.csv", tmp_path):
        with pytest.raises(CorpusError, match="not a readable predictions file"):
            read_predictions(path)


def test_an_utterance_may_be_tested_in_several_folds(tmp_path):
    assert len(read_predictions(written(tmp_path, HEADER, GOOD, GOOD.replace("f1", "f2")))) == 2


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(CorpusError, match="a: 'calm' is not one of the classes happy, sad"):
        Predictions.from_rows([answer("a", emotion="calm")], ["happy", "sad"])


def test_probabilities_of_other_classes_are_refused():
    with pytest.raises(CorpusError, match="a: the probabilities must be of happy, sad, calm"):
        Predictions.from_rows([answer("a")], ["happy", "sad", "calm"])


def test_folds_taken_apart_and_joined_are_the_whole():
    whole = Predictions.from_rows([answer("a"), answer("b", fold="f2"), answer("c", predicted="")], ["happy", "sad"])
    assert whole.folds == ["f1", "f2"]
    again = joined([whole.of_fold("f1"), whole.of_fold("f2")])
    assert sorted(map(repr, to_rows(again))) == sorted(map(repr, to_rows(whole)))


def test_predictions_of_different_classes_are_not_joined():
    other = Predictions.from_rows([answer("b")], ["sad", "happy"])
    with pytest.raises(CorpusError, match="different classes"):
        joined([Predictions.from_rows([answer("a")], ["happy", "sad"]), other])
