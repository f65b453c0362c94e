"""Voice activity detection, frame by frame, as the samples arrive; segments of speech and the windows in them.

The detector is Silero's network (MIT; the notice lies beside it) in the graph that ``scripts/make_silero.py`` writes.
onnxruntime runs it, or OpenVINO; where neither is installed, a rule on the level finds speech. Compared on real
recordings in noise, silence and music by ``benchmarks/voice_activity.py``: the level alone takes every noise for
speech, and so does WebRTC's detector from 10 dB signal-to-noise ratio downwards.

Positions of segments are samples at the model's rate. None depends on how the sound was divided into blocks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import check_deadline
from earnest.audio.quality import SILENCE_DBFS, SPEECH_RANGE_DB, Levels, levels_dbfs
from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError, shown, suggestion
from earnest.installation import without_telemetry

NETWORK = Path(__file__).with_name("silero_vad.onnx")
ACTIVITY_HZ = 16_000
FRAME_SAMPLES = 512  # 32 ms, what the network was trained on
CONTEXT = 64  # samples of the frame before, which the network hears too
STATE_WIDTH = 128
FRAME_S = FRAME_SAMPLES / ACTIVITY_HZ
DETECTORS = ("auto", "silero", "energy")
_BLOCK = 16  # frames: half a second
HEARD_AT_DBFS = -30.0  # a loudest frame that Silero's network hears in full
MOST_GAIN_DB = 20.0  # more would lift a pause so far that the beginning of a word is no beginning
_FADE_DB = 0.5  # of one frame: 16 dB a second, so that a soft answer to a loud question is brought up in the pause

Shares = npt.NDArray[np.float32]
BEGINS_AT, ENDS_BELOW = 0.5, 0.35  # probability of speech: what began ends later than it would not have begun
LONGEST_GAP = 12  # frames of 32 ms: pauses up to 0.38 s are within speech
SHORTEST_SPEECH = 8  # frames: what is shorter than 0.26 s is a click or a cough
MARGIN = 4  # frames: 0.13 s before and after, where consonants are too faint to be noticed
# Of shouting on a telephone Silero's network is not sure for whole sentences. So loud sound that it doubts to be speech
# is a segment too, once it is over, where no speech follows within a pause: the model's own answer to "is it speech?"
# decides, so without one there is none (docs/results/experiments.md, "Shouting on a telephone").
DOUBT_BEGINS_AT, DOUBT_ENDS_BELOW = 0.05, 0.03
SHORTEST_DOUBT, LONGEST_DOUBT = 16, 125  # frames: 0.5 s; 4 s, so that the sound that is kept is bounded
LOUD_DBFS, LOUD_RANGE_DB = -50.0, 20.0  # loud is no frame below the first, nor so far below the loudest frame


class Activity(Protocol):
    """Remembers what it heard; frames are handed over in order, each once."""

    name: str

    def probabilities(self, frames: Waveform) -> Shares:
        """Return the probability of speech in each frame.

        Parameters
        ----------
        frames : shape (frames, 512), at 16 kHz

        Returns
        -------
        shape (frames,), 0 to 1; the same however the frames are divided over calls
        """


def activity_called(name: str = "auto") -> Activity:
    """Return a fresh detector: "silero", "energy", or "auto" for the first of the two that can run here.

    Raises `EarnestError` for another name, or for "silero" where neither onnxruntime nor OpenVINO is installed.
    """
    if name == "energy":
        return EnergyActivity()
    if name not in ("auto", "silero"):
        raise EarnestError(f"There is no voice activity detector {shown(name)}.{suggestion(str(name), DETECTORS)}")
    try:
        return SileroActivity()
    except ImportError:
        if name == "auto":
            return EnergyActivity()
        raise EarnestError(
            "The detector 'silero' needs onnxruntime or OpenVINO. Install it with: pip install onnxruntime"
        ) from None


@lru_cache(maxsize=1)
def silero_session() -> Any:
    """Open the network, one for all detectors: what it remembers is passed in and out.

    ``frames`` (frames, 576) with the context of each, ``hidden`` and ``cell`` (1, 1, 128) → ``probabilities``
    (frames, 1), ``new_hidden``, ``new_cell``. Raises `ImportError` where neither onnxruntime nor OpenVINO is installed.
    """
    try:
        import onnxruntime
    except ImportError:
        return _OpenVinoNetwork()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(NETWORK.read_bytes(), options, providers=["CPUExecutionProvider"])


class _OpenVinoNetwork:
    """The network in OpenVINO, asked as a session of onnxruntime is, by any number of threads."""

    def __init__(self) -> None:
        without_telemetry()
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(NETWORK.read_bytes()), "CPU", settings)

    def run(self, _names: None, given: Mapping[str, Waveform]) -> list[Waveform]:
        # A request is no thread's but this call's: a new one takes 16 µs where the network takes 400.
        found = self._compiled.create_infer_request().infer(dict(given))
        return [np.array(found[name]) for name in ("probabilities", "new_hidden", "new_cell")]


class _Loudest:
    """A peak meter: the level of the loudest frame so far, which fades from frame to frame."""

    def __init__(self, begins_dbfs: float, fade_db: float) -> None:
        self._dbfs, self._fade_db = begins_dbfs, fade_db

    def follow(self, levels_dbfs: Levels) -> Levels:
        """Take the next frames' levels, shape (frames,); return what it is at each of them."""
        return np.array([self.after(level) for level in levels_dbfs.tolist()])

    def after(self, level_dbfs: float) -> float:
        """Take the next frame's level; return what it is then."""
        self._dbfs = max(level_dbfs, self._dbfs - self._fade_db)
        return self._dbfs


