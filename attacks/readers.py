"""Files that a reader is given: bundles, models, settings, tables and archives that hang, lie, or break out."""

import io
import json
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from attacks import Attack

NESTED = 3_000
BIDI = "\u202egnp.yppah\u2066\x07\x1b]0;owned"


def nested_json(depth: int = NESTED) -> str:
    """Return tables within tables."""
    return '{"a": ' * depth + "1" + "}" * depth


def nested_toml(depth: int = NESTED) -> str:
    """Return lists within lists."""
    return "a = " + "[" * depth + "]" * depth + "\n"


def dotted_toml(n_parts: int = 20_000) -> str:
    """Return one key of many parts: a megabyte of them takes the parser hours."""
    return ".".join(["a"] * n_parts) + " = 1\n"


def node_model(*nodes: Any, constants: Sequence[Any] = (), functions: Sequence[Any] = ()) -> bytes:
    """Return a bundle's graph whose probabilities come from ``nodes``, which read ``waveform`` and write ``made``."""
    from onnx import TensorProto, helper

    info, last = helper.make_tensor_value_info, ["batch", 6]
    ends = [helper.make_node("Identity", ["made"], [name]) for name in ("logits", "probabilities", "embedding")]
    graph = helper.make_graph(
        [*nodes, *ends],
        "attack",
        [info("waveform", TensorProto.FLOAT, ["batch", "samples"]), info("lengths", TensorProto.INT64, ["batch"])],
        [info(name, TensorProto.FLOAT, last) for name in ("logits", "probabilities", "embedding")],
        list(constants),
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10, functions=list(functions))
    data: bytes = model.SerializeToString()
    return data


