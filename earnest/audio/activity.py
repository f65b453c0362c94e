"""How likely somebody speaks, frame by frame, as the samples arrive.

The detector is Silero's network (MIT; the notice lies beside it) in the graph that ``scripts/make_silero.py`` writes;
where onnxruntime is not installed, a rule on the level. Compared on real clips in noise, silence and music by
``benchmarks/voice_activity.py``: the level alone takes every noise for speech, and so does WebRTC's detector from 10 dB
signal-to-noise ratio downwards.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import check_deadline
from earnest.audio.quality import SILENCE_DBFS, SPEECH_RANGE_DB, levels_dbfs
from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError, suggestion

NETWORK = Path(__file__).with_name("silero_vad.onnx")
ACTIVITY_HZ = 16_000
FRAME_SAMPLES = 512  # 32 ms, what the network was trained on
CONTEXT = 64  # samples of the frame before, which the network hears too
STATE_WIDTH = 128
FRAME_S = FRAME_SAMPLES / ACTIVITY_HZ
DETECTORS = ("auto", "silero", "energy")
_AT_ONCE = 320  # frames: ten seconds

Shares = npt.NDArray[np.float32]


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

    Raises
    ------
    EarnestError
        For another name, or for "silero" where onnxruntime is not installed.
    """
    if name == "energy":
        return EnergyActivity()
    if name not in ("auto", "silero"):
        raise EarnestError(f"There is no voice activity detector '{name}'.{suggestion(name, DETECTORS)}")
    try:
        return SileroActivity()
    except ImportError:
        if name == "auto":
            return EnergyActivity()
        raise EarnestError(
            "The detector 'silero' needs onnxruntime. Install it with: pip install onnxruntime"
        ) from None


@lru_cache(maxsize=1)
def silero_session() -> Any:
    """Open the network, one for all detectors: what it remembers is passed in and out.

    ``frames`` (frames, 576) with the context of each, ``hidden`` and ``cell`` (1, 1, 128) → ``probabilities``
    (frames, 1), ``new_hidden``, ``new_cell``.

    Raises
    ------
    ImportError
        Where onnxruntime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(NETWORK), options, providers=["CPUExecutionProvider"])


class SileroActivity:
    """Silero's recurrent network; frames that are silent by their level are not asked about."""

    name = "silero"

    def __init__(self) -> None:
        self._session = silero_session()
        self._hidden = self._cell = np.zeros((1, 1, STATE_WIDTH), np.float32)
        self._before = np.zeros(CONTEXT, np.float32)

    def probabilities(self, frames: Waveform) -> Shares:
        """Return the network's probability; 0 below -65 dBFS."""
        found = np.zeros(len(frames), np.float32)
        for start in range(0, len(frames), _AT_ONCE):
            check_deadline()
            self._hear(frames[start : start + _AT_ONCE], found[start : start + _AT_ONCE])
        return found

    def _hear(self, frames: Waveform, found: Shares) -> None:
        loud = levels_dbfs(frames) > SILENCE_DBFS
        if loud.any():
            # (frames, 64): the end of each frame's predecessor.
            before = np.concatenate([self._before[None], frames[:-1, -CONTEXT:]])
            heard = np.clip(np.concatenate([before, frames], axis=1)[loud], -1, 1)  # (loud frames, 576)
            given = {"frames": heard, "hidden": self._hidden, "cell": self._cell}
            # LSTM state goes on over calls; silent frames leave it as it is.
            shares, self._hidden, self._cell = self._session.run(None, given)
            found[loud] = shares[:, 0]
        self._before = frames[-1, -CONTEXT:].copy()


class EnergyActivity:
    """Speech is louder than -65 dBFS and than 35 dB below the loudest so far, which fades by 1 dB a second."""

    name = "energy"
    fade_db = FRAME_S  # of one frame: 1 dB a second

    def __init__(self) -> None:
        self._loudest_dbfs = SILENCE_DBFS

    def probabilities(self, frames: Waveform) -> Shares:
        """Return 1 or 0."""
        found = np.zeros(len(frames), np.float32)
        for number, level in enumerate(levels_dbfs(frames)):
            self._loudest_dbfs = max(level, self._loudest_dbfs - self.fade_db)
            found[number] = level > max(SILENCE_DBFS, self._loudest_dbfs - SPEECH_RANGE_DB)
        return found
