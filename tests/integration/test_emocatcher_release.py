"""EmoCatcher's released weights in our network, on its own test utterances."""

import os
from pathlib import Path

import pytest
from command_line import earnest_cli
from csv_tables import rows_of

from earnest.corpora.load import load_utterances
from earnest.errors import EarnestError
from earnest.evaluation.author_protocols import STAMP
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.splitters import emocatcher_order
from earnest.export.bundle import Identity, export_bundle
from earnest.labels import CORE_EMOTIONS
from earnest.report.result import read_result
from earnest.settings.recipe import read_recipe, recipe_file
from earnest.training.run import import_run, load_run
from scripts import emocatcher_release

pytestmark = [pytest.mark.corpora, pytest.mark.long]


@pytest.fixture(scope="module")
def folder() -> Path:
    data = Path(os.environ.get("EARNEST_DATA", "-"))
    if not all((data / name).is_dir() for name in ("emocatcher-release", "ravdess")):
        pytest.skip("EARNEST_DATA holds no emocatcher-release and ravdess")
    return data / "emocatcher-release"


def test_the_order_that_ships_is_that_of_the_release(folder: Path) -> None:
    assert [Path(row["speech_list"]).stem for row in rows_of(folder / "meta.csv")] == emocatcher_order()


def test_their_checkpoint_has_its_published_number_on_its_own_hold_out(folder: Path) -> None:
    (split,) = splits_of("emocatcher-holdout", load_utterances(["ravdess"], {}))
    network = emocatcher_release.released(folder / "best_model_0.8715_0.8655.pth")

    def n_right(rows, answers) -> int:
        truth = [CORE_EMOTIONS.index(row.emotion) for row in rows]
        return emocatcher_release.n_equal(answers(network, emocatcher_release.frames_of(rows)), truth)

    assert len(split.test) == 288
    assert n_right(split.test, emocatcher_release.answers_padded) == 251  # 87.15 %, as published
    # Clips alone: what a caller of ours gets; padding no longer changes an answer.
    assert n_right(split.test, emocatcher_release.answers_alone) == pytest.approx(244, abs=1)
    # A clip by itself, with its batch's zeros behind it: they alone are why the answers differ.
    frames = emocatcher_release.frames_of(split.test)
    padded = emocatcher_release.answers_padded(network, frames)
    assert emocatcher_release.answers_behind_zeros(network, frames) == padded
    # The clips they trained on are known by heart: no other 288 could be the hold-out.
    assert n_right(split.train[:200], emocatcher_release.answers_alone) >= 198


def test_the_imported_run_becomes_a_bundle_whose_card_says_whose_it_is(folder: Path, tmp_path: Path) -> None:
    path, recipe = folder / "best_model_0.8715_0.8655.pth", read_recipe(recipe_file("emocatcher"))
    import_run("emocatcher", path, tmp_path / "run", recipe)
    network, theirs = load_run(tmp_path / "run").network.state_dict(), emocatcher_release.released(path).state_dict()
    assert all(network[key].equal(tensor) for key, tensor in theirs.items())
    info = export_bundle(tmp_path / "run", tmp_path / "bundle", Identity("theirs", "1", "MIT"))
    assert [(line.name, line.licence) for line in info.training_corpora] == [("ravdess", "CC-BY-NC-SA-4.0")]
    card = (tmp_path / "bundle" / "card.md").read_text(encoding="utf-8")
    assert "its authors chose the epoch on test utterances" in card


def test_a_result_of_the_best_epoch_on_test_says_so_and_no_bundle_states_it(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("import", "emocatcher", folder / "best_model_0.8715_0.8655.pth", "-o", run)
    assert f"[{STAMP}]." in earnest_cli(*words, "--protocol", "emocatcher-holdout")
    assert read_result(run).facts.stamp == STAMP
    with pytest.raises(EarnestError, match=rf"metrics\.json: {STAMP}\. A bundle states honest results\."):
        export_bundle(run, tmp_path / "bundle", Identity("theirs", "1", "MIT"), [run])
