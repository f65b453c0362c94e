"""A made-up bundle: a graph with the right inputs and outputs that answers from a clip's energy and movement."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earnest.bundle import ADAPTATION, SOUNDS, BundleInfo, sha256_of
from earnest.onnx.surgery import FLOAT, HEARD, GraphParts

CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
LOUDNESS_OF_SOUNDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.02)  # mean |x| at which each of `SOUNDS` is likeliest


def stand_in_model(classes: Sequence[str] = CLASSES, extra_outputs: bool = False, sound: bool = False) -> Any:
    """Return a ModelProto: masked mean of |x|, x² and |x|³ → linear → softmax.

    Parameters
    ----------
    extra_outputs : whether it answers ``gender``, ``affect`` and ``intensity`` (the mean of |x|) too
    sound : whether it has the outputs ``sound``, by the mean of |x|, and ``distance``, the root mean square
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    rng = np.random.default_rng(0)

    def constant(name: str, value: Any, kind: type = np.float32) -> Any:
        return numpy_helper.from_array(np.asarray(value, kind), name)

    constants = [
        constant("zero", 0, np.int64),
        constant("one", 1, np.int64),
        constant("last", [-1], np.int64),
        constant("second", [1], np.int64),
        constant("width", 3, np.int64),
        constant("weights", 5 * rng.normal(size=(3, len(classes)))),
        constant("gender_weights", rng.normal(size=(3, 2))),
        constant("affect_weights", rng.normal(size=(3, 3))),
    ]
    nodes = [
        helper.make_node("Shape", ["waveform"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["n_samples"]),
        helper.make_node("Range", ["zero", "n_samples", "one"], ["positions"]),
        helper.make_node("Unsqueeze", ["lengths", "second"], ["ends"]),
        helper.make_node("Less", ["positions", "ends"], ["inside"]),
        helper.make_node("Cast", ["inside"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["ends"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["waveform", "mask"], ["kept"]),
        helper.make_node("Abs", ["kept"], ["first_power"]),
        helper.make_node("Mul", ["kept", "kept"], ["second_power"]),
        helper.make_node("Mul", ["first_power", "second_power"], ["third_power"]),
    ]
    for power in ("first", "second", "third"):
        nodes += [
            helper.make_node("ReduceSum", [f"{power}_power", "last"], [f"{power}_sum"], keepdims=1),
            helper.make_node("Div", [f"{power}_sum", "counts"], [f"{power}_mean"]),
        ]
    nodes += [
        helper.make_node("Concat", ["first_mean", "second_mean", "third_mean"], ["embedding"], axis=1),
        helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    outputs = {"logits": [len(classes)], "probabilities": [len(classes)], "embedding": [3]}
    if extra_outputs:
        nodes += [
            helper.make_node("MatMul", ["embedding", "gender_weights"], ["gender_logits"]),
            helper.make_node("Softmax", ["gender_logits"], ["gender"], axis=-1),
            helper.make_node("MatMul", ["embedding", "affect_weights"], ["affect"]),
        ]
        constants += [constant("nought", 0.0), constant("full", 1.0)]
        nodes += [
            helper.make_node("Squeeze", ["first_mean", "last"], ["loudness"]),
            helper.make_node("Clip", ["loudness", "nought", "full"], ["intensity"]),
        ]
        outputs |= {"gender": [2], "affect": [3], "intensity": []}
    if sound:
        centres = np.array(LOUDNESS_OF_SOUNDS)
        constants += [constant("centres", 400 * centres[None]), constant("halves", 200 * centres**2)]
        nodes += [
            helper.make_node("MatMul", ["first_mean", "centres"], ["nearness"]),
            helper.make_node("Sub", ["nearness", "halves"], ["sound_logits"]),
            helper.make_node("Softmax", ["sound_logits"], ["sound"], axis=-1),
            helper.make_node("Squeeze", ["second_mean", "last"], ["power"]),
            helper.make_node("Sqrt", ["power"], ["distance"]),
        ]
        outputs |= {"sound": [len(SOUNDS)], "distance": []}
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [
            helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes]) for name, sizes in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    return model


def as_shipped(model: Any) -> Any:
    """Return the stand-in with a last layer and the time that is heard as the bundles that ship have them."""
    from onnx import TensorProto, checker, helper, numpy_helper

    place, old = next((at, one) for at, one in enumerate(model.graph.node) if "logits" in one.output)
    tables = {one.name: one for one in model.graph.initializer}
    weights = np.ascontiguousarray(numpy_helper.to_array(tables["weights"]).T)
    bias = np.linspace(-1, 1, len(weights), dtype=np.float32)
    added = {"last_weights": weights, "last_bias": bias, "enough": np.float32(1.5 * 16_000)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in added.items())
    model.graph.node.remove(old)
    last = helper.make_node("Gemm", ["embedding", "last_weights", "last_bias"], ["logits"], transB=1)
    model.graph.node.insert(place, last)
    told = [
        helper.make_node("Cast", ["lengths"], ["n_heard"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["n_heard", "enough"], [HEARD]),
        helper.make_node("Min", [HEARD, "all_of_it"], ["share"]),
        helper.make_node("Unsqueeze", ["share", "second"], ["sureness"]),
        helper.make_node("Mul", ["logits", "sureness"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "all_of_it"))
    model.graph.node.remove(next(one for one in model.graph.node if "probabilities" in one.output))
    model.graph.node.extend(told)
    checker.check_model(model)
    return model


def with_mismatch(model: Any, louder_than: float) -> Any:
    """Return the stand-in with a head for mismatched speech, louder than this, as in the bundles that ship.

    Its output ``distance`` is 3 of such speech and 0 of other; the bundle's ``out_of_domain_from`` is to be 2.
    """
    from onnx import TensorProto, checker, helper

    with GraphParts.appended(model) as add:
        slopes = np.array([[0, 200], [0, 0], [0, 0]], np.float32)  # of the mean of |x|
        half = add.constant("mismatch_weight", slopes, np.float16)
        weight = add.node("Cast", [half], "mismatch_weights", to=FLOAT)
        bias = add.constant("mismatch_bias", [0, -200 * louder_than])
        shares = add.node("Softmax", [add.node("Gemm", ["embedding", weight, bias], "scores")], "shares", axis=-1)
        off = add.node("MatMul", [shares, add.constant("reach", [[0], [3]])], "mismatch")
        add.node("Squeeze", [off, add.constant("mismatch_axis", [1], np.int64)], "distance")
    model.graph.output.append(helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["batch"]))
    checker.check_model(model)
    return model


def with_overlap(model: Any, louder_than: float) -> Any:
    """Return the stand-in with a head for several people at once, who are louder than this: its output ``overlap``."""
    from onnx import TensorProto, checker, helper

    with GraphParts.appended(model) as add:
        slopes = np.array([[200], [0], [0]], np.float32)  # of the mean of |x|
        weight = add.node("Cast", [add.constant("overlap_weight", slopes, np.float16)], "overlap_weights", to=FLOAT)
        bias = add.constant("overlap_bias", [-200 * louder_than])
        score = add.node("Gemm", ["embedding", weight, bias], "overlap_score")
        flat = add.constant("overlap_flat", [-1], np.int64)
        add.node("Sigmoid", [add.node("Reshape", [score, flat], "overlap_scores")], "overlap")
    model.graph.output.append(helper.make_tensor_value_info("overlap", TensorProto.FLOAT, ["batch"]))
    checker.check_model(model)
    return model


def with_sound_head(model: Any) -> Any:
    """Return the stand-in with the outputs ``sound`` and ``distance``, both by loudness, the mean of |x|.

    Below 0.1 a clip is speech, up to 0.2 laughter, above it no speech; the distance is ten times the loudness.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    weights, bias = np.zeros((3, len(SOUNDS)), np.float32), np.full(len(SOUNDS), -1e4, np.float32)
    for name, slope, start in (("speech", 0, 0), ("laughter", 400, -40), ("no-speech", 800, -120)):
        weights[0, SOUNDS.index(name)], bias[SOUNDS.index(name)] = slope, start
    constants = {"sound_weights": weights, "sound_bias": bias, "distance_weights": np.array([10, 0, 0], np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("MatMul", ["embedding", "sound_weights"], ["sound_products"]),
            helper.make_node("Add", ["sound_products", "sound_bias"], ["sound_logits"]),
            helper.make_node("Softmax", ["sound_logits"], ["sound"], axis=-1),
            helper.make_node("MatMul", ["embedding", "distance_weights"], ["distance"]),
        ]
    )
    for name, shape in (("sound", ["batch", len(SOUNDS)]), ("distance", ["batch"])):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    checker.check_model(model)
    return model


def write_hearing(folder: Path, **changes: Any) -> Path:
    """Write a bundle that tells speech, laughter and other sound apart; see `with_sound_head`."""
    return write_bundle(folder, with_sound_head(stand_in_model()), sounds=SOUNDS, **changes)


def write_bundle(
    folder: Path, model: Any = None, more_files: Mapping[str, bytes] | None = None, **changes: Any
) -> Path:
    """Write a bundle folder; ``model`` is a ModelProto or bytes, ``changes`` go into ``bundle.json``.

    It tells every answer unless ``abstain_below`` is among the changes: the stand-in is seldom sure.
    """
    data = stand_in_model() if model is None else model
    data = data if isinstance(data, bytes) else data.SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    files = {"model.onnx": data, **(more_files or {})}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    digests = {name: sha256_of(content) for name, content in files.items()}
    info = BundleInfo("stand-in", "1", CLASSES, 16_000, "Apache-2.0", digests)
    (folder / "bundle.json").write_text(json.dumps(info.to_dict() | {"abstain_below": 0.0} | changes), encoding="utf-8")
    return folder


def cuttable_model() -> Any:
    """Return a ModelProto with a spectrogram inside: eight filters, logarithm → mean over frames → linear → softmax."""
    from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

    rng = np.random.default_rng(0)
    constants = {
        "channel": np.array([1], np.int64),
        "filters": rng.normal(size=(8, 1, 400)).astype(np.float32),
        "least": np.array(1e-6, np.float32),
        "ten": np.array(10.0, np.float32),
        "window": np.array(400, np.int64),
        "hop": np.array(160, np.int64),
        "one": np.array(1, np.int64),
        "last": np.array([-1], np.int64),
        "weights": rng.normal(size=(8, len(CLASSES))).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["waveform", "channel"], ["rows"]),
        node("Conv", ["rows", "filters"], ["filtered"], strides=[160]),
        node("Mul", ["filtered", "filtered"], ["power"]),
        node("Max", ["power", "least"], ["floored"]),
        node("Log", ["floored"], ["logarithm"]),
        node("Mul", ["logarithm", "ten"], ["log_mel"]),
        node("Sub", ["lengths", "window"], ["behind"]),
        node("Div", ["behind", "hop"], ["steps"]),
        node("Add", ["steps", "one"], ["n_frames"]),
        node("ReduceSum", ["log_mel", "last"], ["sums"], keepdims=0),
        node("Cast", ["n_frames"], ["counts"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["counts", "channel"], ["columns"]),
        node("Div", ["sums", "columns"], ["embedding"]),
        node("MatMul", ["embedding", "weights"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    sizes = {"logits": len(CLASSES), "probabilities": len(CLASSES), "embedding": 8}
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "cuttable",
        [info("waveform", TensorProto.FLOAT, ["batch", "samples"]), info("lengths", TensorProto.INT64, ["batch"])],
        [info(name, TensorProto.FLOAT, ["batch", size]) for name, size in sizes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model = shape_inference.infer_shapes(model, strict_mode=True)
    checker.check_model(model)
    return model


CUTTABLE_FRONT_END = {"n_fft": 400, "win_length": 400, "hop_length": 160, "n_mels": 8}


def stand_in_adaptation(
    n_classes: int = len(CLASSES), weight: float = 0.5, names: Sequence[str] = ("adapted", "weight")
) -> bytes:
    """Return an adaptation network: logarithms less their weighted mean over the set → softmax.

    It is mixed with the plain answer at a fixed weight.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    node = helper.make_node
    constants = {"least": 1e-6, "share": weight, "rest": 1 - weight, "nothing": 0.0}
    nodes = [
        node("Max", ["probabilities", "least"], ["floored"]),
        node("Log", ["floored"], ["logits"]),
        node("ReduceSum", ["weights"], ["counted"], keepdims=1),  # (1,)
        node("Div", ["weights", "counted"], ["parts"]),
        node("MatMul", ["parts", "logits"], ["mean"]),  # (classes,)
        node("Sub", ["logits", "mean"], ["centred"]),
        node("Softmax", ["centred"], ["centred_shares"], axis=-1),
        node("Mul", ["centred_shares", "share"], ["changed"]),
        node("Mul", ["probabilities", "rest"], ["kept"]),
        node("Add", ["changed", "kept"], [names[0]]),
        node("Mul", ["weights", "nothing"], ["nothings"]),
        node("Add", ["nothings", "share"], [names[1]]),
    ]
    rows = [("probabilities", ["rows", n_classes]), ("weights", ["rows"])]
    answers = [(names[0], ["rows", n_classes]), (names[1], ["rows"])]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "adaptation",
        [info(name, TensorProto.FLOAT, shape) for name, shape in rows],
        [info(name, TensorProto.FLOAT, shape) for name, shape in answers],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def write_adapting(
    folder: Path, network: bytes | None = None, least_speech_s: float = 3.0, model: Any = None, **changes: Any
) -> Path:
    """Write a bundle with an adaptation network; ``changes`` go into ``bundle.json``."""
    data = stand_in_adaptation() if network is None else network
    entry = {"file": ADAPTATION, "least_speech_s": least_speech_s}
    return write_bundle(folder, model, {ADAPTATION: data}, **{"adaptation": entry, **changes})
