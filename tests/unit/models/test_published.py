"""Weights of others: taken over tensor by tensor, or refused with every name and shape."""

import json
import math
import pickle
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from command_line import earnest_cli
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from earnest.apps.cli.import_ import NETWORKS
from earnest.apps.cli.main import cli
from earnest.errors import EarnestError
from earnest.evaluation.author_protocols import STAMP
from earnest.experiments import evaluate
from earnest.export import bundle
from earnest.export.onnx import to_moody
from earnest.files.writing import refuse_changed
from earnest.labels import CORE_EMOTIONS, SCHEMES
from earnest.models import pretrained
from earnest.models.classifier import MODELS, build_classifier
from earnest.models.pretrained import COUNTER, all_tensors
from earnest.models.published import PIXELS, PUBLISHED, emocatcher_name, import_imagenet
from earnest.settings.recipe import Recipe, read_recipe, recipe_file
from earnest.testing.sounds import voice
from earnest.training.record import calibrate
from earnest.training.run import import_run, load_run

pytestmark = pytest.mark.long
EMOCATCHER = read_recipe(recipe_file("emocatcher"))
SMALL = {"width_factor": 0.125}


def state(recipe: Recipe) -> dict[str, Tensor]:
    """Tensors of the published network of a recipe, no two alike."""
    classes = CORE_EMOTIONS if recipe.scheme == "ravdess8" else SCHEMES[recipe.scheme].classes
    network = build_classifier(recipe, classes, 3).network
    inner = getattr(network, "network", network)
    drawn = torch.Generator().manual_seed(3)
    return {
        key: tensor if key.endswith(COUNTER) else 0.1 + 0.1 * torch.rand(tensor.shape, generator=drawn)
        for key, tensor in inner.state_dict().items()
    }


def their_names() -> dict[str, str]:
    """Ours → EmoCatcher's."""
    theirs = [
        *(f"conv_block{n}.conv_block.{layer}" for n in (1, 2, 3) for layer in ("0", "1.layer_norm")),
        *("gru_layernorm", "gru", "attention.linear_q", "attention.linear_k", "attention.linear_z"),
        *("linear1.0", "linear1.1", "linear2"),
    ]
    return {emocatcher_name(f"{layer}.x").removesuffix(".x"): layer for layer in theirs}


