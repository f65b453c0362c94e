"""The bundle: ``model.onnx`` and ``bundle.json`` in one folder, the seam between training and every app."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earnest.config import from_mapping
from earnest.errors import BundleError, RecipeError
from earnest.evaluation.calibration import FittedCalibration
from earnest.suggest import suggestion

SCHEMA = 1
DEFAULT_BUNDLE = "base"
SHIPPED = Path(__file__).parent / "bundles"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TrainingCorpus:
    """One line of the licence ledger: what the weights have heard."""

    name: str
    licence: str
    n_utterances: int
    n_speakers: int
    hours: float
    attribution: str = ""


@dataclass(frozen=True)
class ProtocolResult:
    """One measured result of this bundle's recipe; a number with no command is not a result.

    Attributes
    ----------
    wa, ua : mean over folds, from 0 to 1; ``_sd`` their standard deviation, None for a single fold
    wa_interval : lowest and highest WA of the 95 % interval over speakers, empty where unknown
    ece : calibration error of all test clips together
    wa_at_80 : WA over the 80 % of the clips that the model is surest of
    recall : class → share of its clips that were recognised
    ua_by_gender : gender → UA
    wa_of_speakers : lowest, median and highest WA of a speaker, empty where speakers are unknown
    """

    protocol: str
    speaker_independent: bool
    wa: float
    wa_sd: float | None
    ua: float
    ua_sd: float | None
    n: int
    command: str
    wa_interval: tuple[float, ...] = ()
    ece: float | None = None
    wa_at_80: float | None = None
    recall: Mapping[str, float] = field(default_factory=dict)
    ua_by_gender: Mapping[str, float] = field(default_factory=dict)
    wa_of_speakers: tuple[float, ...] = ()


@dataclass(frozen=True)
class BundleInfo:
    """What ``bundle.json`` says.

    Attributes
    ----------
    classes : output order
    shortest_s, longest_s : the graph is defined from the first; longer recordings are cut into parts of the second
    temperature, calibration : already in the graph's ``probabilities``; kept for the record
    network : recipe's model name; ``front_end`` and ``recipe`` are its resolved settings
    adaptation, domain : file and scalars; see `earnest.runtime.adaptation` and `earnest.runtime.domain`
    origin : where the initial weights came from, "random" for none
    licence : of the weights
    files : file name → sha256
    """

    name: str
    version: str
    classes: tuple[str, ...]
    sample_rate_hz: int
    licence: str
    files: Mapping[str, str]
    schema: int = SCHEMA
    scheme: str = "native"
    network: str = ""
    n_parameters: int = 0
    front_end: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    shortest_s: float = 0.1
    longest_s: float = 30.0
    temperature: float = 1.0
    calibration: FittedCalibration | None = None
    adaptation: Mapping[str, Any] | None = None
    domain: Mapping[str, Any] | None = None
    training_corpora: tuple[TrainingCorpus, ...] = ()
    results: tuple[ProtocolResult, ...] = ()
    origin: str = "random"
    notes: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: every file's sha256 is right and the graph holds all its weights."""

    folder: Path
    info: BundleInfo

    def model_bytes(self) -> bytes:
        """Return the bytes of ``model.onnx`` that were checked."""
        return self.listed_bytes("model.onnx")

    def listed_bytes(self, name: str) -> bytes:
        """Return the bytes of a file beside the graph, checked.

        Raises
        ------
        BundleError
            When the bundle doesn't list it, or it is missing or altered.
        """
        if name not in self.info.files:
            raise BundleError(f"{self.info.name}: 'files' doesn't list {name!r}. Export the bundle again.")
        return checked_bytes(self.folder, name, self.info.files[name])


def shipped_bundles() -> list[str]:
    """Return the names of the bundles that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/bundle.json"))


def find_bundle(name_or_path: str | Path) -> Path:
    """Return the folder of a bundle given by name (shipped) or by path (folder or its ``bundle.json``)."""
    shipped = shipped_bundles()
    if str(name_or_path) in shipped:  # before folders: a folder called "base" must not become the default by chance
        return SHIPPED / str(name_or_path)
    path = Path(name_or_path)
    if path.name == "bundle.json":
        path = path.parent
    if path.is_dir():
        return path
    hint = suggestion(str(name_or_path), shipped)
    raise BundleError(f"There is no bundle '{name_or_path}', neither shipped nor a folder.{hint}")


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises
    ------
    BundleError
        When a file is missing or changed (sha256), ``bundle.json`` breaks its schema, or the model isn't ONNX or keeps
        weights outside its own file.
    """
    folder = find_bundle(name_or_path)
    info = _read_info(folder / "bundle.json")
    for name, sha256 in info.files.items():
        data = checked_bytes(folder, name, sha256)
        if name == "model.onnx":
            check_onnx(data, folder / name)
    return Bundle(folder, info)


