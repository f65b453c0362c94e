"""Tuning a made-up recipe: inside training data only, resumed to the same end, written as a recipe that trains."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import recipe_text

from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import CorpusError, EarnestError, RecipeError
from earnest.evaluation.protocols import splits_of
from earnest.experiments import task as shared_clips
from earnest.experiments import tune as tuning
from earnest.models.classifier import MODELS
from earnest.settings.recipe import read_recipe
from earnest.training import learn, loop
from earnest.training.loop import Health

PROTOCOL = "speaker-5fold"
TABLE = """
[tune]
trials = {trials}
seed = 3
[tune.ranges]
training.learning_rate = {{ low = 1e-4, high = 2e-2, log = true }}
network.width = {{ low = 8, high = 32, step = 8 }}
[tune.choices]
"training.class_weights" = ["none", "balanced"]
"""


def tune(manifest: Path, output: Path, *words: Any, trials: int = 3, text: str | None = None) -> dict[str, Any]:
    recipe = output.parent / "recipe.toml"
    recipe.write_text(text or recipe_text(epochs=2) + TABLE.format(trials=trials), encoding="utf-8")
    data = ("--data", f"made-up={manifest}", "--protocol", PROTOCOL, "--output", output)
    document = json.loads(earnest_cli("tune", recipe, *data, "--json", *words))
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def tuned(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("tuned") / "out"
    return output, tune(made_up, output)


def test_the_best_trial_is_a_recipe_that_trains(
    tuned: tuple[Path, dict[str, Any]], made_up: Path, tmp_path: Path
) -> None:
    output, document = tuned
    best = document["best"]
    assert best["value"] == max(trial["value"] for trial in document["trials"])
    recipe = read_recipe(output / "best.toml")
    assert recipe.training.learning_rate == best["settings"]["training.learning_rate"]
    assert recipe.network["width"] == best["settings"]["network.width"]
    words = ("--data", f"made-up={made_up}", "--protocol", PROTOCOL, "--output", tmp_path / "run")
    earnest_cli("train", output / "best.toml", *words)
    trained = json.loads((tmp_path / "run" / "run.json").read_text())
    assert trained["n_valid"] == document["n_valid"]
    reached = {row["epoch"]: float(row["valid_ua"]) for row in rows_of(tmp_path / "run" / "history.csv")}
    assert reached[str(trained["best_epoch"])] == pytest.approx(best["value"])


def test_the_first_trial_is_the_recipe_as_it_is_and_all_stay_within_their_ranges(
    tuned: tuple[Path, dict[str, Any]],
) -> None:
    first, *others = (trial["settings"] for trial in tuned[1]["trials"])
    assert first == {"training.learning_rate": 4e-3, "network.width": 32, "training.class_weights": "none"}
    assert len({other["training.learning_rate"] for other in others}) == len(others)
    for other in others:
        assert 1e-4 <= other["training.learning_rate"] <= 2e-2
        assert other["network.width"] in (8, 16, 24, 32)
        assert other["training.class_weights"] in ("none", "balanced")


def test_the_table_of_trials_says_what_json_says(tuned: tuple[Path, dict[str, Any]]) -> None:
    rows = rows_of(tuned[0] / "trials.csv")
    assert [float(row["valid_ua"]) for row in rows] == [trial["value"] for trial in tuned[1]["trials"]]
    assert {row["state"] for row in rows} == {"complete"}


@pytest.mark.parametrize(("which", "works"), [("test", True), ("valid", False)])
def test_test_clips_are_not_even_opened(made_up: Path, tmp_path: Path, which: str, works: bool) -> None:
    rows = read_manifest(made_up)
    gone = {row.key for row in getattr(splits_of(PROTOCOL, rows)[0], which)}
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    write_manifest([replace(row, path=broken) if row.key in gone else row for row in rows], tmp_path / "manifest.csv")
    if works:
        assert tune(tmp_path / "manifest.csv", tmp_path / "out", trials=1)["best"]["value"] > 0
    else:
        with pytest.raises(CorpusError, match=r"broken\.wav"):
            tune(tmp_path / "manifest.csv", tmp_path / "out", trials=1)


class Killed(Exception):  # noqa: N818
    """Stands for a kill in the middle of a step."""


def killed_at(call: int, step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that is interrupted when it is called for that time, and once only."""
    count = 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            raise Killed
        return step(*arguments, **named)

    return deadly


