"""What `earnest predict -o` writes is scored: against a folder's labels, own words among them, or a column `truth`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import write_iemocap
from stand_in import stand_in_model, write_bundle

from earnest.corpora.load import load_utterances
from earnest.errors import CorpusError
from earnest.evaluation.metrics import concordance, rmse
from earnest.testing.sounds import voice
from scripts.graph_heads import add_affect


def predicted(folder: Path, labels: tuple[str, str], *more: str) -> Path:
    """Write a folder for each class, answer it by a stand-in that knows these classes; return the table."""
    for number, label in enumerate(labels):
        (folder / "clips" / label).mkdir(parents=True)
        for take in range(4):
            sound = voice(0.4, level=0.05 + 0.2 * number, seed=10 * number + take)
            soundfile.write(folder / "clips" / label / f"{take}.wav", sound, 16_000)
    bundle = write_bundle(folder / "bundle", stand_in_model(labels), classes=labels)
    earnest_cli("predict", folder / "clips", "-o", folder / "rows.csv", "--model", bundle, "-q", *more)
    earnest_cli("corpus", "manifest", folder / "clips", "-o", folder / "truth.csv", "-q")
    return folder / "rows.csv"


@pytest.mark.parametrize("labels", [("sad", "angry"), ("müde", "wide awake")])
def test_a_table_of_predict_is_scored_against_the_folders_of_its_recordings(tmp_path: Path, labels) -> None:
    rows = predicted(tmp_path, labels)
    said = json.loads(earnest_cli("score", rows, "--manifest", tmp_path / "truth.csv", "--json"))
    answers = rows_of(rows)
    right = sum(Path(row["path"]).parent.name == row["emotion"] for row in answers)
    assert said["n"] == len(answers) == 8
    assert said["wa"] == pytest.approx(right / 8)
    assert set(said["per_class"]) == set(labels)
    assert said["calibration"]["n"] == 8


def test_a_column_truth_is_enough_and_unsure_rows_count_as_wrong(tmp_path: Path) -> None:
    rows = predicted(tmp_path, ("sad", "angry"), "--abstain-below", "1")
    with pytest.raises(CorpusError, match="earnest corpus manifest"):
        earnest_cli("score", rows)
    answers = rows_of(rows)
    with rows.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*answers[0], "truth"])
        writer.writeheader()
        writer.writerows(row | {"truth": Path(row["path"]).parent.name} for row in answers)
    said = json.loads(earnest_cli("score", rows, "--json"))
    assert said["coverage"] == sum(bool(row["emotion"]) for row in answers) / 8
    assert said["wa"] <= said["coverage"]


@pytest.mark.parametrize("is_derived", [True, False])
def test_answers_of_affect_are_scored_by_a_corpus_ratings_and_derived_ones_are_called_so(
    tmp_path: Path, is_derived: bool
) -> None:
    tree = write_iemocap(tmp_path / "iemocap", n_takes=1)
    graph = stand_in_model(extra_outputs=not is_derived)
    if is_derived:
        add_affect(graph, np.array([[0, 4], [1, 0], [0, 0]], np.float32), np.array([0.25, 0.125], np.float32))
    bundle, rows = write_bundle(tmp_path / "bundle", graph), tmp_path / "rows.csv"
    earnest_cli("predict", tree, "-o", rows, "--model", bundle, "-q")
    words = ("score", rows, "--data", f"iemocap={tree}")
    said = json.loads(earnest_cli(*words, "--json"))["affect"]
    answers = {Path(row["path"]).stem: row for row in rows_of(rows)}
    clips = load_utterances(["iemocap"], {"iemocap": tree})
    for name in ("valence", "arousal"):
        told = np.array([float(answers[clip.utterance_id][name] or "nan") for clip in clips])
        ratings = np.array([getattr(clip, name) for clip in clips])
        assert said[name]["n"] == np.sum(~np.isnan(told)) > 30
        assert said[name]["rmse"] == pytest.approx(rmse(1 + 4 * told, ratings), rel=1e-4)
        assert said[name]["ccc"] == pytest.approx(concordance(1 + 4 * told, ratings), rel=1e-4)
    assert ("dominance" in said) != is_derived
    assert ("Affect is derived from emotions" in earnest_cli(*words)) == is_derived
