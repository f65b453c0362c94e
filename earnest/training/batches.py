"""What training goes through in an epoch: shuffled batches, of clips as they are or augmented anew."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, TypeAlias, overload

import numpy as np
from torch.utils.data import BatchSampler, DataLoader

from earnest.audio.waveform import Waveform
from earnest.augment.chain import build_change
from earnest.errors import CorpusError
from earnest.frontends.build import FrontEndModule
from earnest.settings.recipe import Recipe
from earnest.settings.training import Oversample, Training
from earnest.training.examples import FULL_SCALE, Batch, EpochShuffle, Example, Examples, compute_frames, pad_batch

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
            raise CorpusError("Clips without their waveforms can't be augmented.")
        self.examples, self.front_end, self.change = examples, front_end, change
        self.seed, self.clean_share = settings.seed, settings.clean_share
        self.in_pairs = settings.stability_weight > 0

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self.examples[index]

    def drawn(self, draw: Draw) -> Example:
        """Return one clip as it sounds in this draw."""
        example = self.examples[draw.clip]
        # The draw alone decides: a resumed epoch and another batch size hear the same.
        rng = np.random.default_rng([self.seed, draw.epoch, draw.clip, draw.repetition])
        # With probability ``clean_share`` the clip as it is.
        if rng.random() < self.clean_share:
            return example
        assert example.waveform is not None
        waveform = self.change(example.waveform.astype(np.float32) / np.float32(FULL_SCALE), rng)
        return replace(example, frames=compute_frames(self.front_end, waveform))

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """Return the drawn clips; for stability training, beside the same ones as they are."""
        batch = pad_batch([self.drawn(draw) for draw in draws])
        if not self.in_pairs:
            return batch
        clean = pad_batch([self.examples[draw.clip] for draw in draws])
        return clean._replace(noisy_frames=batch.frames, n_noisy_frames=batch.n_frames)


def change_of(recipe: Recipe) -> Transform:
    """Make what changes the recipe's training clips."""
    return build_change(recipe.augment, recipe.training.changes, recipe.front_end.sample_rate_hz)


class AugmentedBatches:
    """Batches of `Augmented`, a few of them made ahead in a thread of their own.

    A thread, because NumPy and torch leave Python's lock while they compute, and the clips needn't be copied. The draws
    of torch's global generator are the network's alone: nothing here touches it.
    """

    def __init__(self, clips: Augmented, sampler: EpochShuffle, batch_size: int, drop_last: bool) -> None:
        self.clips, self.sampler = clips, sampler  # Lightning tells the sampler the epoch
        self._batches = BatchSampler(sampler, batch_size, drop_last)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1) as worker:
            for draws in self._draws():
                waiting.append(worker.submit(self.clips.batch, draws))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _draws(self) -> Iterator[list[Draw]]:
        seen: Counter[int] = Counter()
        epoch = self.sampler.epoch
        for indices in self._batches:
            draws = []
            for index in indices:
                draws.append(Draw(index, epoch, seen[index]))
                seen[index] += 1
            yield draws


def train_batches(
    examples: Sequence[Example], batch_size: int, seed: int, oversample: Oversample = "none"
) -> "DataLoader[Example] | AugmentedBatches":
    """Return shuffled batches; a last batch of one clip is dropped, for batch normalisation can't use it."""
    sampler = EpochShuffle([example.target for example in examples], seed, oversample)
    size, drop_last = min(batch_size, len(sampler)), len(sampler) % batch_size == 1
    if isinstance(examples, Augmented):
        return AugmentedBatches(examples, sampler, size, drop_last)
    return DataLoader(Examples(examples), batch_size=size, sampler=sampler, collate_fn=pad_batch, drop_last=drop_last)
