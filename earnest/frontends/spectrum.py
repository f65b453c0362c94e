"""Power spectra of overlapping frames, in two equal forms: a fast one to train with, one that every runtime takes."""

import math
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def periodic_window(shape: str, length: int) -> Tensor:
    """Return the window "hann" or "hamming" for spectral analysis (period ``length``), shape (length,)."""
    make = torch.hann_window if shape == "hann" else torch.hamming_window
    return make(length, periodic=True, dtype=torch.float64).float()


def mean_power(padded: Tensor, win_length: int, hop_length: int) -> Tensor:
    """Return the mean square of each frame, (batch, frames), of a padded waveform (batch, samples).

    Squares are first summed in parts that hops and frames are whole multiples of: few of them overlap.
    """
    part = math.gcd(win_length, hop_length)
    n_whole = padded.shape[1] // part * part
    parts = padded[:, :n_whole].reshape(padded.shape[0], 1, -1, part)
    sums = (parts * parts).mean(dim=3)  # in the graph, a power takes three times as long
    return functional.avg_pool1d(sums, win_length // part, hop_length // part)[:, 0]


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
        spectrum = torch.fft.rfft(frames, n=self.n_fft)[..., : self.n_bins]  # (batch, frames, bins)
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power.transpose(1, 2)


class TwoStageTransform(nn.Module):
    """The same power spectra by two small sums instead of a large one: exports to every runtime with dynamic length.

    Points n = q·n₁ + n₂ and bins k = k₁ + p·k₂, where p·q = n_fft (Cooley and Tukey, 1965). The first sum, over n₁, is
    a convolution of every q-th sample with hops of whole steps, so that no frame is cut out; it is of real numbers, so
    k₁ up to p/2 is enough, and bins behind it are those of n_fft less k. The second one, over n₂, is a product of
    matrices. A hop that shares no factor with n_fft leaves q = 1, one large sum.
    """

    wave: Tensor
    window: Tensor
    turns: Tensor
    order: Tensor

    def __init__(self, n_fft: int, win_length: int, hop_length: int, n_bins: int, window: str = "hann") -> None:
        super().__init__()
        self.n_fft, self.win_length = n_fft, win_length
        self.q = min(_common_divisors(n_fft, hop_length), key=lambda q: _products(n_fft, win_length, n_bins, q))
        self.p, self.stride, self.n_taps = n_fft // self.q, hop_length // self.q, -(-win_length // self.q)
        angles = 2 * np.pi * np.arange(n_fft) / n_fft
        wave = torch.from_numpy(np.stack([np.cos(angles), -np.sin(angles)])).float()
        weights = functional.pad(periodic_window(window, win_length), (0, self.n_taps * self.q - win_length))
        found = _bins_of(n_fft, self.p, n_bins)
        # Rows are filled up to one length with their first bin: it has the same power in both places.
        width = max(map(len, found))
        columns = [bins + bins[:1] * (width - len(bins)) for bins in found]
        place = {min(k, n_fft - k): at for at, k in enumerate(chain.from_iterable(columns))}
        for name, buffer in (
            ("wave", wave),  # one period of cosine and of minus sine
            ("window", weights.reshape(self.n_taps, self.q).T.contiguous()),
            ("turns", torch.tensor(columns)),  # (k₁, columns): the bin, or n_fft less it
            ("order", torch.tensor([place[k] for k in range(n_bins)])),
        ):
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, padded: Tensor) -> Tensor:
        """Return (batch, bins, frames) of a padded waveform (batch, samples)."""
        n_batch, (n_first, n_columns) = padded.shape[0], self.turns.shape
        if spare := self.n_taps * self.q - self.win_length:
            padded = functional.pad(padded, (0, spare))
        steps = padded[:, : padded.shape[1] // self.q * self.q].reshape(n_batch, -1, self.q).transpose(1, 2)
        # First sum of Cooley and Tukey: S(k₁, n₂) = Σ_n₁ w·x(q·n₁ + n₂)·e^(−2πi·n₁·k₁/p); (batch, q · 2 · k₁, frames).
        sums = functional.conv1d(steps, self._first(), stride=self.stride, groups=self.q)
        sums = sums.reshape(n_batch, self.q, 2, n_first, -1).permute(0, 3, 2, 1, 4)
        # Second: X(k₁ + p·k₂) = Σ_n₂ e^(−2πi·n₂·(k₁ + p·k₂)/n_fft)·S(k₁, n₂); (batch, k₁, 2 · columns, frames).
        parts = torch.matmul(self._second(), sums.reshape(n_batch, n_first, 2 * self.q, -1))
        # In the graph, a power takes three times as long as a product.
        squares = parts * parts
        power = squares[:, :, :n_columns] + squares[:, :, n_columns:]  # real² + imaginary²
        return power.reshape(n_batch, n_first * n_columns, -1).index_select(1, self.order)

    def _first(self) -> Tensor:
        """Return windowed waves, (n₂ · part · k₁, 1, n₁): of each n₂ first the real, then the imaginary parts."""
        n_first = len(self.turns)
        phase = self.q * (torch.outer(torch.arange(n_first), torch.arange(self.n_taps)) % self.p)
        waves = self.wave[:, phase]  # (part, k₁, n₁)
        return (waves[None] * self.window[:, None, None]).reshape(-1, 1, self.n_taps)

    def _second(self) -> Tensor:
        """Return, of each k₁, the matrix from (part, n₂) to (part, k₂), (k₁, 2 · columns, 2 · q)."""
        phase = self.turns[:, :, None] * torch.arange(self.q) % self.n_fft
        real, imaginary = self.wave[0][phase], self.wave[1][phase]
        # (a + bi)·(c + di) as a matrix of real numbers: [[a, −b], [b, a]].
        return torch.cat([torch.cat([real, -imaginary], dim=2), torch.cat([imaginary, real], dim=2)], dim=1)


def _common_divisors(first: int, second: int) -> list[int]:
    common = math.gcd(first, second)
    return [divisor for divisor in range(1, common + 1) if common % divisor == 0]


def _bins_of(n_fft: int, p: int, n_bins: int) -> list[list[int]]:
    """Return, for each remainder k₁ up to p/2, which k or n_fft − k with that remainder stand for the bins k."""
    found: list[list[int]] = [[] for _ in range(p // 2 + 1)]
    for k in range(n_bins):
        same = k if k % p <= p // 2 else n_fft - k
        found[same % p].append(same)
    return [bins or [at] for at, bins in enumerate(found)]


def _products(n_fft: int, win_length: int, n_bins: int, q: int) -> int:
    """Return how many products a frame takes."""
    found = _bins_of(n_fft, n_fft // q, n_bins)
    return 2 * len(found) * (-(-win_length // q) * q + 2 * q * max(map(len, found)))
