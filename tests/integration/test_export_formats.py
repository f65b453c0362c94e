"""One trained run in every format: the same answers, and what each file says about itself."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import earnest_cli
from made_up_corpus import Trained

from earnest.bundle import load_bundle
from earnest.errors import CorpusError, EarnestError
from earnest.export import bundle as export
from earnest.export.bundle import int8_clips, split_clips
from earnest.export.onnx import FRONT, traced
from earnest.models.classifier import SpeechClassifier
from earnest.report.result import Result
from earnest.runtime.predictor import Predictor
from earnest.training.run import load_run

EXACT = {"web": 1e-6, "onnx-fp16": 5e-3, "openvino": 1e-4, "openvino-fp16": 5e-3}  # most that may differ


@pytest.fixture(scope="module", autouse=True)
def trace_once(trained: Trained) -> Iterator[None]:
    """Tracing takes most of an export's time, and all formats start from the same graph."""
    graph = traced(load_run(trained.run))

    def copied(classifier: SpeechClassifier) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "traced", copied)
        yield


@pytest.fixture(scope="module")
def int8(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(trained, tmp_path_factory.mktemp("int8") / "bundle", "onnx-int8")


def exported(trained: Trained, folder: Path, form: str, *more: str) -> Path:
    if form.startswith("openvino"):
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'earnest[openvino]'")
    words = ("--output", folder, "--format", form, "--data", trained.data, "--json", "--licence", "CC0-1.0")
    said = json.loads(earnest_cli("export", trained.run, *words, *more))
    assert (said["format"], said["bytes"]) == (form, sum((folder / name).stat().st_size for name in said["sha256"]))
    return folder


def answers(trained: Trained, folder: Path) -> list[Result]:
    """Return the results of some of the corpus' clips."""
    return list(Predictor.load(folder).predict_many(sorted(trained.manifest.parent.glob("*.wav"))[::6]))


def differences(trained: Trained, folder: Path) -> tuple[float, float]:
    """Return the largest difference of a probability to the exact bundle's, and the share of the same labels."""
    apart, same = [], []
    for exact, found in zip(answers(trained, trained.bundle), answers(trained, folder), strict=True):
        apart += [abs(found.probabilities[name] - value) for name, value in exact.probabilities.items()]
        same.append(found.emotion == exact.emotion)
    return max(apart), float(np.mean(same))


@pytest.mark.parametrize("form", EXACT)
def test_every_format_answers_as_the_exact_one_does(trained: Trained, tmp_path: Path, form: str) -> None:
    folder = exported(trained, tmp_path / "bundle", form)
    assert load_bundle(folder).info.format == form
    largest, same = differences(trained, folder)
    assert (largest <= EXACT[form], same) == (True, 1.0)


def assert_is_int8(trained: Trained, folder: Path) -> None:
    """Near the exact answers, and not the same ones: something was quantised."""
    largest, same = differences(trained, folder)
    assert largest <= 0.2
    assert same >= 0.9
    # The made-up voices are told apart so surely that probabilities hardly move; their logarithms do.
    exact, found = (
        np.log(np.maximum([list(result.probabilities.values()) for result in answers(trained, path)], 1e-30))
        for path in (trained.bundle, folder)
    )
    assert np.abs(found - exact).max() > 1e-2


def test_int8_answers_nearly_as_the_exact_one_does(trained: Trained, int8: Path) -> None:
    assert load_bundle(int8).info.format == "onnx-int8"
    assert_is_int8(trained, int8)


def test_int8_for_openvino_answers_nearly_as_the_exact_one_does(trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="needs NNCF: pip install 'earnest[quantise]'")
    folder = exported(trained, tmp_path / "bundle", "openvino-int8")
    assert_is_int8(trained, folder)
    types = re.findall(r'element_type="(\w+)"', (folder / "model.xml").read_text(encoding="utf-8"))
    assert types.count("i8") >= 2


def test_int8_is_fixed_before_so_neighbours_change_nothing(trained: Trained, int8: Path) -> None:
    model = Predictor.load(int8)
    clips = sorted(trained.manifest.parent.glob("*.wav"))[:8]
    for clip, together in zip(clips, model.predict_many(clips), strict=True):
        assert dict(model.predict(clip).probabilities) == pytest.approx(dict(together.probabilities), abs=1e-4)


def test_int8_leaves_the_front_end_in_float(int8: Path) -> None:
    graph = onnx.load(int8 / "model.onnx").graph
    quantised = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert quantised
    assert not [node.name for node in quantised if any(name.startswith(FRONT) for name in (*node.input, *node.output))]
    assert "log_mel" not in {name for node in quantised for name in node.input}


def test_an_export_over_another_format_leaves_no_file_of_it(trained: Trained, tmp_path: Path) -> None:
    exported(trained, tmp_path / "bundle", "openvino")
    with pytest.raises(EarnestError, match="--overwrite"):
        exported(trained, tmp_path / "bundle", "web")
    exported(trained, tmp_path / "bundle", "web", "--overwrite")
    assert not (tmp_path / "bundle" / "model.xml").exists()
    assert "model.onnx" in load_bundle(tmp_path / "bundle").info.files


def digest_of(model: onnx.ModelProto) -> str:
    """Return the digest of a file's weights by the rule of docs/how-to/other-languages.md."""
    digest = hashlib.sha256()
    for tensor in model.graph.initializer:
        digest.update(tensor.name.encode() + onnx.numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


def test_the_digest_of_int8_is_of_its_scales_too(int8: Path) -> None:
    model = onnx.load(int8 / "model.onnx")
    assert [tensor.name for tensor in model.graph.initializer if not tensor.raw_data]
    assert digest_of(model) in {item.value for item in model.metadata_props if item.key == "weights_sha256"}


def test_the_file_alone_says_what_it_is(trained: Trained) -> None:
    model = onnx.load(trained.bundle / "model.onnx")
    said = {item.key: item.value for item in model.metadata_props}
    assert said.pop("weights_sha256") == digest_of(model)
    assert said == {
        "name": "bundle",
        "origin": "random",
        "known_speakers": "[]",
        "version": "0.1.0",
        "licence": "CC0-1.0",
        "classes": "neutral,happy,sad,angry",
        "scheme": "native",
        "sample_rate_hz": "16000",
        "shortest_s": "0.1",
        "longest_s": "30.0",
        "format": "onnx",
    }
    shapes = {value.name for value in model.graph.value_info}
    assert {"log_mel", "n_frames"} <= shapes


def test_calibration_hears_training_speakers_and_judges_on_validation_speakers(trained: Trained) -> None:
    folders = {trained.data.partition("=")[0]: trained.manifest}
    found = split_clips(trained.run, folders)
    speakers = {part: {row.speaker for row, _ in rows} for part, rows in found.items()}
    assert not speakers["train"] & speakers["valid"]
    calibration, validation = int8_clips(trained.run, folders)
    assert (len(calibration.waveforms), len(validation.targets)) == (len(found["train"]), len(found["valid"]))
    assert validation.targets.tolist() == [target for _, target in found["valid"]]
    feed = calibration.feeds()[0]
    assert (feed["waveform"].shape, feed["lengths"].tolist()) == ((1, feed["lengths"][0]), [feed["waveform"].shape[1]])


def test_int8_without_the_runs_corpus_says_where_to_name_it(trained: Trained, tmp_path: Path) -> None:
    words = ("--output", tmp_path / "bundle", "--format", "onnx-int8", "--data", f"made-up={tmp_path}")
    with pytest.raises((CorpusError, EarnestError)):
        earnest_cli("export", trained.run, *words)
    assert not (tmp_path / "bundle").exists()


def test_parity_over_formats_is_a_table_in_a_folder(trained: Trained, tmp_path: Path, monkeypatch: object) -> None:
    from earnest.export import parity as runtimes

    patch = pytest.MonkeyPatch()
    patch.setattr(runtimes, "N_STARTS", 1)
    patch.setattr(runtimes, "N_TIMED", 3)
    half = exported(trained, tmp_path / "half", "onnx-fp16")
    words = ("--also", half, "--limit", 10, "--output", tmp_path / "out", "--json")
    found = json.loads(earnest_cli("parity", trained.run, trained.bundle, trained.manifest.parent, *words))
    patch.undo()
    torch_row, exact, rounded = found["rows"]
    assert [row["form"] for row in found["rows"]] == ["float32", "onnx", "onnx-fp16"]
    assert torch_row["largest"] == 0
    assert exact["largest"] <= 1e-4 and exact["largest"] < rounded["largest"] <= 5e-3
    assert all(row["latency_ms"] > 0 and row["cold_start_s"] > 0 and row["memory_mb"] > 20 for row in found["rows"])
    assert rounded["n_bytes"] < exact["n_bytes"]
    assert json.loads((tmp_path / "out" / "run.json").read_text()) == found
    assert "| onnxruntime | onnx-fp16 |" in (tmp_path / "out" / "run.md").read_text()
