"""The bundle: ``model.onnx`` and ``bundle.json`` in one folder, the seam between training and every app."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from earnest.errors import BundleError, RecipeError, is_printable, printable, shown, suggestion
from earnest.evaluation.calibration import FittedCalibration
from earnest.files.reading import parsed_json, read_bytes, read_text
from earnest.installation import __version__
from earnest.onnx.check import check_onnx
from earnest.settings.limits import Bounds, Positive, Share, Validated, from_mapping, require

Format: TypeAlias = Literal["onnx", "onnx-int8", "onnx-fp16", "openvino", "openvino-fp16", "openvino-int8", "web"]
NETWORK_FILES = ("model.onnx", "model.xml", "model.bin")
COMPANIONS = ("adaptation", "distance")
FORMATS: tuple[Format, ...] = get_args(Format)
SCHEMA = 1  # higher with every key or value of bundle.json that earlier versions refuse; web/src/bundle.ts has it too
DEFAULT_BUNDLE = "base"
BEGUN = ".begun"  # in a folder that a bundle is being written into
SPEECH, NO_SPEECH = "speech", "no-speech"
BURSTS = ("laughter", "crying", "scream", "sigh", "other")  # kinds of vocal bursts
SOUNDS = (SPEECH, *BURSTS, NO_SPEECH)
SHIPPED = Path(__file__).parent / "bundles"
ADAPTATION, RULE = "adaptation.onnx", "adaptation.npz"  # files of the adaptation: today's network, yesterday's rule
_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial|\bresearch\b", re.IGNORECASE)
LARGEST_FILE, LARGEST_DESCRIPTION = 1 << 31, 1 << 22  # bytes
MOST_FILES, MOST_CLASSES, LONGEST_NAME = 64, 256, 64
LEAST_S, LEAST_LONGEST_S, MOST_S = 0.01, 0.5, 60.0  # `base` would need 11 GB to hear 300 s at once
_ENDLESS_XML = re.compile(rb"""<!DOCTYPE|<!ENTITY|type\s*=\s*["'](?:Loop|If)["']""")
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
    ece : calibration error of all test utterances together
    wa_at_80 : WA over the 80 % of the utterances that the model is surest of
    recall : class → share of its utterances that were recognised
    ua_by_gender : gender → UA
    wa_of_speakers : lowest, median and highest WA of a speaker, empty where speakers are unknown
    gender_wa : share of the utterances whose gender was answered right, None where it isn't answered
    gender_recalls : gender → share of its utterances for which it was answered
    class_subsets : label scheme of fewer classes, among which the answers were scored, too → (WA, UA), means over folds
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
    gender_wa: float | None = None
    gender_recalls: Mapping[str, float] = field(default_factory=dict)
    class_subsets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class AdaptationEntry(Validated):
    """The entry ``adaptation`` of ``bundle.json``.

    Attributes
    ----------
    file : the network, see `earnest.runtime.adaptation`
    least_speech_s : seconds of speech before anything is adapted
    folders : whether the recordings of a folder are adapted to unless told otherwise: in streams of speech of corpora
        never heard, no kind of stream lost more than a point by it
    """

    file: str
    least_speech_s: Annotated[float, Bounds(ge=0, le=3600)]
    folders: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.file == ADAPTATION, f"file must be {ADAPTATION}, got {shown(self.file)}")


