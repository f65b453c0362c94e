"""TESS, the Toronto emotional speech set (Pichora-Fuller and Dupuis, 2020)."""

import re
from collections.abc import Mapping
from pathlib import Path

from earnest.corpora.base import CORPORA, LabelsInNames, matched
from earnest.corpora.manifest import Utterance

EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}
NAME = re.compile(rf"(OAF|YAF|OA)_([a-z]+)_({'|'.join(EMOTIONS)})", re.IGNORECASE)


@CORPORA.register("tess")
class Tess(LabelsInNames):
    """Two women, one older (OAF) and one younger (YAF), say "Say the word …": speaker, word, emotion.

    "ps" is the authors' "pleasant surprise"; one file of speaker OAF is spelt ``OA_bite_neutral``.
    """

    title = "TESS (2020)"
    language = "English"
    licence = "CC-BY-NC-ND-4.0"
    commercial_use = False
    url = "https://doi.org/10.5683/SP2/E8H2MF"
    citation = "Pichora-Fuller and Dupuis (2020), Scholars Portal Dataverse"
    n_speakers, n_utterances = 2, 2800
    class_counts: Mapping[str, int] = dict.fromkeys(EMOTIONS.values(), 400)
    example: Mapping[str, str] = {
        f"{speaker}_{emotion}/{speaker}_back_{emotion}.wav": canonical
        for speaker in ("OAF", "YAF")
        for emotion, canonical in EMOTIONS.items()
    }
    access = f"Download all files of {url}, without registration."

    def published(self, root: Path) -> list[str]:
        """Both speakers said every word in every emotion; the words are those of the recordings that are there."""
        words = {match[2].lower() for path in self.recordings(root) if (match := NAME.fullmatch(path.stem))}
        return [f"{who}_{word}_{emotion}" for who in ("OAF", "YAF") for word in sorted(words) for emotion in EMOTIONS]

    def utterance(self, path: Path) -> Utterance:
        match = matched(NAME, path, "OAF_back_angry.wav")
        speaker = "YAF" if match[1].upper() == "YAF" else "OAF"
        word, emotion = match[2].lower(), match[3].lower()
        return Utterance(
            utterance_id=f"{speaker}_{word}_{emotion}",
            path=path,
            corpus="tess",
            speaker=f"tess-{speaker}",
            gender="female",
            text_id=word,
            emotion=EMOTIONS[emotion],
            native_emotion=emotion,
        )
