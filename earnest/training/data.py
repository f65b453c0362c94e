"""Utterances to padded batches of frames."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError
from earnest.frontends.build import FrontEndModule
from earnest.labels import Scheme

MAX_NAMED = 5


@dataclass(frozen=True)
class Example:
    """One utterance as the network sees it: ``frames`` (rows, frames) and the index of its class."""

    utterance: Utterance
    frames: Tensor
    target: int
    duration_s: float


class Examples(Dataset[Example]):
    """Examples by position."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


class EpochShuffle(Sampler[int]):
    """A new order every epoch that depends on seed and epoch alone, so that a resumed run sees the same batches."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed, self.epoch = size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.size).tolist())


def compute_examples(
    front_end: FrontEndModule,
    utterances: Sequence[Utterance],
    scheme: Scheme,
    on_progress: Callable[[], object] = lambda: None,
) -> dict[str, Example]:
    """Decode every utterance once and keep its frames; those that the scheme drops are left out.

    Returns
    -------
    utterance key → example

    Raises
    ------
    CorpusError
        When recordings can't be read, naming them.
    """
    rate_hz = front_end.settings.sample_rate_hz
    examples, failures = {}, []
    for utterance in utterances:
        on_progress()
        name = scheme.class_of(utterance.emotion, utterance.corpus, utterance.native_emotion)
        if name is None:
            continue
        try:
            waveform = load_waveform(utterance.path, rate_hz, utterance.start_s, utterance.end_s)
        except AudioError as error:
            failures.append(str(error))
            continue
        frames = compute_frames(front_end, waveform)
        examples[utterance.key] = Example(utterance, frames, scheme.classes.index(name), len(waveform) / rate_hz)
    if failures:
        named = "\n  ".join(failures[:MAX_NAMED])
        raise CorpusError(
            f"{len(failures)} recordings can't be read; remove them or run `earnest corpus check`:\n  {named}"
        )
    return examples


@contextmanager
def decoding_bar(total: int, visible: bool) -> Iterator[Callable[[], object]]:
    """Draw a bar on standard error while recordings are decoded; yield what to call for each."""
    if not visible:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("decoding", total=total)
        yield lambda: bars.advance(task)


def compute_frames(front_end: FrontEndModule, waveform: Waveform) -> Tensor:
    """Return the front end's frames (rows, frames) of one waveform (samples,)."""
    with torch.no_grad():
        batch: tuple[Tensor, Tensor] = front_end(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    frames, n_frames = batch
    return frames[0, :, : int(n_frames[0])].clone()


def pad_batch(examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Stack examples, each continued at its own floor; models mask what lies behind ``n_frames``."""
    n_frames = torch.tensor([example.frames.shape[1] for example in examples])
    longest = int(n_frames.max())
    frames = torch.stack(
        [
            functional.pad(example.frames, (0, longest - example.frames.shape[1]), value=float(example.frames.min()))
            for example in examples
        ]
    )
    return frames, n_frames, torch.tensor([example.target for example in examples])


def train_batches(examples: Sequence[Example], batch_size: int, seed: int) -> "DataLoader[Example]":
    """Return shuffled batches; a last batch of one clip is dropped, for batch normalisation can't use it."""
    dataset = Examples(examples)
    return DataLoader(
        dataset,
        batch_size=min(batch_size, len(examples)),
        sampler=EpochShuffle(len(examples), seed),
        collate_fn=pad_batch,
        drop_last=len(examples) % batch_size == 1,
    )


def plain_batches(examples: Sequence[Example], batch_size: int = 64) -> "DataLoader[Example]":
    """Return batches in the given order."""
    return DataLoader(Examples(examples), batch_size=batch_size, shuffle=False, collate_fn=pad_batch)
