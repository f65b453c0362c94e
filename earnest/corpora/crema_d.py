"""CREMA-D, the crowd-sourced emotional multimodal actors dataset (Cao et al., 2014)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from earnest.corpora.base import CORPORA, SILENT, Corpus, Parser, unknown_name
from earnest.corpora.manifest import Gender, Utterance
from earnest.corpora.tables import column
from earnest.errors import CorpusError

EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": ""}
ACTORS = tuple(str(actor) for actor in range(1001, 1092))
DEMOGRAPHICS = "VideoDemographics.csv"
GENDERS: Mapping[str, Gender] = {"Female": "female", "Male": "male"}
NEVER_RECORDED = {
    *(f"{take}_{emotion}_XX" for take in ("1008_WSI", "1009_MTI", "1019_ITH") for emotion in EMOTIONS),
    "1002_TIE_NEU_XX",
    "1076_ITS_NEU_XX",
}
MISSPELT = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}  # the name in the authors' archive → in their tables
SAME_AUDIO = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_SAD_XX", "1013_WSI_DIS_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
)


@CORPORA.register("crema-d")
class CremaD(Corpus):
    """The label is the *intended* emotion, from the file name: actor, sentence, emotion, intensity.

    Listeners who only heard the utterances named it in 40.9 % of their answers, say its authors.
    The actors' sex comes from ``VideoDemographics.csv``; without that file the gender stays unknown.
    """

    title = "CREMA-D (2014)"
    language = "English"
    licence = "ODbL-1.0"
    commercial_use = True
    url = "https://github.com/CheyneyComputerScience/CREMA-D"
    citation = "Cao, Cooper, Keutmann, Gur, Nenkova and Verma (2014), IEEE Trans. Affective Computing 5(4)"
    n_speakers, n_utterances = 91, 7442
    shortest_s = 1.25
    class_counts: Mapping[str, int] = {
        "angry": 1271,
        "disgust": 1271,
        "fearful": 1271,
        "happy": 1271,
        "neutral": 1087,
        "sad": 1271,
    }
    folder = "AudioWAV"  # beside MP3 copies
    example: Mapping[str, str] = {"AudioWAV/1001_IEO_HAP_HI.wav": "happy", "AudioWAV/1002_DFA_NEU_XX.wav": "neutral"}
    extra_files: Mapping[str, str] = {
        DEMOGRAPHICS: '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","",""\n1002,21,"Female","",""\n'
    }
    label_files = (DEMOGRAPHICS,)
    unusable: Mapping[str, str] = {
        **{name: f"the same audio as {twin}, under another label" for name, twin in SAME_AUDIO},
        **{twin: f"the same audio as {name}, under another label" for name, twin in SAME_AUDIO},
        "1076_MTI_SAD_XX": SILENT,
    }
    access = f"Clone {url} with Git LFS, or only its folder AudioWAV and the file {DEMOGRAPHICS}."

    def parser(self, root: Path) -> Parser:
        """Load the actors' sexes."""
        return partial(_utterance, genders=_genders(root / DEMOGRAPHICS))

    def published(self, root: Path) -> list[str]:
        """Twelve sentences, one of them in three intensities; twenty were never recorded."""
        names = (
            f"{actor}_{sentence}_{emotion}_{intensity}"
            for actor in ACTORS
            for sentence in SENTENCES
            for emotion in EMOTIONS
            for intensity in (("LO", "MD", "HI") if sentence == "IEO" and emotion != "NEU" else ("XX",))
        )
        return [name for name in names if name not in NEVER_RECORDED]


def _utterance(path: Path, genders: Mapping[str, Gender]) -> Utterance:
    name = MISSPELT.get(path.stem, path.stem)
    fields = name.split("_")
    if len(fields) != 4 or not _known(*fields):
        raise unknown_name(path, "1001_IEO_HAP_HI.wav")
    actor, sentence, emotion, intensity = fields
    return Utterance(
        utterance_id=name,
        path=path,
        corpus="crema-d",
        speaker=f"crema-d-{actor}",
        gender=genders.get(actor),
        text_id=sentence,
        emotion=EMOTIONS[emotion],
        native_emotion=emotion,
        intensity=INTENSITIES[intensity],
    )


def _known(actor: str, sentence: str, emotion: str, intensity: str) -> bool:
    return actor in ACTORS and sentence in SENTENCES and emotion in EMOTIONS and intensity in INTENSITIES


def _genders(path: Path) -> dict[str, Gender]:
    if not path.is_file():
        return {}
    try:
        return {actor: GENDERS[row["Sex"]] for actor, row in column(path, "ActorID")}
    except KeyError as error:
        raise CorpusError(f"{path}: expected a column Sex (Female, Male); {error} is wrong.") from None
