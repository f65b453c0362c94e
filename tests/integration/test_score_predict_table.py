"""What `earnest predict -o` writes is scored: against a folder's labels, own words among them, or a column `truth`."""

import csv
import json
from pathlib import Path

import pytest
import soundfile
from command_line import earnest_cli
from stand_in import stand_in_model, write_bundle

from earnest.errors import CorpusError
from earnest.testing.sounds import voice


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
    with rows.open(encoding="utf-8", newline="") as file:
        answers = list(csv.DictReader(file))
    right = sum(Path(row["path"]).parent.name == row["emotion"] for row in answers)
    assert said["n"] == len(answers) == 8
    assert said["wa"] == pytest.approx(right / 8)
    assert set(said["per_class"]) == set(labels)
    assert said["calibration"]["n"] == 8


def test_a_column_truth_is_enough_and_unsure_rows_count_as_wrong(tmp_path: Path) -> None:
    rows = predicted(tmp_path, ("sad", "angry"), "--abstain-below", "1")
    with pytest.raises(CorpusError, match="earnest corpus manifest"):
        earnest_cli("score", rows)
    with rows.open(encoding="utf-8", newline="") as file:
        answers = list(csv.DictReader(file))
    with rows.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*answers[0], "truth"])
        writer.writeheader()
        writer.writerows(row | {"truth": Path(row["path"]).parent.name} for row in answers)
    said = json.loads(earnest_cli("score", rows, "--json"))
    assert said["coverage"] == sum(bool(row["emotion"]) for row in answers) / 8
    assert said["wa"] <= said["coverage"]