@dataclass(frozen=True)
class BundleInfo(Validated):
    """The description of a bundle, ``bundle.json``.

    Attributes
    ----------
    classes : output order
    shortest_s, longest_s : the graph is defined from the first; longer recordings are cut into parts of the second
    temperature, calibration : already in the graph's ``probabilities``; kept for the record
    learned : what it answers beside the emotion, "gender" or "affect"
    gender_temperature, gender_calibration : already in the graph's ``gender``
    format : of the graph; "web" is "onnx" by another name
    network : recipe's model name; ``front_end`` and ``recipe`` are its resolved settings
    adaptation : to a speaker and a channel; None where the bundle can't
    sounds : names of the numbers of the output ``sound``, see `earnest.runtime.answers`; empty without it
    out_of_domain_from : value of the output ``distance`` above which sound is "out-of-domain"; None without it
    abstain_below : confidence below which an answer is "unsure"
    left_out : what was measured on corpora that were left out of training, see `scripts/left_out_table.py`
    origin : where the initial weights came from, "random" for none
    licence : of the weights
    files : file name → sha256
    """

    name: str
    version: str
    classes: tuple[str, ...]
    sample_rate_hz: Annotated[int, Bounds(ge=8_000, le=192_000)]
    licence: str
    files: Mapping[str, str]
    schema: int = SCHEMA
    format: Format = "onnx"
    scheme: str = "native"
    network: str = ""
    n_parameters: int = 0
    front_end: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    shortest_s: Annotated[float, Bounds(ge=LEAST_S)] = 0.1
    longest_s: Annotated[float, Bounds(ge=LEAST_LONGEST_S, le=MOST_S)] = 30.0
    temperature: Positive = 1.0
    calibration: FittedCalibration | None = None
    learned: tuple[str, ...] = ()
    gender_temperature: Positive = 1.0
    gender_calibration: FittedCalibration | None = None
    adaptation: AdaptationEntry | None = None
    sounds: tuple[str, ...] = ()
    out_of_domain_from: Positive | None = None
    abstain_below: Share = 0.5
    left_out: Mapping[str, Any] | None = None
    training_corpora: tuple[TrainingCorpus, ...] = ()
    results: tuple[ProtocolResult, ...] = ()
    origin: str = "random"
    notes: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        right = self.shortest_s < self.longest_s
        require(right, f"shortest_s must be below longest_s ({self.longest_s:g}), got {self.shortest_s:g}")

    def __repr__(self) -> str:
        return f"<BundleInfo {self.headline}>"

    @property
    def headline(self) -> str:
        """Name, version, classes and licence in a line; `to_dict` has all."""
        return f"'{self.name}' {self.version}: {', '.join(self.classes)}; licence {self.licence}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Twelve letters, of its graphs' sha256, that another model of the same name and version has differently."""
        graphs = [(name, told) for name, told in sorted(self.files.items()) if name.endswith((".onnx", ".xml", ".bin"))]
        return sha256_of(json.dumps(graphs).encode())[:12]

    @property
    def network_digest(self) -> str:
        """The first twelve letters of the graph's sha256, without its adaptation's; of several files joined by "+"."""
        graphs = (told for name, told in self.files.items() if name.rpartition("/")[2] in NETWORK_FILES)
        return "+".join(sorted(told[:12] for told in graphs))

    @property
    def non_commercial(self) -> tuple[TrainingCorpus, ...]:
        """The training corpora whose licences forbid commercial use, and so of the weights."""
        return tuple(line for line in self.training_corpora if _NON_COMMERCIAL.search(line.licence))

    @property
    def forbidden_use(self) -> str:
        """The use that the corpora's licences forbid, in words; empty where there are none."""
        heard = " and ".join(f"{line.name}, {line.licence}" for line in self.non_commercial)
        return f"for non-commercial use only, as its weights have heard {heard}" if heard else ""

    @property
    def licence_in_words(self) -> str:
        """Its licence; where it doesn't say what the corpora forbid, that first."""
        return licence_in_words(self.licence, self.training_corpora)


def licence_in_words(licence: str, heard: Iterable[TrainingCorpus]) -> str:
    """Return a licence of weights; where it doesn't say what the corpora forbid that they heard, that first."""
    is_told = _NON_COMMERCIAL.search(licence) or not any(_NON_COMMERCIAL.search(line.licence) for line in heard)
    return licence if is_told else f"non-commercial use only: {licence}"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: every file's sha256 is right and the graph holds all its weights."""

    folder: Path
    info: BundleInfo

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package."""
        return self.folder.parent == SHIPPED

    def model_bytes(self) -> bytes:
        """Return the bytes of ``model.onnx`` that were checked."""
        return self.listed_bytes("model.onnx")

    def listed_bytes(self, name: str) -> bytes:
        """Return the bytes of a file beside the graph, checked.

        Raises `BundleError` when the bundle doesn't list it, or it is missing or altered.
        """
        if name not in self.info.files:
            raise BundleError(f"{self.info.name}: 'files' doesn't list {name!r}. Export the bundle again.")
        return checked_bytes(self.folder, name, self.info.files[name])


def classes_text(classes: Sequence[str]) -> str:
    """Return classes as a graph's own metadata name them: with commas between, and none inside."""
    return ",".join(label.replace(",", " ") for label in classes)


def shipped_bundles() -> list[str]:
    """Return the names of the bundles that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/bundle.json"))


def find_bundle(name_or_path: str | Path) -> Path:
    """Return the folder of a bundle given by name (shipped) or by path (folder, or a file of it)."""
    if not isinstance(name_or_path, str | os.PathLike) or name_or_path == "":
        raise BundleError(f"Expected the name or the folder of a model, got {shown(name_or_path)}.")
    shipped = shipped_bundles()
    if str(name_or_path) in shipped:  # before folders: a folder called "base" must not become the default by chance
        return SHIPPED / str(name_or_path)
    path = Path(name_or_path)
    if path.name in ("bundle.json", "model.onnx"):
        path = path.parent
    with suppress(OSError):  # of a name that is too long, or behind a circle of links
        if path.is_dir():
            return path
    if not shipped:  # frozen without the package's data, or run from a zip file
        told = f"This installation lacks its models: no files in {printable(str(SHIPPED))}"
        raise BundleError(f"{told}. Install earnest as files; with PyInstaller: --collect-data earnest.")
    typed = {name: name for name in shipped}
    with suppress(OSError):
        folders = (beside.parent for beside in path.parent.glob("*/bundle.json"))
        typed |= {folder.name: path_of_bundle(folder) for folder in folders}
    hint = suggestion(path.name, typed, typed)
    raise BundleError(f"There is no bundle {shown(str(name_or_path))}, neither shipped nor a folder.{hint}")


def bundle_anywhere(name: str) -> str:
    """Return the name of a bundle as it holds in every folder: of one that ships as it is, else the whole path."""
    return name if name in shipped_bundles() else str(Path(name).absolute())


def path_of_bundle(folder: Path) -> str:
    """Return a folder as `find_bundle` finds it again: one called as a shipped bundle is "./small"."""
    return f".{os.sep}{folder}" if str(folder) in shipped_bundles() else str(folder)


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises `BundleError` when a file is missing or changed (sha256), ``bundle.json`` breaks its schema, or the model
    isn't ONNX or keeps weights outside its own file.
    """
    folder = find_bundle(name_or_path)
    info = _read_info(folder / "bundle.json")
    for name, sha256 in info.files.items():
        data = checked_bytes(folder, name, sha256)
        if name.endswith(".onnx"):
            check_onnx(data, folder / name)
        elif name == "model.xml" and (found := _ENDLESS_XML.search(data)):
            told = found.group().decode("ascii", "replace")
            raise BundleError(f"{folder / name}: holds {told}, which may run or grow without end. Export it again.")
    return Bundle(folder, info)


