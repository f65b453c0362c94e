"""What training goes through in an epoch: shuffled batches, of clips as they are or augmented anew."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, TypeAlias, overload

import numpy as np
from torch.utils.data import BatchSampler, DataLoader, Sampler

from earnest.audio.waveform import Waveform
from earnest.augment.chain import build_change
from earnest.errors import CorpusError
from earnest.frontends.build import FrontEndModule
from earnest.settings.recipe import Recipe
from earnest.settings.training import Oversample, Training
from earnest.training.examples import FULL_SCALE, Batch, EpochShuffle, Example, Examples, compute_frames, pad_batch
from earnest.training.ranks import ALONE, Ranks

AHEAD = 3  # batches made while the network learns from another one

Transform: TypeAlias = Callable[[Waveform, np.random.Generator], Waveform]


class Draw(NamedTuple):
    """Which clip, in which epoch, and how often that epoch had it before."""

    clip: int
    epoch: int
    repetition: int = 0


class Augmented(Sequence[Example]):
    """Training clips that sound different every epoch; as a sequence they are as they are.

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
        """Return other clips that are changed alike."""
        return Augmented(examples, self.front_end, self.change, self.settings)

    def drawn(self, draw: Draw) -> Example:
        """Return one clip as it sounds in this draw."""
        example = self.examples[draw.clip]
        # The draw alone decides: a resumed epoch and another batch size hear the same.
        rng = np.random.default_rng([self.settings.seed, draw.epoch, draw.clip, draw.repetition])
        # With probability ``clean_share`` the clip as it is.
        if rng.random() < self.settings.clean_share:
            return example
        assert example.waveform is not None
        waveform = self.change(example.waveform.astype(np.float32) / np.float32(FULL_SCALE), rng)
        return replace(example, frames=compute_frames(self.front_end, waveform))

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """Return the drawn clips; for stability training, beside the same ones as they are."""
        batch = pad_batch([self.drawn(draw) for draw in draws])
        if not self.settings.stability_weight:
            return batch
        clean = pad_batch([self.examples[draw.clip] for draw in draws])
        return clean._replace(noisy_frames=batch.frames, n_noisy_frames=batch.n_frames)


def change_of(recipe: Recipe) -> Transform:
    """Make what changes the recipe's training clips."""
    return build_change(recipe.augment, recipe.training.changes, recipe.front_end.sample_rate_hz)


class SharedBatches(Sampler[list[int]]):
    """The slices of one rank of an epoch's batches, so that ``batch_size`` is that of all ranks together.

    A last batch without two clips for each rank is dropped: batch normalisation can't use one clip.
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
        n_own : clips in the slice
        """
        # L = (1/N)·Σ_r n_r·L_r, and the ranks' gradients are averaged: (1/R)·Σ_r w_r·L_r with w_r = R·n_r/N.
        n_clips = min(self.batch_size, len(self.sampler) - number * self.batch_size)
        return self.ranks.size * n_own / n_clips


class AugmentedBatches:
    """Batches of `Augmented`, a few of them made ahead in a thread of their own.

    A thread, because NumPy and torch leave Python's lock while they compute, and the clips needn't be copied. The draws
    of torch's global generator are the network's alone: nothing here touches it.
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


def train_batches(
    examples: Sequence[Example], batch_size: int, seed: int, oversample: Oversample = "none", ranks: Ranks = ALONE
) -> "DataLoader[Example] | AugmentedBatches":
    """Return shuffled batches, of several ranks the slices of this one; see `SharedBatches`."""
    sampler = EpochShuffle([example.target for example in examples], seed, oversample)
    batches = SharedBatches(sampler, batch_size, ranks)
    if isinstance(examples, Augmented):
        return AugmentedBatches(examples, batches)
    return DataLoader(Examples(examples), batch_sampler=batches, collate_fn=pad_batch)