def endless_loop() -> bytes:
    """Return a graph with a Loop of 2^63 − 1 turns."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    info = helper.make_tensor_value_info
    turn = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["kept"], ["kept_on"])],
        "turn",
        [
            info("number", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
            info("kept", TensorProto.FLOAT, None),
        ],
        [info("go_on", TensorProto.BOOL, []), info("kept_on", TensorProto.FLOAT, None)],
    )
    constants = [
        numpy_helper.from_array(np.array(2**63 - 1), "turns"),
        numpy_helper.from_array(np.array(True), "go_first"),
    ]
    loop = helper.make_node("Loop", ["turns", "go_first", "waveform"], ["made"], body=turn)
    return node_model(loop, constants=constants)


def functions_of_functions(levels: int = 40) -> bytes:
    """Return a graph of functions that each call the next twice: inlined, 2^40 nodes."""
    from onnx import helper

    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = []
    for level in range(levels):
        inner = {"op_type": "Neg"} if level == levels - 1 else {"op_type": f"f{level + 1}", "domain": "own"}
        nodes = [helper.make_node(inputs=[one], outputs=[two], **inner) for one, two in (("x", "y"), ("y", "z"))]
        made.append(helper.make_function("own", f"f{level}", ["x"], ["z"], nodes, imports))
    return node_model(helper.make_node("f0", ["waveform"], ["made"], domain="own"), functions=made)


def huge_expand() -> bytes:
    """Return a graph that writes one number out 10^12 times."""
    import numpy as np
    from onnx import helper, numpy_helper

    constants = [
        numpy_helper.from_array(np.array([10**6, 10**6]), "shape"),
        numpy_helper.from_array(np.zeros((1, 1), np.float32), "one"),
    ]
    return node_model(helper.make_node("Expand", ["one", "shape"], ["made"]), constants=constants)


def promised_tensor() -> bytes:
    """Return a graph with a constant whose dimensions promise 10^12 numbers and whose data are none."""
    from onnx import TensorProto, helper

    tensor = TensorProto(name="made", data_type=TensorProto.FLOAT, dims=[10**6, 10**6])
    return node_model(helper.make_node("Neg", ["waveform"], ["unused"]), constants=[tensor])


def doubling(times: int = 40) -> bytes:
    """Return a graph that joins a row with itself, again and again."""
    from onnx import helper

    names = ["row", *(f"twice{number}" for number in range(times - 1)), "made"]
    joined = (helper.make_node("Concat", [one, one], [two], axis=1) for one, two in pairwise(names))
    return node_model(*both_inputs(), *joined)


def both_inputs() -> tuple[Any, Any]:
    """Return nodes that make ``row`` of the waveform and the lengths: OpenVINO forgets an input that nothing reads."""
    from onnx import TensorProto, helper

    length = helper.make_node("Cast", ["lengths"], ["length"], to=TensorProto.FLOAT)
    return length, helper.make_node("Add", ["waveform", "length"], ["row"])


def constants_doubled(times: int = 40, of_text: bool = False) -> bytes:
    """Return a graph that joins a constant, of numbers or of text, with itself, again and again."""
    import numpy as np
    from onnx import helper, numpy_helper

    row = np.array([["a" * 1000]], object) if of_text else np.ones((1, 48_000), np.float32)
    names = ["row", *(f"twice{number}" for number in range(times - 1)), "made"]
    nodes = [helper.make_node("Concat", [one, one], [two], axis=1) for one, two in pairwise(names)]
    return node_model(*nodes, constants=[numpy_helper.from_array(row, "row")])


def constant_answer(value: float) -> bytes:
    """Return a graph whose probabilities are all ``value``."""
    import numpy as np
    from onnx import helper, numpy_helper

    values = {"answer": np.full((1, 6), value, np.float32), "zero": np.zeros((), np.float32)}
    return node_model(
        *both_inputs(),
        helper.make_node("ReduceMax", ["row"], ["loudest"], keepdims=0),
        helper.make_node("Mul", ["loudest", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["made"]),
        constants=[numpy_helper.from_array(array, name) for name, array in values.items()],
    )


def bundle_with(folder: Path, model: bytes | None = None, **changes: Any) -> Path:
    """Write a bundle whose files and digests are right, with ``changes`` in ``bundle.json``."""
    import hashlib

    folder.mkdir(parents=True, exist_ok=True)
    data = constant_answer(1 / 6) if model is None else model
    (folder / "model.onnx").write_bytes(data)
    values = {
        "name": "attack",
        "version": "1",
        "schema": 1,
        "classes": ["neutral", "happy", "sad", "angry", "fearful", "disgust"],
        "sample_rate_hz": 16_000,
        "licence": "CC0-1.0",
        "files": {"model.onnx": hashlib.sha256(data).hexdigest()},
    }
    (folder / "bundle.json").write_text(json.dumps(values | changes), encoding="utf-8")
    return folder


def _names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def fifo_bundle(folder: Path) -> Path:
    """Write a bundle whose model is a FIFO that nobody writes to."""
    bundle_with(folder)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    return folder


def device_bundle(folder: Path) -> Path:
    """Write a bundle whose model is a link to a device that never ends."""
    bundle_with(folder)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/dev/zero")
    return folder


def circle_bundle(folder: Path) -> Path:
    """Write a bundle whose model is a link to itself."""
    bundle_with(folder)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("model.onnx")
    return folder


BUNDLES: Mapping[str, tuple[Callable[[Path], Path], str]] = {
    "longest_s of Infinity": (lambda folder: bundle_with(folder, longest_s=float("inf")), "finite number"),
    "longest_s of 1e-6": (lambda folder: bundle_with(folder, shortest_s=1e-7, longest_s=1e-6), "shortest_s"),
    "a temperature of NaN": (lambda folder: bundle_with(folder, temperature=float("nan")), "finite number"),
    "class names that turn the terminal": (
        lambda folder: bundle_with(folder, classes=[BIDI, "b", "c", "d", "e", "f"]),
        "can control a terminal",
    ),
    "a million classes": (
        lambda folder: bundle_with(folder, classes=[str(n) for n in range(10**6)]),
        "larger than 4 MiB",
    ),
    "a thousand classes": (lambda folder: bundle_with(folder, classes=[str(n) for n in range(10**3)]), "2 to 256"),
    "an endless Loop": (lambda folder: bundle_with(folder, endless_loop()), "without end"),
    "functions of functions": (lambda folder: bundle_with(folder, functions_of_functions()), "functions"),
    "Expand to 10^12 numbers": (lambda folder: bundle_with(folder, huge_expand()), "would make more than"),
    "a tensor that promises 10^12 numbers": (lambda folder: bundle_with(folder, promised_tensor()), "promises more"),
    "a row doubled 40 times": (lambda folder: bundle_with(folder, doubling()), "failed to run|refuses it"),
    "a constant doubled 40 times": (lambda folder: bundle_with(folder, constants_doubled()), "refuses it"),
    "text doubled 20 times": (lambda folder: bundle_with(folder, constants_doubled(20, of_text=True)), "holds text"),
    "probabilities of -50": (lambda folder: bundle_with(folder, constant_answer(-50.0)), "no probabilities"),
    "a FIFO as model": (fifo_bundle, "not a regular file"),
    "/dev/zero as model": (device_bundle, "not a regular file"),
    "a link to itself as model": (circle_bundle, "lead back to themselves"),
}


def zipped(members: Sequence[tuple[str | zipfile.ZipInfo, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive; a name may be there twice."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def overlapping(n_members: int = 20) -> bytes:
    """Return an archive of many members that all are the same compressed megabyte."""
    data = bytearray(zipped([("0", bytes(1 << 20))]))
    start = data.index(b"PK\1\2")
    entry, end = data[start : data.index(b"PK\5\6")], data[data.index(b"PK\5\6") :]
    entries = bytearray()
    for number in range(n_members):
        name = f"{number:04}".encode()
        entries += entry[:28] + struct.pack("<H", len(name)) + entry[30:46] + name
    end[8:20] = struct.pack("<HHII", n_members, n_members, len(entries), start)
    return bytes(data[:start] + entries + end)


def _of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (kind | 0o644) << 16
    return member


ARCHIVES: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "a file that is a folder too": (lambda: zipped([("a", b"1"), ("a/b", b"2")]), "is a file and the folder of"),
    "a name of 300 letters": (lambda: zipped([("n" * 300, b"1")]), "too long"),
    "70,000 members": (
        lambda: zipped([(f"{n}.wav", b"") for n in range(70_000)], zipfile.ZIP_STORED),
        "at most 50,000",
    ),
    "members that overlap": (overlapping, "overlap"),
    "names that differ in case": (lambda: zipped([("a.wav", b"1"), ("A.WAV", b"2")]), "are one file"),
    "names that differ in composition": (lambda: zipped([("\u00e9", b"1"), ("e\u0301", b"2")]), "are one file"),
    "a name twice": (lambda: zipped([("a", b"1"), ("a", b"2")]), "are one file"),
    "a link": (lambda: zipped([(_of_kind("a", stat.S_IFLNK), b"/etc")]), "link"),
    "a device": (lambda: zipped([(_of_kind("a", stat.S_IFCHR), b"")]), "device"),
    "an absolute path": (lambda: zipped([("/etc/cron.d/x", b"1")]), "leads out"),
    "a path of two dots": (lambda: zipped([("a/../../x", b"1")]), "leads out"),
    "a bomb of zeros": (
        lambda: zipped([("a", bytes(1 << 20))] + [(f"b{n}", bytes(1 << 22)) for n in range(40)]),
        "far more",
    ),
    "a name that turns the terminal": (lambda: zipped([(BIDI, b"1")]), "a name that is none"),
}

_TEST = "tests/integration/test_hostile_files.py::"
_BUNDLE = f"{_TEST}test_a_hostile_bundle_is_refused_in_words"
_ARCHIVE = f"{_TEST}test_a_hostile_archive_leaves_nothing_behind"
_HUNG = "hung; stopped after 20 s"
ATTACKS: Sequence[Attack] = (
    Attack("bundle: `longest_s` of Infinity, or of 1e-6", "accepted", "refused with the bounds", _BUNDLE),
    Attack("bundle: a temperature of NaN", "accepted", "refused: must be a finite number", _BUNDLE),
    Attack("bundle: a Loop of 2^63 turns", _HUNG, "refused in 0.8 s of a new process, unrun", _BUNDLE),
    Attack("bundle: functions of functions, 2^40 nodes once inlined", _HUNG, "refused in 0.8 s, unrun", _BUNDLE),
    Attack("bundle: a FIFO as model file", _HUNG, "refused in 0.9 s: not a regular file", _BUNDLE),
    Attack("bundle: /dev/zero as model file", _HUNG, "refused in 1.0 s: not a regular file", _BUNDLE),
    Attack(
        "bundle: one number expanded to 10^12",
        "tried, refused by onnxruntime when memory had an end (14 s beside other work)",
        "refused in 1.0 s, unrun",
        _BUNDLE,
    ),
    Attack(
        "bundle: a row joined with itself 40 times",
        "4.2 GiB under a limit of 6 GiB, without one as much as there is",
        "refused after 1.0 s, 130 MiB more than an ordinary answer took: its arena has an end",
        _BUNDLE,
    ),
    Attack(
        "bundle: a constant joined with itself 40 times",
        "made while the graph was prepared, in no arena: 1.9 GiB and 7.7 s for 14 times, for 40 all there is",
        "refused after 1.0 s, 189 MiB more than an ordinary answer took: few addresses are left meanwhile (Linux)",
        _BUNDLE,
    ),
    Attack(
        "the two with `--backend openvino`",
        "4.5 GiB, and 1.9 GiB for 4 s",
        "refused after 1.2 s with nothing more: what is there at once follows from the sizes of the longest sound; "
        "after 1.4 s and 131 MiB more: few addresses are left meanwhile (Linux)",
        _BUNDLE,
    ),
    Attack("bundle: text joined with itself 20 times", "5.4 GiB and 26 s", "refused in 0.6 s, unrun", _BUNDLE),
    Attack("bundle: probabilities of -50", "accepted and told", "refused where they leave the graph", _BUNDLE),
    Attack("bundle: a million classes", "4.1 s, 176 MiB", "refused in 0.8 s: larger than 4 MiB", _BUNDLE),
    Attack(
        "bundle: class names with ESC, BEL and U+202E", "accepted; the table sent them on", "refused, escaped", _BUNDLE
    ),
    Attack(
        "a bundle, an argument called with ESC, BEL and U+202E",
        "the messages about them sent BEL and U+202E to the terminal",
        "replaced in the message of every `EarnestError`; JSON has them as \\uXXXX",
        f"{_TEST}test_no_message_sends_anything_to_the_terminal",
    ),
    Attack(
        "recipe: lists nested 3,000 deep",
        "RecursionError",
        "refused: not valid TOML",
        f"{_TEST}test_settings_nested_without_end_are_refused",
    ),
    Attack(
        "recipe: one key of 20,000 parts, 40 KB",
        "hung; stopped after 30 s",
        "refused in 0.3 s of a new process",
        f"{_TEST}test_settings_nested_without_end_are_refused",
    ),
    Attack(
        "JSON lines and run.json nested 3,000 deep",
        "RecursionError",
        "refused: nested too deeply",
        f"{_TEST}test_json_nested_without_end_is_refused",
    ),
    Attack(
        "run.json that names /dev/zero as a file of the run",
        "read until memory ended: MemoryError after 3 GiB, the limit set",
        "refused: is no file of the run",
        f"{_TEST}test_a_run_names_no_file_outside_its_folder",
    ),
    Attack("archive: members `a` and `a/b`", "FileExistsError, `a` stays", "refused, nothing stays", _ARCHIVE),
    Attack("archive: a name of 300 letters", "OSError", "refused, nothing stays", _ARCHIVE),
    Attack("archive: 70,000 members", "68 s, all written", "refused in 0.1 s by its directory's end", _ARCHIVE),
    Attack("archive: names that differ in case or composition, a name twice", "accepted", "refused", _ARCHIVE),
    Attack("archive: a device", "accepted, as a file", "refused", _ARCHIVE),
    Attack("archive: a name with ESC, BEL and U+202E", "accepted", "refused", _ARCHIVE),
    Attack(
        "damaged label files, tables, settings, weights and arrays (all readers in fuzz/)",
        "KeyError, TypeError, ValueError, IndexError, OSError, AttributeError, struct.error, TokenError …",
        "only `EarnestError`",
        "tests/contracts/test_readers.py::test_only_an_earnest_error_leaves_a_reader",
    ),
)
