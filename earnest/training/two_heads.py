"""An encoder's embedding with two heads: emotions as they are, and less what all clips of a speaker share."""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.models.student import StudentStatistics
from earnest.models.whisper import WhisperStatistics, mean_and_deviation
from earnest.training.data import Example, padded
from earnest.training.discriminant import discriminant

SCORE_SCALE = 0.15  # of discriminant scores, about what makes them honest
SHRINKAGE = 0.6
EMBEDDED_TOGETHER = 32


class Clips(NamedTuple):
    """A padded batch: frames (batch, n_mels, frames), their numbers, targets and number of the speaker (batch,)."""

    frames: Tensor
    n_frames: Tensor
    targets: Tensor
    speakers: Tensor


Statistics: TypeAlias = WhisperStatistics | StudentStatistics
"""Networks that pool tokens of a trunk."""


class Embedding(nn.Module):
    """A network's pooled statistics, standardised by ``mean`` and ``deviation`` (width,)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Statistics) -> None:
        super().__init__()
        self.network = network
        width = network.output.in_features
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Map (batch, n_mels, frames) to (batch, width)."""
        with torch.autocast(frames.device.type, torch.bfloat16):
            heard = self.network.heard(frames, n_frames)
        pooled = torch.cat([mean_and_deviation(tokens.float(), mask) for tokens, mask in heard], 1)
        return (pooled - self.mean) / self.deviation


class Pair(nn.Module):
    """The embedding with its two heads.

    Parameters
    ----------
    own : (classes, classes) of booleans: which classes belong to the same corpus as a class
    """

    own: Tensor

    def __init__(self, embedding: Embedding, own: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.plain = nn.Linear(len(embedding.mean), len(own))
        self.centred = nn.Linear(len(embedding.mean), len(own))
        self.register_buffer("own", own, persistent=False)

    def forward(self, clips: Clips, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return logits of both heads (batch, classes); other corpora's classes are out of the question."""
        points = self.embedding(clips.frames, clips.n_frames).float()
        others = ~self.own[clips.targets]
        return (
            self.plain(functional.dropout(points, dropout)).masked_fill(others, -math.inf),
            self.centred(functional.dropout(less_own_mean(points, clips.speakers), dropout)).masked_fill(
                others, -math.inf
            ),
        )


def less_own_mean(points: Tensor, speakers: Tensor) -> Tensor:
    """Return points (rows, width) less the mean of their speaker's."""
    together = functional.one_hot(speakers).to(points.dtype)
    means = together.T @ points / together.sum(dim=0)[:, None].clamp(min=1)
    return points - means[speakers]


def smoothed_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Return cross-entropy with label smoothing over the finite logits of each row."""
    chances = logits.log_softmax(dim=1)
    possible = logits.isfinite()
    even = -chances.masked_fill(~possible, 0.0).sum(dim=1) / possible.sum(dim=1)
    true = -chances.gather(1, targets[:, None])[:, 0]
    return ((1 - smoothing) * true + smoothing * even).mean()


def collated(clips: Sequence[tuple[Tensor, int, str]]) -> Clips:
    """Pad clips to one length."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(speaker for _, _, speaker in clips))}
    speakers = torch.tensor([numbers[speaker] for _, _, speaker in clips])
    frames, n_frames = padded([frames for frames, _, _ in clips])
    return Clips(frames, n_frames, torch.tensor([target for _, target, _ in clips]), speakers)


@torch.no_grad()
def start_heads(pair: Pair, examples: Sequence[Example]) -> None:
    """Standardise the embedding on ``examples`` and set both heads to the discriminant of each corpus."""
    embedding = pair.embedding.eval()
    points = torch.empty(len(examples), len(embedding.mean))
    by_length = np.argsort([example.frames.shape[1] for example in examples])
    for rows in np.array_split(by_length, math.ceil(len(by_length) / EMBEDDED_TOGETHER)):
        clips = collated([(examples[row].frames, 0, "") for row in rows])
        points[rows] = embedding(clips.frames, clips.n_frames)
    embedding.mean.copy_(points.mean(dim=0))
    embedding.deviation.copy_(points.std(dim=0) + 1e-6)
    points = (points - embedding.mean) / embedding.deviation
    names = sorted({example.speaker for example in examples})
    speakers = torch.tensor([names.index(example.speaker) for example in examples])
    targets = np.array([example.target for example in examples])
    for head, values in ((pair.plain, points), (pair.centred, less_own_mean(points, speakers))):
        for first in sorted({int(row.nonzero()[0]) for row in pair.own}):
            classes = pair.own[first].nonzero()[:, 0].numpy()
            mine = np.flatnonzero(np.isin(targets, classes))
            weights, bias = discriminant(
                values[mine].double().numpy(), np.searchsorted(classes, targets[mine]), SHRINKAGE, len(classes)
            )
            head.weight[classes] = SCORE_SCALE * torch.from_numpy(weights).float()
            head.bias[classes] = SCORE_SCALE * torch.from_numpy(bias).float()
    pair.train()
