"""SAVEE, Surrey audio-visual expressed emotion (Haq and Jackson, 2009)."""

import re
from collections.abc import Mapping
from pathlib import Path

from earnest.corpora.base import CORPORA, LabelsInNames, unknown_name
from earnest.corpora.manifest import Utterance

EMOTIONS = {
    "a": ("angry", "anger"),
    "d": ("disgust", "disgust"),
    "f": ("fearful", "fear"),
    "h": ("happy", "happiness"),
    "n": ("neutral", "neutral"),
    "sa": ("sad", "sadness"),
    "su": ("surprised", "surprise"),
}
SPEAKERS = ("DC", "JE", "JK", "KL")
NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(sa|su|[adfhn])(\d\d)")


@CORPORA.register("savee")
class Savee(LabelsInNames):
    """Four men; ``AudioData/DC/a01.wav``, or flat as ``DC_a01.wav``: speaker, emotion, number of the sentence."""

    title = "SAVEE (2009)"
    language = "English"
    licence = "research, on request"
    commercial_use = False
    url = "http://kahlan.eps.surrey.ac.uk/savee/"
    citation = "Haq and Jackson (2009), AVSP"
    n_speakers, n_utterances = 4, 480
    class_counts: Mapping[str, int] = {"neutral": 120} | dict.fromkeys(
        ("angry", "disgust", "fearful", "happy", "sad", "surprised"), 60
    )
    folder = "AudioData"  # beside the videos
    example: Mapping[str, str] = {"AudioData/DC/a01.wav": "angry", "AudioData/KL/su15.wav": "surprised"}
    access = f"Register at {url}; the authors send a password for the download."

    def published(self, root: Path) -> list[str]:
        """Fifteen sentences an emotion, thirty neutral ones, by each speaker."""
        counts = {emotion: 30 if emotion == "n" else 15 for emotion in EMOTIONS}
        return [f"{man}_{emotion}{k:02d}" for man in SPEAKERS for emotion, n in counts.items() for k in range(1, n + 1)]

    def utterance(self, path: Path) -> Utterance:
        match = NAME.fullmatch(path.stem)
        speaker = (match[1] or path.parent.name) if match else ""
        if not match or speaker not in SPEAKERS:
            raise unknown_name(path, "DC/a01.wav")
        emotion, native = EMOTIONS[match[2]]
        return Utterance(
            utterance_id=f"{speaker}_{match[2]}{match[3]}",
            path=path,
            corpus="savee",
            speaker=f"savee-{speaker}",
            gender="male",
            text_id=match[2] + match[3],
            emotion=emotion,
            native_emotion=native,
        )
