"""Training examples: utterances, decoded once a front end, to padded batches of frames."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.base import Affect, affect_of
from earnest.corpora.check import digest_of, is_silent
from earnest.corpora.manifest import Utterance
from earnest.corpora.schemes import scheme_of_rows
from earnest.errors import AudioError, CorpusError
from earnest.files.cache import DiskCache
from earnest.frontends.build import FrontEndModule
from earnest.labels import Scheme
from earnest.progress import SILENT, Progress
from earnest.settings.training import Oversample
from earnest.training.features import FeatureCache, Features

Indices: TypeAlias = npt.NDArray[np.int64]
Strategy = Literal["minority", "minority-twice", "balanced"]
_ROUNDS = {"minority": 1, "minority-twice": 2}


def oversampled(targets: npt.ArrayLike, strategy: Strategy, rng: np.random.Generator) -> Indices:
    """Return every clip once and, after them, more of the small classes, drawn with replacement.

    Parameters
    ----------
    targets : shape (clips,), whole numbers: the class of each
    strategy : "minority" brings the smallest class to the size of the largest, "minority-twice" then does so with
        what is the smallest now (NTU's oversampling), "balanced" all of them

    Returns
    -------
    shape (clips and repetitions,), positions in ``targets``
    """
    classes = np.asarray(targets, np.int64)
    chosen = np.arange(len(classes))
    names, counts = np.unique(classes, return_counts=True)
    for _ in range(_ROUNDS.get(strategy, len(names))):
        smallest = int(counts.argmin()) if len(counts) else 0
        n_more = int(counts.max() - counts[smallest]) if len(counts) else 0
        if n_more == 0:
            break
        chosen = np.append(chosen, rng.choice(np.flatnonzero(classes == names[smallest]), n_more))
        counts[smallest] += n_more
    return chosen


MAX_NAMED = 5
GENDERS = ("female", "male")
UNKNOWN = -1
FULL_SCALE = 32_767  # of a waveform kept as whole numbers

KeptWaveform: TypeAlias = npt.NDArray[np.int16]


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
    digest : of its samples, by which identical clips are found; "" for silence
    copy : 0 for the clip as it is, from 1 on for a changed copy, see `earnest.training.learn`
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
    def key(self) -> str:
        """Unique over all clips and their copies."""
        return f"{self.utterance.key}#{self.copy}" if self.copy else self.utterance.key

    @property
    def speaker(self) -> str:
        """Corpus and speaker, unique over corpora; "" where the speaker is unknown."""
        return f"{self.utterance.corpus}/{self.utterance.speaker}" if self.utterance.speaker else ""


class Batch(NamedTuple):
    """Several examples, padded to one length.

    Attributes
    ----------
    frames : (batch, n_mels, frames)
    n_frames : (batch,), the valid ones
    targets : (batch,) class indices
    genders : (batch,) indices in `GENDERS`, or `UNKNOWN`
    affect : (batch, 3) valence, arousal, dominance from 0 to 1, NaN where unknown
    noisy_frames, n_noisy_frames : the same clips augmented, for stability training
    """

    frames: Tensor
    n_frames: Tensor
    targets: Tensor
    genders: Tensor
    affect: Tensor
    noisy_frames: Tensor | None = None
    n_noisy_frames: Tensor | None = None


class Examples(Dataset[Example]):
    """Examples by position."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


class EpochShuffle(Sampler[int]):
    """A new order every epoch that depends on seed and epoch alone, so that a resumed run sees the same batches.

    Parameters
    ----------
    targets : the class of each clip, or how many clips there are
    """

    def __init__(self, targets: Sequence[int] | int, seed: int, oversample: Oversample = "none") -> None:
        self.targets = [0] * targets if isinstance(targets, int) else list(targets)
        self.seed, self.oversample, self.epoch = seed, oversample, 0
        self.size = len(self._drawn(np.random.default_rng(seed)))

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        # Not a generator that goes on from epoch to epoch: a resumed run starts in the middle.
        rng = np.random.default_rng([self.seed, self.epoch])
        drawn = self._drawn(rng)
        return iter(drawn[rng.permutation(len(drawn))].tolist())

    def _drawn(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        if self.oversample == "none":
            return np.arange(len(self.targets))
        return oversampled(self.targets, self.oversample, rng)


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

    Parameters
    ----------
    keep_waveforms : keep the samples too, so that they can be augmented
    affect_range : lowest and highest rating, where it is not to be the one that the corpus reader names
    disk : where frames and samples are kept, by content; what is kept there is not decoded

    Returns
    -------
    utterance key → example

    Raises
    ------
    CorpusError
        When recordings can't be read, naming them.
    """
    kept_features = FeatureCache(disk, front_end, keep_waveforms) if disk else None
    examples, failures = {}, []
    for utterance in utterances:
        on_progress()
        name = scheme.class_of(utterance.emotion, utterance.corpus, utterance.native_emotion)
        if name is None:
            continue
        make = partial(features_of, front_end, utterance, keep_waveforms)
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
            f"{len(failures)} recordings can't be read. Remove them, or leave them out of a manifest of your own "
            f"recordings: earnest corpus manifest PATH -o mine.csv --readable\n  {named}"
        )
    return examples


def features_of(front_end: FrontEndModule, utterance: Utterance, keep_waveforms: bool) -> Features:
    """Decode a recording and compute its frames; raise `AudioError` where that can't be done."""
    rate_hz = front_end.settings.sample_rate_hz
    waveform = load_waveform(utterance.path, rate_hz, utterance.start_s, utterance.end_s)
    samples = torch.from_numpy(kept(waveform if keep_waveforms else waveform[:0]))
    digest = "" if is_silent(waveform) else digest_of(waveform, rate_hz)
    return Features(compute_frames(front_end, waveform), len(waveform), digest, samples)


def compute_frames(front_end: FrontEndModule, waveform: Waveform) -> Tensor:
    """Return the front end's frames (rows, frames) of one waveform (samples,)."""
    with torch.no_grad():
        batch: tuple[Tensor, Tensor] = front_end(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    frames, n_frames = batch
    return frames[0, :, : int(n_frames[0])].clone()


def kept(waveform: Waveform) -> KeptWaveform:
    """Return a waveform (samples,) in half of the memory; what is beyond full scale is clipped."""
    # x ∈ [−1, 1] → round(32767·x); the error is at most 1/65 534, some 96 dB below full scale.
    return (waveform.clip(-1, 1) * FULL_SCALE).round().astype(np.int16)


def padded(clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return frames (batch, n_mels, frames) in float32, zero behind each clip's end, and their numbers (batch,)."""
    n_frames = torch.tensor([clip.shape[1] for clip in clips])
    longest = int(n_frames.max())
    return torch.stack([functional.pad(clip.float(), (0, longest - clip.shape[1])) for clip in clips]), n_frames


def pad_batch(examples: Sequence[Example]) -> Batch:
    """Stack examples, each continued at its own floor, waveforms with zero; models mask what lies behind ``n_frames``.

    Mixup hears the continuation of the shorter clip.
    """
    n_frames = torch.tensor([example.frames.shape[1] for example in examples])
    longest = int(n_frames.max())
    frames = torch.stack(
        [
            functional.pad(example.frames, (0, longest - example.frames.shape[1]), value=_silence(example.frames))
            for example in examples
        ]
    )
    return Batch(
        frames,
        n_frames,
        torch.tensor([example.target for example in examples]),
        torch.tensor([example.gender for example in examples]),
        torch.tensor([example.affect for example in examples]),
    )


def _silence(frames: Tensor) -> float:
    """Return what silence is: zero in a waveform (1, samples), the lowest level of a spectrogram."""
    return 0.0 if len(frames) == 1 else float(frames.min())


def plain_batches(examples: Sequence[Example], batch_size: int = 64) -> "DataLoader[Example]":
    """Return batches in the given order, of the clips as they are."""
    return DataLoader(Examples(examples), batch_size=batch_size, shuffle=False, collate_fn=pad_batch)


FEWEST_CLASSES = 3


def clips_of_corpora(
    rows: Sequence[Utterance],
    front_end: FrontEndModule,
    progress: Progress = SILENT,
    disk: DiskCache | None = None,
) -> list[Example]:
    """Decode clips; targets are positions among the emotions of their corpus. ``disk`` as in `compute_examples`."""
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
