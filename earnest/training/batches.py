"""Batches of an epoch: shuffled, of utterances as they are or augmented anew, shared by the ranks.

Ranks are the processes that `torchrun` starts to learn one model together, on one machine or on several. The first one
runs the command. The others hold no recordings and write nothing: they hear from the first what is learnt, see
`earnest.training.loop.follow`.
"""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from earnest.augment.base import Transform, build_chain, build_choice
from earnest.errors import CorpusError, EarnestError, counted
from earnest.frontends.log_mel import FrontEndModule, compute_frames
from earnest.models.classifier import NetworkOutput
from earnest.settings.recipe import Oversample, Recipe, Training
from earnest.training.examples import Example

Indices: TypeAlias = npt.NDArray[np.int64]
Strategy = Literal["minority", "minority-twice", "balanced"]
T = TypeVar("T")
# The others wait while the first decodes and validates. Whoever has died is noticed without it: torchrun ends them all.
PATIENCE = timedelta(days=7)
PIECE = 256  # things that are sent at once, so that the message fits into memory beside what it holds


@dataclass(frozen=True)
class Ranks:
    """This process among those that learn together.

    Attributes
    ----------
    rank : its number, from 0
    size : how many there are
    local_size : how many of them on this machine
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process runs the command."""
        return self.rank == 0

    def share(self, batch: Sequence[T]) -> Sequence[T]:
        """Return this rank's slice of a batch; the slices differ by one utterance at most."""
        return batch[self.rank :: self.size]

    def told(self, value: Any) -> Any:
        """Return the first rank's value; all ranks call it at the same point."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def told_all(self, values: Sequence[T]) -> list[T]:
        """Return the first rank's values, which are sent in pieces."""
        count = self.told(len(values))
        pieces = [self.told(list(values[begin : begin + PIECE])) for begin in range(0, count, PIECE)]
        return [value for piece in pieces for value in piece]

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a value over all ranks."""
        if self.size == 1:
            return value
        total = value.detach().cpu().clone()
        distributed.all_reduce(total)
        return total / self.size


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the other processes where torchrun started this one; when the block ends well, tell them that it did.

    Raises `EarnestError` when there are more processes than GPUs, or when another one has ended too early.
    """
    if not distributed.is_available() or not distributed.is_torchelastic_launched():
        yield ALONE
        return
    rank, size, here = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    on_gpu = torch.cuda.is_available()
    if on_gpu and torch.cuda.device_count() < here:
        raise EarnestError(
            f"torchrun: {here} processes on a machine with {counted(torch.cuda.device_count(), 'GPU')}. "
            "Each needs one: give fewer with --nproc-per-node."
        )
    ranks = Ranks(rank, size, here)
    try:
        # Objects go by gloo, gradients on GPUs by NCCL.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
        yield ranks
        if ranks.is_first:
            ranks.told(None)
    except RuntimeError as error:
        if not is_lost_rank(error):
            raise
        raise EarnestError(
            f"Process {rank} of {size}: another one has ended; its own message, or torchrun's, says why. "
            "The same command goes on from the last epoch, with any number of processes."
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def is_lost_rank(error: RuntimeError) -> bool:
    """Whether an error comes from a connection whose other end is gone."""
    words = ("gloo", "nccl", "connection closed by peer", "connection reset", "socket")
    return isinstance(error, distributed.DistError) or any(word in str(error).lower() for word in words)


TOGETHER = 64  # utterances of a batch that is not learnt from
_ROUNDS = {"minority": 1, "minority-twice": 2}


def oversampled(targets: npt.ArrayLike, strategy: Strategy, rng: np.random.Generator) -> Indices:
    """Return every utterance once and, after them, more of the small classes, drawn with replacement.

    Parameters
    ----------
    targets : shape (utterances,), whole numbers: the class of each
    strategy : "minority" brings the smallest class to the size of the largest, "minority-twice" then does so with
        what is the smallest now (NTU's oversampling), "balanced" all of them

    Returns
    -------
    shape (utterances and repetitions,), positions in ``targets``
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


class Batch(NamedTuple):
    """Several examples, padded to one length.

    Attributes
    ----------
    frames : (batch, n_mels, frames)
    n_frames : (batch,), the valid ones
    targets : (batch,) class indices
    genders : (batch,) indices in `GENDERS`, or `UNKNOWN`
    affect : (batch, 3) valence, arousal, dominance from 0 to 1, NaN where unknown
    noisy_frames, n_noisy_frames : the same utterances augmented, for stability training
    """

    frames: Tensor
    n_frames: Tensor
    targets: Tensor
    genders: Tensor
    affect: Tensor
    noisy_frames: Tensor | None = None
    n_noisy_frames: Tensor | None = None


class EpochShuffle(Sampler[int]):
    """A new order every epoch that depends on seed and epoch alone, so that a resumed run sees the same batches.

    Parameters
    ----------
    targets : the class of each utterance
    """

    def __init__(self, targets: Sequence[int], seed: int, oversample: Oversample = "none") -> None:
        self.targets = list(targets)
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


def padded(clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pad frames to (batch, n_mels, frames), float32, with zeros behind the end; with their numbers (batch,)."""
    n_frames = torch.tensor([clip.shape[1] for clip in clips])
    longest = int(n_frames.max())
    return torch.stack([functional.pad(clip.float(), (0, longest - clip.shape[1])) for clip in clips]), n_frames


def pad_batch(examples: Sequence[Example]) -> Batch:
    """Stack examples, each continued at its own floor, waveforms with zero; models mask what lies behind ``n_frames``.

    Mixup hears the continuation of the shorter utterance.
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
    """Return the value of silence: zero in a waveform (1, samples), the lowest level of a spectrogram."""
    return 0.0 if len(frames) == 1 else float(frames.min())


def plain_batches(examples: Sequence[Example]) -> "DataLoader[Example]":
    """Return batches in the given order, of the utterances as they are."""
    return DataLoader(cast("Dataset[Example]", examples), batch_size=TOGETHER, shuffle=False, collate_fn=pad_batch)


AHEAD = 3  # batches made while the network learns from another one


class Draw(NamedTuple):
    """The draw of an utterance: its epoch, and how often that epoch had it before."""

    clip: int
    epoch: int
    repetition: int = 0


class Augmented(Sequence[Example]):
    """Training utterances that sound different every epoch; as a sequence they are as they are.

    What a draw sounds like depends on the seed and the draw alone: not on the batch, the order or a resumption.

    Parameters
    ----------
    examples : with waveforms
    change : augments a waveform (samples,)
    """

    def __init__(
        self, examples: Sequence[Example], front_end: FrontEndModule, change: Transform, settings: Training
    ) -> None:
        if any(example.waveform is None for example in examples):
            raise CorpusError("Recordings without their waveforms can't be augmented.")
        self.examples, self.front_end, self.change = examples, front_end, change
        self.settings = settings

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self.examples[index]

    def of(self, examples: Sequence[Example]) -> "Augmented":
        """Return other utterances that are changed alike."""
        return Augmented(examples, self.front_end, self.change, self.settings)

    def drawn(self, draw: Draw) -> Example:
        """Return one utterance as it sounds in this draw."""
        example = self.examples[draw.clip]
        # The draw alone decides: a resumed epoch and another batch size hear the same.
        rng = np.random.default_rng([self.settings.seed, draw.epoch, draw.clip, draw.repetition])
        # With probability ``clean_share`` the utterance as it is.
        if rng.random() < self.settings.clean_share:
            return example
        try:
            waveform = self.change(example.samples, rng)
        except Exception as error:  # of somebody's own augmentation
            error.add_note(f"Augmenting {example.utterance.path}, epoch {draw.epoch + 1}.")
            raise
        return replace(example, frames=compute_frames(self.front_end, waveform))

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """Return the drawn utterances; for stability training, beside the same ones as they are."""
        batch = pad_batch([self.drawn(draw) for draw in draws])
        if not self.settings.stability_weight:
            return batch
        clean = pad_batch([self.examples[draw.clip] for draw in draws])
        return clean._replace(noisy_frames=batch.frames, n_noisy_frames=batch.n_frames)


def change_of(recipe: Recipe) -> Transform:
    """Build the augmentation of the recipe's training utterances."""
    build = build_choice if recipe.training.changes == "one" else build_chain
    return build(recipe.augment, recipe.front_end.sample_rate_hz)


class SharedBatches(Sampler[list[int]]):
    """The slices of one rank of an epoch's batches, so that ``batch_size`` is that of all ranks together.

    A last batch without two utterances for each rank is dropped: batch normalisation can't use one utterance.
    """

    def __init__(self, sampler: EpochShuffle, batch_size: int, ranks: Ranks = ALONE) -> None:
        self.sampler, self.ranks = sampler, ranks  # Lightning tells the sampler the epoch
        self.batch_size = min(batch_size, len(sampler))
        left = len(sampler) % self.batch_size
        self._whole = BatchSampler(sampler, self.batch_size, drop_last=left < 2 * ranks.size)

    def __len__(self) -> int:
        return len(self._whole)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(self.ranks.share(batch)) for batch in self._whole)

    def whole(self) -> Iterator[list[int]]:
        """Yield the batches of all ranks together."""
        return iter(self._whole)

    def weight(self, number: int, n_own: int) -> float:
        """Return by what the loss over this rank's slice is multiplied, so that the ranks' mean is that of the batch.

        Parameters
        ----------
        number : of the batch in its epoch, from 0
        n_own : utterances in the slice
        """
        # L = (1/N)·Σ_r n_r·L_r, and the ranks' gradients are averaged: (1/R)·Σ_r w_r·L_r with w_r = R·n_r/N.
        n_clips = min(self.batch_size, len(self.sampler) - number * self.batch_size)
        return self.ranks.size * n_own / n_clips


