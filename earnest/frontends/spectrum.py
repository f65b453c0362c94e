"""Power spectra of overlapping frames, in two equal forms: a fast one to train with, one that every runtime takes."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


def periodic_window(shape: str, length: int) -> Tensor:
    """Return the window "hann" or "hamming" for spectral analysis (period ``length``), shape (length,)."""
    make = torch.hann_window if shape == "hann" else torch.hamming_window
    return make(length, periodic=True, dtype=torch.float64).float()


def waves(n_fft: int) -> npt.NDArray[np.float32]:
    """Return one period of cosine and of minus sine, shape (2, n_fft)."""
    angle = 2 * np.pi * np.arange(n_fft) / n_fft
    return np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32)


def fourier_kernel(n_fft: int, n_bins: int, window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return windowed waves, those of cosine before those of minus sine, shape (2·bins, 1, window's length).

    The phase k·n mod n_fft is exact in integers; cosines of large float angles would not be.
    """
    phase = np.outer(np.arange(n_bins), np.arange(len(window))) % n_fft
    return (waves(n_fft)[:, phase] * window).reshape(2 * n_bins, 1, len(window))


class FourierTransform(nn.Module):
    """Power spectra by the real FFT: the form for training.

    Parameters
    ----------
    n_fft : points of the transform; the window of ``win_length`` samples lies in their middle
    hop_length : samples from one frame to the next
    n_bins : how many of the lowest bins are wanted
    """

    window: Tensor

    def __init__(self, n_fft: int, win_length: int, hop_length: int, n_bins: int, window: str = "hann") -> None:
        super().__init__()
        self.n_fft, self.win_length, self.hop_length, self.n_bins = n_fft, win_length, hop_length, n_bins
        self.register_buffer("window", periodic_window(window, win_length), persistent=False)

    def forward(self, padded: Tensor) -> Tensor:
        """Return (batch, bins, frames) of a padded waveform (batch, samples)."""
        frames = padded.unfold(1, self.win_length, self.hop_length) * self.window  # (batch, frames, win_length)
        spectrum = torch.fft.rfft(frames, n=self.n_fft)[..., : self.n_bins]
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power.transpose(1, 2)


class DftConvolution(nn.Module):
    """The same power spectra as one convolution: exports to every runtime with dynamic batch and length."""

    kernel: Tensor

    def __init__(self, n_fft: int, win_length: int, hop_length: int, n_bins: int, window: str = "hann") -> None:
        super().__init__()
        self.hop_length, self.n_bins = hop_length, n_bins
        kernel = fourier_kernel(n_fft, n_bins, periodic_window(window, win_length).numpy())
        self.register_buffer("kernel", torch.from_numpy(kernel), persistent=False)

    def forward(self, padded: Tensor) -> Tensor:
        """Return (batch, bins, frames) of a padded waveform (batch, samples)."""
        parts = functional.conv1d(padded[:, None], self.kernel, stride=self.hop_length)  # (batch, 2·bins, frames)
        real, imaginary = parts[:, : self.n_bins], parts[:, self.n_bins :]
        return real * real + imaginary * imaginary  # in the graph, a power takes three times as long as a product
