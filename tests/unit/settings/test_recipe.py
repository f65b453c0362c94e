"""Recipes are strict: what is wrong is one line that names file, key and remedy."""

from pathlib import Path
from typing import Any

import pytest
from made_up_corpus import recipe_text

from earnest.errors import RecipeError
from earnest.settings import recipe
from earnest.settings.front_end import PRESETS, FrontEnd
from earnest.settings.recipe import (
    Recipe,
    Training,
    Unfreezing,
    read_recipe,
    recipe_file,
    recipe_to_toml,
    recipe_word,
    shipped_recipes,
)

MINIMAL = 'corpus = "ravdess"\nmodel = "cabg"\n'
RECIPES = Path(__file__).parents[3] / "recipes"


def refusal_of(text: str, folder: Path) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + 'modle = "x"', ": unknown key 'modle'. Did you mean 'model'?"),
        (MINIMAL + "[front_end]\nn_mel = 64", ": front_end: unknown key 'n_mel'. Did you mean 'n_mels'?"),
        (MINIMAL + "[training]\nlearning_rat = 1", ": training: unknown key 'learning_rat'. Did you mean"),
        (MINIMAL + "[trainig]\nepochs = 1", ": unknown key 'trainig'. Did you mean 'training'?"),
        ('model = "cabg"', ": the key 'corpus' is missing. 'earnest corpus list' names"),
        ('corpus = "ravdess"', ": the key 'model' is missing. 'earnest models' names"),
    ],
)
def test_an_unknown_or_missing_key_is_named_with_the_nearest(text: str, expected: str, tmp_path: Path) -> None:
    assert refusal_of(text, tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + '[training]\nepochs = "many"', ": training: epochs must be a whole number, got 'many'."),
        (MINIMAL + "[training]\nepochs = 3.5", ": training: epochs must be a whole number, got 3.5."),
        (MINIMAL + "[training]\nepochs = true", ": training: epochs must be a whole number, got True."),
        (MINIMAL + '[training]\nlearning_rate = "fast"', ": training: learning_rate must be a"),
        (MINIMAL + "[training]\nrefit = 1", ": training: refit must be a"),
        (MINIMAL + '[training]\noptimiser = "adabelieve"', ": training: optimiser is 'adabelieve'. Did you mean"),
        (MINIMAL + "[training]\noptimiser = 3", ": training: optimiser is 3."),
        (MINIMAL + "training = 7", ": training: expected a table, got 7."),
        (MINIMAL + "[augment]\nname = 'gain'", ": augment must be a list, got {'name': 'gain'}."),
        (MINIMAL + "augment = ['gain']", ": augment must be a table, got 'gain'."),
        ('corpus = 3\nmodel = "cabg"', ": corpus must be a list, got 3."),
        ('corpus = ["ravdess", 5]\nmodel = "cabg"', ": corpus must be text, got 5."),
        ('corpus = "ravdess"\nmodel = ["cabg"]', ": model must be text, got ['cabg']."),
    ],
)
def test_a_wrong_type_is_named_with_what_is_expected(text: str, expected: str, tmp_path: Path) -> None:
    assert refusal_of(text, tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("table", "line", "key"),
    [
        ("front_end", "sample_rate_hz = 100", "sample_rate_hz"),
        ("front_end", "n_fft = 8", "n_fft"),
        ("front_end", "win_length = 2048", "win_length"),
        ("front_end", "hop_length = 0", "hop_length"),
        ("front_end", "n_mels = 0", "n_mels"),
        ("front_end", "fmin_hz = 9000", "fmin_hz"),
        ("front_end", "fmax_hz = 9000.5", "fmax_hz"),
        ("front_end", "top_db = 0", "top_db"),
        ("front_end", "top_db = inf", "top_db"),
        ("front_end", "trim_db = -40", "trim_db"),
        ("front_end", "trim_db = inf", "trim_db"),
        ("front_end", "level_dbfs = nan", "level_dbfs"),
        ("training", "shrinkage = 1.1", "shrinkage"),
        ("training", "epochs = 0", "epochs"),
        ("training", "patience = 0", "patience"),
        ("training", "batch_size = 1", "batch_size"),
        ("training", "learning_rate = 0", "learning_rate"),
        ("training", "learning_rate = nan", "learning_rate"),
        ("training", "learning_rate = inf", "learning_rate"),
        ("training", "weight_decay = -1", "weight_decay"),
        ("training", "weight_decay = nan", "weight_decay"),
        ("training", "plateau_factor = 1.5", "plateau_factor"),
        ("training", "plateau_factor = 0", "plateau_factor"),
        ("training", "plateau_patience = -1", "plateau_patience"),
        ("training", "plateau_cooldown = -1", "plateau_cooldown"),
        ("training", "plateau_threshold = -0.1", "plateau_threshold"),
        ("training", "lowest_learning_rate = -1", "lowest_learning_rate"),
        ("training", "label_smoothing = 1", "label_smoothing"),
        ("training", "mixup_alpha = -0.1", "mixup_alpha"),
        ("training", "mixup_alpha = nan", "mixup_alpha"),
        ("training", "time_mask_frames = -1", "time_mask_frames"),
        ("training", "mel_mask_bands = -1", "mel_mask_bands"),
        ("training", "seed = -1", "seed"),
    ],
)
def test_a_value_out_of_range_is_refused_by_table_and_key(table: str, line: str, key: str, tmp_path: Path) -> None:
    message = refusal_of(f"{MINIMAL}[{table}]\n{line}", tmp_path)
    assert message.startswith(f": {table}: {key} must")


