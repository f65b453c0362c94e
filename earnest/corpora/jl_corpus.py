"""JL-Corpus, New Zealand English (James, Tian and Watson, 2018)."""

import re
from collections.abc import Mapping
from pathlib import Path

from earnest.corpora.base import CORPORA, LabelsInNames, matched
from earnest.corpora.manifest import Utterance

PRIMARY = {"angry": "angry", "excited": "excited", "happy": "happy", "neutral": "neutral", "sad": "sad"}
SECONDARY = ("anxious", "apologetic", "assertive", "concerned", "encouraging")
NAME = re.compile(rf"((?:fe)?male)([12])_({'|'.join((*PRIMARY, *SECONDARY))})_(\d+)([ab])_([12])")


@CORPORA.register("jl-corpus")
class JlCorpus(LabelsInNames):
    """Five primary emotions and five secondary ones, which have no canonical name and count as "other".

    Names: speaker, emotion, sentence and session, repetition. The primary emotions share their sentences.
    """

    title = "JL-Corpus (2018)"
    language = "English"
    licence = "CC0-1.0"
    commercial_use = True
    url = "https://www.kaggle.com/datasets/tli725/jl-corpus"
    citation = "James, Tian and Watson (2018), Interspeech"
    n_speakers, n_utterances = 4, 2400
    class_counts: Mapping[str, int] = dict.fromkeys(PRIMARY.values(), 240) | {"other": 1200}
    example: Mapping[str, str] = {
        "JL(wav+txt)/female1_angry_10a_1.wav": "angry",
        "JL(wav+txt)/male2_anxious_1b_2.wav": "other",
        "JL(wav+txt)/male1_excited_3a_2.wav": "excited",
    }
    access = f"Download it from {url} (a free account is needed)."

    def utterance(self, path: Path) -> Utterance:
        gender, number, emotion, sentence, session, repetition = matched(NAME, path, "female1_angry_10a_1.wav").groups()
        return Utterance(
            utterance_id=path.stem,
            path=path,
            corpus="jl-corpus",
            speaker=f"jl-corpus-{gender}{number}",
            gender="female" if gender == "female" else "male",
            session=session,
            text_id=sentence if emotion in PRIMARY else f"{emotion}-{sentence}",
            emotion=PRIMARY.get(emotion, "other"),
            native_emotion=emotion,
            repetition=repetition,
        )
