"""Keys of earlier versions: read, with one warning that names the new one, for this release."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from earnest.bundle import SHIPPED
from earnest.errors import RecipeError
from earnest.models.student import StudentSettings
from earnest.models.whisper import WhisperAttentionSettings, WhisperSettings
from earnest.settings import limits
from earnest.settings.front_end import FrontEnd, Image
from earnest.settings.limits import Validated, from_mapping, to_toml
from earnest.settings.recipe import Finetune, FrameChanges, Training, Tune, read_recipe
from research.distillation import Distillation
from research.finetuning import FineTuning, Pruning

RENAMED: list[tuple[type[Validated], str, str]] = [
    (Training, "voice_prior", "speaker_prior"),
    (WhisperSettings, "steps_a_token", "tokens_per_step"),
    (WhisperSettings, "by_voice", "speaker_dependent"),
    (WhisperAttentionSettings, "steps_a_token", "tokens_per_step"),
    (StudentSettings, "by_voice", "speaker_dependent"),
    (Distillation, "known_voices", "known_speakers_only"),
    (FineTuning, "narrowing", "pruning"),
    (Pruning, "steps_a_token", "tokens_per_step"),
]
VALUES = {"voice_prior": 3.0, "steps_a_token": 2, "by_voice": True, "known_voices": True, "narrowing": {"width": 8}}
NEEDED = {Distillation: {"corpus": ["crema-d"]}, FineTuning: {"corpus": ["crema-d"]}}


@pytest.fixture(autouse=True)
def _nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_TOLD", set())


@pytest.mark.parametrize(("kind", "old", "new"), RENAMED)
def test_an_old_key_means_the_new_one_and_is_told_once(
    kind: type[Validated], old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "earnest")
    values = {**NEEDED.get(kind, {}), old: VALUES[old]}
    found = from_mapping(kind, values, "old.toml")
    from_mapping(kind, values, "old.toml")
    assert found == from_mapping(kind, {**NEEDED.get(kind, {}), new: VALUES[old]}, "new.toml")
    assert found != from_mapping(kind, NEEDED.get(kind, {}), "new.toml")
    said = f"old.toml: '{old}' is now called '{new}'. The next release won't read the old name."
    assert [record.message for record in caplog.records] == [said]


@pytest.mark.parametrize(("kind", "old", "new"), RENAMED)
def test_both_keys_are_one_too_many(kind: type[Validated], old: str, new: str) -> None:
    with pytest.raises(RecipeError, match=f"a.toml: '{old}' and '{new}' are one setting. Keep '{new}'"):
        from_mapping(kind, {old: VALUES[old], new: VALUES[old]}, "a.toml")


def test_a_key_that_was_renamed_names_a_field_that_there_is() -> None:
    for kind, old, new in RENAMED:
        assert kind.renamed[old] == new
        assert new in kind.__dataclass_fields__  # type: ignore[attr-defined]
        assert not kind.renamed.keys() & kind.__dataclass_fields__.keys()  # type: ignore[attr-defined]


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text('corpus = "ravdess"\nmodel = "cabg"\n[training]\nvoice_prior = 3\n', encoding="utf-8")
    command = [sys.executable, "-m", "earnest", "train", str(path), "--data", f"ravdess={tmp_path / 'no'}"]
    done = subprocess.run([*command, "--output", str(tmp_path / "run")], capture_output=True, text=True, check=False)
    said = f"{path}: training: 'voice_prior' is now called 'speaker_prior'. The next release won't read the old name."
    assert done.stderr.splitlines().count(said) == 1
    assert done.stderr.count("voice_prior") == 1


@pytest.mark.parametrize("kind", [FrontEnd, Image, Training, Finetune, FrameChanges, Tune])
def test_a_key_that_is_gone_is_read_where_it_did_nothing(kind: type[Validated]) -> None:
    assert from_mapping(kind, kind.removed, "run") == kind()


def test_a_key_that_is_gone_is_refused_where_it_did_something() -> None:
    with pytest.raises(RecipeError, match=r"run: 'loss' is gone; only 'cross-entropy' is left\. Leave the key out"):
        from_mapping(Training, {"loss": "focal"}, "run")


def test_the_recipe_of_an_older_bundle_can_still_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = json.loads((SHIPPED / "base" / "bundle.json").read_text(encoding="utf-8"))["recipe"]
    values["training"]["voice_prior"] = values["training"].pop("speaker_prior")
    values["network"]["steps_a_token"] = values["network"].pop("tokens_per_step")
    (tmp_path / "recipe.toml").write_text(to_toml(values), encoding="utf-8")
    (tmp_path / "run.json").touch()
    caplog.set_level(logging.WARNING, "earnest")
    recipe = read_recipe(tmp_path)
    assert read_recipe(tmp_path / "recipe.toml") == recipe
    assert not caplog.records  # nobody wrote these keys, so nobody is told to change them
    assert recipe.training.speaker_prior == 10.0
    assert recipe.network["tokens_per_step"] == 4
    assert "steps_a_token" not in recipe.network  # nor in the recipes of run folders that are written now