def sha256_of(data: bytes) -> str:
    """Return the hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def checked_bytes(folder: Path, name: str, sha256: str) -> bytes:
    """Read a bundle's file and compare its sha256 with what ``bundle.json`` says."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder / name}: not readable ({error}). Export or download the bundle again.") from error
    if sha256_of(data) != sha256:
        raise BundleError(f"{folder / name}: its sha256 is not the one in bundle.json. Export or download it again.")
    return data


def _read_info(path: Path) -> BundleInfo:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file. A bundle is a folder with bundle.json and model.onnx.") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not readable JSON ({error}).") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        found = values.get("schema") if isinstance(values, dict) else None
        raise BundleError(f"{path}: schema {found!r}, this version of earnest reads {SCHEMA}. Export the bundle again.")
    try:
        info = from_mapping(BundleInfo, values, str(path))
    except RecipeError as error:
        raise BundleError(str(error)) from None
    problem = _problem_with(info)
    if problem:
        raise BundleError(f"{path}: {problem}")
    return info


def _problem_with(info: BundleInfo) -> str | None:
    if len(info.classes) < 2 or len(set(info.classes)) != len(info.classes):
        return "'classes' must hold two or more different names."
    if not 8_000 <= info.sample_rate_hz <= 192_000:
        return f"'sample_rate_hz' must be 8000 to 192000, got {info.sample_rate_hz}."
    if not 0 < info.shortest_s < info.longest_s:
        return "'shortest_s' must be above 0 and below 'longest_s'."
    if "model.onnx" not in info.files:
        return "'files' must give the sha256 of model.onnx."
    for name, digest in info.files.items():
        if Path(name).name != name or not _SHA256.fullmatch(digest):
            return f"'files' must map plain file names to sha256 digests, got {name!r}: {digest!r}."
    return None


def check_onnx(data: bytes, path: Path) -> None:
    """Refuse what is no ONNX model, and models that keep weights in other files.

    The protobuf is walked by hand, so that the check needs no ``onnx`` package: ModelProto.graph (7), GraphProto.node
    (1), .initializer (5), .sparse_initializer (15), NodeProto.attribute (5), AttributeProto.t (5), .g (6), .tensors
    (10), .graphs (11), .sparse_tensor (22), .sparse_tensors (23), SparseTensorProto.values (1), .indices (2),
    ModelProto.functions (25), FunctionProto.node (7), TensorProto.external_data (13).
    """
    try:
        if not any(number == 7 for number, _ in _fields(data)):
            raise BundleError(f"{path}: not an ONNX model (it has no graph).")
        if _has_external_data(data, "model"):
            raise BundleError(f"{path}: its weights lie in another file. Save the model with all data inside.")
    except (IndexError, ValueError, RecursionError):
        raise BundleError(f"{path}: not an ONNX model.") from None


_NESTED: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def _has_external_data(message: memoryview | bytes, kind: str) -> bool:
    for number, content in _fields(message):
        if kind == "tensor" and (number == 13 or (number == 14 and content != 0)):
            return True
        inner = _NESTED.get(kind, {}).get(number)
        if inner and isinstance(content, memoryview) and _has_external_data(content, inner):
            return True
    return False


def _fields(message: memoryview | bytes) -> list[tuple[int, memoryview | int]]:
    """Split a protobuf message into (field number, bytes or integer)."""
    view, position, found = memoryview(message), 0, []
    while position < len(view):
        key, position = _varint(view, position)
        number, wire_type = key >> 3, key & 7
        content: memoryview | int
        if wire_type == 0:
            content, position = _varint(view, position)
        elif wire_type in (1, 2, 5):
            size = {1: 8, 5: 4}.get(wire_type)
            if size is None:
                size, position = _varint(view, position)
            content, position = view[position : position + size], position + size
        else:
            raise ValueError("unknown wire type")
        if position > len(view) or number == 0:
            raise ValueError("truncated message")
        found.append((number, content))
    return found


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