class SileroActivity:
    """Silero's recurrent network; frames that are silent by their level are not asked about.

    It depends on the level. So each frame is amplified as far as the loudest one so far, which fades by 16 dB a second,
    is below -30 dBFS, by 20 dB at most (docs/results/experiments.md, "quiet speech", has what that brings).

    Its state keeps how loud the speech was: for minutes, it would not hear a speaker who is 20 dB softer than the one
    before. So after half a second without speech it begins anew, once until there is speech again (more often, it takes
    more noise for speech: the first frames that a fresh state hears are the ones that it is least sure of).

    A recording that never crosses zero lies on an offset, as of a microphone on the pin of a small board. It hears no
    speech there, and a gain would clip it away, so the offset is taken off.
    """

    name = "silero"

    def __init__(self) -> None:
        self._session = silero_session()
        self._before = np.zeros(CONTEXT, np.float32)
        # No gain at first: a first word that is lifted has no beginning.
        self._loudest = _Loudest(HEARD_AT_DBFS, _FADE_DB)
        self._lowest, self._highest = np.float32(np.inf), np.float32(-np.inf)  # sample of the recording so far
        self._n_frames = 0
        self._is_quiet = True  # no speech in this block so far
        self._begin_anew()

    def probabilities(self, frames: Waveform) -> Shares:
        """Return the network's probability; 0 below -65 dBFS."""
        found = np.zeros(len(frames), np.float32)
        start = 0
        while start < len(frames):
            check_deadline()
            # To the end of the block of 16 frames that ``start`` lies in, wherever the call began.
            end = min(start + _BLOCK - self._n_frames % _BLOCK, len(frames))
            self._hear(frames[start:end], found[start:end])
            self._end(found[start:end])
            start = end
        return found

    def _begin_anew(self) -> None:
        self._hidden = self._cell = np.zeros((1, 1, STATE_WIDTH), np.float32)
        self._has_spoken = False  # since the state is this one

    def _end(self, found: Shares) -> None:
        """Count frames of one block; at its end begin anew, where it held no speech and one before did."""
        self._n_frames += len(found)
        self._has_spoken |= bool((found >= BEGINS_AT).any())
        self._is_quiet &= not (found >= ENDS_BELOW).any()
        if self._n_frames % _BLOCK == 0:
            if self._is_quiet and self._has_spoken:
                self._begin_anew()
            self._is_quiet = True

    def _hear(self, frames: Waveform, found: Shares) -> None:
        levels = levels_dbfs(frames)
        gains_db = np.clip(HEARD_AT_DBFS - self._loudest.follow(levels), 0, MOST_GAIN_DB)
        offsets = self._offsets(frames)
        loud = levels > SILENCE_DBFS
        if loud.any():
            # (frames, 64): the end of each frame's predecessor.
            before = np.concatenate([self._before[None], frames[:-1, -CONTEXT:]])
            gains = (10 ** (gains_db[loud, None] / 20)).astype(np.float32)
            centred = np.concatenate([before, frames], axis=1) - offsets[:, None]
            heard = np.clip(centred[loud] * gains, -1, 1)  # (loud frames, 576)
            given = {"frames": heard, "hidden": self._hidden, "cell": self._cell}
            # LSTM state goes on over calls; silent frames leave it as it is.
            shares, self._hidden, self._cell = self._session.run(None, given)
            found[loud] = shares[:, 0]
        self._before = frames[-1, -CONTEXT:].copy()

    def _offsets(self, frames: Waveform) -> Waveform:
        """Return the mean of each frame, shape (frames,), as long as the recording has never crossed zero; else 0."""
        lowest = np.minimum.accumulate(np.append(self._lowest, frames.min(axis=1)))
        highest = np.maximum.accumulate(np.append(self._highest, frames.max(axis=1)))
        self._lowest, self._highest = lowest[-1], highest[-1]
        lies_off = (lowest[1:] > 0) | (highest[1:] < 0)
        offsets = np.zeros(len(frames), np.float32)
        offsets[lies_off] = frames[lies_off].mean(axis=1)
        return offsets


