"""JSON and CSV rows hold what the prediction holds."""

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest

from earnest.runtime.formats import (
    PredictionRows,
    check_columns,
    csv_header,
    csv_line,
    flat_values,
    from_flat_values,
    from_json_line,
    json_line,
)
from earnest.runtime.prediction import TOLD, Prediction, VocalBurst

FIELDS = (
    "path status duration_s speech_s emotion confidence probabilities polarity gender affect affect_derived intensity "
    "quality adapted adaptation_weight shares vocal_bursts model error"
)
ANSWER = Prediction(
    'odd, "name"\n.wav',
    "ok",
    duration_s=1.25,
    speech_s=1.0,
    emotion="sad",
    confidence=0.7512345678,
    probabilities={"happy": 0.2487654322, "sad": 0.7512345678},
    polarity=-0.5,
    gender={"female": 0.25, "male": 0.75},
    affect={"valence": 0.1, "arousal": 0.2, "dominance": 0.3},
    quality=("clipped", "low-bandwidth"),
    shares={"sad": 0.6666666667, "unsure": 0.3333333333},
    vocal_bursts=(VocalBurst(0.5, 1.25, "laughter", 0.9123456789),),
    model="m",
)
FAILED = Prediction("b.wav", "error", model="m", error="b.wav: empty.")


def test_a_json_line_has_exactly_the_fields_of_the_surface() -> None:
    for prediction in (ANSWER, FAILED):
        line = json_line(prediction)
        assert "\n" not in line
        assert list(json.loads(line)) == FIELDS.split()
    values = json.loads(json_line(ANSWER))
    assert values["path"] == ANSWER.path
    assert values["probabilities"] == {"happy": 0.248765, "sad": 0.751235}
    assert values["quality"] == ["clipped", "low-bandwidth"]
    assert (values["intensity"], values["error"]) == (None, None)
    assert values["shares"] == {"sad": 0.666667, "unsure": 0.333333}
    assert values["vocal_bursts"] == [{"start_s": 0.5, "end_s": 1.25, "kind": "laughter", "confidence": 0.912346}]


def test_a_speaker_is_told_where_one_was_named() -> None:
    named = replace(ANSWER, speaker="anna")
    assert json.loads(json_line(named)) == json.loads(json_line(ANSWER)) | {"speaker": "anna"}
    assert from_json_line(json_line(named)).speaker == "anna"
    assert PredictionRows([ANSWER, named]).columns()["speaker"].values == [None, "anna"]
    assert "speaker" not in PredictionRows([ANSWER]).columns()
    for row in (ANSWER, named):
        values = flat_values(row, ("happy", "sad"), TOLD)
        check_columns(list(values))
        assert from_flat_values(values).speaker == row.speaker
    with pytest.raises(ValueError, match="'speaker' must be text, got 3"):
        from_json_line(json_line(named).replace('"anna"', "3"))


def test_csv_reads_back_with_a_column_a_class() -> None:
    classes = ("happy", "sad")
    text = "\n".join([csv_header(classes), csv_line(ANSWER, classes), csv_line(FAILED, classes)])
    answered, failed = csv.DictReader(StringIO(text, newline=""))
    assert answered["path"] == ANSWER.path
    assert (answered["p_happy"], answered["p_sad"], answered["emotion"]) == ("0.248765", "0.751235", "sad")
    assert (answered["gender_male"], answered["arousal"]) == ("0.75", "0.2")
    assert (answered["quality"], answered["adapted"]) == ("clipped low-bandwidth", "false")
    assert json.loads(answered["shares"]) == {"sad": 0.666667, "unsure": 0.333333}
    assert json.loads(answered["vocal_bursts"])[0]["kind"] == "laughter"
    assert (failed["shares"], failed["vocal_bursts"]) == ("", "")
    assert (failed["status"], failed["emotion"], failed["p_sad"], failed["error"]) == ("error", "", "", "b.wav: empty.")


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction("a.wav", "error", error="a.wav: no such file.", model="m"),
        Prediction("b.wav", "vocal-burst", 2.0, 0.0, vocal_bursts=(VocalBurst(0.5, 1.0, "sigh", 0.75),), model="m"),
        Prediction("c.wav", "mixed", 9.0, 8.0, probabilities={"sad": 0.5, "happy": 0.5}, polarity=0.0,
                   shares={"happy": 0.5, "sad": 0.25, "unsure": 0.25}, model="m"),
        Prediction("d.wav", "ok", 2.0, 1.0, "sad", 0.5, {"sad": 0.5, "happy": 0.5}, 0.0, None,
                   {"valence": 0.25, "arousal": 0.75, "dominance": None}, affect_derived=True, model="m"),
        Prediction("1e5", "no-speech", 2.0, 0.0, quality=("clipped", "noisy"), adapted=True, model="1"),
        Prediction(
            "a,\n\"b\".wav", "ok", 1.5, 1.0, "happy", 0.75, {"sad": 0.25, "happy": 0.75}, 0.5,
            {"female": 0.1, "male": 0.9}, {"valence": 1.0, "arousal": 2.0, "dominance": 3.0}, model="m",
        ),
    ],
)  # fmt: skip
def test_a_row_of_csv_can_be_made_a_prediction_again(prediction: Prediction) -> None:
    text = f"{csv_header(['sad', 'happy'])}\n{csv_line(prediction, ['sad', 'happy'])}\n"
    (row,) = csv.DictReader(StringIO(text, newline=""))
    assert from_flat_values(row) == prediction
    assert from_flat_values(flat_values(prediction, ["sad", "happy"])) == prediction
    assert Prediction.from_dict(json.loads(json_line(prediction))) == prediction
