from pathlib import Path

import numpy as np
import pytest
from command_line import earnest_cli
from made_up_results import HISTORY, made_up, write_result, write_run

from earnest.errors import EarnestError
from earnest.evaluation.author_protocols import STAMP
from earnest.evaluation.metrics import score
from earnest.report.result import read_result, read_results


def test_a_folder_tells_its_scores_and_facts(tmp_path: Path) -> None:
    result = read_result(write_result(tmp_path / "made", part="only f1 of 5 folds"))
    assert result.scores == score(made_up(), np.random.default_rng(0))
    assert (result.name, result.facts.protocol, result.facts.speakers) == (
        "made",
        "speaker-5fold",
        "speaker-independent",
    )
    assert result.facts.part == "only f1 of 5 folds"
    assert result.facts.stamp == ""
    assert len(result.facts.leakage) == 3


def test_a_result_chosen_on_test_is_stamped(tmp_path: Path) -> None:
    assert read_result(write_result(tmp_path / "made", selected_on="test")).facts.stamp == STAMP


def test_predictions_in_a_run_are_told_as_the_run_is(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "made", speaker_independent=False, selected_on="test", part="only f1 of 5 folds")
    facts = read_result(folder / "predictions.csv").facts
    assert (facts.stamp, facts.speakers, facts.part) == (STAMP, "speaker-dependent", "only f1 of 5 folds")
    assert facts == read_result(folder).facts


def test_a_predictions_file_alone_knows_no_protocol(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "made", selected_on="test")
    result = read_result((folder / "predictions.csv").rename(tmp_path / "predictions.csv"))
    assert (result.name, result.facts.protocol, result.facts.speakers) == ("predictions", "", "speakers unknown")
    assert result.runs == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("path,status,duration_s,emotion\na.wav,ok,1.0,sad\n", "answers of `earnest predict`"),
        ('{"path": "a.wav", "status": "ok", "emotion": "sad", "truth": "sad"}\n', "answers of `earnest predict`"),
        ("path,start_s,end_s,emotion,confidence,truth\n", "spans of `earnest timeline`"),
        ('{"file": "a.wav", "label": "sad", "score": 1}\n', "JSON"),
        ("file,emotion\na.wav,sad\n", "a table of nkululeko's form"),
    ],
)
def test_answers_without_the_truth_say_what_to_give_instead(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "answers"
    file.write_text(text)
    with pytest.raises(EarnestError, match=f"{what}, no predictions file.*utterance_id, emotion .* and predicted"):
        read_result(file)


def test_trainings_are_found_in_folders_of_folds_and_in_the_folder_itself(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "made")
    write_run(folder / "f2", "f2", HISTORY)
    (run,) = read_result(folder).runs
    assert (run.name, run.record.best_epoch, run.history[1]["valid_ua"]) == ("f2", 2, 0.625)
    write_run(folder, "f1")
    assert [run.folder for run in read_result(folder).runs] == [folder]


def test_folders_of_one_name_get_the_name_of_the_folder_above(tmp_path: Path) -> None:
    first, second, third = (write_result(tmp_path / name) for name in ("a/base", "b/base", "c"))
    assert [result.name for result in read_results([first, second, third])] == ["a/base", "b/base", "c"]


def test_one_folder_given_twice_is_refused(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "made")
    with pytest.raises(EarnestError, match="given twice"):
        read_results([folder, folder])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", "not valid JSON"),
        ("metrics.json", "[" * 100_000, "not valid JSON"),
        ("metrics.json", "[1]", "expected one JSON object"),
        ("metrics-noise.json", '{"n": 3, "levels": 7}', "not from `earnest evaluate --noise`"),
        ("metrics-noise.json", '{"n": 3, "levels": [{"snr_db": 3}]}', "not from `earnest evaluate --noise`"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    folder = write_result(tmp_path / "made")
    (folder / name).write_text(text)
    with pytest.raises(EarnestError, match=message) as caught:
        read_result(folder)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["epoch,valid_ua\n1,high\n", "valid_ua\n0.5\n", "epoch,valid_ua\n1,nan\n", "epoch,valid_ua\n1,0.5,0.7\n"],
)
def test_a_damaged_history_is_named(tmp_path: Path, text: str) -> None:
    folder = write_result(tmp_path / "made")
    write_run(folder / "f1", "f1", text)
    with pytest.raises(EarnestError, match=r"history\.csv: not a history"):
        read_result(folder)


def test_facts_of_strange_types_are_no_facts(tmp_path: Path) -> None:
    facts = read_result(
        write_result(tmp_path / "made", speaker_independent="yes", leakage={"a": 1}, protocol=None)
    ).facts
    assert (facts.speaker_independent, facts.leakage, facts.protocol) == (None, (), "")


@pytest.mark.parametrize("made", [True, False])
def test_what_is_no_result_is_told_in_one_sentence(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    with pytest.raises(EarnestError, match=str(folder)):
        earnest_cli("report", folder)
