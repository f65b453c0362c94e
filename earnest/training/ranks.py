"""Ranks: the processes that `torchrun` starts to learn one model together, on one machine or on several.

The first one runs the command. The others hold no recordings and write nothing: they hear from the first what is
learnt, see `earnest.training.loop.follow`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from earnest.errors import EarnestError, counted

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

    Raises
    ------
    EarnestError
        When there are more processes than GPUs, or when another one has ended too early.
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