def test_a_label_scheme_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    assert "Did you mean 'ravdess8'?" in refusal_of(MINIMAL + 'scheme = "ravdes8"', tmp_path)


def test_a_recipe_needs_a_corpus(tmp_path: Path) -> None:
    assert "corpus must name at least one" in refusal_of('corpus = []\nmodel = "cabg"', tmp_path)


@pytest.mark.parametrize("data", [b"corpus = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_an_error_with_the_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(data)
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        read_recipe(path)


def test_a_missing_file_or_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: no such file"):
        read_recipe(tmp_path / "absent.toml")
    with pytest.raises(RecipeError, match=r"recipe\.toml: no such file"):
        read_recipe(tmp_path)


def test_whole_numbers_are_taken_where_fractions_are_expected(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(MINIMAL + "[training]\nlearning_rate = 1\n[front_end]\nfmax_hz = 6000")
    recipe = read_recipe(tmp_path)
    assert (recipe.training.learning_rate, recipe.front_end.fmax_hz) == (1.0, 6000.0)
    assert isinstance(recipe.front_end.fmax_hz, float)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("ravdess", "cabg"),
        Recipe(("crema-d", "emodb"), "cabg", "six", 'quotes "…", back\\slash, new\nline\tand tab \x7f\u2028'),
        Recipe("emodb", "cabg", front_end=FrontEnd(top_db=60, fmax_hz=6000.0, trim="peak")),
        Recipe("emodb", "cabg", network={"width": 64, "kernel_size": 5, "convolution_dropout": 0.0}),
        Recipe(
            "emodb", "cabg", training=Training(learning_rate=1e-7, refit=True, monitor="valid_loss", seed=2**31 - 1)
        ),
        Recipe("emodb", "cabg", augment=({"name": "gain", "gain_db": [-6.0, 6.0]}, {"name": "telephone"})),
        Recipe(
            "emodb",
            "cabg",
            network={"width": 64},
            augment=({"name": "noise-files", "levels_db": {"rain": 3, 'café "1.wav': 0.5}}, {"name": "gain"}),
        ),
    ],
    ids=["defaults", "text", "front end", "network", "training", "augment", "tables in augment"],
)
def test_a_recipe_written_as_toml_reads_back_the_same(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(tmp_path) == recipe


def test_augmentations_are_tables_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = MINIMAL + '[[augment]]\nname = "reverb"\n[[augment]]\nname = "gain"\nprobability = 0.5\n'
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    assert read_recipe(tmp_path).augment == ({"name": "reverb"}, {"name": "gain", "probability": 0.5})


def test_changes_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(MINIMAL + "[training]\nepochs = 9\n", encoding="utf-8")
    changed = read_recipe(
        tmp_path, {"training.epochs": 3, "scheme": "six", "network.width": 32, "front_end.preset": "moody"}
    )
    assert (changed.training.epochs, changed.scheme, changed.network) == (3, "six", {"width": 32})
    assert changed.front_end == PRESETS["moody"]
    assert read_recipe(tmp_path).training.epochs == 9


@pytest.mark.parametrize(
    ("key", "expected"), [("training.epoch", "Did you mean 'epochs'"), ("model.x", "model is no table"), ("x.y", "'x'")]
)
def test_a_change_is_checked_as_the_file_is(key: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(RecipeError, match=expected):
        read_recipe(tmp_path, {key: 3})


def test_no_floor_survives_being_written(tmp_path: Path) -> None:
    recipe = Recipe("emodb", "cabg", front_end=FrontEnd(top_db=None))
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(tmp_path) == recipe


def test_the_recipe_of_the_made_up_corpus_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(), encoding="utf-8")
    assert read_recipe(tmp_path).corpora == ("made-up",)


TRAINING = MINIMAL + "[training]\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('schedule = "multistep"', 'schedule = "multistep" needs milestones.'),
        ("warmup_epochs = 3", 'warmup_epochs can\'t be used with "plateau".'),
        ('schedule = "cosine"\nwarmup_epochs = 120', "warmup_epochs must be below epochs (120), got 120."),
        (
            'schedule = "cosine"\nlearning_rate = 1e-7',
            "lowest_learning_rate must not be above learning_rate (1e-07), got 1e-06.",
        ),
        ("momentun = 0.5", "unknown key 'momentun'"),
        ("mel_mask_bands = 65", "mel_mask_bands must be at most 64, the bands of [front_end], got 65."),
        ("layer_decay = 0", "layer_decay must be above 0 and at most 1, got 0.0."),
        ('[[training.unfreeze]]\nepoch = 5\nnames = ["a"]', "unfreeze needs freeze."),
        ('multitask = "uncertainty"', 'multitask = "uncertainty" needs auxiliary tasks.'),
        ("affect_range = [5, 1]", "affect_range must be [lowest, highest], got [5.0, 1.0]."),
        ("mixup_alpha = 1\nstability_weight = 1", "stability_weight and mixup_alpha can't be used together."),
        ('auxiliary = ["gender", "gender"]', "auxiliary names a task twice."),
        ('auxiliary = ["gendre"]', "auxiliary is 'gendre'. Did you mean 'gender'?"),
        ('optimiser = "adamv"', "optimiser is 'adamv'. Did you mean"),
        ('multitask = "uncertain"', "multitask is 'uncertain'. Did you mean 'uncertainty'?"),
    ],
)
def test_settings_of_training_that_contradict_each_other_are_refused(line: str, expected: str, tmp_path: Path) -> None:
    assert expected in refusal_of(TRAINING + line, tmp_path)


