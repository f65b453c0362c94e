"""Masks over time and frequency (Park et al., 2019) and mixup (Zhang et al., 2018), on batches of frames."""

import torch
from torch import Tensor


def mask_time(frames: Tensor, n_frames: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Replace one stretch of up to ``longest`` frames a clip (at most a fifth of it) by the clip's mean.

    Parameters
    ----------
    frames : (batch, n_mels, frames)
    n_frames : (batch,)

    Returns
    -------
    (batch, n_mels, frames), a new tensor
    """
    # SpecAugment (Park et al., 2019, 2): length ~ U[0, T], start ~ U[0, τ − length).
    length = (_uniform(frames, generator) * (n_frames / 5).clamp(max=float(longest))).round()
    start = (_uniform(frames, generator) * (n_frames - length)).floor()
    positions = torch.arange(frames.shape[2], device=frames.device)[None, :]
    hidden = (positions >= start[:, None]) & (positions < (start + length)[:, None])
    return torch.where(hidden[:, None], _clip_mean(frames, n_frames), frames)


def mask_bands(frames: Tensor, n_frames: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Replace up to ``most`` neighbouring mel bands a clip by the clip's mean; shapes as in `mask_time`."""
    n_mels = frames.shape[1]
    # Width ~ U[0, F], first band ~ U[0, ν − width), ν being the number of bands.
    width = (_uniform(frames, generator) * most).round()
    start = (_uniform(frames, generator) * (n_mels - width)).floor()
    bands = torch.arange(n_mels, device=frames.device)[None, :]
    hidden = (bands >= start[:, None]) & (bands < (start + width)[:, None])
    return torch.where(hidden[:, :, None], _clip_mean(frames, n_frames), frames)


def mix_up(
    frames: Tensor, n_frames: Tensor, targets: Tensor, alpha: float, generator: torch.Generator, dominant: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Blend each clip with another of the batch, in shares drawn from Beta(alpha, alpha).

    Parameters
    ----------
    targets : (batch, values), blended as the clips are
    dominant : the larger share stays with the clip itself (NTU's variant)

    Returns
    -------
    frames (batch, n_mels, frames), their number (batch,), targets (batch, values)
    """
    order = torch.randperm(len(frames), generator=generator).to(frames.device)
    # Beta(a, a) as a ratio of gammas, because torch's own sampler takes no generator.
    gammas = torch._standard_gamma(torch.full((2, len(frames)), alpha), generator=generator) + 1e-12
    share = (gammas[0] / gammas.sum(dim=0)).to(frames.device)
    share = torch.maximum(share, 1 - share) if dominant else share
    both = torch.maximum(n_frames, n_frames[order])
    # mixup (Zhang et al., 2018): λ·x_i + (1 − λ)·x_j, and targets alike.
    mixed = share[:, None, None] * frames + (1 - share)[:, None, None] * frames[order]
    return mixed, both, share[:, None] * targets + (1 - share)[:, None] * targets[order]


def _uniform(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one number from 0 to 1 a clip, (batch,): on the processor, so that a device draws the same ones."""
    return torch.rand(len(frames), generator=generator).to(frames.device)


def _clip_mean(frames: Tensor, n_frames: Tensor) -> Tensor:
    inside = (torch.arange(frames.shape[2], device=frames.device)[None, :] < n_frames[:, None])[:, None]
    # Over the clip's own frames and all bands, (batch, 1, 1).
    return ((frames * inside).sum(dim=(1, 2)) / (n_frames * frames.shape[1]))[:, None, None]
