"""What training knows of a recording before it learns: frames and samples, made once and kept on disk.

An entry is keyed by the recording's bytes, the part of it, the front end's settings, and the code and libraries that
turn one into the other; so a file that changed, or another version of earnest, is decoded anew.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path

import soundfile
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.files.cache import DiskCache
from earnest.files.writing import sha256_of
from earnest.frontends.build import FrontEndModule
from earnest.models.classifier import Layer, Network

MOST_REMEMBERED = 4096  # digests of files, of which a manifest may name many parts


@dataclass(frozen=True)
class Features:
    """One recording, or a part of it, as training keeps it.

    Attributes
    ----------
    frames : (rows, frames), as the front end gives them
    n_samples : at the front end's rate
    digest : of the samples, see `earnest.corpora.check.digest_of`; "" for silence
    waveform : (samples,) int16; empty where the recipe does not augment
    key : equal for equal content and settings; "" where nothing is kept on disk
    """

    frames: Tensor
    n_samples: int
    digest: str
    waveform: Tensor
    key: str = ""

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        numbers = torch.tensor([self.n_samples])
        digest = torch.frombuffer(bytearray(self.digest.encode()) or bytearray(1), dtype=torch.uint8)
        parts = {"frames": self.frames, "waveform": self.waveform, "n_samples": numbers, "digest": digest}
        return save({name: part.contiguous() for name, part in parts.items()})

    @classmethod
    def from_bytes(cls, data: bytes, key: str) -> "Features":
        """Read an entry; its checksum was right, so it is what was written."""
        parts = load(data)
        digest = bytes(parts["digest"].tolist()).strip(b"\0").decode()
        return cls(parts["frames"], int(parts["n_samples"]), digest, parts["waveform"], key)


class FeatureCache:
    """Features of one front end, kept on disk.

    Parameters
    ----------
    keep_waveforms : whether the samples are kept, too
    """

    def __init__(self, disk: DiskCache, front_end: FrontEndModule, keep_waveforms: bool) -> None:
        self._disk = disk
        kind = type(front_end).__name__
        made_by = [kind, asdict(front_end.settings), keep_waveforms, code_digest(("audio", "frontends")), numerics()]
        self._made_by = json.dumps(made_by, sort_keys=True)

    def of(self, utterance: Utterance, make: Callable[[], Features]) -> Features:
        """Return what is kept of a recording, or make and keep it; errors of ``make`` are raised."""
        try:
            found = utterance.path.stat()
            content = _digest_of_file(utterance.path, (found.st_size, found.st_mtime_ns))
        except OSError:
            return make()  # which says what is wrong
        key = digest_of_words(content, repr((utterance.start_s, utterance.end_s)), self._made_by)
        try:
            return Features.from_bytes(self._disk.found(key, lambda: make().to_bytes()), key)
        except (SafetensorError, KeyError, UnicodeDecodeError) as error:
            raise EarnestError(
                f"{self._disk.folder}: holds what earnest did not write. Try earnest cache clear."
            ) from error


def digest_of_words(*words: str) -> str:
    """Return the SHA-256 of words, 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


@cache
def code_digest(parts: Iterable[str]) -> str:
    """Return the SHA-256 of the source of parts of the package."""
    root = Path(__file__).parents[1]
    paths = sorted(path for part in parts for path in (root / part).rglob("*.py"))
    return digest_of_words(*(f"{path.relative_to(root)} {sha256_of(path)}" for path in paths))


def network_digest(network: Network) -> str:
    """Return what is equal where a network gives equal embeddings: its code, its sizes, and all but its last layers."""
    layers: tuple[Layer, ...] = ("output", "gender")
    last = [layer for name in layers if (layer := network.last_layer(name)) is not None]
    left_out = {id(weight) for layer in last for weight in layer.parameters()}
    digest = hashlib.sha256(digest_of_words(repr(network), code_digest(("models", "frontends")), *numerics()).encode())
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) not in left_out:
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())  # also of one number
    return digest.hexdigest()


def numerics() -> list[str]:
    """Return what moves the last bits of a result: libraries, processor, number of threads."""
    libraries = [f"{name} {version(name)}" for name in ("numpy", "soxr", "soundfile")]
    threads = f"{torch.get_num_threads()} threads"
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return [torch.__version__, *libraries, str(soundfile.__libsndfile_version__), processor, threads]


@lru_cache(MOST_REMEMBERED)
def _digest_of_file(path: Path, _version: tuple[int, int]) -> str:
    return sha256_of(path)