class EnergyActivity:
    """Speech is louder than -65 dBFS and than 35 dB below the loudest so far, which fades by 1 dB a second."""

    name = "energy"

    def __init__(self) -> None:
        self._loudest = _Loudest(SILENCE_DBFS, fade_db=FRAME_S)  # of one frame: 1 dB a second

    def probabilities(self, frames: Waveform) -> Shares:
        """Return 1 or 0."""
        levels = levels_dbfs(frames)
        floor = np.maximum(self._loudest.follow(levels) - SPEECH_RANGE_DB, SILENCE_DBFS)
        return (levels > floor).astype(np.float32)


@dataclass(frozen=True)
class Extent:
    """A part of a recording, in samples: first one and the one after the last."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class SpeechFinder:
    """Turns probabilities of speech, frame by frame, into extents of speech.

    Attributes
    ----------
    start : first frame of the speech that is going on, None in a pause
    certain_end : speech is certain to last until this frame, margin included; 0 while it is too short to count
    """

    def __init__(self, judged: bool = False) -> None:
        """Begin a recording.

        Parameters
        ----------
        judged : whether somebody else judges what is found, so that loud sound in doubt is found too
        """
        self._judged = judged
        self.n_frames = 0
        self.start: int | None = None
        self.certain_end = 0
        self._first = self._last_end = 0
        self._doubt: tuple[int, int] | None = None  # first and last frame + 1 of loud sound that is perhaps speech
        self._loudest = _Loudest(SILENCE_DBFS, fade_db=FRAME_S)  # of one frame: 1 dB a second
        self._end_before = 0  # of the last segment

    def accept(self, share: float, level_dbfs: float) -> tuple[int, int] | None:
        """Take the next frame's probability and level; return (first, end) in frames when a segment is over."""
        self.n_frames += 1
        loudest_dbfs = self._loudest.after(level_dbfs)
        if self.start is None:
            # Two thresholds (hysteresis): speech begins at the higher one, so that it doesn't flicker, and ends below
            # the lower.
            if share < BEGINS_AT:
                is_loud = level_dbfs >= max(LOUD_DBFS, loudest_dbfs - LOUD_RANGE_DB)
                return self._doubted(share if is_loud else 0.0)
            self._first, self._last_end = self.n_frames - 1, self.n_frames
            self.start, self._doubt = max(self._first - MARGIN, self._end_before), None
        elif share >= ENDS_BELOW:
            self._last_end = self.n_frames
        elif self.n_frames - self._last_end > LONGEST_GAP:  # a shorter pause is part of the speech
            return self.finish()
        if self._last_end - self._first >= SHORTEST_SPEECH:
            self.certain_end = min(self._last_end + MARGIN, self.n_frames)
        return None

    def _doubted(self, share: float) -> tuple[int, int] | None:
        if self._doubt is None:
            if self._judged and share >= DOUBT_BEGINS_AT:
                self._doubt = self.n_frames - 1, self.n_frames
            return None
        first, end = self._doubt
        if share >= DOUBT_ENDS_BELOW:
            end = self.n_frames
            self._doubt = first, end
        is_over = self.n_frames - end > LONGEST_GAP or self.n_frames - first >= LONGEST_DOUBT
        return self.finish() if is_over else None

    def finish(self) -> tuple[int, int] | None:
        """End the speech that is going on, or what was perhaps speech."""
        found = (self.start, self.certain_end) if self.start is not None and self.certain_end else None
        if self._doubt is not None and self._doubt[1] - self._doubt[0] >= SHORTEST_DOUBT:
            first, end = self._doubt
            found = max(first - MARGIN, self._end_before), min(end + MARGIN, self.n_frames)
        self.start, self.certain_end, self._doubt = None, 0, None
        if found:
            self._end_before = found[1]
        return found

    def needed_from(self) -> int:
        """Return the first frame that a later segment may hold."""
        if self.start is not None:
            return self.start
        return max((self._doubt[0] if self._doubt else self.n_frames) - MARGIN, 0)


