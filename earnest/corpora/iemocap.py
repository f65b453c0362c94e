"""IEMOCAP, interactive emotional dyadic motion capture (Busso et al., 2008), at 16 kHz and in copies at 8 kHz."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from earnest.corpora.base import CORPORA, Corpus, Parser, audio_files, matched
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.files.reading import read_bytes

EMOTIONS = {
    "ang": "angry",
    "dis": "disgust",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustration",
    "hap": "happy",
    "neu": "neutral",
    "oth": "other",
    "sad": "sad",
    "sur": "surprised",
    "xxx": "other",  # the raters did not agree
}
NAME = re.compile(r"(Ses0([1-5])[FM]_(impro|script)\w+)_([FM])\w*\d")
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
LABEL = re.compile(r"\[[\d.]+ - [\d.]+\]\s+(Ses\w+)\s+(\w+)\s+\[(\d+\.?\d*), (\d+\.?\d*), (\d+\.?\d*)\]")
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
STYLES = {"impro": "improvised", "script": "scripted"}
EVALUATIONS = "Session*/dialog/EmoEvaluation/*.txt"


class _Label(NamedTuple):
    native: str
    valence: float
    arousal: float
    dominance: float


class _Iemocap(Corpus):
    """The raters' majority label and mean ratings (1 to 5), from the lines of ``EmoEvaluation/*.txt``.

    Utterances without a majority ("xxx") keep that word and count as "other". A dialogue is one group.
    """

    language = "English"
    licence = "research, on request"
    commercial_use = False
    url = "https://sail.usc.edu/iemocap/"
    citation = "Busso et al. (2008), Language Resources and Evaluation 42(4)"
    affect_range = (1.0, 5.0)
    n_speakers, n_utterances = 10, 10_039
    class_counts: Mapping[str, int] = {
        "angry": 1103,
        "disgust": 2,
        "excited": 1041,
        "fearful": 40,
        "frustration": 1849,
        "happy": 595,
        "neutral": 1708,
        "other": 2510,
        "sad": 1084,
        "surprised": 107,
    }
    example: Mapping[str, str] = {
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav": "neutral",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M013.wav": "other",
        "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F003.wav": "excited",
    }
    extra_files: Mapping[str, str] = {
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": HEADER
        + "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\n"
        "C-E2:\tNeutral;\t()\n"
        "[10.0100 - 11.3925]\tSes01F_impro01_M013\txxx\t[2.5000, 3.0000, 2.5000]\n",
        "Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt": HEADER
        + "[20.1000 - 22.5000]\tSes05M_script01_1b_F003\texc\t[4.5000, 3.5000, 3.0000]\n",
    }
    access = f"Ask the authors with the form at {url}."
    name: str
    channel: str

    def recordings(self, root: Path) -> list[Path]:
        """The cut utterances; whole dialogues and other material don't count."""
        return [path for folder in sorted(root.glob("Session*/sentences/wav")) for path in audio_files(folder)]

    def parser(self, root: Path) -> Parser:
        """Load the labels of all sessions."""
        return partial(self._utterance, labels=_labels(root))

    def published(self, root: Path) -> list[str]:
        """All utterances that have a label."""
        return sorted(_labels(root))

    def _utterance(self, path: Path, labels: Mapping[str, _Label]) -> Utterance:
        match = matched(NAME, path, "Ses01F_impro01_F000.wav")
        if path.stem not in labels:
            raise CorpusError(f"{path}: no line of {EVALUATIONS} names it. Copy the label files again.")
        dialogue, session, kind, letter = match.groups()
        label = labels[path.stem]
        return Utterance(
            utterance_id=path.stem,
            path=path,
            corpus=self.name,
            speaker=f"iemocap-{session}{letter}",
            gender="female" if letter == "F" else "male",
            session=session,
            emotion=EMOTIONS[label.native],
            native_emotion=label.native,
            valence=label.valence,
            arousal=label.arousal,
            dominance=label.dominance,
            style=STYLES[kind],
            channel=self.channel,
            group=f"iemocap-{dialogue}",
        )


@CORPORA.register("iemocap")
class Iemocap(_Iemocap):
    """As published, 16 kHz."""

    title = "IEMOCAP (2008)"
    name, channel = "iemocap", ""


@CORPORA.register("iemocap-8k")
class Iemocap8k(_Iemocap):
    """Copies at 8 kHz in the same folders; speakers and dialogues are those of ``iemocap``."""

    title = "IEMOCAP (2008), copies at 8 kHz"
    speakers_of = "iemocap"
    name, channel = "iemocap-8k", "8 kHz"


def _labels(root: Path) -> dict[str, _Label]:
    labels: dict[str, _Label] = {}
    paths = [path for path in sorted(root.glob(EVALUATIONS)) if not path.name.startswith(".")]
    if not paths:
        raise CorpusError(
            f"No label files {EVALUATIONS} under {root}. Give the folder that holds Session1 to Session5."
        )
    for path in paths:
        for utterance, native, *ratings in LABEL.findall(read_bytes(path, CorpusError).decode("utf-8", "replace")):
            if native not in EMOTIONS:
                raise CorpusError(f"{path}: {utterance} has the unknown label '{native}'.")
            label = _Label(native, *map(float, ratings))
            if labels.setdefault(utterance, label) != label:
                raise CorpusError(
                    f"{path}: labels {utterance} otherwise than an earlier line. Copy the label files again."
                )
    return labels
