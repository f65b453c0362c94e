"""nEMO, emotional speech in Polish (Christop, 2024)."""

import re
from collections.abc import Mapping
from pathlib import Path

from earnest.corpora.base import CORPORA, LabelsInNames, matched
from earnest.corpora.manifest import Gender, Utterance
from earnest.corpora.tables import column

EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
}
WOMEN, MEN = ("EB0", "IC0", "KD0", "MK0"), ("KS0", "MP0", "SM0", "TP0", "WR0")
GENDERS: Mapping[str, Gender] = {**dict.fromkeys(WOMEN, "female"), **dict.fromkeys(MEN, "male")}
NAME = re.compile(rf"({'|'.join(GENDERS)})_({'|'.join(EMOTIONS)})_(\d+)")
LIST = "data.tsv"


@CORPORA.register("nemo")
class Nemo(LabelsInNames):
    """Names hold speaker, emotion and sentence; ``data.tsv`` lists all recordings."""

    title = "nEMO (2024)"
    language = "Polish"
    licence = "CC-BY-NC-SA-4.0"
    commercial_use = False
    url = "https://github.com/amu-cai/nEMO"
    citation = "Christop (2024), LREC-COLING"
    n_speakers, n_utterances = 9, 4481
    folder = "samples"
    example: Mapping[str, str] = {f"samples/WR0_{native}_6.wav": emotion for native, emotion in EMOTIONS.items()}
    extra_files: Mapping[str, str] = {
        LIST: "file_id\temotion\tspeaker_id\tgender\tage\n"
        + "".join(f"WR0_{native}_6.wav\t{native}\tWR0\tmale\t23\n" for native in EMOTIONS)
    }
    label_files = (LIST,)
    access = f"git clone {url}"

    def published(self, root: Path) -> list[str] | None:
        """Names of the published utterances, from ``data.tsv``."""
        if not (root / LIST).is_file():
            return None
        return [Path(name).stem for name, _ in column(root / LIST, "file_id")]

    def utterance(self, path: Path) -> Utterance:
        speaker, emotion, sentence = matched(NAME, path, "EB0_anger_1.wav").groups()
        return Utterance(
            utterance_id=path.stem,
            path=path,
            corpus="nemo",
            speaker=f"nemo-{speaker}",
            gender=GENDERS[speaker],
            text_id=sentence,
            emotion=EMOTIONS[emotion],
            native_emotion=emotion,
        )