def test_what_is_trained_from_the_first_epoch_is_not_frozen(tmp_path: Path) -> None:
    unfreeze = '[[training.unfreeze]]\nepoch = 1\nnames = ["a"]'
    assert "epoch must be at least 2, got 1" in refusal_of(TRAINING + 'freeze = ["a"]\n' + unfreeze, tmp_path)


def test_stability_needs_something_to_be_stable_against(tmp_path: Path) -> None:
    assert "add [[augment]] tables" in refusal_of(TRAINING + "stability_weight = 0.5", tmp_path)


def test_a_closed_form_is_augmented_by_copies_and_only_it_is(tmp_path: Path) -> None:
    closed, copies, table = (
        'method = "discriminant"\n',
        "augmented_copies = 2\n",
        '[[augment]]\nname = "gaussian-noise"\n',
    )
    assert "needs augmented_copies" in refusal_of(TRAINING + closed + table, tmp_path)
    assert "augmented_copies needs" in refusal_of(TRAINING + copies + table, tmp_path)
    assert "augmented_copies needs" in refusal_of(TRAINING + closed + copies, tmp_path)
    assert "from 0 to 100" in refusal_of(TRAINING + closed + "augmented_copies = -1\n" + table, tmp_path)
    path = tmp_path / "recipe.toml"
    path.write_text(TRAINING + closed + copies + table, encoding="utf-8")
    assert read_recipe(path).training.augmented_copies == 2


@pytest.mark.parametrize("line", ['scaling = "per-bin"', 'normalise = "statistics"'])
def test_a_closed_form_learns_no_image(line: str, tmp_path: Path) -> None:
    image = f"[image]\nheight = 32\nwidth = 32\n{line}\n"
    told = refusal_of(TRAINING.replace("[training]", f"{image}[training]") + 'method = "discriminant"', tmp_path)
    assert "[image] can't learn" in told


def test_tables_of_training_and_augmentation_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        TRAINING
        + 'freeze = ["blocks"]\nhead_learning_rate = 0.01\nauxiliary = ["affect"]\nmilestones = [3, 5]\n'
        + '[[training.unfreeze]]\nepoch = 4\nnames = ["blocks.1", "blocks.2"]\n'
        + '[[augment]]\nname = "gaussian-noise"\ndeviation = [0.0, 0.1]\n',
        encoding="utf-8",
    )
    recipe = read_recipe(path)
    assert recipe.training.unfreeze[0].names == ("blocks.1", "blocks.2")
    path.write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_a_recipe_names_its_protocols_which_are_those_of_its_own_corpus(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + 'protocol = "ravdess-6fold"\nauthors_protocol = "vino-random"\n', encoding="utf-8")
    named, plain = read_recipe(path), Recipe("ravdess", "cabg")
    assert (named.protocol, named.authors_protocol) == ("ravdess-6fold", "vino-random")
    moved = read_recipe(path, {"corpus": "emodb"})
    assert (moved.protocol, moved.authors_protocol) == ("speaker-holdout", "") == (plain.protocol, "")
    assert read_recipe(path, {"corpus": "emodb", "protocol": "loso"}).protocol == "loso"


