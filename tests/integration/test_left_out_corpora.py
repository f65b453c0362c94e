"""Corpora left out one by one: scores among six and four classes, weights of a fold, adaptation, streams."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import earnest_cli
from made_up_corpus import recipe_text, write_corpus
from safetensors.torch import save_file
from stand_in import CLASSES

from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import EarnestError, RecipeError
from earnest.evaluation.predictions import read_predictions
from earnest.evaluation.streams import KINDS, N_DRAWS, WAYS
from earnest.export.card import read_result
from earnest.models.classifier import build_classifier
from earnest.runtime.adaptation import Adaptation
from earnest.settings.recipe import read_recipe
from earnest.training.record import read_record

CLOSED_FORM = recipe_text(extra='method = "discriminant"')
ENCODER = "width = 48\nn_heads = 2\nfeed_forward_width = 48\nn_blocks = 1\npooled_blocks = [1]\nfrozen = true"
FOLDS = ("to-emodb", "to-nemo", "to-ravdess")
MORE = {"emodb": ("fearful", "disgust"), "nemo": ("fearful",), "ravdess": ("fearful", "disgust", "calm")}
N_NEUTRAL = 4


@pytest.fixture(autouse=True)
def no_other_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)  # CREMA-D is absent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return where three corpora of different classes are, under the names of corpora that are known."""
    folder, words = tmp_path_factory.mktemp("corpora"), []
    for seed, (name, more) in enumerate(MORE.items()):
        names = {f"sad-{1 + place}": emotion for place, emotion in enumerate(more)}
        rows = [
            replace(
                row, corpus=name, speaker=f"{name}-{row.speaker}", emotion=names.get(row.utterance_id[3:], row.emotion)
            )
            for row in read_manifest(write_corpus(folder / name, n_speakers=5, n_takes=N_NEUTRAL, seed=seed))
        ]
        write_manifest(rows, folder / f"{name}.csv")
        words += ["--data", f"{name}={folder / name}.csv"]
    return words


def evaluate(data: list[str], folder: Path, *words: Any, text: str = CLOSED_FORM) -> dict[str, Any]:
    recipe = folder.parent / "recipe.toml"
    recipe.write_text(text, encoding="utf-8")
    told = earnest_cli(
        "evaluate", recipe, "--protocol", "leave-one-corpus-out", *data, "--output", folder, "--json", *words
    )
    document = json.loads(told)
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def finished(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder of an evaluation whose folds have adaptation networks, and its document."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EARNEST_DATA", raising=False)
        document = evaluate(data, folder)
    return folder, document


def test_each_corpus_is_left_out_once_and_scored_among_six_and_four_classes(
    data: list[str], finished: tuple[Path, dict[str, Any]]
) -> None:
    folder, document = finished
    four = document["class_subsets"]["four"]
    assert tuple(document["folds"]) == tuple(four["folds"]) == FOLDS
    assert tuple(document["classes"]) == CLASSES
    assert tuple(four["classes"]) == CLASSES[:4]
    plain = read_predictions(folder / "predictions.csv")
    assert plain.probabilities is not None
    asked = plain.emotion < 4
    right = plain.probabilities[asked, :4].argmax(axis=1) == plain.emotion[asked]
    assert (four["n"], four["wa"]) == (int(asked.sum()), pytest.approx(right.mean()))
    words = ("--protocol", "leave-one-corpus-out", *data, "--output", folder)
    assert "recipe, four classes" in earnest_cli("evaluate", folder.parent / "recipe.toml", *words)
    wa, ua = (four["over_folds"][name]["mean"] for name in ("wa", "ua"))
    assert read_result(folder).class_subsets == {"four": (pytest.approx(wa), pytest.approx(ua))}


