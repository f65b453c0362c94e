"""All channels of a recording → one, and what is noticed on the way: channels that cancel each other, or take turns."""

import numpy as np
import numpy.typing as npt

from earnest.audio.quality import Levels, levels_dbfs
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError

CANCELLED = 1e-3  # of the channels' power is left in their mean: less is no sound that was mixed so
TURN_S = 0.1  # a frame: shorter than a word, so that few hold two speakers
HEARD_DBFS = -50.0  # a channel that nobody speaks in is quieter
AHEAD_DB = 12.0  # the echo of the other side is quieter by more; one speaker in two microphones differs by less
ROSE_DB = 6.0  # hum is as loud in the turns of others as in its own
LEAST_SHARE, LEAST_S = 0.1, 0.5  # of the frames that are heard: what two channels each must have


class Mixer:
    """Makes one channel of all, piece by piece, and notices where they cancel each other or take turns.

    Parameters
    ----------
    sample_rate_hz : of the recording; None where it is not to be told whether they take turns
    """

    def __init__(self, sample_rate_hz: int | None = None) -> None:
        self._power, self._power_left, self._n_channels = 0.0, 0.0, 1
        self._turns = None if sample_rate_hz is None else TurnMeter(sample_rate_hz)

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
            if self._turns:
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
        return self._turns is not None and self._turns.are_separate()


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
        samples = np.concatenate([self._rest, block]) if len(self._rest) else block
        n_whole = len(samples) // self._n_frame
        self._rest = samples[n_whole * self._n_frame :].copy()
        if n_whole:
            frames = samples[: n_whole * self._n_frame].reshape(n_whole, self._n_frame, n_channels)
            # (frames, samples, channels) → one row of samples for each frame and channel → (frames, channels).
            rows = frames.transpose(0, 2, 1).reshape(-1, self._n_frame)
            self._count(levels_dbfs(rows).reshape(n_whole, n_channels))

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