class AugmentedBatches:
    """Batches of `Augmented`, a few of them made ahead in a thread of their own.

    A thread, because NumPy and torch leave Python's lock while they compute, and the utterances needn't be copied. The
    draws of torch's global generator are the network's alone: nothing here touches it.
    """

    def __init__(self, clips: Augmented, batches: SharedBatches) -> None:
        self.clips, self.batch_sampler = clips, batches

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1) as worker:
            for draws in self._draws():
                waiting.append(worker.submit(self.clips.batch, draws))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _draws(self) -> Iterator[Sequence[Draw]]:
        seen: Counter[int] = Counter()
        epoch = self.batch_sampler.sampler.epoch
        for indices in self.batch_sampler.whole():
            draws = []
            for index in indices:
                draws.append(Draw(index, epoch, seen[index]))
                seen[index] += 1
            yield self.batch_sampler.ranks.share(draws)


def predict_outputs(network: nn.Module, examples: Sequence[Example]) -> NetworkOutput:
    """Return a network's outputs for examples, in the order given; without attention, whose steps differ."""
    network.eval()
    with torch.no_grad():
        return joined_outputs([network(batch.frames, batch.n_frames) for batch in plain_batches(examples)])


def joined_outputs(found: Sequence[NetworkOutput]) -> NetworkOutput:
    """Put the outputs of batches below one another; without attention, whose steps differ."""
    return NetworkOutput(
        logits=torch.cat([one.logits for one in found]),
        embedding=torch.cat([one.embedding for one in found]),
        gender=_stacked([one.gender for one in found]),
        affect=_stacked([one.affect for one in found]),
    )


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None


def train_batches(
    examples: Sequence[Example], batch_size: int, seed: int, oversample: Oversample = "none", ranks: Ranks = ALONE
) -> "DataLoader[Example] | AugmentedBatches":
    """Return shuffled batches, of several ranks the slices of this one; see `SharedBatches`."""
    sampler = EpochShuffle([example.target for example in examples], seed, oversample)
    batches = SharedBatches(sampler, batch_size, ranks)
    if isinstance(examples, Augmented):
        return AugmentedBatches(examples, batches)
    return DataLoader(cast("Dataset[Example]", examples), batch_sampler=batches, collate_fn=pad_batch)
