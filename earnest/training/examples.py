"""Training examples: utterances, decoded once a front end, and what is kept of them on disk."""

import hashlib
import json
import math
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from earnest.audio.io import digest_of_sound, is_blank, load_waveform
from earnest.audio.parts import PartReader
from earnest.audio.waveform import Waveform
from earnest.corpora.load import Affect, affect_of, scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError, EarnestError, counted
from earnest.files.cache import DiskCache
from earnest.files.writing import sha256_of_file
from earnest.frontends.log_mel import FrontEndModule, compute_frames
from earnest.labels import Scheme
from earnest.models.classifier import Layer, Network
from earnest.progress import SILENT, Progress

KeptWaveform: TypeAlias = npt.NDArray[np.int16]
MOST_REMEMBERED = 4096  # digests of files, of which a manifest may name many parts
LIBRARIES = {"earnest", "torch", "transformers"}  # our networks' own; they change with an installation


@dataclass(frozen=True)
class Features:
    """One recording, or a part of it, as training keeps it.

    Attributes
    ----------
    frames : (rows, frames), as the front end gives them
    n_samples : at the front end's rate
    digest : of the samples, see `earnest.audio.io.digest_of_sound`; "" for silence
    waveform : (samples,) int16; empty where the recipe does not augment
    key : equal for equal content and settings; "" where nothing is kept on disk
    """

    frames: Tensor
    n_samples: int
    digest: str
    waveform: Tensor
    key: str = ""

    def to_bytes(self) -> bytes:
        """Return bytes for `from_bytes`."""
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
    """Features of one front end, kept on disk. ``keep_waveforms``: whether the samples are kept, too."""

    def __init__(self, disk: DiskCache, front_end: FrontEndModule, keep_waveforms: bool) -> None:
        self._disk = disk
        kind = type(front_end).__name__
        made_by = [kind, asdict(front_end.settings), keep_waveforms, code_digest(("audio", "frontends")), numerics()]
        self._made_by = json.dumps(made_by, sort_keys=True)

    def of(self, utterance: Utterance, make: Callable[[], Features]) -> Features:
        """Return a recording's features from the cache, or make and keep them; errors of ``make`` are raised."""
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
    return digest_of_words(*(f"{path.relative_to(root)} {sha256_of_file(path)}" for path in paths))


def network_digest(network: Network) -> str:
    """Return a digest of a network's embedding: its code, its sizes, and all but its last layers."""
    layers: tuple[Layer, ...] = ("output", "gender")
    last = [layer for name in layers if (layer := network.last_layer(name)) is not None]
    left_out = {id(weight) for layer in last for weight in layer.parameters()}
    classes = {base for module in network.modules() for base in type(module).__mro__}
    code = [code_digest(("models", "frontends")), *numerics(), *code_of_others(classes)]
    digest = hashlib.sha256(digest_of_words(repr(network), *code).encode())
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) not in left_out:
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())  # also of one number
    return digest.hexdigest()


def code_of_others(classes: Iterable[type]) -> list[str]:
    """Return the SHA-256 of each source file of other packages that classes come from; of ours nothing."""
    names = {one.__module__.partition(".")[0] for one in classes} - sys.stdlib_module_names - LIBRARIES
    paths: list[Path] = []
    for package in (sys.modules[name] for name in sorted(names & sys.modules.keys())):
        folders = getattr(package, "__path__", ())
        paths += sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
        source = Path(getattr(package, "__file__", None) or "")  # of what comes from a pipe it is "<stdin>"
        if not folders and source.is_file():
            paths.append(source)
    return [sha256_of_file(path) for path in paths]


def numerics() -> list[str]:
    """Return the parts that move the last bits of a result: libraries, processor, number of threads."""
    libraries = [f"{name} {version(name)}" for name in ("numpy", "soxr", "soundfile")]
    threads = f"{torch.get_num_threads()} threads"
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return [torch.__version__, *libraries, str(soundfile.__libsndfile_version__), processor, threads]


@lru_cache(MOST_REMEMBERED)
def _digest_of_file(path: Path, _version: tuple[int, int]) -> str:
    return sha256_of_file(path)


MAX_NAMED = 5
GENDERS = ("female", "male")
UNKNOWN = -1
FULL_SCALE = 32_767  # of a waveform kept as whole numbers


@dataclass(frozen=True)
class Example:
    """One utterance as the network sees it, and what it should say.

    Attributes
    ----------
    frames : (n_mels, frames)
    target : index of its class
    gender : index in `GENDERS`, or `UNKNOWN`
    affect : valence, arousal, dominance from 0 to 1, NaN where unknown
    waveform : (samples,) int16 at the front end's rate, where the recipe augments
    digest : of its samples, by which identical utterances are found; "" for silence
    copy : 0 for the utterance as it is, from 1 on for a changed copy, see `earnest.training.learn`
    content : equal for equal frames, by which their embedding is kept on disk; "" where it isn't
    """

    utterance: Utterance
    frames: Tensor
    target: int
    duration_s: float
    gender: int = UNKNOWN
    affect: Affect = (math.nan, math.nan, math.nan)
    waveform: KeptWaveform | None = field(default=None, repr=False)
    digest: str = ""
    copy: int = 0
    content: str = ""

    @property
    def samples(self) -> Waveform:
        """The kept waveform (samples,), from -1 to 1; see `kept`."""
        assert self.waveform is not None
        return self.waveform.astype(np.float32) / np.float32(FULL_SCALE)

    @property
    def key(self) -> str:
        """Unique over all utterances and their copies."""
        return f"{self.utterance.key}#{self.copy}" if self.copy else self.utterance.key

    @property
    def speaker(self) -> str:
        """Corpus and speaker, unique over corpora; "" where the speaker is unknown."""
        return f"{self.utterance.corpus}/{self.utterance.speaker}" if self.utterance.speaker else ""


