"""Waveform to log-mel spectrogram inside the graph: power spectrum, Slaney's mel filters, decibels."""

import copy
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.frontends.mel import mel_filters
from earnest.frontends.spectrum import FourierTransform, TwoStageTransform, mean_power
from earnest.frontends.trim import GradientTrim, frame_mask, peak_trim
from earnest.frontends.waveform import prepared
from earnest.settings.front_end import FrontEnd

LOWEST_POWER = 1e-10  # −100 dB
DECIBELS_PER_NEPER = 10.0 / float(np.log(10.0))  # ONNX has ln, not log10


class LogMel(nn.Module):
    """Log spectrogram as librosa computes it, with a clip's result independent of its neighbours in the batch.

    Level, reference, floor and silence are found per clip over its own samples; what lies behind a clip's end is at the
    clip's floor and not counted in ``n_frames``.
    """

    filters: Tensor | None

    def __init__(self, settings: FrontEnd) -> None:
        super().__init__()
        self.settings = settings
        self.hop_length = settings.hop_length
        self.n_rows = settings.n_bands
        filters = _mel_filters(settings) if settings.scale == "mel" else None
        # Bins above the highest filter are never looked at, so they are not computed either.
        self.n_bins = settings.first_bin + settings.n_bands if filters is None else filters.shape[1]
        self.register_buffer("filters", filters, persistent=False)
        sizes = (settings.n_fft, settings.win_length, settings.hop_length, self.n_bins, settings.window)
        self.spectrum: nn.Module = FourierTransform(*sizes)
        self.gradient_trim = GradientTrim() if settings.trim == "gradient" else None

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a clip of so many samples has before it is trimmed."""
        return n_samples // self.hop_length + 1

    def exportable(self) -> Self:
        """Return a copy that computes the spectrum by convolution and products of matrices."""
        other = copy.deepcopy(self)
        settings = self.settings
        sizes = (settings.n_fft, settings.win_length, settings.hop_length, self.n_bins, settings.window)
        other.spectrum = TwoStageTransform(*sizes)
        return other

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the spectrogram.

        Parameters
        ----------
        waveform : (batch, samples) float32; samples behind a clip's length are ignored
        lengths : (batch,) int64, samples of each clip, at least 1

        Returns
        -------
        log_mel : (batch, bands, frames) decibels
        n_frames : (batch,) int64, frames of each clip
        """
        lengths = lengths.clamp(min=1, max=waveform.shape[1])
        waveform = prepared(waveform, lengths, self.settings)
        padded = self._pad(waveform, lengths)
        n_frames = torch.div(lengths, self.settings.hop_length, rounding_mode="floor") + 1
        power = self._bands(self.spectrum(padded))  # (batch, bands, frames)
        log_mel = self._decibels(power, n_frames)
        return self._trim(log_mel, n_frames, padded)

    def _bands(self, power: Tensor) -> Tensor:
        return power[:, self.settings.first_bin :] if self.filters is None else torch.matmul(self.filters, power)

    def _pad(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        settings = self.settings
        # librosa centres a frame of n_fft; only the window's part of it can be different from zero.
        before = settings.n_fft // 2 - (settings.n_fft - settings.win_length) // 2
        after = settings.win_length - before
        if settings.pad_mode == "constant":
            return functional.pad(waveform, (before, after))
        # Only what lies outside the clip is looked up: indices for every sample would cost more than the spectrum.
        device = waveform.device
        behind = lengths[:, None] + torch.arange(after, device=device)[None, :]
        ahead = torch.arange(-before, 0, device=device)[None, :].expand(waveform.shape[0], before)
        padded = torch.cat([_mirrored(waveform, ahead, lengths), functional.pad(waveform, (0, after))], dim=1)
        return padded.scatter(1, behind + before, _mirrored(waveform, behind, lengths))

    def _decibels(self, power: Tensor, n_frames: Tensor) -> Tensor:
        settings = self.settings
        power = power * frame_mask(n_frames, power.shape[2])[:, None]  # silence behind the clip's end
        # 10·log10(power) = 10/ln 10 · ln(power).
        decibels = DECIBELS_PER_NEPER * torch.log(power.clamp(min=LOWEST_POWER))
        peak = decibels.amax(dim=(1, 2), keepdim=True)  # (batch, 1, 1)
        if settings.top_db is not None:
            decibels = torch.maximum(decibels, peak - settings.top_db)
        return decibels - peak if settings.decibel_reference == "max" else decibels

    def _trim(self, log_mel: Tensor, n_frames: Tensor, padded: Tensor) -> tuple[Tensor, Tensor]:
        settings = self.settings
        if settings.trim == "none":
            return log_mel, n_frames
        if self.gradient_trim is not None:
            start, end = self.gradient_trim(log_mel, n_frames)
        else:
            power = mean_power(padded, settings.win_length, settings.hop_length)
            start, end = peak_trim(power, n_frames, settings.trim_db)
        kept = end - start
        # Kept frames move to the front, so that a clip with silence equals the same clip without.
        positions = torch.arange(log_mel.shape[2], device=log_mel.device)[None, :]
        source = torch.minimum(positions + start[:, None], (end - 1)[:, None])
        moved = log_mel.gather(2, source[:, None, :].expand(log_mel.shape))
        floor = log_mel.amin(dim=(1, 2), keepdim=True)
        return torch.where(frame_mask(kept, log_mel.shape[2])[:, None], moved, floor), kept


def _mel_filters(settings: FrontEnd) -> Tensor:
    filters = mel_filters(
        settings.sample_rate_hz, settings.n_fft, settings.n_mels, settings.fmin_hz, settings.highest_hz
    )
    empty = int((~filters.any(axis=1)).sum())
    if empty:
        raise RecipeError(
            f"[front_end]: {empty} of {settings.n_mels} mel filters lie between two bins of the transform. "
            "Choose fewer n_mels, a wider band or a larger n_fft."
        )
    n_bins = int(np.flatnonzero(filters.any(axis=0))[-1]) + 1
    return torch.from_numpy(filters[:, :n_bins].copy())


def _mirrored(waveform: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
    """Return the samples at ``positions`` (batch, n) of clips mirrored at both ends, again and again."""
    last = lengths[:, None] - 1
    # Reflection has period 2·(n − 1): 0 1 2 | 1 0 1 2 …
    wrapped = torch.remainder(positions, (2 * last).clamp(min=1))
    return waveform.gather(1, torch.minimum(wrapped, (2 * last - wrapped).clamp(min=0)))
