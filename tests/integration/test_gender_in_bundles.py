"""Gender from a closed-form head: from training to bundle, formats, metrics and card, on the made-up voices."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import NAME, recipe_text

import earnest
from earnest.bundle import load_bundle
from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import BundleError, RecipeError
from earnest.export.parity import compare
from earnest.runtime.prediction import Prediction
from earnest.training.record import read_record
from earnest.training.run import load_run

ENCODER = "width = 48\nn_heads = 2\nfeed_forward_width = 48\nn_blocks = 1\npooled_blocks = [1]\nfrozen = true"
CLOSED = 'method = "discriminant"\nshrinkage = 0.3\nauxiliary = ["gender"]'


def write_recipe(folder: Path, tasks: str = 'tasks = ["gender"]') -> Path:
    text = recipe_text(extra=CLOSED).replace('"cabg"', '"whisper-statistics"')
    path = folder / "recipe.toml"
    path.write_text(text.replace("width = 32", f"{ENCODER}\n{tasks}"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, its bundle beside it."""
    folder = tmp_path_factory.mktemp("gender")
    earnest_cli("train", write_recipe(folder), "--data", f"{NAME}={made_up}", "--output", folder / "run")
    words = ("--output", folder / "bundle", "--licence", "CC0-1.0", "--results", folder / "run")
    earnest_cli("export", folder / "run", *words)
    return folder / "run"


def answers(bundle: Path, run: Path, made_up: Path) -> list[Prediction]:
    clips = [made_up.parent / f"{row['utterance_id']}.wav" for row in rows_of(run / "predictions.csv")]
    return list(earnest.load(bundle).predict_many(clips))


def test_the_bundle_answers_what_the_run_predicted(run: Path, made_up: Path) -> None:
    rows = rows_of(run / "predictions.csv")
    for row, answer in zip(rows, answers(run.parent / "bundle", run, made_up), strict=True):
        assert answer.gender is not None
        assert sum(answer.gender.values()) == pytest.approx(1, abs=1e-5)
        assert max(answer.gender, key=lambda name: answer.gender[name]) == row["predicted_gender"]
    assert {row["predicted_gender"] for row in rows} == {"female", "male"}


def test_the_run_and_its_metrics_say_how_often_it_is_right(run: Path) -> None:
    rows = rows_of(run / "predictions.csv")
    found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["gender"]
    right = sum(row["gender"] == row["predicted_gender"] for row in rows) / len(rows)
    assert (found["wa"], found["n"]) == (pytest.approx(right), len(rows))
    assert right > 0.7  # men and women of these voices lie an octave apart
    assert set(found["recalls"]) == {"female", "male"}
    assert found["intervals"]["wa"]["over"] == "speakers"


def test_bundle_and_card_say_what_the_answer_is_worth(run: Path) -> None:
    record, info = read_record(run), load_bundle(run.parent / "bundle").info
    assert record.learned == info.learned == ("gender",)
    assert record.gender_calibration is not None
    assert (info.gender_temperature, info.gender_calibration) == (record.gender_temperature, record.gender_calibration)
    assert record.gender_calibration.after.n == record.n_train + record.n_valid  # every speaker had a turn
    card = (run.parent / "bundle" / "card.md").read_text(encoding="utf-8")
    assert "not who somebody is" in " ".join(card.split())
    (result,) = info.results
    assert result.gender_wa is not None
    shares = [result.gender_wa, result.gender_recalls["female"], result.gender_recalls["male"]]
    assert " | ".join(f"{100 * share:.1f}" for share in shares) in card


def test_the_graph_gives_torchs_probabilities(run: Path, made_up: Path) -> None:
    found = compare(run, run.parent / "bundle", sorted(made_up.parent.glob("*.wav"))[::9])
    assert found.gender is not None and found.batched_gender is not None
    assert 0 <= found.gender < 1e-4
    assert 0 <= found.batched_gender < 1e-4


def test_parity_sees_a_temperature_that_the_graph_doesnt_have(run: Path, made_up: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    record["gender_temperature"] *= 3
    (other / "run.json").write_text(json.dumps(record), encoding="utf-8")
    found = compare(other, run.parent / "bundle", sorted(made_up.parent.glob("*.wav"))[:3])
    assert found.gender is not None
    assert found.gender > 1e-3 > found.probabilities
    assert found.largest >= found.gender


def test_parity_refuses_a_bundle_that_answers_a_gender_that_the_run_did_not_learn(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (other / "run.json").write_text(json.dumps({**record, "learned": []}), encoding="utf-8")
    with pytest.raises(BundleError, match="one of them answers no gender"):
        compare(other, run.parent / "bundle", [])


@pytest.fixture(scope="module")
def int8(run: Path, made_up: Path) -> Path:
    return exported(run, made_up, "onnx-int8")


def exported(run: Path, made_up: Path, form: str) -> Path:
    folder = run.parent / form
    words = ("--output", folder, "--format", form, "--data", f"{NAME}={made_up}", "--licence", "CC0-1.0")
    earnest_cli("export", run, *words)
    return folder


def assert_close(bundle: Path, run: Path, made_up: Path, within: float) -> None:
    exact = answers(run.parent / "bundle", run, made_up)
    for one, other in zip(exact, answers(bundle, run, made_up), strict=True):
        assert one.gender is not None and other.gender is not None
        assert dict(other.gender) == pytest.approx(dict(one.gender), abs=within)


def test_openvino_answers_it(run: Path, made_up: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'earnest[openvino]'")
    assert_close(exported(run, made_up, "openvino"), run, made_up, 1e-4)


def test_int8_answers_it(int8: Path, run: Path, made_up: Path) -> None:
    assert_close(int8, run, made_up, 0.2)


def test_int8_leaves_all_last_layers_in_float(int8: Path) -> None:
    graph = onnx.load(int8 / "model.onnx").graph
    source = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type == "Gemm" and node.input[0] == "embedding"]
    assert len(layers) == 3  # emotion, gender, and the distance to known sound
    for layer in layers:
        assert not [name for name in layer.input if name in source and source[name].op_type == "DequantizeLinear"]
    assert any(node.op_type == "DequantizeLinear" for node in graph.node)


def test_a_corpus_that_names_no_genders_gives_a_model_that_is_silent(made_up: Path, tmp_path: Path) -> None:
    manifest = made_up.parent / "nameless.csv"
    write_manifest([replace(row, gender=None) for row in read_manifest(made_up)], manifest)
    earnest_cli("train", write_recipe(tmp_path), "--data", f"{NAME}={manifest}", "--output", tmp_path / "run")
    assert read_record(tmp_path / "run").learned == ()
    assert "gender" not in load_run(tmp_path / "run")(torch.zeros(1, 16_000), torch.tensor([16_000]))
    assert json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))["gender"] is None


def test_a_network_without_the_head_is_refused_before_anything_is_decoded(made_up: Path, tmp_path: Path) -> None:
    words = ("--data", f"{NAME}={made_up}", "--output", tmp_path / "run")
    with pytest.raises(RecipeError, match=r"tasks = \[\"gender\"\]"):
        earnest_cli("train", write_recipe(tmp_path, tasks=""), *words)
    assert not (tmp_path / "run").exists()
