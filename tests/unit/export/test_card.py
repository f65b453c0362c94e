"""The card says what was measured, for whom, and what the model is not for."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_results import made_up, write_result

from earnest.bundle import BundleInfo, load_bundle
from earnest.errors import EarnestError
from earnest.evaluation.answers import text_column
from earnest.evaluation.calibration import FittedCalibration, Quality
from earnest.evaluation.predictions import joined
from earnest.export.card import model_card, read_result
from earnest.settings.recipe import Recipe, Training


@pytest.fixture(scope="module")
def info() -> BundleInfo:
    return load_bundle("small").info


def test_derived_affect_is_called_derived_with_what_it_is_worth_on_unheard_corpora(info: BundleInfo) -> None:
    columns = ("correlation", "concordance", "pairs", "pairs, worst speaker")
    numbers = {f"{side}, {one}": 0.25 for side in ("valence", "arousal") for one in columns}
    ranked = {"strong above normal": 0.75, "within speaker and emotion": 0.875}
    told = {"penalty": 1.0, "speakers left out": {"emodb": [0.1, 0.2]}, "a": numbers | ranked, "b": numbers}
    card = model_card(replace(info, left_out={"affect_derived": told}))
    assert "not measured, and how well they agree with ratings is not known" in card
    assert card.count("| valence | 0.25 | 0.25 | 0.25 | 0.25 |") == card.count("| arousal | 0.25 |") == 2
    assert "Pairs of a in which a strong recording has more arousal than a normal one: 0.75" in card
    assert "emodb" not in card.partition("## Valence and arousal, derived")[2].partition("## ")[0]


def test_every_word_for_what_was_done_to_speech_is_explained(info: BundleInfo) -> None:
    section = model_card(info).partition("## Sound that is no speech")[2].partition("## ")[0]
    changes = {name.partition(" ")[2] for name in info.left_out["sounds"]["speech refused, per cent"]} - {""}
    assert len(changes) > 10
    assert [change for change in changes if f"\n| {change}: " not in section] == []
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    table = {re.sub(r":.*", ":", what): [what, *cells] for what, *cells in lines}
    for name, share in info.left_out["sounds"]["speech refused, per cent"].items():
        corpus, _, change = name.partition(" ")
        row = table[f"{change}:" if change else "as they are"]
        assert row[table["recordings"].index(corpus)] == str(share), name


def test_speech_that_was_changed_in_a_way_without_a_word_is_told_by_its_name(info: BundleInfo) -> None:
    told = {"sounds": {"speech refused, per cent": {"nemo": 1.5, "nemo rain": 2.5}}}
    card = model_card(replace(info, left_out=told))
    assert "| as they are | 1.5 |" in card and "| rain | 2.5 |" in card


def test_a_result_holds_what_the_card_tells_of_people_and_trust(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "made")
    values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    result = read_result(folder)
    assert result.recall == {name: one["recall"] for name, one in values["per_class"].items()}
    low, middle, high = result.wa_of_speakers
    speakers = sorted(one["wa"] for one in values["slices"]["speaker"])
    assert (low, high) == (speakers[0], speakers[-1])
    assert low <= middle <= high
    assert set(result.ua_by_gender) == {one["value"] for one in values["slices"]["gender"]} - {""}
    assert result.wa_interval == (values["intervals"]["wa"]["low"], values["intervals"]["wa"]["high"])


def test_the_card_shows_them(tmp_path: Path, info: BundleInfo) -> None:
    result = read_result(write_result(tmp_path / "made"))
    card = model_card(replace(info, results=(result,)))
    for name, recall in result.recall.items():
        assert name in card
        assert f"{100 * recall:.1f}" in card
    for word in (
        "## Limits",
        "## How to cite",
        "Excluded:",
        "Recall by class",
        f"median {100 * result.wa_of_speakers[1]:.1f}",
    ):
        assert word in card
    assert result.command in card


def test_results_of_older_bundles_have_no_such_tables(info: BundleInfo) -> None:
    plain = tuple(replace(result, recall={}) for result in info.results)
    assert "Recall by class" not in model_card(replace(info, results=plain))


def test_what_was_chosen_on_test_or_scored_in_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match="TEST"):
        read_result(write_result(tmp_path / "author", selected_on="test"))
    folder = write_result(tmp_path / "part")
    values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    (folder / "metrics.json").write_text(json.dumps({**values, "part": "only f1"}), encoding="utf-8")
    with pytest.raises(EarnestError, match="only f1"):
        read_result(folder)
    (folder / "metrics.json").write_text("[]", encoding="utf-8")
    with pytest.raises(EarnestError, match=r"not the metrics\.json"):
        read_result(folder)


def test_a_result_of_another_recipe_is_refused_and_that_of_a_protocol_is_not(tmp_path: Path) -> None:
    evaluated = replace(Recipe("ravdess", "cabg"), training=Training(learning_rate=0.01))
    folder = write_result(tmp_path / "made", recipe=evaluated.to_dict())
    with pytest.raises(
        EarnestError, match=r"another recipe than the run \(training.learning_rate is 0.01 there and 0.001"
    ):
        read_result(folder, replace(evaluated, training=Training()))
    shipped = replace(evaluated, corpus="emodb", scheme="six", training=replace(evaluated.training, refit=True))
    assert read_result(folder, shipped) == read_result(folder)
    chosen = {"f1": {"settings": {"training.learning_rate": 0.001}}}
    folder = write_result(tmp_path / "selected", recipe=evaluated.to_dict(), selected=chosen)
    assert read_result(folder, replace(evaluated, training=Training())) == read_result(folder)


def test_the_card_shows_the_same_answers_among_fewer_classes(tmp_path: Path, info: BundleInfo) -> None:
    folder = write_result(tmp_path / "made")
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    result = read_result(write_result(tmp_path / "narrower", class_subsets={"four": scores}))
    wa, ua = (scores["over_folds"][name]["mean"] for name in ("wa", "ua"))
    assert result.class_subsets == {"four": (wa, ua)}
    card = model_card(replace(info, results=(result,)))
    assert f"speaker-5fold, four classes | speaker-independent | {100 * wa:.1f} | {100 * ua:.1f} |" in card


def test_the_card_counts_recordings_once_however_often_trainings_were_repeated(tmp_path: Path) -> None:
    once = made_up()
    twice = joined([once, replace(once, fold=text_column(f"{fold}#2" for fold in once.fold))])
    assert read_result(write_result(tmp_path / "twice", twice)).n == len(once) == 60


def test_a_temperature_that_nobody_fitted_is_no_calibration(info: BundleInfo) -> None:
    plain = replace(info, left_out=None, calibration=None)
    assert "Probabilities are not calibrated" in model_card(replace(plain, temperature=1.0))
    assert "calibrated with temperature 2.000" in model_card(replace(plain, temperature=2.0))


def test_a_licence_that_hides_what_a_corpus_forbids_is_told_with_it(info: BundleInfo) -> None:
    heard = replace(info.training_corpora[0], licence="CC-BY-NC-SA-4.0")
    forbidden = replace(info, training_corpora=(heard,), licence="MIT")
    assert "Licence of the weights: non-commercial use only: MIT." in model_card(forbidden)
    assert "Licence of the weights: CC BY-NC 4.0." in model_card(replace(forbidden, licence="CC BY-NC 4.0"))


def test_clips_that_only_validated_are_not_told_as_learnt_from(info: BundleInfo) -> None:
    quality = Quality(ece=0.1, nll=1.0, n=120)
    fitted = replace(info, calibration=FittedCalibration("temperature", quality, quality))
    told = "The table counts validation utterances too"
    assert told in model_card(replace(fitted, recipe={"training": {"refit": False}}))
    assert told not in model_card(replace(fitted, recipe={"training": {"refit": True}}))
    assert told not in model_card(replace(fitted, recipe={}))  # a head of own labels