def checkpoint(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """Write a file as EmoCatcher's code does."""
    names = their_names()
    torch.save({f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": one for key, one in tensors.items()}, path)
    return path


def test_emocatchers_checkpoint_is_a_run_that_answers_with_its_tensors(tmp_path: Path) -> None:
    tensors = state(EMOCATCHER)
    record = import_run("emocatcher", checkpoint(tmp_path / "theirs.pth", tensors), tmp_path / "run", EMOCATCHER)
    loaded = load_run(tmp_path / "run").network.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in tensors.items() if not key.endswith(COUNTER))
    assert record.classes == CORE_EMOTIONS
    assert [(line.name, line.n_utterances) for line in record.training_corpora] == [("ravdess", 1152)]
    refuse_changed(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(EarnestError, match=r"run\.json"):
        refuse_changed(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "selected_on", "words"),
    [
        ("best_model_0.8715_0.8655.pth", "test", "; its authors chose the epoch on test utterances: best_model_0.8715"),
        ("last_epoch_0.8229_0.9807.pth", "nothing", "; the last epoch of its training: last_epoch_0.8229"),
        ("theirs.pth", "test", "; the file's name doesn't say how its epoch was chosen: theirs.pth"),
    ],
)
def test_the_record_says_how_the_epoch_of_this_very_file_was_chosen(
    name: str, selected_on: str, words: str, tmp_path: Path
) -> None:
    record = import_run("emocatcher", checkpoint(tmp_path / name, state(EMOCATCHER)), tmp_path / "run", EMOCATCHER)
    assert record.selected_on == selected_on
    assert words in record.origin


def test_every_tensor_that_does_not_fit_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    tensors = state(EMOCATCHER)
    wrong = {key: tensor for key, tensor in tensors.items() if not key.startswith("attention.key")}
    path = checkpoint(tmp_path / "theirs.pth", wrong | {"output.bias": torch.zeros(7), "norm.more": torch.zeros(1)})
    with pytest.raises(EarnestError) as told:
        import_run("emocatcher", path, tmp_path / "run", EMOCATCHER)
    for words in (
        "holds no tensor 'attention.key.weight' (128, 128)",
        "holds no tensor 'attention.key.bias' (128,)",
        "'output.bias' has the shape (7,), expected (8,)",
        "holds 'norm.more', which this network has not",
    ):
        assert words in str(told.value)
    assert not (tmp_path / "run" / "run.json").exists()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("it was unpickled",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(EarnestError, match=r"no file of tensors alone\. Save the network's state_dict") as told:
        import_run("emocatcher", tmp_path / "evil.pth", tmp_path / "run", EMOCATCHER)
    assert "weights_only" not in str(told.value)  # torch says how to read it all the same


def test_what_is_no_file_is_told_as_such(tmp_path: Path) -> None:
    for name in ("none.pth", "none.safetensors"):
        with pytest.raises(EarnestError, match=f"{name}: no such file"):
            import_run("emocatcher", tmp_path / name, tmp_path / "run", EMOCATCHER)
    with pytest.raises(EarnestError, match="a folder"):
        import_run("emocatcher", tmp_path, tmp_path / "run", EMOCATCHER)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda weight: torch.full_like(weight, math.nan), "'output.weight' holds numbers that are not finite"),
        (lambda weight: weight.double() * 1e300, "'output.weight' holds numbers that are not finite in 32 bits"),
        (lambda weight: weight.long(), "'output.weight' holds int64, expected floating-point numbers"),
        (lambda weight: weight.to(torch.complex64), "'output.weight' holds complex64, expected floating-point numbers"),
        (lambda weight: torch.zeros(1).expand(10**12), r"'output.weight' has the shape \(1000000000000,\)"),
        (lambda weight: weight.to_sparse(), "no table of tensors"),
        (lambda weight: weight.to("meta"), "no table of tensors"),
    ],
)
def test_tensors_that_no_network_can_have_are_refused(
    changed: Callable[[Tensor], Tensor], words: str, tmp_path: Path
) -> None:
    tensors = state(EMOCATCHER)
    path = checkpoint(tmp_path / "theirs.pth", {**tensors, "output.weight": changed(tensors["output.weight"])})
    with pytest.raises(EarnestError, match=words):
        import_run("emocatcher", path, tmp_path / "run", EMOCATCHER)


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(3)}, tmp_path / "numbers.pth")
    with pytest.raises(EarnestError, match="no table of tensors"):
        import_run("emocatcher", tmp_path / "numbers.pth", tmp_path / "run", EMOCATCHER)


def test_one_flipped_byte_is_found_where_torch_reads_it_as_another_number(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert all(tensor.isfinite().all() for tensor in torch.load(path, weights_only=True).values())
    with pytest.raises(EarnestError, match=r"theirs\.pth: damaged, the checksum of .* Fetch it again"):
        import_run("emocatcher", path, tmp_path / "run", EMOCATCHER)


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(2)}, tmp_path / "theirs.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert all_tensors(tmp_path / "theirs.pth")["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_nothing_in_a_checkpoint_is_inflated(kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", kind) as archive:
        archive.writestr("bomb/data.pkl", bytes(1 << 20))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("a member was read"))
    with pytest.raises(EarnestError, match="a compressed archive, no file of tensors alone"):
        all_tensors(tmp_path / "bomb.pth")


def test_an_archive_of_more_members_than_a_network_has_tensors_is_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER))
    monkeypatch.setattr(pretrained, "_MOST_DIRECTORY_BYTES", 100)
    monkeypatch.setattr(pretrained.zipfile, "ZipFile", None)
    with pytest.raises(EarnestError, match="no file of tensors alone"):
        all_tensors(path)