def test_folds_start_from_their_own_weights_and_such_as_know_test_speakers_are_refused(
    data: list[str], tmp_path: Path
) -> None:
    weights = tmp_path / "encoders" / "{fold}"
    text = CLOSED_FORM.replace('"cabg"', '"whisper-statistics"').replace("width = 32", ENCODER)
    (tmp_path / "plain.toml").write_text(text, encoding="utf-8")
    for seed, fold in enumerate(FOLDS):
        network = build_classifier(read_recipe(tmp_path / "plain.toml"), ("sad", "angry"), seed).network
        tensors = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("encoder.")}
        path = Path(str(weights).format(fold=fold)) / "model.safetensors"
        path.parent.mkdir(parents=True)
        save_file(tensors, path, {"origin": f"made up {seed}", "known_speakers": '["nemo/nemo-made-up-00"]'})
    text = text.replace("frozen = true", f'frozen = true\nweights = "{weights}"')
    with pytest.raises(RecipeError, match="fold to-nemo: the initial weights were fitted on labels of 1 of its"):
        evaluate(data, tmp_path / "run", text=text)
    assert not list(tmp_path.glob("run/*/run.json"))  # told before anything is trained
    evaluate(data, tmp_path / "run", "--folds", "to-emodb,to-ravdess", text=text)
    for seed, fold in ((0, "to-emodb"), (2, "to-ravdess")):
        assert read_recipe(tmp_path / "run" / fold).network["weights"] == str(weights).format(fold=fold)
        assert f"made up {seed}" in read_record(tmp_path / "run" / fold).origin


def test_adapted_answers_are_of_each_speakers_plain_answers_and_scored_among_both_sets_of_classes(
    data: list[str], finished: tuple[Path, dict[str, Any]]
) -> None:
    folder, plain = finished
    document = evaluate(data, folder, "--adapt", "all", "--adapt", "causal")
    answers = read_predictions(folder / "predictions-adapted-all.csv")
    before = read_predictions(folder / "predictions.csv")
    assert answers.probabilities is not None and before.probabilities is not None
    rows = np.flatnonzero(before.speaker == before.speaker[0])
    network = (folder / before.fold[rows[0]] / "adaptation.onnx").read_bytes()
    expected = Adaptation.read(network, len(before.classes), "fold").answer(before.probabilities[rows]).probabilities
    np.testing.assert_allclose(answers.probabilities[rows], expected, atol=1e-5)
    assert not np.allclose(expected, before.probabilities[rows], atol=0.01)
    assert document["adapted"]["all"]["adapted"]["share"] == 1
    n_speakers = len(set(before.speaker))
    assert document["adapted"]["causal"]["adapted"]["share"] == pytest.approx(1 - n_speakers / len(before))
    for one in document["adapted"].values():
        assert one["class_subsets"]["four"]["n"] == plain["class_subsets"]["four"]["n"]


def test_streams_of_every_kind_are_answered_in_every_way(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, plain = finished
    (document,) = json.loads(earnest_cli("streams", folder, "--json")).values()
    assert document == json.loads((folder / "metrics-streams.json").read_text(encoding="utf-8"))
    assert document["classes"] == list(CLASSES[:4])
    found = {(one["corpus"], one["kind"]): one["ways"] for one in document["cells"]}
    assert set(found) == {(corpus, kind) for corpus in MORE for kind in KINDS}
    for ways in found.values():
        assert set(ways) == {"plain", "blind mean", *WAYS}
    for fold, one in plain["class_subsets"]["four"]["folds"].items():
        balanced = found[fold.removeprefix("to-"), "balanced"]["plain"]
        assert (balanced["wa"], balanced["ua"]) == (pytest.approx(one["wa"]), pytest.approx(one["ua"]))
        assert balanced["n"] == N_DRAWS * one["n"]
        assert found[fold.removeprefix("to-"), "neutral-heavy"]["plain"]["n"] == N_DRAWS * 5 * (N_NEUTRAL + 1)
    text = (folder / "streams.md").read_text(encoding="utf-8")
    assert text.startswith("# run, leave-one-corpus-out (speaker-independent)")
    assert "| mean | mixed speakers |" in text
    shown = earnest_cli("streams", folder, "-q")
    assert "neutral-heavy" in shown and "metrics-streams.json" not in shown


def test_runs_that_can_not_adapt_are_told(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    network = finished[0] / "to-nemo" / "adaptation.onnx"
    network.rename(tmp_path / "kept.onnx")
    (network.parent / "SHA256SUMS").unlink()
    with pytest.raises(EarnestError, match=r"to-nemo/adaptation\.onnx: no such file: the run can't adapt"):
        earnest_cli("streams", finished[0])
    network.write_bytes(b"no graph")
    with pytest.raises(EarnestError, match=r"to-nemo/adaptation\.onnx"):
        earnest_cli("streams", finished[0])
    network.unlink()
    (tmp_path / "kept.onnx").rename(network)
    with pytest.raises(EarnestError, match="Give a finished folder of `earnest evaluate`"):
        earnest_cli("streams", tmp_path)
