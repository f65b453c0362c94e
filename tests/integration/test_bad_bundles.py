"""Each kind of bad bundle is one line on standard error that says what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stand_in import CLASSES, stand_in_model, write_bundle

import earnest
from earnest.apps.cli.main import main
from earnest.bundle import sha256_of
from earnest.errors import BundleError
from earnest.testing.sounds import write_voice


def external_data(folder: Path) -> None:
    from onnx import TensorProto

    model = stand_in_model()
    weights = next(item for item in model.graph.initializer if item.name == "weights")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    weights.ClearField("raw_data")
    write_bundle(folder, model)


def other_input_name(folder: Path) -> None:
    data = stand_in_model().SerializeToString().replace(b"waveform", b"wavefirm")
    write_bundle(folder, data)


def unknown_operator(folder: Path) -> None:
    model = stand_in_model()
    model.graph.node[0].op_type = "Shpae"
    write_bundle(folder, model)


def no_embedding(folder: Path) -> None:
    model = stand_in_model()
    model.graph.output.pop()
    write_bundle(folder, model)


def not_finite(folder: Path) -> None:
    import numpy as np
    from onnx import numpy_helper

    model = stand_in_model()
    for item in model.graph.initializer:
        if item.name == "weights":
            item.CopyFrom(numpy_helper.from_array(np.full((3, len(CLASSES)), np.nan, np.float32), "weights"))
    write_bundle(folder, model)


def in_json(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        path = write_bundle(folder) / "bundle.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return make


def text_json(text: str) -> Callable[[Path], None]:
    return lambda folder: (write_bundle(folder) / "bundle.json").write_text(text) and None


def changed_notice(folder: Path) -> None:
    write_bundle(folder)
    files = {"model.onnx": sha256_of((folder / "model.onnx").read_bytes()), "NOTICE.txt": sha256_of(b"MIT")}
    write_bundle(folder, files=files)
    (folder / "NOTICE.txt").write_bytes(b"none")


def nested_without_end(folder: Path) -> None:
    from onnx import ModelProto

    message = ModelProto().SerializeToString()
    for _ in range(400):
        for field in (6, 5, 1):  # a graph in an attribute in a node
            message = bytes([field << 3 | 2]) + varint(len(message)) + message
    write_bundle(folder, bytes([7 << 3 | 2]) + varint(len(message)) + message)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


BAD = {
    "sha256": (lambda f: (write_bundle(f) / "model.onnx").write_bytes(b"other") and None, "sha256 is not the one in"),
    "another file": (changed_notice, "NOTICE.txt: its sha256 is not the one in"),
    "nested model": (nested_without_end, "may run without end"),
    "schema": (in_json(lambda values: values.update(schema=99)), r"made by a newer earnest \(schema 99;"),
    "no schema": (in_json(lambda values: values.pop("schema") and None), "schema None"),
    "unknown key": (in_json(lambda values: values.update(clases=[])), "Did you mean 'classes'"),
    "missing key": (in_json(lambda values: values.pop("classes") and None), "classes"),
    "wrong type": (in_json(lambda values: values.update(sample_rate_hz="fast")), "sample_rate_hz"),
    "path in files": (in_json(lambda values: values.update(files={"../x": "0" * 64})), "model.onnx|plain file names"),
    "fewer classes": (in_json(lambda values: values.update(classes=["a", "b"])), "6 outputs for 2 classes"),
    "not ONNX": (lambda f: write_bundle(f, b"just text") and None, "not an ONNX model"),
    "empty model": (lambda f: write_bundle(f, b"") and None, "not an ONNX model"),
    "external data": (external_data, "weights lie in another file"),
    "other input": (other_input_name, "the inputs must be"),
    "unknown operator": (unknown_operator, "onnxruntime refuses it"),
    "missing output": (no_embedding, "has no output 'embedding'"),
    "not finite": (not_finite, "not finite"),
    "garbage JSON": (text_json("{]"), "not valid JSON"),
    "list JSON": (text_json("[]"), "schema None"),
    "deep JSON": (text_json("[" * 100_000), "not valid JSON"),
    "no model": (lambda f: (write_bundle(f) / "model.onnx").unlink(), "model.onnx: not there"),
    "no json": (lambda f: (write_bundle(f) / "bundle.json").unlink(), "bundle.json: no such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_bundle_is_one_line_and_exit_code_1(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make, message = BAD[kind]
    make(tmp_path / "bundle")
    clip = write_voice(tmp_path / "clip.wav")
    monkeypatch.setattr("sys.argv", ["earnest", "predict", str(clip), "--model", str(tmp_path / "bundle"), "--json"])
    with pytest.raises(SystemExit) as exit_:
        main()
    written = capfd.readouterr()
    assert exit_.value.code == 1
    assert written.out == ""
    assert written.err.startswith("earnest: ")
    assert written.err.count("\n") == 1
    with pytest.raises(BundleError, match=message):
        earnest.load(tmp_path / "bundle").predict(clip)


def test_an_unknown_name_is_said_to_be_neither_shipped_nor_a_folder() -> None:
    with pytest.raises(BundleError, match="There is no bundle 'nowhere', neither shipped nor a folder"):
        earnest.load("nowhere")