def sha256_of(data: bytes) -> str:
    """Return the hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def checked_bytes(folder: Path, name: str, sha256: str) -> bytes:
    """Read a bundle's file and compare its sha256 with what ``bundle.json`` says."""
    data = read_bytes(folder / name, BundleError, "not there. Export or download the bundle again.", LARGEST_FILE)
    if sha256_of(data) != sha256:
        raise BundleError(f"{folder / name}: its sha256 is not the one in bundle.json. Export or download it again.")
    return data


def _read_info(path: Path) -> BundleInfo:
    text = read_text(path, BundleError, _missing_in(path.parent), LARGEST_DESCRIPTION, "JSON file")
    values = parsed_json(text, str(path), BundleError)
    found = values.get("schema") if isinstance(values, dict) else None
    if isinstance(found, int) and found > SCHEMA:
        told = f"made by a newer earnest (schema {shown(found)}; this one, {__version__}, reads {SCHEMA})"
        raise BundleError(f"{path}: {told}. Upgrade earnest.")
    if not isinstance(values, dict) or found != SCHEMA:
        raise BundleError(
            f"{path}: schema {shown(found)}, this version of earnest reads {SCHEMA}. Export the bundle again."
        )
    if strange := next((text for text in _texts(values) if not is_printable(text.replace("\n", ""))), None):
        raise BundleError(f"{path}: holds {strange[:40]!a}, which can control a terminal. Don't trust this bundle.")
    adaptation = values.get("adaptation")
    if isinstance(adaptation, dict) and adaptation.get("file") == RULE:  # of earlier bundles, it can't be run
        values = {**values, "adaptation": None}
    try:
        info = from_mapping(BundleInfo, values, str(path))
    except RecipeError as error:
        raise BundleError(str(error)) from None
    if problem := _problem_with_names(info):
        raise BundleError(f"{path}: {problem}")
    return info


def _missing_in(folder: Path) -> str:
    """Explain a folder without ``bundle.json``, and how a trained run becomes a bundle."""
    if (folder / BEGUN).exists():
        return "no such file. Its writing has not ended, or was stopped: then give the command that makes it again."
    if not (folder / "run.json").is_file():
        return "no such file. A bundle is a folder with bundle.json and model.onnx."
    words = ["earnest", "export", str(folder), "--output", f"bundles/{folder.resolve().name}"]
    return f"no such file. This is a trained run; make a bundle of it: {shlex.join(words)}"


def _texts(values: object) -> Iterator[str]:
    """Yield all texts of JSON, values and keys."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict | list):
        inside = [*values, *values.values()] if isinstance(values, dict) else values
        for value in inside:
            yield from _texts(value)


def _problem_with_names(info: BundleInfo) -> str | None:
    if not 2 <= len(info.classes) <= MOST_CLASSES or len(set(info.classes)) != len(info.classes):
        return f"'classes' must hold 2 to {MOST_CLASSES} different names."
    if not all(name.strip() == name and 0 < len(name) <= LONGEST_NAME for name in (info.name, *info.classes)):
        return f"'name' and 'classes' must have 1 to {LONGEST_NAME} letters, without spaces at the ends."
    if info.sounds and (len(set(info.sounds)) != len(info.sounds) or set(info.sounds) != set(SOUNDS)):
        return f"'sounds' must name {', '.join(SOUNDS)}, got {shown(', '.join(info.sounds))}."
    if len(info.files) > MOST_FILES:
        return f"'files' names {len(info.files)}, at most {MOST_FILES} are read."
    if "model.onnx" not in info.files and not {"model.xml", "model.bin"} <= info.files.keys():
        return "'files' must give the sha256 of model.onnx, or of model.xml and model.bin."
    if info.adaptation and info.adaptation.file not in info.files:
        return f"'files' must give the sha256 of {info.adaptation.file}."
    for name, digest in info.files.items():
        if Path(name).name != name or "\\" in name or ":" in name or not _SHA256.fullmatch(digest):
            return f"'files' must map plain file names to sha256 digests, got {shown(name)}: {shown(digest)}."
    return None
