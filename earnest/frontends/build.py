"""The front end that a kind of network needs.

Two of them are here: the utterance's own samples, and one utterance three times, as it is, with a little noise, and in
a room (the "lognrevspec" of NTU's features).
"""

import copy
from typing import Literal, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.audio.waveform import Waveform
from earnest.errors import RecipeError
from earnest.frontends.log_mel import LogMel, prepared
from earnest.frontends.trim import frame_mask
from earnest.settings.front_end import FrontEnd, Image


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
        """Return how many frames an utterance of so many samples has."""
        return n_samples

    def exportable(self) -> Self:
        """Return a copy: its operators are everywhere."""
        return copy.deepcopy(self)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, samples), lengths (batch,) to (batch, 1, samples), zero behind utterances' ends, and lengths."""
        lengths = lengths.clamp(min=1, max=waveform.shape[1])
        return prepared(waveform, lengths, self.settings)[:, None], lengths


NOISE_DEVIATION = 0.002  # 54 dB below full scale
NOISE_S = 1.0  # then it starts again
REVERBERATION_S = 0.25  # after which the echo is 60 dB down
SEED = 100


class NoiseAndReverb(nn.Module):
    """Spectrograms of three versions of each utterance, their rows below one another.

    Noise and echo are drawn once from a fixed seed and stored in the graph, so that an utterance's answer never varies.
    The room is made up: exponentially decaying noise behind the direct sound, with as much energy as that.
    """

    noise: Tensor
    echo: Tensor

    def __init__(self, front_end: LogMel) -> None:
        super().__init__()
        if front_end.settings.trim != "none":
            raise RecipeError('[image]: "noise-reverb" needs trim = "none": each version would be cut differently.')
        self.front_end = front_end
        self.settings = front_end.settings
        self.hop_length = front_end.hop_length
        self.n_rows = 3 * front_end.n_rows
        rate_hz = self.settings.sample_rate_hz
        rng = np.random.default_rng(SEED)
        noise = NOISE_DEVIATION * rng.standard_normal(round(NOISE_S * rate_hz))
        time_s = np.arange(1, round(REVERBERATION_S * rate_hz)) / rate_hz
        # 10^(−3·t/T): amplitude falls by 60 dB in T.
        tail = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / REVERBERATION_S)
        # Direct and reverberant energy are one half each.
        echo = np.concatenate([[1.0], tail / np.sqrt(np.square(tail).sum())]) / np.sqrt(2)
        self.register_buffer("noise", torch.from_numpy(noise.astype(np.float32)), persistent=False)
        self.register_buffer("echo", torch.from_numpy(echo.astype(np.float32)), persistent=False)

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames an utterance of so many samples has."""
        return self.front_end.n_frames(n_samples)

    def exportable(self) -> Self:
        """Return a copy whose operators every runtime has."""
        other = copy.deepcopy(self)
        other.front_end = self.front_end.exportable()
        return other

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, samples) with lengths (batch,) to (batch, 3·bands, frames) decibels and the number of frames."""
        lengths = lengths.clamp(min=1, max=waveform.shape[1])
        clean = torch.where(frame_mask(lengths, waveform.shape[1]), waveform, torch.zeros_like(waveform))
        positions = torch.arange(clean.shape[1], device=clean.device)
        noisy = clean + self.noise[torch.remainder(positions, len(self.noise))]
        kernel = self.echo.flip(0)[None, None]  # conv1d correlates: flipped, it convolves
        roomy = functional.conv1d(functional.pad(clean, (len(self.echo) - 1, 0))[:, None], kernel)[:, 0]
        parts = [self.front_end(version, lengths) for version in (clean, noisy, roomy)]
        return torch.cat([frames for frames, _ in parts], dim=1), parts[0][1]


FrontEndModule: TypeAlias = LogMel | NoiseAndReverb | RawWaveform
"""Maps (batch, samples) and lengths (batch,) to (batch, rows, frames) and the number of frames (batch,)."""

InputKind: TypeAlias = Literal["frames", "image", "waveform"]


def front_end_for(kind: InputKind, settings: FrontEnd, image: Image) -> FrontEndModule:
    """Build the front end of a network that sees ``kind``."""
    if kind == "waveform":
        return RawWaveform(settings)
    if kind == "image" and image.channels_from == "noise-reverb":
        return NoiseAndReverb(LogMel(settings))
    return LogMel(settings)


def compute_frames(front_end: FrontEndModule, waveform: Waveform) -> Tensor:
    """Return the front end's frames (rows, frames) of one waveform (samples,)."""
    with torch.no_grad():
        batch: tuple[Tensor, Tensor] = front_end(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    frames, n_frames = batch
    return frames[0, :, : int(n_frames[0])].clone()