@pytest.mark.parametrize(("module", "step"), [(loop, "fit"), (learn, "predict_outputs"), (tuning, "_told")])
def test_a_killed_search_ends_like_one_that_was_not(
    tuned: tuple[Path, dict[str, Any]],
    made_up: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    step: str,
) -> None:
    monkeypatch.setattr(module, step, killed_at(2, getattr(module, step)))
    with pytest.raises(Killed):
        tune(made_up, tmp_path / "out")
    assert tune(made_up, tmp_path / "out")["trials"] == tuned[1]["trials"]
    for name in ("trials.csv", "best.toml"):
        assert (tmp_path / "out" / name).read_bytes() == (tuned[0] / name).read_bytes()


def test_a_search_killed_while_it_notes_what_was_drawn_draws_the_same_again(
    tuned: tuple[Path, dict[str, Any]], made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna.trial import Trial

    for call in (2, 5):  # of the first and of the second trial one of three settings was noted
        monkeypatch.setattr(Trial, "_suggest", killed_at(call, Trial._suggest))
        with pytest.raises(Killed):
            tune(made_up, tmp_path / "out")
        monkeypatch.undo()
    assert tune(made_up, tmp_path / "out")["trials"] == tuned[1]["trials"]


def test_a_training_killed_between_epochs_goes_on_where_it_was(
    tuned: tuple[Path, dict[str, Any]], made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_now = tuning._Watch.ends_now
    monkeypatch.setattr(tuning._Watch, "ends_now", killed_at(4, ends_now))  # two epochs, one at the end, one more
    with pytest.raises(Killed):
        tune(made_up, tmp_path / "out")
    first_epoch = (tmp_path / "out/trials/002/history.csv").read_text()
    assert len(first_epoch.splitlines()) == 2
    assert tune(made_up, tmp_path / "out")["trials"] == tuned[1]["trials"]
    assert (tmp_path / "out/trials/002/history.csv").read_text().startswith(first_epoch)


def test_more_trials_go_on_from_those_there_are(
    tuned: tuple[Path, dict[str, Any]], made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune(made_up, tmp_path / "out", "--trials", 1)["trials"] == tuned[1]["trials"][:1]
    assert "trials" not in json.loads((tmp_path / "out/tune.json").read_text())  # it may go on
    assert tune(made_up, tmp_path / "out")["trials"] == tuned[1]["trials"]
    monkeypatch.setattr(shared_clips, "examples_of", None)  # a finished search decodes nothing
    assert tune(made_up, tmp_path / "out")["trials"] == tuned[1]["trials"]


def test_another_search_in_the_same_folder_is_refused(tuned: tuple[Path, dict[str, Any]], made_up: Path) -> None:
    with pytest.raises(RecipeError, match="another recipe"):
        tune(made_up, tuned[0], text=recipe_text(epochs=3) + TABLE.format(trials=3))
    with pytest.raises(RecipeError, match=r"another \[tune\] table"):
        tune(made_up, tuned[0], text=recipe_text(epochs=2) + TABLE.format(trials=3).replace("2e-2", "1e-2"))
    with pytest.raises(RecipeError, match="another split"):
        tune(made_up, tuned[0], "--fold", "f2")


@pytest.mark.parametrize("reason", [CorpusError("broken.wav: not audio"), RecipeError("The loss is not finite.")])
def test_after_a_search_that_learnt_nothing_the_corrected_one_takes_its_folder(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: EarnestError
) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise reason

    monkeypatch.setattr(loop, "fit", fail)
    with pytest.raises(EarnestError):
        tune(made_up, tmp_path / "out", text=recipe_text(epochs=9) + TABLE.format(trials=2))
    monkeypatch.undo()
    corrected = recipe_text(epochs=1) + TABLE.format(trials=1).replace("2e-2", "1e-2")
    assert [trial["state"] for trial in tune(made_up, tmp_path / "out", text=corrected)["trials"]] == ["complete"]


FRONT_END = """
[tune]
trials = 12
[tune.choices]
front_end.fmin_hz = [0.0, 3000.0]
front_end.fmax_hz = [2000.0, 8000.0]
"""


def test_settings_that_do_not_go_together_are_a_row_with_the_reason(made_up: Path, tmp_path: Path) -> None:
    tune(made_up, tmp_path / "out", text=recipe_text(extra='method = "discriminant"') + FRONT_END)
    rows = rows_of(tmp_path / "out" / "trials.csv")
    strange = [(row["front_end.fmin_hz"], row["front_end.fmax_hz"]) == ("3000.0", "2000.0") for row in rows]
    assert any(strange)
    assert [row["state"] for row in rows] == ["failed" if wrong else "complete" for wrong in strange]
    assert all("fmin_hz must be from 0 to below 2000" in row["error"] for row in rows if row["state"] == "failed")


def test_a_search_without_any_result_says_so(made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit_nothing(*arguments: Any, **named: Any) -> None:
        raise RecipeError("The loss is not finite.")

    monkeypatch.setattr(loop, "fit", fit_nothing)
    with pytest.raises(EarnestError, match=r"none of 3 trials finished; trials\.csv says why"):
        tune(made_up, tmp_path / "out")
    assert [(row["state"], row["error"]) for row in rows_of(tmp_path / "out" / "trials.csv")] == [
        ("failed", "The loss is not finite.")
    ] * 3


AUGMENT = '[[augment]]\nname = "gaussian-noise"\ndeviation = [2.0, 3.0]\n'


@pytest.mark.parametrize("copies", [0, 2])
def test_the_discriminant_is_tuned_and_a_frozen_network_hears_each_clip_and_each_copy_once(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: int
) -> None:
    heard: list[int] = []
    fit_discriminant = learn.fit_discriminant

    def watched(network: Any, train: Any, shrinkage: float, n_classes: int, known: Any, *more: Any) -> None:
        heard.append(len(known))
        fit_discriminant(network, train, shrinkage, n_classes, known, *more)

    monkeypatch.setattr(learn, "fit_discriminant", watched)
    augmented = f"augmented_copies = {copies}\n{AUGMENT}" if copies else ""
    text = recipe_text(extra=f'method = "discriminant"\n{augmented}') + (
        "[tune]\ntrials = 3\n[tune.ranges]\ntraining.shrinkage = { low = 0.05, high = 0.95 }\n"
    )
    document = tune(made_up, tmp_path / "out", text=text)
    assert len({trial["settings"]["training.shrinkage"] for trial in document["trials"]}) == 3
    n_train, n_valid = document["n_train"], document["n_valid"]
    assert heard == [copies * n_train, *[(1 + copies) * n_train + n_valid] * 2]
    assert read_recipe(tmp_path / "out" / "best.toml").training.method == "discriminant"


def test_what_was_drawn_before_is_not_trained_again(made_up: Path, tmp_path: Path) -> None:
    text = recipe_text(extra='method = "discriminant"') + (
        "[tune]\ntrials = 4\n[tune.choices]\ntraining.shrinkage = [0.2, 0.6]\n"
    )
    document = tune(made_up, tmp_path / "out", text=text)
    values = {trial["settings"]["training.shrinkage"]: trial["value"] for trial in document["trials"]}
    assert len(document["trials"]) == 4 and len(values) == 2
    assert all(trial["value"] == values[trial["settings"]["training.shrinkage"]] for trial in document["trials"])
    assert len(list((tmp_path / "out" / "trials").iterdir())) == 2


def test_each_of_few_values_is_tried_before_one_is_drawn_again(made_up: Path, tmp_path: Path) -> None:
    text = recipe_text(extra='method = "discriminant"') + (
        "[tune]\ntrials = 5\n[tune.ranges]\ntraining.shrinkage = { low = 0.1, high = 0.9, step = 0.2 }\n"
    )
    document = tune(made_up, tmp_path / "out", text=text)
    tried = sorted(trial["settings"]["training.shrinkage"] for trial in document["trials"])
    assert tried == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


def test_what_to_type_next_tests_on_the_recordings_that_the_search_left_out(made_up: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(extra='method = "discriminant"') + FRONT_END.replace("12", "1"), encoding="utf-8")
    words = ("--data", f"made-up={made_up}", "--protocol", PROTOCOL, "--fold", "f2", "--output", tmp_path / "out")
    said = earnest_cli("tune", recipe, *words)
    assert "OMP_NUM_THREADS=1 before it repeats the trial" in said
    typed = shlex.split(said.rpartition("Next: earnest ")[2])
    earnest_cli(*typed)
    (output,) = tmp_path.glob("out-*")
    run, left_out = (json.loads((folder / "split.json").read_text()) for folder in (output, tmp_path / "out"))
    assert run["fold"] == "f2"
    assert not set(run["test"]) & {*left_out["train"], *left_out["valid"]}


def test_a_training_worse_than_half_of_the_others_is_ended_early(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[bool]] = []

    @dataclass
    class Keeper:
        history: list[dict[str, float]]
        best_epoch: int = 3
        stop_reason: str = "epochs"
        health: Health = field(default_factory=lambda: Health(3, 4, 1.0))

    def fit(*arguments: Any, ends_now: Callable[[list[dict[str, float]]], bool], **named: Any) -> Keeper:
        good = len(asked) != 5
        history = [{"epoch": epoch, "valid_ua": (0.5 if good else 0.1) + epoch / 100} for epoch in (1, 2, 3)]
        asked.append([ends_now(history[:n_done]) for n_done in (1, 2, 3)])
        return Keeper(history)

    monkeypatch.setattr(loop, "fit", fit)
    text = recipe_text(epochs=3) + TABLE.format(trials=7).replace('"none"\n', '"median"\n', 1)
    document = tune(made_up, tmp_path / "out", text=text)
    states = [trial["state"] for trial in document["trials"]]
    assert states == [*["complete"] * 5, "pruned", "complete"]
    assert document["trials"][5]["value"] is None
    assert asked[5] == [True] * 3
    assert asked[6] == [False] * 3


def test_the_table_on_screen_ranks_the_trials(tuned: tuple[Path, dict[str, Any]], made_up: Path) -> None:
    data = ("--data", f"made-up={made_up}", "--protocol", PROTOCOL, "--output", tuned[0])
    shown = earnest_cli("tune", tuned[0].parent / "recipe.toml", *data, "-q").splitlines()
    assert "per cent on 12 validation utterances" in " ".join(shown[:2])
    assert "speaker-5fold f1" in shown[0]
    values = [float(line.split()[1]) for line in shown if line.split()[0].isdigit()]
    assert values == sorted(values, reverse=True)
    assert len(values) == 3


def first_epochs(made_up: Path, folder: Path, text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the first epoch of the one trial of a recipe, and of the training of its best.toml."""
    table = '[tune]\ntrials = 1\n[tune.choices]\n"training.learning_rate" = [4e-3, 1e-3]\n'
    tune(made_up, folder / "tuned", trials=1, text=text + table)
    data = ("--data", f"made-up={made_up}", "--protocol", PROTOCOL)
    earnest_cli("train", folder / "tuned" / "best.toml", *data, "--output", folder / "run")
    return rows_of(folder / "tuned/trials/001/history.csv")[0], rows_of(folder / "run/history.csv")[0]


def test_a_trial_trains_as_train_does_with_an_image_that_learns_its_ranges(made_up: Path, tmp_path: Path) -> None:
    network = "".join(f"{name} = {json.dumps(value)}\n" for name, value in MODELS.get("moody-resnet18").reduced.items())
    image = '[image]\nchannels = 3\nscaling = "per-bin"\nnormalise = "statistics"\nwidth = 40\nheight = 40\n'
    text = recipe_text(epochs=1).replace('"cabg"', '"moody-resnet18"')
    text = text.replace("[network]\nwidth = 32\n", f"[network]\n{network}{image}")
    trial, trained = first_epochs(made_up, tmp_path, text)
    assert float(trial["valid_loss"]) == pytest.approx(float(trained["valid_loss"]), rel=1e-4)


def test_a_trial_hears_its_clips_augmented_as_train_does(made_up: Path, tmp_path: Path) -> None:
    trial, trained = first_epochs(made_up, tmp_path, recipe_text(epochs=1, extra="stability_weight = 1.0\n" + AUGMENT))
    for name in ("train_loss", "valid_loss"):
        assert float(trial[name]) == pytest.approx(float(trained[name]), rel=1e-4)


def test_trials_hear_the_other_corpora_of_a_fine_tuning(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []

    def asked(space: tuning.SearchSpace, split: Any, output: Path, clips: Any, on_trial: Any = str) -> Any:
        heard.extend(clips.auxiliary)
        raise EarnestError("enough")

    monkeypatch.setattr(tuning, "tune_split", asked)
    monkeypatch.setattr(tuning, "auxiliary_utterances", lambda recipe, folders: ["one"])
    with pytest.raises(EarnestError, match="enough"):
        tune(made_up, tmp_path / "out")
    assert heard == ["one"]