def targets_of(examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    """Return the numbers of the examples' classes, shape (examples,)."""
    return np.array([example.target for example in examples], np.int64)


def compute_examples(
    front_end: FrontEndModule,
    utterances: Sequence[Utterance],
    scheme: Scheme,
    on_progress: Callable[[], object] = lambda: None,
    keep_waveforms: bool = False,
    affect_range: Sequence[float] = (),
    disk: DiskCache | None = None,
) -> dict[str, Example]:
    """Decode every utterance once and keep its frames; those that the scheme drops are left out.

    Raises `CorpusError` when recordings can't be read, naming them.

    Parameters
    ----------
    keep_waveforms : keep the samples too, so that they can be augmented
    affect_range : lowest and highest rating, where it is not to be the one that the corpus reader names
    disk : where frames and samples are kept, by content; what is kept there is not decoded

    Returns
    -------
    utterance key → example
    """
    kept_features, parts = FeatureCache(disk, front_end, keep_waveforms) if disk else None, PartReader()
    examples, failures = {}, []
    with parts.kept_open():
        for utterance in utterances:
            on_progress()
            name = scheme.class_of(*utterance.labels)
            if name is None:
                continue
            make = partial(features_of, front_end, utterance, keep_waveforms, parts)
            try:
                found = kept_features.of(utterance, make) if kept_features else make()
            except AudioError as error:
                failures.append(str(error))
                continue
            examples[utterance.key] = Example(
                utterance,
                found.frames,
                scheme.classes.index(name),
                found.n_samples / front_end.settings.sample_rate_hz,
                UNKNOWN if utterance.gender is None else GENDERS.index(utterance.gender),
                affect_of(utterance, affect_range),
                found.waveform.numpy() if keep_waveforms else None,
                found.digest,
                content=found.key,
            )
    if failures:
        named = "\n  ".join(failures[:MAX_NAMED])
        raise CorpusError(
            f"{counted(len(failures), 'recording')} can't be read. Remove what can't, or leave it out of a manifest "
            f"of your own recordings: earnest corpus manifest PATH -o mine.csv --readable\n  {named}"
        )
    return examples


def features_of(front_end: FrontEndModule, utterance: Utterance, keep_waveforms: bool, parts: PartReader) -> Features:
    """Decode a recording and compute its frames; raise `AudioError` where that can't be done."""
    rate_hz = front_end.settings.sample_rate_hz
    waveform = load_waveform(utterance.source, rate_hz, opener=parts.open_audio)
    samples = torch.from_numpy(kept(waveform if keep_waveforms else waveform[:0]))
    digest = "" if is_blank(waveform) else digest_of_sound(waveform, rate_hz)
    return Features(compute_frames(front_end, waveform), len(waveform), digest, samples)


def kept(waveform: Waveform) -> KeptWaveform:
    """Return a waveform (samples,) in half of the memory; what is beyond full scale is clipped."""
    # x ∈ [−1, 1] → round(32767·x); the error is at most 1/65 534, some 96 dB below full scale.
    return (waveform.clip(-1, 1) * FULL_SCALE).round().astype(np.int16)


FEWEST_CLASSES = 3


def clips_of_corpora(
    rows: Sequence[Utterance], front_end: FrontEndModule, progress: Progress = SILENT, disk: DiskCache | None = None
) -> list[Example]:
    """Decode utterances; targets are positions among their corpus' emotions. ``disk`` as in `compute_examples`."""
    examples: list[Example] = []
    with progress.bar("decoding", len(rows)) as advance:
        for corpus in dict.fromkeys(row.corpus for row in rows):
            own = [row for row in rows if row.corpus == corpus]
            scheme = scheme_of_rows("native", own)
            if len(scheme.classes) < FEWEST_CLASSES:
                raise CorpusError(f"{corpus}: has recordings of {len(scheme.classes)} emotions; 3 or more are needed.")
            examples += compute_examples(front_end, own, scheme, advance, disk=disk).values()
    return examples


def classes_of_corpora(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """Give each corpus classes of its own: return examples with targets among all, and the corpus of each class."""
    classes = sorted({(example.utterance.corpus, example.target) for example in examples})
    position = {one: number for number, one in enumerate(classes)}
    taught = [replace(one, target=position[one.utterance.corpus, one.target], waveform=None) for one in examples]
    return taught, [corpus for corpus, _ in classes]
