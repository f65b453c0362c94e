"""Single answers: which are shown, and how they look and sound."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_up_corpus import spoken
from made_up_results import CLASSES, made_up

from earnest.corpora.manifest import Utterance, write_manifest
from earnest.evaluation.predictions import Predictions
from earnest.report.clips import (
    PlayerBudget,
    Recordings,
    drawn,
    examples_section,
    recordings_of,
    surest_mistakes,
    worst_section,
)
from tests.prediction_rows import PredictionRow, predictions_of

NOTHING = Recordings({}, "The recordings are not at hand.")


def answers(*rows: tuple[str, str, float]) -> Predictions:
    """Rows of (true, predicted, probability of the answer) over two classes."""
    made = []
    for number, (true, predicted, p) in enumerate(rows):
        other = {"happy": "sad", "sad": "happy"}.get(predicted, "")
        probabilities = {predicted: p, other: 1 - p} if predicted else {}
        made.append(PredictionRow(f"u{number}", "ravdess", "ann", "", "f1", true, predicted, probabilities))
    return predictions_of(made, ("happy", "sad"))


def test_examples_are_spread_over_classes_and_over_hits_and_misses() -> None:
    predictions = made_up(sharpness=1.0)
    indices = drawn(predictions, 12, np.random.default_rng(0))
    assert len(set(indices.tolist())) == 12
    assert np.bincount(predictions.emotion[indices]).tolist() == [4, 4, 4]
    right = predictions.emotion[indices] == predictions.predicted[indices]
    assert right.sum() == 6
    assert not np.array_equal(indices, drawn(predictions, 12, np.random.default_rng(1)))


def test_where_a_class_has_no_miss_hits_take_their_place() -> None:
    predictions = answers(*[("happy", "happy", 0.9)] * 3, ("sad", "happy", 0.6))
    assert sorted(drawn(predictions, 10, np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]


def test_the_worst_mistakes_are_the_surest_wrong_answers() -> None:
    predictions = answers(
        ("happy", "sad", 0.6), ("happy", "happy", 0.99), ("sad", "happy", 0.9), ("sad", "", 0), ("happy", "sad", 0.7)
    )
    assert surest_mistakes(predictions).tolist() == [2, 4, 0]
    assert surest_mistakes(predictions, 1).tolist() == [2]


def test_without_recordings_answers_are_a_table_with_the_reason() -> None:
    section = worst_section(answers(("happy", "sad", 0.6)), NOTHING, PlayerBudget())
    assert not section.cards
    assert section.missing == "The recordings are not at hand."
    assert section.tables is not None
    assert section.tables["Worst mistakes"].rows == [("u0", "ann", "happy", "sad", "60 %")]


def test_names_that_are_absolute_paths_are_shown_below_their_folder() -> None:
    rows = [PredictionRow(f"/home/anna/calls/{name}.wav", "", "", "", "f1", "sad", "sad", {}) for name in ("a", "b/c")]
    (table,) = examples_section(predictions_of(rows, ("happy", "sad")), NOTHING, None, 5).tables.values()
    assert sorted(row[0] for row in table.rows) == ["a.wav", "b/c.wav"]


def test_no_mistakes_is_said() -> None:
    section = worst_section(answers(("happy", "happy", 0.6)), NOTHING, None)
    assert (list(section.lead), section.missing) == (["No mistakes."], "")


@pytest.fixture
def recorded(tmp_path: Path) -> Recordings:
    rows = {}
    for number in range(2):
        path = tmp_path / f"u{number}.wav"
        soundfile.write(path, spoken("happy", 0, number), 16_000)
        rows["ravdess", f"u{number}"] = Utterance(path.stem, path, corpus="ravdess", emotion="happy")
    return Recordings(rows)


def test_clips_at_hand_are_seen_and_heard_with_their_licence(recorded: Recordings) -> None:
    predictions = answers(("happy", "happy", 0.8), ("happy", "sad", 0.7))
    section = examples_section(predictions, recorded, PlayerBudget(), 5)
    assert [(card.truth, card.predicted, card.right) for card in section.cards] == [
        ("happy", "happy", True),
        ("happy", "sad", False),
    ]
    for card in section.cards:
        assert base64.b64decode(card.image.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
        wave, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(card.audio.removeprefix("data:audio/flac;base64,"))))
        heard = spoken("happy", 0, int(card.utterance_id[1:]))
        assert rate_hz == 16_000
        assert np.abs(wave - heard.astype(np.float64)).max() < 1e-3
    assert "CC-BY-NC-SA-4.0" in section.lead[-1]


def test_no_audio_means_pictures_only(recorded: Recordings) -> None:
    section = examples_section(answers(("happy", "happy", 0.8)), recorded, None, 5)
    assert section.cards[0].image
    assert not section.cards[0].audio
    assert len(section.lead) == 1


@pytest.mark.parametrize(
    ("corpus", "n_samples", "left", "reason"),
    [
        ("iemocap", 16_000, 10**6, "whose licence is research, on request"),
        ("mine", 16_000, 10**6, "whose licence is not known"),
        ("ravdess", 16_001 * 15, 10**7, "more than 15 s"),
        ("ravdess", 16_000, 100, "so that the page stays small"),
    ],
)
def test_what_may_not_be_passed_on_is_not(corpus: str, n_samples: int, left: int, reason: str) -> None:
    budget = PlayerBudget(left)
    row = Utterance("u", Path("u.wav"), corpus=corpus)
    noise = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    assert budget.player(row, noise) == ""
    assert reason in "".join(budget.refused)
    assert budget.left == left


def test_players_use_up_the_budget() -> None:
    budget = PlayerBudget(100_000)
    row = Utterance("u", Path("u.wav"), corpus="emodb")
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    first = budget.player(row, noise)
    assert budget.left == 100_000 - len(first)
    assert [bool(budget.player(row, noise)) for _ in range(3)] == [True, False, False]


def test_a_corpus_that_is_not_at_hand_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    found = recordings_of(["ravdess", "ravdess", "", "mine"], {})
    assert not found.rows
    assert "mine, ravdess" in found.missing
    assert "--data mine=PATH --data ravdess=PATH says where" in found.missing
    assert "the predictions don't name" in found.missing


def test_a_manifest_is_found_by_the_name_that_the_recipe_gives_it(tmp_path: Path) -> None:
    write_manifest([Utterance("u", tmp_path / "u.wav", corpus="recordings")], tmp_path / "mine.csv")
    found = recordings_of(["recordings"], {"mine": tmp_path / "mine.csv"})
    assert (list(found.rows), found.missing) == ([("recordings", "u")], "")


def test_classes_without_any_row_are_no_trouble() -> None:
    predictions = predictions_of([PredictionRow("a", "", "", "", "", "sad", "sad", {})], CLASSES)
    assert drawn(predictions, 5, np.random.default_rng(0)).tolist() == [0]