def segments_in(frames: Waveform, detector: str = "auto", judged: bool = False) -> list[tuple[int, int]]:
    """Find speech in a whole recording.

    Parameters
    ----------
    frames : shape (frames, 512), at 16 kHz
    judged : see `SpeechFinder`

    Returns
    -------
    (first frame, last frame + 1) of each segment
    """
    finder = SpeechFinder(judged)
    heard = zip(activity_called(detector).probabilities(frames).tolist(), levels_dbfs(frames).tolist(), strict=True)
    found = [finder.accept(share, level) for share, level in heard]
    return [segment for segment in (*found, finder.finish()) if segment]


class WindowCutter:
    """Cuts segments, while they grow, into overlapping windows; a short segment is one window.

    Windows start every ``hop`` samples from the segment's start; one more ends with the segment.
    """

    def __init__(self, window: int, hop: int) -> None:
        self._window, self._hop = window, hop
        self._start: int | None = None
        self._n_cut = 0

    def grow(self, start: int, end: int) -> Iterator[Extent]:
        """Yield the windows that are whole by now."""
        self._start = start
        while (first := start + self._n_cut * self._hop) + self._window <= end:
            self._n_cut += 1
            yield Extent(first, first + self._window)

    def close(self, start: int, end: int) -> Iterator[Extent]:
        """Yield the remaining windows of a segment that is over."""
        yield from self.grow(start, end)
        # End of the last whole window.
        covered_to = start + (self._n_cut - 1) * self._hop + self._window if self._n_cut else start
        if covered_to < end:
            yield Extent(max(start, end - self._window), end)  # overlaps more than a hop; no shorter than it must be
        self._start, self._n_cut = None, 0

    def needed_from(self, certain_end: int) -> int | None:
        """Return the first sample that a later window of the growing segment may hold; None before the first window."""
        # The last window ends with the segment, at ``certain_end`` or later, and begins a window before that.
        return max(self._start, certain_end - self._window) if self._start is not None and self._n_cut else None


def frame_start(frame: int, sample_rate_hz: int) -> int:
    """Return the sample at which a frame of the activity detector starts."""
    return round(frame * FRAME_S * sample_rate_hz)
