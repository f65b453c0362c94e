"""Published weights from a local file: nothing is unpickled, names and shapes are checked; rounding to 8 bits."""

import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from earnest.bundle import LARGEST_FILE
from earnest.bundle import SHIPPED as BUNDLES
from earnest.errors import EarnestError, WeightsNotFoundError, first_line, needs_extra, shown
from earnest.files.reading import opened, parsed_json, read_bytes
from earnest.onnx.check import check_onnx

N_NAMED = 40  # tensors that a message names
LARGEST = 127
SCALE_BITS = 11  # with 7 bits of a whole number, well within float32's 24
SCALE = ".scale"  # behind the name of a tensor of whole numbers


def packed(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (outputs, ...) as whole numbers from -127 to 127 in int8, and a scale for each output (outputs,).

    The scales have few enough digits for every product to be exact in float32: so the export finds the whole numbers
    again (`earnest.export.onnx`).
    """
    rows = weights.detach().float().flatten(1)
    mantissa, exponent = torch.frexp(rows.abs().amax(dim=1) / LARGEST)  # largest / 127 = mantissa · 2^exponent
    # A product has 7 + SCALE_BITS digits at most, fewer than float32's 24.
    scale = torch.ldexp((mantissa * 2**SCALE_BITS).round() / 2**SCALE_BITS, exponent)
    whole = torch.where(scale[:, None] > 0, rows / scale[:, None], 0.0).round().clamp(-LARGEST, LARGEST)
    return whole.to(torch.int8).view_as(weights), scale


def unpacked(whole: Tensor, scale: Tensor) -> Tensor:
    """Return the weights in float32."""
    return whole.float() * scale.view(-1, *[1] * (whole.ndim - 1))


ENVIRONMENT = "EARNEST_MODELS"
FILE_NAME, GRAPH_NAME = "model.safetensors", "model.onnx"
SHIPPED = Path(__file__).parent / "weights"
TORCH_SUFFIXES = (".pth", ".pt", ".bin")
ORIGIN = "origin"
KNOWN_SPEAKERS = "known_speakers"  # in the metadata: JSON list of corpus/speaker
# How a bundle's graph names and stores the parameters of its network (`earnest.export.onnx`).
OF_NETWORK = "network.classifier.network."
TRANSPOSED, HALVES, BYTES, STEPS = "_transposed", "_as_float16", "_as_int8", "_scale"
# What torch raises of files that hold no tensors.
_DAMAGED = (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
_DAMAGED_TOO = (ArithmeticError, MemoryError, ImportError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile)
PARALLEL = "module."  # before all names of a network that was trained in torch's DataParallel
_SAVE = "Save the network's state_dict()."
_END_BYTES = 22  # of a ZIP archive: its last record
_MOST_DIRECTORY_BYTES = 2**24  # of a ZIP archive: a hundred thousand tensors; each costs memory before any is read
COUNTER = "num_batches_tracked"  # in newer files only, and without meaning here


GONE = {
    "earnest-encoder": "they were the encoder of an earlier base. Take network.weights = 'base', that of today, and "
    "train again. A run that began with them is exported by the earnest that made it: install that version beside this "
    "one, which reads the bundle."
}
"""Name of weights that came with an earlier version → what to do without them."""


def find_weights(name: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file of pre-trained tensors: a file, a folder with a safetensors file or a bundle's graph, or a name.

    A name is looked up below the folder that the variable ``EARNEST_MODELS`` names, and among weights and bundles that
    come with the package: a bundle is a checkpoint of its network, too.
    """
    places = [name, Path(environ[ENVIRONMENT]).expanduser() / name] if environ.get(ENVIRONMENT) else [name]
    places += [SHIPPED / name, BUNDLES / name]
    for place in places:
        for path in (place, place / FILE_NAME, place / GRAPH_NAME):
            if path.is_file():
                return path
    if name.as_posix() in GONE:
        raise WeightsNotFoundError(f"The pre-trained weights '{name}' don't come any more: {GONE[name.as_posix()]}")
    raise WeightsNotFoundError(
        f"No pre-trained weights '{name}'. Set {ENVIRONMENT} to the folder that holds this file, or a folder of this "
        f"name with {FILE_NAME} (Whisper's are public: openai/whisper-tiny.en; for ImageNet's: earnest import --help)."
    )


class _Safetensors:
    """Tensors by name, and metadata, of a safetensors file."""

    def __init__(self, path: Path) -> None:
        with needs_extra("Reading weights", "train"):
            from safetensors import SafetensorError, safe_open
        try:
            with safe_open(path, framework="pt") as file:
                self.metadata: dict[str, str] = dict(file.metadata() or {})
                # Whole models of the hub put "model." before the encoder's names.
                self._tensors = {key.removeprefix("model."): file.get_tensor(key) for key in list(file.keys())}
        except SafetensorError as error:
            raise EarnestError(f"{path}: not a safetensors file ({error}).") from error

    def get(self, name: str) -> Tensor | None:
        """Return a tensor in float32; whole numbers beside a scale are unpacked."""
        found = self._tensors.get(name)
        if found is not None and name + SCALE in self._tensors:
            return unpacked(found.float(), self._tensors[name + SCALE])
        return None if found is None else found.float()


class _Graph:
    """Parameters of a bundle's network by name, and metadata, of its graph."""

    def __init__(self, path: Path) -> None:
        with needs_extra("Reading weights", "train"):
            from onnx import ModelProto, numpy_helper
        content = read_bytes(path, most=LARGEST_FILE)
        check_onnx(content, path)
        proto = ModelProto.FromString(content)
        self.metadata: dict[str, str] = {entry.key: entry.value for entry in proto.metadata_props}
        self._tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._to_array = numpy_helper.to_array

    def get(self, name: str) -> Tensor | None:
        """Return a parameter in float32, the right way round."""
        name = OF_NETWORK + name
        upright, transposed = self._stored(name), self._stored(name + TRANSPOSED)
        return transposed.T.contiguous() if upright is None and transposed is not None else upright

    def _stored(self, name: str) -> Tensor | None:
        if name + BYTES in self._tensors and (scale := self._stored(name + STEPS)) is not None:
            return self._plain(name + BYTES) * scale
        return next((self._plain(stored) for stored in (name, name + HALVES) if stored in self._tensors), None)

    def _plain(self, stored: str) -> Tensor:
        return torch.from_numpy(self._to_array(self._tensors[stored]).astype(np.float32))


def _opened(name: Path) -> tuple[Path, _Safetensors | _Graph]:
    path = find_weights(name)
    return path, _Graph(path) if path.suffix == ".onnx" else _Safetensors(path)


def read_origin(name: Path) -> str:
    """Return the origin that a file of tensors names, "" where it names none."""
    return _opened(name)[1].metadata.get(ORIGIN, "")


def persons(speakers: Iterable[str]) -> frozenset[str]:
    """Return the speakers of corpus/speaker names: one person may be in two corpora, as in RAVDESS' speech and song."""
    return frozenset(name.partition("/")[2] for name in speakers)


def read_known_speakers(name: Path) -> frozenset[str]:
    """Return the speakers, as corpus/speaker, whose labels a file of tensors was fitted on, as far as it says."""
    path, file = _opened(name)
    text = file.metadata.get(KNOWN_SPEAKERS, "[]")
    speakers = parsed_json(text, f"{path}: '{KNOWN_SPEAKERS}' must be a list of speakers")
    if not isinstance(speakers, list) or not all(isinstance(speaker, str) for speaker in speakers):
        raise EarnestError(f"{path}: '{KNOWN_SPEAKERS}' must be a list of speakers.")
    return frozenset(speakers)


def read_tensors(name: Path, prefix: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the tensors called ``prefix`` + a name in ``wanted`` as float32; whole numbers beside a scale are unpacked.

    Raises `EarnestError` when one is missing or has another shape.
    """
    path, file = _opened(name)
    found = {}
    for key, tensor in wanted.items():
        stored = file.get(prefix + key)
        if stored is None:
            raise EarnestError(f"{path}: holds no tensor '{prefix + key}'.")
        if stored.shape != tensor.shape:
            shapes = f"{tuple(stored.shape)}, expected {tuple(tensor.shape)}"
            raise EarnestError(f"{path}: '{prefix + key}' has the shape {shapes}.")
        found[key] = stored
    return found


def load_all_but(network: nn.Module, replaced: str, name: str, rename: Callable[[str], str]) -> None:
    """Load a network's published tensors, all but those of the layer ``replaced``; names and shapes must fit exactly.

    Raises `WeightsNotFoundError` when there is no such file; `EarnestError` when a tensor is missing, has another
    shape, or is not the network's.

    Parameters
    ----------
    rename : name in the file → name in the network
    """
    path = find_weights(Path(name))
    take_over(network, {rename(key): tensor for key, tensor in all_tensors(path).items()}, path, replaced)


def take_over(network: nn.Module, stored: Mapping[str, Tensor], path: Path, replaced: str = "") -> None:
    """Put tensors into a network; see `fitting`."""
    # Not strict, for the replaced layer and the counters are left out; all else is compared.
    network.load_state_dict(fitting(network, stored, path, replaced), strict=False)


def fitting(network: nn.Module, stored: Mapping[str, Tensor], path: Path, replaced: str = "") -> dict[str, Tensor]:
    """Return a network's tensors, all but those of the layer ``replaced``; names and shapes must fit exactly.

    Raises `EarnestError` when some are missing, have another shape or no finite numbers, or are not the network's: all
    of them are named.

    Parameters
    ----------
    stored : by the names that they have in the network
    path : whose tensors they are, for messages
    """
    wanted = {
        key: tensor
        for key, tensor in network.state_dict().items()
        if not _is_of(replaced, key) and not key.endswith(COUNTER)
    }
    stored = {key: tensor for key, tensor in stored.items() if not key.endswith(COUNTER)}
    problems = [f"holds no tensor '{key}' {tuple(wanted[key].shape)}" for key in wanted if key not in stored]
    problems += [
        f"'{key}' {problem}"
        for key, tensor in wanted.items()
        if key in stored and (problem := _problem_with(stored[key], tensor.shape))
    ]
    problems += [
        f"holds '{key}', which this network has not"
        for key in stored
        if key not in wanted and not _is_of(replaced, key)
    ]
    if problems:
        more = [f"and {len(problems) - N_NAMED} more"] if len(problems) > N_NAMED else []
        only = f" Only the replaced layer '{replaced}' may differ." if replaced else ""
        raise EarnestError(f"{path}: {'; '.join([*problems[:N_NAMED], *more])}.{only}")
    return {key: stored[key].float() for key in wanted}


def _problem_with(tensor: Tensor, shape: torch.Size) -> str:
    if tensor.shape != shape:
        return f"has the shape {tuple(tensor.shape)}, expected {tuple(shape)}"
    if not tensor.is_floating_point():
        return f"holds {str(tensor.dtype).removeprefix('torch.')}, expected floating-point numbers"
    # float() first: what is finite in 64 bits may not be in the 32 that are taken over.
    is_finite = bool(tensor.float().isfinite().all())
    return "" if is_finite else "holds numbers that are not finite in 32 bits, as of a training that failed"


def _is_of(layer: str, key: str) -> bool:
    return bool(layer) and key.startswith(f"{layer}.")


def _is_dense(value: object) -> bool:
    if not isinstance(value, Tensor) or value.is_meta:
        return False
    return value.layout == torch.strided and not value.is_quantized


def all_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors alone, safetensors or torch's; nothing is unpickled."""
    found = _torchs(path) if path.suffix in TORCH_SUFFIXES else _safetensors(path)
    is_parallel = all(key.startswith(PARALLEL) for key in found)
    return {key.removeprefix(PARALLEL): tensor for key, tensor in found.items()} if is_parallel else found


def _torchs(path: Path) -> dict[str, Tensor]:
    try:
        with opened(path) as file:
            _check_archive(file, path)
            found = torch.load(file, map_location="cpu", weights_only=True)  # a whole pickle could run code
    except pickle.UnpicklingError as error:  # of which torch says how to run the code
        raise EarnestError(f"{path}: no file of tensors alone. {_SAVE}") from error
    except (*_DAMAGED, *_DAMAGED_TOO) as error:
        raise EarnestError(f"{path}: no file of tensors alone ({first_line(error)}).") from error
    is_table = isinstance(found, dict) and all(isinstance(key, str) and _is_dense(found[key]) for key in found)
    if not is_table:
        raise EarnestError(f"{path}: no table of tensors. {_SAVE}")
    return dict(found)


def _check_archive(file: BinaryIO, path: Path) -> None:
    """Refuse a damaged ZIP archive: torch doesn't compare checksums. Older files of torch are none, and have none."""
    if zipfile.is_zipfile(file):
        file.seek(-_END_BYTES, os.SEEK_END)
        end = file.read()  # its mark, and from 12 on the bytes of the directory
        if end[:4] != b"PK\5\6" or int.from_bytes(end[12:16], "little") > _MOST_DIRECTORY_BYTES:
            raise EarnestError(f"{path}: no file of tensors alone. {_SAVE}")
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            # So comparing never takes longer than reading the file: nothing is inflated, no part is read many times.
            is_stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            if not is_stored or sum(member.file_size for member in members) > file.seek(0, os.SEEK_END):
                raise EarnestError(f"{path}: a compressed archive, no file of tensors alone. {_SAVE}")
            # torch can be told to write no checksums; then all are 0.
            if any(member.CRC for member in members) and (damaged := archive.testzip()):
                raise EarnestError(f"{path}: damaged, the checksum of {shown(damaged)} is another. Fetch it again.")
    file.seek(0)


def _safetensors(path: Path) -> dict[str, Tensor]:
    with needs_extra("Reading weights", "train"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    try:
        with opened(path):  # a folder and a missing file are told as such
            return load_file(path)
    except SafetensorError as error:
        told = f"no file of tensors: those of torch end in {', '.join(TORCH_SUFFIXES)}"
        raise EarnestError(f"{path}: {told}, and it is no safetensors file ({error}).") from error
