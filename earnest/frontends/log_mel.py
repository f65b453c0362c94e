"""Waveform to log-mel spectrogram inside the graph: level, power spectrum, Slaney's mel filters, decibels.

Power spectra of overlapping frames come in two equal forms: a fast one to train with, one that every runtime takes.
"""

import copy
import math
from itertools import chain
from typing import Literal, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.audio.waveform import Waveform
from earnest.errors import RecipeError
from earnest.frontends.mel import mel_filters
from earnest.frontends.trim import GradientTrim, frame_mask, peak_trim
from earnest.settings.front_end import FrontEnd, Image

SMALLEST_MEAN_SQUARE = 1e-12  # −120 dBFS; silence stays silent


def prepared(waveform: Tensor, lengths: Tensor, settings: FrontEnd) -> Tensor:
    """Mask (batch, samples) behind each utterance's end by lengths (batch,), then level and pre-emphasise."""
    inside, zeros = frame_mask(lengths, waveform.shape[1]), torch.zeros_like(waveform)
    waveform = torch.where(inside, waveform, zeros)
    if settings.level == "deviation":
        # Twice: a sum of samples on a large offset is rounded, each runtime in its own way, and quiet speech keeps a
        # part of the offset. What the first mean leaves is small, and so is the rounding of its sum.
        for _ in range(2):
            mean = waveform.sum(dim=1) / lengths
            waveform = torch.where(inside, waveform - mean[:, None], zeros)
    if settings.level != "none":
        wanted = 10 ** (settings.level_dbfs / 20)  # root mean square
        mean_square = (waveform * waveform).sum(dim=1) / lengths
        # Not a sum with it: the exporter takes a scalar up to 1e-8 for zero and leaves the sum out.
        # Wanted root mean square over the present one.
        waveform = waveform * (wanted * mean_square.clamp(min=SMALLEST_MEAN_SQUARE).rsqrt())[:, None]
    if settings.pre_emphasis:
        before = functional.pad(waveform[:, :-1], (1, 0))
        waveform = waveform - settings.pre_emphasis * before  # y(t) = x(t) − a·x(t − 1), x(−1) = 0
    return waveform


LOWEST_POWER = 1e-10  # −100 dB
DECIBELS_PER_NEPER = 10.0 / float(np.log(10.0))  # ONNX has ln, not log10


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
    parts = padded[:, :n_whole].reshape(padded.shape[0], 1, -1, part)  # (batch, 1, parts, part)
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
        common = [q for q in range(1, n_fft + 1) if n_fft % q == hop_length % q == 0]  # divisors of both
        self.q = min(common, key=lambda q: _products(n_fft, win_length, n_bins, q))
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
        # Channel n₂ has the samples x(q·n₁ + n₂): (batch, q, steps).
        steps = padded[:, : padded.shape[1] // self.q * self.q].reshape(n_batch, -1, self.q).transpose(1, 2)
        # First sum of Cooley and Tukey: S(k₁, n₂) = Σ_n₁ w·x(q·n₁ + n₂)·e^(−2πi·n₁·k₁/p); (batch, q · 2 · k₁, frames).
        sums = functional.conv1d(steps, self._first(), stride=self.stride, groups=self.q)
        sums = sums.reshape(n_batch, self.q, 2, n_first, -1).permute(0, 3, 2, 1, 4)  # (batch, k₁, part, n₂, frames)
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
    # Twice (real and imaginary part), for each k₁: q·⌈window/q⌉ in the first sum, 2·q for each column in the second.
    return 2 * len(found) * (-(-win_length // q) * q + 2 * q * max(map(len, found)))


class LogMel(nn.Module):
    """Log spectrogram as librosa computes it, with an utterance's result independent of its neighbours in the batch.

    Level, reference, floor and silence are found per utterance over its own samples; what lies behind an utterance's
    end is at the utterance's floor and not counted in ``n_frames``.
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
        self._sizes = (settings.n_fft, settings.win_length, settings.hop_length, self.n_bins, settings.window)
        self.spectrum: nn.Module = FourierTransform(*self._sizes)
        self.gradient_trim = GradientTrim() if settings.trim == "gradient" else None

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames an utterance of so many samples has before it is trimmed."""
        return n_samples // self.hop_length + 1

    def exportable(self) -> Self:
        """Return a copy that computes the spectrum by convolution and products of matrices."""
        other = copy.deepcopy(self)
        other.spectrum = TwoStageTransform(*self._sizes)
        return other

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the spectrogram.

        Parameters
        ----------
        waveform : (batch, samples) float32; samples behind an utterance's length are ignored
        lengths : (batch,) int64, samples of each utterance, at least 1

        Returns
        -------
        log_mel : (batch, bands, frames) decibels
        n_frames : (batch,) int64, frames of each utterance
        """
        lengths = lengths.clamp(min=1, max=waveform.shape[1])
        waveform = prepared(waveform, lengths, self.settings)
        padded = self._pad(waveform, lengths)
        n_frames = torch.div(lengths, self.settings.hop_length, rounding_mode="floor") + 1
        bins = self.spectrum(padded)  # (batch, bins, frames)
        power = bins[:, self.settings.first_bin :] if self.filters is None else torch.matmul(self.filters, bins)
        log_mel = self._decibels(power, n_frames)
        return self._trim(log_mel, n_frames, padded)

    def _pad(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        settings = self.settings
        # librosa centres a frame of n_fft; only the window's part of it can be different from zero.
        before = settings.n_fft // 2 - (settings.n_fft - settings.win_length) // 2
        after = settings.win_length - before
        # Only what lies outside the utterance is looked up: indices for every sample would cost more than the spectrum.
        device = waveform.device
        behind = lengths[:, None] + torch.arange(after, device=device)[None, :]  # (batch, after)
        ahead = torch.arange(-before, 0, device=device)[None, :].expand(waveform.shape[0], before)
        padded = torch.cat([_mirrored(waveform, ahead, lengths), functional.pad(waveform, (0, after))], dim=1)
        return padded.scatter(1, behind + before, _mirrored(waveform, behind, lengths))

    def _decibels(self, power: Tensor, n_frames: Tensor) -> Tensor:
        settings = self.settings
        power = power * frame_mask(n_frames, power.shape[2])[:, None]  # silence behind the utterance's end
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
        # Kept frames move to the front, so that an utterance with silence equals the same utterance without.
        positions = torch.arange(log_mel.shape[2], device=log_mel.device)[None, :]
        source = torch.minimum(positions + start[:, None], (end - 1)[:, None])  # (batch, frames)
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
    """Return the samples at ``positions`` (batch, n) of utterances mirrored at both ends, again and again."""
    last = lengths[:, None] - 1
    # Reflection has period 2·(n − 1): 0 1 2 | 1 0 1 2 …
    wrapped = torch.remainder(positions, (2 * last).clamp(min=1))
    return waveform.gather(1, torch.minimum(wrapped, (2 * last - wrapped).clamp(min=0)))


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
