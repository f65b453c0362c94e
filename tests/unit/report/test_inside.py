"""Attention and embeddings: what is left out, and why; which clips stand for a class; who is whose neighbour."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_results import made_up, write_result, write_run

from earnest.corpora.manifest import Utterance
from earnest.installation import install_command
from earnest.report import build
from earnest.report.build import inside_sections, laid_out, nearest_neighbours, surest_of_each_class
from earnest.report.clips import Recordings
from earnest.report.result import Result, read_result


@pytest.fixture
def result(tmp_path: Path) -> Result:
    folder = write_result(tmp_path / "made")
    write_run(folder / "f1")
    return read_result(folder)


@pytest.fixture
def recordings(result: Result) -> Recordings:
    names = list(result.predictions.utterance_id)
    return Recordings({("made-up", name): Utterance(name, Path("gone.wav"), corpus="made-up") for name in names})


def reason(result: Result, recordings: Recordings) -> str:
    (section,) = inside_sections(result, recordings)
    assert not section.pictures
    return section.missing


def test_without_a_training_nothing_is_inside(result: Result, recordings: Recordings) -> None:
    assert "no trained network" in reason(replace(result, runs=()), recordings)


def test_without_recordings_the_reason_is_theirs(result: Result) -> None:
    assert reason(result, Recordings({}, "Not at hand.")) == "Not at hand."


def test_without_torch_the_extra_is_named(
    result: Result, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    assert install_command("train") in reason(result, recordings)


def test_a_network_that_cant_be_read_is_no_error(result: Result, recordings: Recordings) -> None:
    pytest.importorskip("torch", reason="running a network needs the extra 'train'")
    assert reason(result, recordings).startswith("The network can't be run here: ")


def test_each_class_is_shown_by_the_answer_that_was_surest_and_right() -> None:
    predictions = made_up(sharpness=1.0)
    rows = surest_of_each_class(predictions)
    assert predictions.emotion[rows].tolist() == [0, 1, 2]
    assert predictions.predicted[rows].tolist() == [0, 1, 2]
    assert predictions.probabilities is not None
    for number, row in enumerate(rows):
        right = (predictions.emotion == number) & (predictions.predicted == number)
        assert predictions.probabilities[row, number] == predictions.probabilities[right, number].max()


def test_a_class_without_a_right_answer_is_left_out() -> None:
    predictions = made_up()
    wrong = replace(predictions, predicted=np.where(predictions.emotion == 1, 2, predictions.predicted))
    assert wrong.emotion[surest_of_each_class(wrong)].tolist() == [0, 2]


def test_the_nearest_neighbour_is_another_clip_and_scale_doesnt_matter() -> None:
    embeddings = np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 1000.0], [1.1, 1010.0]])
    assert nearest_neighbours(embeddings).tolist() == [1, 0, 3, 2]
    assert nearest_neighbours(embeddings * [1e6, 1]).tolist() == [1, 0, 3, 2]


def test_the_map_is_seeded_and_keeps_far_groups_apart() -> None:
    pytest.importorskip("sklearn", reason="t-SNE needs the extra 'train'")
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([rng.normal(0, 1, (12, 5)), rng.normal(9, 1, (12, 5))])
    places = laid_out(embeddings, 0)
    assert places.shape == (24, 2)
    assert np.array_equal(places, laid_out(embeddings, 0))
    assert nearest_neighbours(places)[:12].max() < 12


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "lightning", "sklearn", "scipy", "pandas", "librosa", "safetensors"}:
            raise ModuleNotFoundError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
from earnest.apps.cli.main import cli
cli(sys.argv[1:], standalone_mode=False)
"""


def test_a_report_needs_no_training_packages(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "made")
    words = ["report", str(folder), "--examples", "1", "--no-audio"]
    subprocess.run([sys.executable, "-c", BLOCKED, *words], check=True, capture_output=True)
    assert "Confusion" in (folder / "report.html").read_text(encoding="utf-8")
