"""`earnest stress` over the made-up corpus: the table, its files, and what is refused."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import RATE_HZ, recipe_text

from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.evaluation.predictions import read_predictions
from earnest.evaluation.splits import Split
from earnest.evaluation.stress import CLEAN, StressRow
from earnest.experiments import finished
from earnest.experiments.conditions import FoldClips, NoiseTest
from earnest.experiments.finished import Finished, StressTest, evenly_drawn, stress

N_CLIPS = 6


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noises")
    for seed, name in enumerate(("rain.wav", "sea.wav")):
        soundfile.write(folder / name, np.random.default_rng(seed).normal(0, 0.1, 3 * RATE_HZ), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def evaluated(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "recipe.toml").write_text(recipe_text(epochs=6), encoding="utf-8")
    words = ("--data", f"made-up={made_up}", "--protocol", "speaker-5fold", "--folds", "f1,f2")
    earnest_cli("evaluate", folder / "recipe.toml", *words, "--output", folder / "run", "-q")
    return folder / "run"


@pytest.fixture(scope="module")
def told(evaluated: Path, made_up: Path, noises: Path) -> dict[str, Any]:
    words = ("--noise", noises, "--noise-names", "rain", "--clips", N_CLIPS, "--predictions")
    document = json.loads(earnest_cli("stress", evaluated, "--data", f"made-up={made_up}", *words, "--json"))
    assert isinstance(document, dict)
    return document


def test_the_table_is_in_its_files_and_says_what_was_heard(told: dict[str, Any], evaluated: Path) -> None:
    assert json.loads((evaluated / "metrics-stress.json").read_text()) == told
    assert told["command"].endswith(f"--noise-names rain --clips {N_CLIPS}")
    assert told["title"] == "speaker-5fold, only f1, f2 of 5 folds (speaker-independent)"
    assert (told["n"], told["part"], told["folds"]) == (2 * N_CLIPS, "test", ["f1", "f2"])
    assert told["noise"]["recordings"] == 1
    assert told["noise"]["heard_in_training"] == 0
    assert len(told["rows"]) == 32
    text = (evaluated / "stress.md").read_text(encoding="utf-8")
    assert "12 test utterances, at most 6 a fold; recorded noise: rain, 1 recording, none of them heard" in text
    assert all(row["condition"] in text for row in told["rows"])
    assert (evaluated / "stress.png").read_bytes().startswith(b"\x89PNG")


def test_intervals_over_few_speakers_are_said_to_hold_less_than_they_say(told: dict[str, Any], evaluated: Path) -> None:
    (note,) = told["notes"]
    assert note.startswith("Only 3 speakers: 95 % intervals over few are wide, and yet hold the true value less often")
    assert note in (evaluated / "stress.md").read_text(encoding="utf-8")


def test_each_lines_numbers_are_those_of_its_predictions(told: dict[str, Any], evaluated: Path) -> None:
    plain = {row["utterance_id"]: row for row in rows_of(evaluated / "predictions.csv")}
    by_name = {row["condition"]: row for row in told["rows"]}
    for name, file in {"babble, 0 dB": "babble-0-db", "far in a large room": "far-in-a-large-room"}.items():
        rows = rows_of(evaluated / f"predictions-stress-{file}.csv")
        assert len(rows) == 2 * N_CLIPS
        ua = mean_recall(rows)
        assert by_name[name]["ua"] == pytest.approx(ua)
        clean = mean_recall([plain[row["utterance_id"]] for row in rows])
        assert by_name[CLEAN]["ua"] == pytest.approx(clean)
        assert by_name[name]["change"] == pytest.approx(ua - clean)
        same = [row["predicted"] == plain[row["utterance_id"]]["predicted"] for row in rows]
        assert by_name[name]["unchanged"] == pytest.approx(np.mean(same))


def test_checks_of_clean_clips_are_over_all_of_them(told: dict[str, Any], evaluated: Path) -> None:
    plain = rows_of(evaluated / "predictions.csv")
    assert told["n_checked"] == len(plain) > told["n"]
    checks = {check["name"]: check for check in told["checks"]}
    assert checks["UA"]["value"] == pytest.approx(mean_recall(plain))
    assert "UA of a sex, distance from both" in checks


def test_the_same_again_gives_the_same_and_other_folds_don_t_matter(
    told: dict[str, Any], evaluated: Path, made_up: Path, noises: Path, tmp_path: Path
) -> None:
    finished = Finished.read(evaluated, {"made-up": made_up}, ["f2"])
    found = stress(finished, StressTest(NoiseTest(str(noises), names=("rain",)), n_clips=N_CLIPS), tmp_path, "again")
    assert found.document["folds"] == ["f2"]
    assert not list(tmp_path.glob("predictions*"))
    whole = read_predictions(evaluated / "predictions-stress-white-noise-5-db.csv").of_fold("f2")
    assert len(whole) == N_CLIPS
    again = {row.condition: row for row in found.rows}["white noise, 5 dB"]
    right = [(whole.predicted == whole.emotion)[whole.emotion == one].mean() for one in np.unique(whole.emotion)]
    assert again.ua == pytest.approx(np.mean(right))
    assert StressRow.from_dict(again.to_dict(), "here") == again


def test_validation_clips_are_answered_by_the_model_that_did_not_learn_from_them(
    evaluated: Path, made_up: Path, tmp_path: Path
) -> None:
    words = ("--data", f"made-up={made_up}", "--folds", "f1", "--clips", 4, "--on", "valid", "--output", tmp_path)
    document = json.loads(earnest_cli("stress", evaluated, *words, "--json"))
    assert (document["part"], document["n"], document["noise"]) == ("valid", 4, None)
    assert len(document["rows"]) == 28
    assert document["command"].endswith("--folds f1 --clips 4 --on valid")
    (split,) = Finished.read(evaluated, {"made-up": made_up}, ["f1"]).splits
    clips = FoldClips.validated(evaluated / "f1", split)
    assert {row.key for row in clips.rows} == {row.key for row in split.valid}
    expected = np.stack([clips.probabilities(waveform) for waveform in clips.waveforms])
    assert clips.plain.probabilities is not None
    np.testing.assert_allclose(clips.plain.probabilities, expected, atol=1e-5)


def test_drawn_clips_are_spread_over_speakers_and_classes(evaluated: Path, made_up: Path) -> None:
    (split,) = Finished.read(evaluated, {"made-up": made_up}, ["f1"]).splits
    clips = FoldClips.tested(evaluated / "f1", split)
    cells = {(row.speaker, row.emotion) for row in clips.rows}
    drawn = clips.take(evenly_drawn(clips, len(cells)))
    assert {(row.speaker, row.emotion) for row in drawn.rows} == cells
    assert list(drawn.plain.utterance_id) == [row.utterance_id for row in drawn.rows]
    assert evenly_drawn(clips, 10**6).tolist() == list(range(len(clips.rows)))
    assert set(evenly_drawn(clips, 3)) < set(evenly_drawn(clips, 5))


def test_what_is_no_evaluation_or_not_there_is_refused(evaluated: Path, made_up: Path, tmp_path: Path) -> None:
    data = ("--data", f"made-up={made_up}")
    with pytest.raises(EarnestError, match=r"metrics\.json: no such file"):
        earnest_cli("stress", tmp_path, *data)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(EarnestError, match="has no folds"):
        earnest_cli("stress", tmp_path, *data)
    (tmp_path / "metrics.json").write_text('{"folds": {"f1": {}}}')
    with pytest.raises(EarnestError, match=r"holds no folder of a fold, such as f1\. Give .* of `earnest evaluate`"):
        earnest_cli("stress", tmp_path, *data)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(EarnestError, match="not valid JSON"):
        earnest_cli("stress", tmp_path, *data)
    with pytest.raises(EarnestError, match="has no fold 'f9'"):
        earnest_cli("stress", evaluated, *data, "--folds", "f9")
    with pytest.raises(EarnestError, match="there is no folder"):
        earnest_cli("stress", evaluated, *data, "--noise", "nowhere")
    earnest_cli("stress", evaluated, *data, "--noise-names", "rain", exit_code=click.UsageError.exit_code)
    (tmp_path / "stress.md").write_text("mine")
    with pytest.raises(EarnestError, match=r"stress\.md: already exists"):
        earnest_cli("stress", evaluated, *data, "--output", tmp_path)


def mean_recall(rows: list[dict[str, str]]) -> float:
    classes = {row["emotion"] for row in rows}
    recalls = [np.mean([row["predicted"] == one for row in rows if row["emotion"] == one]) for one in classes]
    return float(np.mean(recalls))


def test_a_clip_that_is_asked_about_is_in_nobodys_babble(monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid = (
        [Utterance(str(number), Path(f"{name}-{number}.wav"), corpus=name, speaker=name) for number in range(2)]
        for name in ("train", "valid")
    )
    split = Split(train, valid, (), "f1", True, "speaker-5fold")
    monkeypatch.setattr(finished, "stress_changes", lambda voices, noise: [str(path) for path in voices])
    assert StressTest().changes(split) == ["valid-0.wav", "valid-1.wav"]
    assert StressTest(part="valid").changes(split) == ["train-0.wav", "train-1.wav"]
