"""The clip's own samples: what comes before every spectrogram, and the front end of networks on waveforms."""

import copy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.frontends.trim import frame_mask
from earnest.settings.front_end import FrontEnd

SMALLEST_MEAN_SQUARE = 1e-12  # −120 dBFS; silence stays silent


def prepared(waveform: Tensor, lengths: Tensor, settings: FrontEnd) -> Tensor:
    """Zero what lies behind each clip's end, then level and pre-emphasise; (batch, samples) with lengths (batch,)."""
    waveform = torch.where(frame_mask(lengths, waveform.shape[1]), waveform, torch.zeros_like(waveform))
    if settings.level == "rms":
        wanted = 10 ** (settings.level_dbfs / 20)  # root mean square
        mean_square = (waveform * waveform).sum(dim=1) / lengths
        # Not a sum with it: the exporter takes a scalar up to 1e-8 for zero and leaves the sum out.
        # Wanted root mean square over the present one.
        waveform = waveform * (wanted * mean_square.clamp(min=SMALLEST_MEAN_SQUARE).rsqrt())[:, None]
    if settings.pre_emphasis:
        before = functional.pad(waveform[:, :-1], (1, 0))
        waveform = waveform - settings.pre_emphasis * before  # y(t) = x(t) − a·x(t − 1), x(−1) = 0
    return waveform


class RawWaveform(nn.Module):
    """Level and pre-emphasis only: a network on waveforms sees every sample as one frame."""

    hop_length = 1

    def __init__(self, settings: FrontEnd) -> None:
        super().__init__()
        if settings.trim != "none":
            raise RecipeError(
                f'[front_end]: trim = "{settings.trim}" looks at a spectrogram; this network takes "none".'
            )
        self.settings = settings
        self.n_rows = 1

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a clip of so many samples has."""
        return n_samples

    def exportable(self) -> Self:
        """Return a copy: its operators are everywhere."""
        return copy.deepcopy(self)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, samples) with lengths (batch,) to (batch, 1, samples), zero behind a clip's end, and lengths."""
        lengths = lengths.clamp(min=1, max=waveform.shape[1])
        return prepared(waveform, lengths, self.settings)[:, None], lengths