def test_recipes_that_differ_in_protocols_alone_train_the_same() -> None:
    recipe = Recipe("ravdess", "cabg", protocol="loso")
    assert recipe.trains_as(Recipe("ravdess", "cabg", authors_protocol="vino-random"))
    assert not recipe.trains_as(Recipe("ravdess", "cabg", scheme="four", protocol="loso"))


def test_all_recipes_of_the_repository_have_names() -> None:
    assert set(shipped_recipes()) == {path.stem for path in RECIPES.glob("*.toml")}


def test_a_name_is_the_recipe_that_comes_with_earnest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_recipe(recipe_file("emocatcher")) == read_recipe(RECIPES / "emocatcher.toml")
    assert recipe_word(recipe_file("emocatcher")) == "emocatcher"


def test_a_path_always_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emocatcher").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text("")
    for path in ("emocatcher", "run"):
        assert recipe_file(path) == Path(path)
        assert recipe_word(recipe_file(path)) == path


def test_a_folder_without_a_recipe_does_not_hide_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emocatcher").mkdir()
    assert recipe_file("emocatcher").name == "emocatcher.toml"


def test_a_path_of_the_repository_leads_to_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"recipes/emocatcher\.toml: no such file\. .* is called emocatcher alone\."):
        recipe_file("recipes/emocatcher.toml")


@pytest.mark.parametrize("wrong", ["emocatchr", "emocatchr.toml"])
def test_a_wrong_name_is_answered_with_the_nearest(wrong: str) -> None:
    with pytest.raises(RecipeError, match=r"Did you mean 'emocatcher'\?"):
        recipe_file(wrong)


@pytest.mark.parametrize("missing", ["nothere.toml", "runs/mine.toml"])
def test_a_file_that_is_missing_is_no_misspelt_recipe(missing: str) -> None:
    with pytest.raises(RecipeError, match=f"^{missing}: no such file\\. Check the path\\.$"):
        recipe_file(missing)


def test_without_recipes_only_paths_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipe, "_PLACES", (tmp_path / "nowhere",))
    with pytest.raises(RecipeError, match=r"earnest has no recipe of this name\.$"):
        recipe_file("emocatcher")


def test_settings_that_the_method_makes_no_use_of_are_known() -> None:
    assert Training(method="discriminant", epochs=7, label_smoothing=0.3, shrinkage=0.2).unused == (
        "epochs",
        "label_smoothing",
    )
    assert Training(augmented_copies=2, epochs=7).unused == ("augmented_copies",)


LATE = {"freeze": ("blocks",), "unfreeze": (Unfreezing(5, ("blocks",)),)}


@pytest.mark.parametrize(
    ("others", "idle"),
    [
        ({"schedule": "multistep", "epochs": 3}, ("milestones", "head")),
        ({"schedule": "multistep", "epochs": 4}, ("head",)),
        ({"schedule": "multistep", "epochs": 4, **LATE}, ("unfreeze", "head")),
        ({"schedule": "cosine", "layer_decay": 0.5}, ("milestones",)),
        ({"schedule": "multistep", "head_learning_rate": 0.1}, ()),
        ({"method": "discriminant"}, ()),  # which makes no use of either
    ],
)
def test_settings_that_others_keep_from_changing_anything_are_known(others: Any, idle: tuple[str, ...]) -> None:
    assert Training(milestones=(9, 3), head=("classifier",), **others).idle == idle


@pytest.mark.parametrize(
    ("given", "with_which"),
    [
        ({"plateau_factor": 0.5}, {"schedule": "plateau"}),
        ({"step_factor": 0.5}, {"schedule": "multistep", "milestones": (3,)}),
        ({"lowest_learning_rate": 1e-5}, {"schedule": "cosine"}),
        ({"momentum": 0.5}, {"optimiser": "sgd"}),
        ({"mixup": "plain"}, {"mixup_alpha": 0.4}),
        ({"affect_loss": "mse", "affect_range": (1.0, 5.0)}, {"auxiliary": ("affect",)}),
        ({"gender_weight": 0.3}, {"auxiliary": ("gender",), "multitask": "fixed"}),
        ({"affect_weight": 0.3}, {"auxiliary": ("affect",), "multitask": "fixed"}),
    ],
)
def test_a_setting_changes_something_only_beside_another(given: Any, with_which: Any) -> None:
    assert Training(schedule="none", **given).idle == tuple(given)
    assert Training(**{"schedule": "none", **given, **with_which}).idle == ()


def test_of_changes_only_one_is_drawn_where_there_are_some() -> None:
    training = Training(clean_share=0.3, changes="one")
    assert Recipe("emodb", "cabg", training=training).idle == ("clean_share", "changes")
    assert Recipe("emodb", "cabg", training=training, augment=({"name": "gain"},)).idle == ()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_that_ship_set_nothing_in_vain(path: Path) -> None:
    recipe = read_recipe(path)
    assert (recipe.training.unused, recipe.idle) == ((), ())