def test_names_with_dataparallels_prefix_are_taken(tmp_path: Path) -> None:
    tensors = state(EMOCATCHER)
    path = checkpoint(tmp_path / "theirs.pth", tensors)
    torch.save({f"module.{key}": tensor for key, tensor in torch.load(path).items()}, tmp_path / "parallel.pth")
    import_run("emocatcher", tmp_path / "parallel.pth", tmp_path / "run", EMOCATCHER)
    assert torch.equal(load_run(tmp_path / "run").network.state_dict()["output.weight"], tensors["output.weight"])
    torch.save({"module.a": torch.zeros(1), "a": torch.ones(1)}, tmp_path / "mixed.pth")
    assert set(all_tensors(tmp_path / "mixed.pth")) == {"module.a", "a"}


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER))
    import_run("emocatcher", path, tmp_path / "run", EMOCATCHER)
    with pytest.raises(EarnestError, match=r"run: holds SHA256SUMS\. Choose another --output"):
        import_run("emocatcher", path, tmp_path / "run", EMOCATCHER)


def moody() -> Recipe:
    return replace(read_recipe(recipe_file("moody-alexnet")), network=SMALL)


def graph_of(path: Path, tensors: Mapping[str, Tensor], n_outputs: int = 8) -> Path:
    """Write tensors as an exporter of opset 13 does: the order of the nodes is told, names are its own."""
    values = [tensor.numpy() for key, tensor in tensors.items() if not key.endswith(COUNTER)]
    values[-2:] = [np.concatenate([one, one])[:n_outputs] for one in values[-2:]]
    values = [np.zeros((4, 6), np.float32), *values]  # a front end before the network
    kinds = {4: "Conv", 2: "Gemm"}
    initializers = [numpy_helper.from_array(value, f"onnx::{n}") for n, value in enumerate(values)]
    nodes, n = [helper.make_node("MatMul", ["input", "onnx::0"], ["0"])], 1
    while n < len(values):
        if values[n].ndim > 1:
            used, kind = 2, kinds[values[n].ndim]
        else:
            is_norm = n + 3 < len(values) and values[n + 3].ndim == values[n + 2].ndim == 1
            used, kind = (4, "BatchNormalization") if is_norm else (1, "Mul")
        names = [f"onnx::{number}" for number in range(n, n + used)]
        nodes.append(helper.make_node(kind, [nodes[-1].output[0], *names], [str(n)]))
        n += used
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", nodes[-1].output[0])]
    graph = helper.make_graph(nodes, "theirs", ends[:1], ends[1:], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def test_moodys_graph_is_read_in_the_order_of_its_nodes_without_the_output_that_was_never_trained(
    tmp_path: Path,
) -> None:
    tensors = state(moody())
    record = import_run("moody-alexnet", graph_of(tmp_path / "their.onnx", tensors), tmp_path / "run", moody())
    loaded = load_run(tmp_path / "run").network.state_dict()
    assert record.classes == ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    for key, tensor in tensors.items():
        if not key.endswith(COUNTER):
            assert torch.equal(loaded[f"network.{key}"], tensor), key


def test_a_graph_of_other_layers_is_refused_with_the_names_that_are_expected(tmp_path: Path) -> None:
    tensors = {key: tensor for key, tensor in state(moody()).items() if not key.startswith("features.15")}
    with pytest.raises(EarnestError, match=r"there are 20 tensors, the network has 24 .*features\.15\.weight"):
        import_run("moody-alexnet", graph_of(tmp_path / "their.onnx", tensors), tmp_path / "run", moody())
    wide = replace(moody(), network={"width_factor": 0.25})
    with pytest.raises(EarnestError, match=r"holds no tensor of the shape \(24, 1, 11, 11\)"):
        import_run("moody-alexnet", graph_of(tmp_path / "their.onnx", state(moody())), tmp_path / "run", wide)
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(EarnestError, match=r"no\.onnx: "):
        import_run("moody-alexnet", tmp_path / "no.onnx", tmp_path / "run", moody())


def test_our_export_for_moody_comes_back_with_its_answers(tmp_path: Path) -> None:
    classes = tuple(sorted(SCHEMES["moody7"].classes))
    model = build_classifier(moody(), classes, seed=0)
    drawn = torch.Generator().manual_seed(1)
    for tensor in model.network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.1 + 0.1 * torch.rand(tensor.shape, generator=drawn))
    model.eval().temperature.fill_(1.7)
    (tmp_path / "ours.onnx").write_bytes(to_moody(model, {}).SerializeToString())
    record = import_run("moody-alexnet", tmp_path / "ours.onnx", tmp_path / "run", moody())
    again = load_run(tmp_path / "run")
    calibrate(again, record)
    sound = torch.from_numpy(voice(2.1, 22_050)[None])
    lengths = torch.tensor([sound.shape[1]])
    with torch.inference_mode():
        before = dict(zip(classes, model(sound, lengths)["probabilities"][0].tolist(), strict=True))
        after = dict(zip(record.classes, again(sound, lengths)["probabilities"][0].tolist(), strict=True))
    assert after == pytest.approx(before, abs=1e-6)
    assert record.temperature == pytest.approx(1.7)


