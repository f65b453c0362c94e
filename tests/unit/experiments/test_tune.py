"""What may be tuned: wrong keys, ranges and choices are errors that help."""

from pathlib import Path
from typing import Any

import pytest
from made_up_corpus import recipe_text

from earnest.errors import RecipeError
from earnest.experiments import tune as tuning
from earnest.experiments.tune import SearchSpace
from earnest.settings.recipe import Range, Recipe, Tune, read_recipe, read_recipe_and_tune, recipe_to_toml

RECIPE = Recipe("made-up", "cabg")
RATE = Range(1e-4, 1e-2, log=True)


def written(folder: Path, table: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(recipe_text() + table, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tune]\ntrails = 3", r"recipe\.toml: tune: unknown key 'trails'\. Did you mean 'trials'\?"),
        ("[tune]\ntrials = 0", "trials must be at least 1"),
        ('[tune]\nmetric = "valid_wa"', r"tune: 'metric' is gone; only 'valid_ua' is left\. Leave the key out"),
        ("[tune]\nranges = 3", "ranges must be a table"),
        ("[tune.ranges]\ntraining.learning_rate = {low = 1, hihg = 2}", r"unknown key 'hihg'\. Did you mean 'high'\?"),
        ("[tune.ranges]\ntraining.learning_rate = {low = 1}", "the key 'high' is missing"),
        ("[tune.ranges]\ntraining.learning_rate = {low = 2, high = 1}", "low must be below high"),
        ("[tune.ranges]\ntraining.learning_rate = {low = 0, high = 1, log = true}", "low must be above 0"),
        ("[tune.ranges]\nnetwork.width = {low = 8, high = 32, step = 7}", "step must lead from low to high"),
        ('[tune.choices]\ntraining.schedule = ["none"]', "training.schedule needs two or more"),
        ('[tune.choices]\ntraining.schedule = "none"', "training.schedule must be a list"),
    ],
)
def test_a_wrong_table_is_an_error_when_the_recipe_is_read(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(written(tmp_path, table))


@pytest.mark.parametrize(
    ("ranges", "choices", "message"),
    [
        ({}, {}, "nothing to try"),
        ({"training.learning_rat": RATE}, {}, r"unknown setting 'learning_rat'\. Did you mean 'learning_rate'\?"),
        ({"trainin.learning_rate": RATE}, {}, r"no table 'trainin'\. Did you mean 'training'\?"),
        ({"network.widht": Range(8, 32)}, {}, r"unknown setting 'widht'\. Did you mean 'width'\?"),
        ({"training": RATE}, {}, r"'training' is a table; name one of its settings"),
        ({"training.learning_rate.low": RATE}, {}, "unknown setting 'low'"),
        ({"training.schedule": RATE}, {}, "'training.schedule' is no number"),
        ({"training.batch_size": Range(2.5, 8)}, {}, "takes whole numbers"),
        ({"training.seed": Range(0, 9)}, {}, "the best of several draws is luck"),
        ({"training.learning_rate": Range(0.1, 99)}, {}, r"learning_rate = 99: training: learning_rate must be .* 10"),
        ({"network.width": Range(1, 9)}, {}, r"network\.width = 1: network: width must be even"),
        ({}, {"training.schedule": ("plateau", "cosin")}, r"is 'cosin'\. Did you mean 'cosine'\?"),
        ({}, {"training.refit": (True, False)}, "changes nothing on validation utterances"),
        ({"training.shrinkage": Range(0.1, 0.9)}, {}, r'method = "gradient" makes no use of it'),
    ],
)
def test_what_a_recipe_refuses_is_refused_before_anything_is_trained(
    ranges: dict[str, Range], choices: dict[str, tuple[Any, ...]], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        SearchSpace(RECIPE, Tune(ranges=ranges, choices=choices))


def test_what_one_method_makes_no_use_of_is_tried_where_the_method_is_tried_too() -> None:
    choices = {"training.method": ("gradient", "discriminant")}
    SearchSpace(RECIPE, Tune(ranges={"training.shrinkage": Range(0.1, 0.9)}, choices=choices))


def test_a_setting_is_drawn_from_one_place() -> None:
    with pytest.raises(RecipeError, match="in ranges and in choices"):
        Tune(ranges={"network.width": Range(8, 32)}, choices={"network.width": (8, 16)})


def test_dotted_keys_and_tables_mean_the_same(tmp_path: Path) -> None:
    forms = (
        '[tune.ranges]\n"training.learning_rate" = {low = 1e-4, high = 1e-2, log = true}\n'
        '[tune.choices]\n"network.width" = [8, 16]',
        "[tune.ranges.training]\nlearning_rate = {low = 1e-4, high = 1e-2, log = true}\n"
        "[tune.choices.network]\nwidth = [8, 16]",
    )
    for form in forms:
        recipe, tune = read_recipe_and_tune(written(tmp_path, form))
        assert tune == Tune(ranges={"training.learning_rate": RATE}, choices={"network.width": (8, 16)})
        assert recipe == read_recipe(written(tmp_path, ""))


def test_a_recipe_without_the_table_has_none(tmp_path: Path) -> None:
    assert read_recipe_and_tune(written(tmp_path, ""))[1] is None


def test_settings_take_their_place_and_survive_toml(tmp_path: Path) -> None:
    tune = Tune(
        ranges={"training.learning_rate": RATE}, choices={"network.width": (8, 16), "front_end.n_mels": (40, 64)}
    )
    recipe = SearchSpace(RECIPE, tune).recipe_with(
        {"training.learning_rate": 0.002, "network.width": 16, "front_end.n_mels": 40}
    )
    assert (recipe.training.learning_rate, recipe.network["width"], recipe.front_end.n_mels) == (0.002, 16, 40)
    assert RECIPE.network == {}
    path = tmp_path / "best.toml"
    path.write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_lists_are_choices_too() -> None:
    recipe = Recipe("made-up", "whisper-statistics")
    space = SearchSpace(recipe, Tune(choices={"network.pooled_blocks": ((1,), (1, 2))}))
    drawn = {"network.pooled_blocks": space.distributions()["network.pooled_blocks"].choices[0]}  # type: ignore[attr-defined]
    assert space.recipe_with(space.settings_of(drawn)).network["pooled_blocks"] == [1]
    assert space.settings_of(space.own() or {}) == {"network.pooled_blocks": [1, 2]}


@pytest.mark.parametrize(
    ("tune", "own"),
    [
        (Tune(ranges={"training.learning_rate": RATE}), {"training.learning_rate": 1e-3}),
        (Tune(ranges={"training.learning_rate": Range(0.01, 0.1)}), None),
        (Tune(ranges={"network.width": Range(32, 128, step=32)}), {"network.width": 128}),
        (Tune(ranges={"network.width": Range(30, 130, step=20)}), None),
        (Tune(choices={"training.schedule": ("cosine", "plateau")}), {"training.schedule": '"plateau"'}),
        (Tune(choices={"training.mixup_alpha": (0, 0.9)}), {"training.mixup_alpha": "0"}),
    ],
)
def test_the_recipes_own_settings_are_found_where_they_may_be_drawn(tune: Tune, own: dict[str, Any] | None) -> None:
    assert SearchSpace(RECIPE, tune).own() == own


def test_a_study_lies_in_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    for name in ("lr?1", "lr?2", "50 % & more#"):
        folder = tmp_path / name
        folder.mkdir()
        with tuning._study(folder) as study:
            assert not study.trials
            study.add_trial(optuna_trial())
        assert [path.name for path in folder.iterdir()] == [tuning.STUDY]
    assert len([*tmp_path.iterdir()]) == 3


def optuna_trial() -> Any:
    from optuna.trial import create_trial

    return create_trial(value=1.0)
