"""Segments of clips, cut inside the graph: a crop, or blocks one after another."""

import torch
from torch import Tensor

from earnest.frontends.trim import frame_mask


def floor_of(frames: Tensor, n_frames: Tensor) -> Tensor:
    """Return the lowest value of each clip's own frames, (batch, 1, 1)."""
    inside = frame_mask(n_frames, frames.shape[2])[:, None]
    return torch.where(inside, frames, torch.full_like(frames, torch.inf)).amin(dim=(1, 2), keepdim=True)


def crop(frames: Tensor, n_frames: Tensor, length: int, padding: Tensor, place: Tensor | None = None) -> Tensor:
    """Cut ``length`` frames from every clip; a shorter one is continued at both ends.

    Parameters
    ----------
    frames : (batch, bands, frames)
    n_frames : (batch,)
    padding : (batch, 1, 1), the value outside a clip
    place : (batch,) from 0 to below 1, where in its spare room the crop lies; default: in the middle

    Returns
    -------
    (batch, bands, length)
    """
    spare = n_frames - length  # negative where a clip is shorter
    if place is None:
        start = torch.div(spare, 2, rounding_mode="floor")
    else:
        # Uniform over 0 … spare; negative: zeros before the clip.
        start = spare.sign() * (place * (spare.abs() + 1)).floor().to(spare.dtype)
    positions = start[:, None] + torch.arange(length, device=frames.device)[None]
    inside = (positions >= 0) & (positions < n_frames[:, None])
    source = positions.clamp(min=0, max=frames.shape[2] - 1)[:, None].expand(-1, frames.shape[1], -1)
    return torch.where(inside[:, None], frames.gather(2, source), padding)


def blocks(frames: Tensor, n_frames: Tensor, length: int, padding: Tensor) -> tuple[Tensor, Tensor]:
    """Cut every clip into blocks of ``length`` frames without overlap; the last one is continued at its end.

    The last frame of a spectrogram is centred on the clip's end, so a clip of exactly so many hops needs no block for
    it alone.

    Parameters
    ----------
    frames : (batch, bands, frames)
    n_frames : (batch,)
    padding : (batch, 1, 1), the value behind a clip

    Returns
    -------
    pieces : (batch, blocks, bands, length)
    live : (batch, blocks), True where a block holds frames of its clip
    """
    # ⌈(frames − 1) / length⌉ blocks, one at least: the last frame alone makes none.
    behind_first = torch.sym_max(frames.shape[2] - 2, 0)  # type: ignore[no-untyped-call]
    n_blocks = behind_first // length + 1
    starts = torch.arange(n_blocks, device=frames.device) * length
    positions = starts[:, None] + torch.arange(length, device=frames.device)[None]  # (blocks, length)
    pieces = frames[:, :, positions.clamp(max=frames.shape[2] - 1)]  # (batch, bands, blocks, length)
    inside = positions[None, None] < n_frames[:, None, None, None]
    live = starts[None] < (n_frames[:, None] - 1).clamp(min=1)
    return torch.where(inside, pieces, padding[..., None]).transpose(1, 2), live