@pytest.fixture
def resnet(tmp_path: Path) -> dict[str, Tensor]:
    """Torchvision's tensors of ResNet18, all zero, with its thousand classes."""
    kind = MODELS.get("resnet18")
    with torch.device("meta"):
        tensors = kind(PIXELS, 1000, kind.settings_type()).state_dict()
    return {key: torch.zeros(tensor.shape, dtype=tensor.dtype) for key, tensor in tensors.items()}


def test_imagenets_file_is_put_where_recipes_look_for_it(
    resnet: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(resnet, tmp_path / "theirs.pth")
    monkeypatch.delenv("EARNEST_MODELS", raising=False)
    with pytest.raises(EarnestError, match=r"EARNEST_MODELS names no folder\. .* --output"):
        import_imagenet("resnet18", tmp_path / "theirs.pth")
    monkeypatch.setenv("EARNEST_MODELS", str(tmp_path / "models"))
    place = import_imagenet("resnet18", tmp_path / "theirs.pth")
    assert place == tmp_path / "models" / read_recipe(recipe_file("ntu-resnet18")).network["weights"]
    assert place.read_bytes() == (tmp_path / "theirs.pth").read_bytes()
    with pytest.raises(EarnestError, match="Replace it with --overwrite"):
        import_imagenet("resnet18", tmp_path / "theirs.pth")


def test_a_file_that_is_not_what_its_name_promises_is_refused(resnet: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(resnet, tmp_path / "resnet18-f37072fd.pth")
    with pytest.raises(EarnestError, match=r"not with f37072fd\. Fetch it again"):
        import_imagenet("resnet18", tmp_path / "resnet18-f37072fd.pth", tmp_path / "out.pth")
    torch.save(resnet | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "grey.pth")
    with pytest.raises(EarnestError, match=r"'conv1\.weight' has the shape \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)"):
        import_imagenet("resnet18", tmp_path / "grey.pth", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_the_command_offers_what_can_be_imported() -> None:
    assert tuple(PUBLISHED) == tuple(NETWORKS)


def test_a_file_of_another_network_is_refused_with_the_right_one() -> None:
    told = CliRunner().invoke(cli, ["import", "emocatcher", "model.onnx", "-o", "run"])
    assert told.exit_code == 2
    assert "for emocatcher, FILE is EmoCatcher's checkpoint (.pth)" in " ".join(told.output.split())
    assert "(.onnx)" in CliRunner().invoke(cli, ["import", "moody-alexnet", "model.pth", "-o", "run"]).output


def test_the_command_makes_a_run_and_says_what_comes_next(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER))
    words = ["import", "emocatcher", str(path)]
    said = earnest_cli(*words, "--output", str(tmp_path / "run"))
    assert "166,729 parameters, neutral, calm, happy" in said
    assert f"Next: earnest export {tmp_path / 'run'}" in said
    assert "--output is missing" in CliRunner().invoke(cli, words).output
    assert (
        "leave out --protocol, --fold and --data"
        in CliRunner().invoke(cli, ["import", "alexnet", "a.pth", "--protocol", "x"]).output
    )


def test_the_command_that_a_result_names_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told = checkpoint(tmp_path / "their best.pth", state(EMOCATCHER)), []
    monkeypatch.setattr(evaluate, "require_fold", lambda *_: None)
    monkeypatch.setattr(evaluate, "train", lambda *words, progress: told.append(words[5]))
    earnest_cli("import", "emocatcher", path, "-o", tmp_path / "run", "--protocol", "emocatcher-5fold", "--fold", "f2")
    shutil.rmtree(tmp_path / "run")
    earnest_cli(*shlex.split(told[0])[1:])
    assert told[0] == told[1]
    assert {str(path), "emocatcher-5fold", "f2"} <= set(shlex.split(told[0]))


@pytest.mark.parametrize(("selected_on", "stamp"), [("test", STAMP), ("nothing", None)])
def test_scores_of_an_epoch_that_was_chosen_on_test_are_stamped_in_json_too(
    selected_on: str, stamp: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = SimpleNamespace(scores=SimpleNamespace(wa=0.5, ua=0.25, n=2), document={"selected_on": selected_on})
    monkeypatch.setattr(evaluate, "require_fold", lambda *_: None)
    monkeypatch.setattr(evaluate, "train", lambda *_, progress: scored)
    path = checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER))
    words = ("import", "emocatcher", path, "-o", tmp_path / "run", "--protocol", "emocatcher-5fold", "--json")
    assert json.loads(earnest_cli(*words))["test"] == {"wa": 0.5, "ua": 0.25, "n": 2, "stamp": stamp}


def test_an_export_says_what_its_licence_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bundle, "traced", lambda _: None)  # minutes, for what is not looked at
    monkeypatch.setattr(bundle, "model_files", lambda *_: {})
    monkeypatch.setattr(bundle, "to_moody", lambda *_: onnx.ModelProto())
    import_run("emocatcher", checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER)), tmp_path / "run", EMOCATCHER)
    for licence in ("MIT", "CC BY-NC-SA 4.0"):
        bundle.export_bundle(tmp_path / "run", tmp_path / licence, bundle.Identity("theirs", "1", licence))
    bundle.export_moody(tmp_path / "run", tmp_path / "moody", bundle.Identity("theirs", "1", "MIT"))
    heard = "non-commercial use only, as its weights have heard ravdess, CC-BY-NC-SA-4.0"
    told = [record.getMessage() for record in caplog.records if record.name == "earnest.export.bundle"]
    hidden = f"{tmp_path / 'MIT'}: for {heard}; its licence 'MIT' doesn't say so."
    assert told == [hidden, f"{tmp_path / 'moody'}: licence of the weights: non-commercial use only: MIT."]
    with pytest.raises(EarnestError, match="holds a bundle"):  # it would be left with a graph that it doesn't list
        bundle.export_moody(tmp_path / "run", tmp_path / "MIT", bundle.Identity("theirs", "1", "MIT"))


def test_without_its_recordings_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    path = checkpoint(tmp_path / "theirs.pth", state(EMOCATCHER))
    words = ["import", "emocatcher", str(path), "-o", str(tmp_path / "run"), "--protocol", "emocatcher-5fold"]
    with pytest.raises(EarnestError, match=r"Where is ravdess\?"):
        CliRunner().invoke(cli, words, catch_exceptions=False)
    assert not (tmp_path / "run").exists()


def test_the_commands_of_the_page_exist_with_their_options() -> None:
    page = (Path(__file__).parents[3] / "docs" / "import.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S) for line in block.splitlines()]
    assert len(lines) == 6
    for words in (shlex.split(line)[1:] for line in lines):
        usage = CliRunner().invoke(cli, [words[0], "--help"]).output
        assert all(word in usage for word in words if word.startswith("--")), words
