"""The baseline of `epoch.py`: EmoCatcher's training plan in plain torch and librosa; no code of earnest.

The features of a clip are those of `baseline.py`, computed whenever the Dataset is asked for the clip.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from baseline import Network, features
from pytorch_optimizer import AdaBelief
from torch import nn
from torch.utils.data import DataLoader, Dataset

Item = tuple[torch.Tensor, int]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Clips(Dataset[Item]):
    """Recordings of RAVDESS; nothing is kept between epochs."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Item:
        path = self.paths[index]
        return features(path, "emocatcher")[0], int(path.stem.split("-")[2]) - 1


class TrainedNetwork(Network):
    """CABG for batches of clips of different length, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution_dropout, self.head_dropout = nn.Dropout(0.2), nn.Dropout(0.1)

    def forward_batch(self, mels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Map (batch, 64, frames) and the frames of each clip to logits (batch, 8)."""
        *convolutions, pool = self.blocks
        for block in convolutions:
            mels = self.convolution_dropout(block(mels))
        steps = self.norm(pool(mels).transpose(1, 2))
        n_steps = torch.div(lengths, 2, rounding_mode="floor").clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(steps, n_steps, batch_first=True, enforce_sorted=False)
        packed_states, final = self.gru(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(packed_states, batch_first=True)
        query = torch.cat([final[0], final[1]], dim=1)
        scores = self.score(torch.tanh(self.query(query)[:, None] + self.key(states)))[..., 0]
        behind = torch.arange(states.shape[1]) >= n_steps[:, None]
        weights = scores.masked_fill(behind, -1e9).softmax(dim=1)
        attended = (weights[..., None] * states).sum(dim=1)
        hidden, norm, activation, output = self.head
        logits: torch.Tensor = output(self.head_dropout(activation(norm(hidden(attended)))))
        return logits


@dataclass
class Training:
    """What an epoch changes."""

    network: TrainedNetwork
    optimiser: Any
    schedule: torch.optim.lr_scheduler.ReduceLROnPlateau


def new_training() -> Training:
    """Return the network with the original's optimiser and schedule."""
    torch.manual_seed(0)
    network = TrainedNetwork()
    optimiser = AdaBelief(network.parameters(), lr=1e-3, weight_decay=1e-7, weight_decouple=False, rectify=False)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.7, patience=2, cooldown=3, min_lr=1e-6, threshold=1e-3
    )
    return Training(network, optimiser, schedule)


def batches(paths: list[Path], size: int, shuffle: bool) -> "DataLoader[Item]":
    """Return padded batches, made in this process as in the original."""
    return DataLoader(Clips(paths), batch_size=size, shuffle=shuffle, collate_fn=padded)


def padded(items: list[Item]) -> Batch:
    """Join clips into (batch, 64, frames), with their lengths and classes."""
    frames = nn.utils.rnn.pad_sequence([mels.T for mels, _ in items], batch_first=True).transpose(1, 2)
    lengths = torch.tensor([mels.shape[1] for mels, _ in items])
    return frames.contiguous(), lengths, torch.tensor([target for _, target in items])


def trained_epoch(training: Training, loader: Any) -> float:
    """Train for one epoch; return the mean loss."""
    training.network.train()
    total = 0.0
    for mels, lengths, targets in loader:
        logits = training.network.forward_batch(mels, lengths)
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
        training.optimiser.zero_grad()
        loss.backward()
        training.optimiser.step()
        total += loss.item()
    return total / len(loader)


def scored_epoch(training: Training, loader: Any) -> float:
    """Return the share of right answers."""
    training.network.eval()
    right = 0
    with torch.no_grad():
        for mels, lengths, targets in loader:
            right += int((training.network.forward_batch(mels, lengths).argmax(dim=1) == targets).sum())
    return right / len(loader.dataset)
