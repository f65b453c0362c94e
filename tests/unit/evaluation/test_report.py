import json
from pathlib import Path

import numpy as np
import pytest

from earnest.errors import EarnestError
from earnest.evaluation.intervals import Spread
from earnest.evaluation.metrics import score
from earnest.evaluation.protocols import PROTOCOLS
from earnest.evaluation.report import PUBLISHED, metrics_document, published_rows, read_history, results_table
from earnest.evaluation.texts import spread_text
from tests.prediction_rows import PredictionRow, predictions_of


@pytest.fixture
def scores():
    answers = [("f1", "happy", "happy"), ("f1", "sad", "sad"), ("f2", "happy", "sad"), ("f2", "sad", "sad")]
    rows = [PredictionRow(f"u{n}", "made", f"s{n}", "", *answer, {}) for n, answer in enumerate(answers)]
    return score(predictions_of(rows, ["happy", "sad"]), np.random.default_rng(0))


def test_an_interval_stands_beside_the_pooled_value_that_it_is_of():
    """Of folds with other sizes the mean over folds may lie outside of it."""
    answers = [("f1", "happy", "happy")] * 2 + [("f2", "sad", "happy" if n % 4 else "sad") for n in range(40)]
    rows = [PredictionRow(f"u{n}", "made", f"s{n}", "", *answer, {}) for n, answer in enumerate(answers)]
    found = score(predictions_of(rows, ["happy", "sad"]), np.random.default_rng(0))
    (row, *_) = results_table({"cabg": found}, "ravdess-6fold")
    interval = found.intervals["wa"]
    assert found.over_folds["wa"].mean > interval.high
    assert row.wa == "62.5 ± 53.0"
    assert row.pooled_wa == f"28.6 ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def test_ours_comes_first_with_mean_and_deviation_and_the_published_ones_below(scores):
    ours, best, last = results_table({"cabg": scores}, "emocatcher-5fold")
    assert (ours.result, ours.wa, ours.answered) == ("cabg", "75.0 ± 35.4", "100.0")
    assert "best epoch on test" in best.result
    assert best.wa == "84.17 ± 2.36"
    assert "last epoch" in last.result
    assert last.wa == "81.88"


def test_published_results_of_folds_that_were_not_scored_are_left_out():
    rows = [PredictionRow(f"u{n}", "made", f"s{n}", "", "to-crema-d", "sad", "sad", {}) for n in range(4)]
    found = score(predictions_of(rows, ["happy", "sad"]), np.random.default_rng(0))
    _, *published = results_table({"cabg": found}, "cross-corpus")
    assert len(published) == 2 and all("[to-crema-d; " in row.result for row in published)
    assert len(published_rows("cross-corpus")) == 8


@pytest.mark.parametrize(
    ("protocol", "words"), [("emocatcher-5fold", "speaker-dependent"), ("ravdess-6fold", "speaker-independent")]
)
def test_every_row_says_whether_speakers_were_apart(protocol, words, scores):
    assert {row.speakers for row in results_table({"cabg": scores}, protocol)} == {words}


def test_ravdess_6fold_stands_beside_emobox_and_the_re_trained_emocatcher():
    by_system = {entry.system: entry.wa for entry in PUBLISHED if entry.protocol == "ravdess-6fold"}
    assert by_system["Whisper-large-v3, frozen"] == 75.9
    assert by_system["WavLM-large, frozen"] == 72.2
    assert by_system["HuBERT-base, frozen"] == 66.2
    assert by_system["wav2vec2-base, frozen"] == 55.4
    assert by_system["EmoCatcher's recipe, re-trained"] == 57.0


def test_every_published_number_has_a_protocol_a_source_and_a_value():
    for entry in PUBLISHED:
        assert entry.protocol in PROTOCOLS
        assert entry.source
        assert entry.wa is not None or entry.ua is not None


def test_emobox_numbers_with_shared_speakers_never_stand_under_a_speaker_independent_title():
    shared = {"emodb-loso", "crema-d-5fold"}  # EmoBox shares the speakers of these corpora between train and test
    assert not [entry for entry in PUBLISHED if entry.protocol in shared and "EmoBox" in entry.source]


def test_metrics_json_says_protocol_kind_and_facts(scores):
    document = json.loads(json.dumps(metrics_document("emocatcher-5fold", scores, {"seed": 3}), allow_nan=False))
    assert document["title"] == "emocatcher-5fold (speaker-dependent)"
    assert (document["speaker_independent"], document["seed"], document["wa"]) == (False, 3, 0.75)


def test_one_fold_is_written_without_deviation():
    assert spread_text(Spread(0.8715, None)) == "87.2"


def test_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,train_loss,valid_loss,seconds\n1,0.5,,0.25\n", encoding="utf-8")
    assert read_history(path) == [{"epoch": 1.0, "train_loss": 0.5, "seconds": 0.25}]
    path.write_text("epoch\nfirst\n", encoding="utf-8")
    with pytest.raises(EarnestError, match=r"history\.csv: not a history"):
        read_history(path)
