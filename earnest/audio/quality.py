"""What is measured of a recording while it passes: levels, quality, channels that cancel each other or take turns."""

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from earnest.audio.waveform import Waveform
from earnest.errors import AudioError

Levels: TypeAlias = npt.NDArray[np.float64]

FRAME_S = 0.025
SILENCE_DBFS = -65.0  # the quietest recordings of RAVDESS reach -53
SPEECH_RANGE_DB = 35.0
TOO_QUIET_DBFS = -55.0  # of the loudest frame; of quieter speech a part is below silence


def frame_levels_dbfs(waveform: Waveform, sample_rate_hz: int) -> Levels:
    """Return the level of each frame of 25 ms: 20·log10 of its standard deviation (a constant offset is silence).

    Parameters
    ----------
    waveform : shape (samples,); an incomplete last frame is left out unless it is the only one

    Returns
    -------
    shape (frames,), in dB relative to a standard deviation of one; -200 for digital silence
    """
    n_frame = min(max(round(FRAME_S * sample_rate_hz), 1), len(waveform))
    if n_frame == 0:
        return np.empty(0)
    return levels_dbfs(waveform[: len(waveform) // n_frame * n_frame].reshape(-1, n_frame))


@np.errstate(under="ignore")  # of sound that fades out, where a program has numpy raise it
def levels_dbfs(frames: Waveform) -> Levels:
    """Return the level of each of ``frames``, shape (frames, samples), as `frame_levels_dbfs` does."""
    centred = frames - frames.mean(axis=1, keepdims=True)  # a constant offset is no sound
    powers = np.einsum("ij,ij->i", centred, centred) / frames.shape[1]  # half the time of frames.var
    return np.asarray(10 * np.log10(powers.astype(np.float64) + 1e-20))  # 1e-20: digital silence is −200 dB


def is_silent(levels: Levels) -> bool:
    """Whether no frame is louder than -65 dBFS."""
    return not len(levels) or float(levels.max()) <= SILENCE_DBFS


def active_part(waveform: Waveform, sample_rate_hz: int, range_db: float = SPEECH_RANGE_DB) -> tuple[int, int] | None:
    """Return where sound louder than -65 dBFS and than ``range_db`` below the loudest frame starts and ends.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    None without such sound
    """
    levels = frame_levels_dbfs(waveform, sample_rate_hz)
    if is_silent(levels):
        return None
    active = np.flatnonzero(levels > max(SILENCE_DBFS, float(levels.max()) - range_db))
    n_frame = max(round(FRAME_S * sample_rate_hz), 1)
    return int(active[0]) * n_frame, min(int(active[-1] + 1) * n_frame, len(waveform))


CLIPPED_LEVEL = 0.98  # where µ-law ends; A-law ends at 0.984
CLIPPED_SHARE = 0.001
TELEPHONE_HZ = 4_600.0  # what was sampled at 8 kHz ends at 4; resamplers leave images above
# Of 600 clips of RAVDESS, EmoDB, CREMA-D and nEMO the lowest has -47; after 8 kHz and ffmpeg's resampler, as WAV, MP3
# or Opus, 97 of 100 have less than -50.
HIGH_BAND_DB = -50.0
RUMBLE_HZ = 100.0  # below is no voice, but rumble may be most of the power
DIGITAL_SILENCE_DBFS = -100  # below the least step of 16 bits: zeros of padding, muting and lost packets, no quiet room
NOISY_RANGE_DB = 10.0  # white and machine noise at 0 dB leaves half of the clips below, at 10 dB none that was clean
# Where speech fills less than a tenth of a recording, its quiet and its loud moments are both the room's.
NOISY_PEAK_DB, PEAK_FRAMES = 20.0, 5  # of those measured: half a second
LEVELS_EVERY, SPECTRUM_EVERY = 4, 16  # frames: ten and two and a half a second

HEARD_TO_HZ = 8_000.0  # by models
FILTER_S = 0.0015  # the low-pass's length: 55 dB down at 10 kHz

_LEVELS = np.arange(-120, 61)


@lru_cache(maxsize=8)
def _taper(n_frame: int) -> Waveform:
    return np.hanning(n_frame).astype(np.float32)


@lru_cache(maxsize=8)
def _low_pass(sample_rate_hz: int) -> Waveform:
    """Return the weights, shape (taps,), of a windowed sinc that keeps what is below 8 kHz."""
    # h_k = sinc(2·f·k)·(1 + cos(π·k / (m + 1))) / 2 for |k| ≤ m, with f the share of the rate; their sum is 1.
    reach = round(FILTER_S / 2 * sample_rate_hz)
    places = np.arange(-reach, reach + 1)
    sinc = np.sinc(2 * HEARD_TO_HZ / sample_rate_hz * places) * (1 + np.cos(np.pi * places / (reach + 1))) / 2
    taps: Waveform = (sinc / sinc.sum()).astype(np.float32)
    return taps


def _heard(frames: npt.NDArray[np.float32], sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Return what models hear of frames (frames, n_frame), about 16 000 samples a second: (frames, samples)."""
    if sample_rate_hz <= 2 * HEARD_TO_HZ:
        return frames
    taps = _low_pass(sample_rate_hz)
    # (frames, samples, taps): where all taps lie within the frame, at 48 kHz every third place.
    windows = sliding_window_view(frames, len(taps), axis=1)[:, :: int(sample_rate_hz // (2 * HEARD_TO_HZ))]
    heard: npt.NDArray[np.float32] = np.einsum("ijk,k->ij", windows, taps)
    return heard


def _whole_frames(
    rest: npt.NDArray[np.float32], block: npt.NDArray[np.float32], n_frame: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Join samples and what was left over before them; return whole frames (frames, n_frame, …), and the new rest."""
    samples = np.concatenate([rest, block]) if len(rest) else block
    n_samples = len(samples) // n_frame * n_frame
    return samples[:n_samples].reshape(-1, n_frame, *samples.shape[1:]), samples[n_samples:].copy()


class QualityMeter:
    """Counts clipped samples, levels and the power above 4.6 kHz; where blocks end changes nothing.

    Levels are those of every fourth frame of 25 ms, in steps of 1 dB. The spectrum is that of every sixteenth. Both are
    without what lies above 8 kHz, which no model hears.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate, self._n_frame = sample_rate_hz, max(round(FRAME_S * sample_rate_hz), 2)
        self._n_samples = self._n_clipped = self._n_frames = 0
        self._rest = np.empty(0, np.float32)
        self._histogram = np.zeros(len(_LEVELS), np.int64)
        self._taper = _taper(self._n_frame)
        # The first lines above.
        self._first, self._first_high, self._first_unheard = (
            int(hz * self._n_frame / sample_rate_hz) + 1 for hz in (RUMBLE_HZ, TELEPHONE_HZ, HEARD_TO_HZ)
        )
        self._high = self._all = 0.0

    def accept(self, block: Waveform) -> None:
        """Take the next samples, shape (samples,), at the recording's own rate."""
        if not len(block):
            return
        self._n_samples += len(block)
        if max(block.max(), -block.min()) >= CLIPPED_LEVEL:
            self._n_clipped += int(np.count_nonzero(np.abs(block) >= CLIPPED_LEVEL))
        frames, self._rest = _whole_frames(self._rest, block, self._n_frame)
        self._measure(frames)

    @np.errstate(under="ignore")
    def _measure(self, frames: npt.NDArray[np.float32]) -> None:
        # −n mod k skips to the next frame whose number is a multiple of k, whatever came in earlier blocks.
        levels = np.rint(levels_dbfs(_heard(frames[-self._n_frames % LEVELS_EVERY :: LEVELS_EVERY], self._rate)))
        # A place for each whole decibel from −120 to 60; −120 is place 0.
        self._histogram += np.bincount(np.clip(levels, -120, 60).astype(int) + 120, minlength=len(_LEVELS))
        chosen = frames[-self._n_frames % SPECTRUM_EVERY :: SPECTRUM_EVERY]
        self._n_frames += len(frames)
        # (frames, bins); Hann against leakage upwards.
        spectra = np.fft.rfft((chosen - chosen.mean(axis=1, keepdims=True)) * self._taper)
        powers = (spectra.real**2 + spectra.imag**2).sum(axis=0, dtype=np.float64)
        self._all += float(powers[self._first : self._first_unheard].sum())
        self._high += float(powers[self._first_high : self._first_unheard].sum())

    def words(self) -> tuple[str, ...]:
        """Return the words that apply, of "clipped", "low-bandwidth", "noisy" and "too-quiet"."""
        words = {
            "clipped": self._n_clipped > CLIPPED_SHARE * self._n_samples,
            "low-bandwidth": self._all > 0 and self._high <= 10 ** (HIGH_BAND_DB / 10) * self._all,
            "noisy": self._is_noisy(),
            "too-quiet": self._is_too_quiet(),
        }
        return tuple(word for word, applies in words.items() if applies)

    def _is_too_quiet(self) -> bool:
        """Whether no level is above -55 dBFS: digital silence, samples of another scale, a microphone too far away."""
        return bool(self._histogram.any()) and not self._histogram[_LEVELS > TOO_QUIET_DBFS].any()

    def _is_noisy(self) -> bool:
        """Whether the quiet moments (10th percentile) come within 10 dB of the loud ones (90th); not for silence.

        And not where the loudest half second is more than 20 dB above them, as speech is that fills little of the time.
        """
        heard = np.where(_LEVELS < DIGITAL_SILENCE_DBFS, 0, self._histogram)
        if not heard.any():
            return False
        counts = heard.cumsum()
        shares = counts / counts[-1]  # distribution of levels in steps of 1 dB
        quiet, loud = (float(_LEVELS[int(np.searchsorted(shares, share))]) for share in (0.1, 0.9))
        peak = float(_LEVELS[int(np.searchsorted(counts, counts[-1] - PEAK_FRAMES))])
        return loud > SILENCE_DBFS and loud - quiet < NOISY_RANGE_DB and peak - quiet <= NOISY_PEAK_DB


CANCELLED = 1e-3  # of the channels' power is left in their mean: less is no sound that was mixed so
TURN_S = 0.1  # a frame: shorter than a word, so that few hold two speakers
HEARD_DBFS = -50.0  # a channel that nobody speaks in is quieter
AHEAD_DB = 12.0  # the echo of the other side is quieter by more; one speaker in two microphones differs by less
ROSE_DB = 6.0  # hum is as loud in the turns of others as in its own
LEAST_SHARE, LEAST_S = 0.1, 0.5  # of the frames that are heard: what two channels each must have


class Mixer:
    """Makes one channel of all, piece by piece, and notices where they cancel each other or take turns."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._power, self._power_left, self._n_channels = 0.0, 0.0, 1
        self._turns = TurnMeter(sample_rate_hz)

    def mean(self, block: npt.NDArray[np.float32]) -> Waveform:
        """Return the mean over the channels of the next piece (samples, channels)."""
        self._n_channels = block.shape[1]
        if self._n_channels == 1:
            return np.ascontiguousarray(block[:, 0])
        with np.errstate(all="ignore"):  # an overflow becomes infinity, which is refused as such
            mean: Waveform = block.mean(axis=1, dtype=np.float32)
            # Σ_t mean_c x² and Σ_t (mean_c x)² over channels c: equal where all channels are the same.
            self._power += float(np.vdot(block, block)) / self._n_channels
            self._power_left += float(np.dot(mean, mean))
            self._turns.accept(block)
        return mean

    def check(self, name: str) -> None:
        """Raise `AudioError` where next to nothing is left of what was mixed so far."""
        if self._power_left < CANCELLED * self._power < np.inf:
            raise AudioError(
                f"{name}: its {self._n_channels} channels cancel each other, one has the opposite sign: their mean is "
                "next to silence. Ask for one: --channel 1, in Python earnest.Channel(path, 1), of a server channel=1."
            )

    def has_separate_channels(self) -> bool:
        """Whether the channels of what was mixed so far take turns, like two sides of a call; see `TurnMeter`."""
        return self._turns.are_separate()


class TurnMeter:
    """Counts in which frames of 0.1 s a channel is far louder than all others; where blocks end changes nothing.

    A frame is heard where its loudest channel is above -50 dBFS, and is a turn of that channel where this is 12 dB
    louder than each of the others.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._n_frame = max(round(TURN_S * sample_rate_hz), 1)
        self._start(1)

    def _start(self, n_channels: int) -> None:
        self._rest = np.empty((0, n_channels), np.float32)
        self._n_heard = 0
        self._n_turns = np.zeros(n_channels, np.int64)
        self._levels = np.zeros((n_channels, n_channels))  # (whose turns, channel): sums of dB

    def accept(self, block: npt.NDArray[np.float32]) -> None:
        """Take the next samples of all channels, shape (samples, channels)."""
        n_channels = block.shape[1]
        if n_channels != self._rest.shape[1]:
            self._start(n_channels)
        frames, self._rest = _whole_frames(self._rest, block, self._n_frame)
        if len(frames):
            # (frames, samples, channels) → one row of samples for each frame and channel → (frames, channels).
            rows = frames.transpose(0, 2, 1).reshape(-1, self._n_frame)
            self._count(levels_dbfs(rows).reshape(-1, n_channels))

    def _count(self, levels: Levels) -> None:
        """Take the levels of the next frames, shape (frames, channels)."""
        ranked = np.sort(levels, axis=1)
        is_heard = ranked[:, -1] > HEARD_DBFS
        turns = levels[is_heard & (ranked[:, -1] - ranked[:, -2] > AHEAD_DB)]
        whose = turns.argmax(axis=1)
        self._n_heard += int(np.count_nonzero(is_heard))
        self._n_turns += np.bincount(whose, minlength=len(self._n_turns))
        np.add.at(self._levels, whose, turns)

    def are_separate(self) -> bool:
        """Whether two channels or more have a tenth of the frames that are heard each, and half a second.

        Such a channel is, on average, 6 dB louder in its own turns than in those of others: hum and noise are not.
        """
        n_turns, n_others = self._n_turns, self._n_turns.sum() - self._n_turns
        own = self._levels.diagonal()
        in_own, in_others = own / np.maximum(n_turns, 1), (self._levels.sum(axis=0) - own) / np.maximum(n_others, 1)
        has_many = n_turns >= max(LEAST_SHARE * self._n_heard, LEAST_S / TURN_S)
        return int(np.count_nonzero(has_many & (in_own - in_others >= ROSE_DB))) >= 2
