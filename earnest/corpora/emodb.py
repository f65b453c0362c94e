"""The Berlin database of emotional speech, EmoDB (Burkhardt et al., 2005)."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from earnest.corpora.base import CORPORA, Archive, LabelsInNames, matched
from earnest.corpora.manifest import Gender, Utterance

EMOTIONS = {  # letters of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral
    "W": ("angry", "anger"),
    "L": ("boredom", "boredom"),
    "E": ("disgust", "disgust"),
    "A": ("fearful", "anxiety"),
    "F": ("happy", "happiness"),
    "T": ("sad", "sadness"),
    "N": ("neutral", "neutral"),
}
GENDERS: Mapping[str, Gender] = {
    **dict.fromkeys(("03", "10", "11", "12", "15"), "male"),
    **dict.fromkeys(("08", "09", "13", "14", "16"), "female"),
}
NAME = re.compile(rf"({'|'.join(sorted(GENDERS))})([ab]\d\d)([{''.join(EMOTIONS)}])([a-f])")


@CORPORA.register("emodb")
class EmoDb(LabelsInNames):
    """Labels are in the names: speaker, text, emotion's letter, version."""

    title = "Berlin EmoDB (2005)"
    language = "German"
    licence = "CC0-1.0"
    commercial_use = True
    url = "http://emodb.bilderbar.info/"
    citation = "Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss (2005), Interspeech"
    n_speakers, n_utterances = 10, 535
    shortest_s = 1.2
    archives = (Archive("http://emodb.bilderbar.info/download/download.zip"),)
    class_counts: Mapping[str, int] = {
        "angry": 127,
        "boredom": 81,
        "neutral": 79,
        "happy": 71,
        "fearful": 69,
        "sad": 62,
        "disgust": 46,
    }
    example: Mapping[str, str] = {
        "wav/03a01Fa.wav": "happy",
        "wav/08a02La.wav": "boredom",
        "wav/16b10Ad.wav": "fearful",
    }

    def published(self, root: Path) -> list[str]:
        """All 535 names; not every speaker spoke every text in every emotion."""
        lines = (files("earnest.corpora") / "published" / "emodb.txt").read_text(encoding="utf-8").splitlines()
        return [start + end for start, *ends in map(str.split, lines) for end in ends]

    def utterance(self, path: Path) -> Utterance:
        speaker, text, letter, version = matched(NAME, path, "03a01Fa.wav").groups()
        emotion, native = EMOTIONS[letter]
        return Utterance(
            utterance_id=path.stem,
            path=path,
            corpus="emodb",
            speaker=f"emodb-{speaker}",
            gender=GENDERS[speaker],
            text_id=text,
            emotion=emotion,
            native_emotion=native,
            repetition=version,
        )
