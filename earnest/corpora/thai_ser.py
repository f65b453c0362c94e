"""THAI SER, acted emotional dialogues in Thai (Wongpithayadisai et al., 2025)."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from earnest.corpora.base import CORPORA, Archive, Corpus, Parser, matched, unknown_name
from earnest.corpora.manifest import Gender, Utterance
from earnest.errors import CorpusError, shown
from earnest.files.reading import read_json

RELEASE = "https://github.com/vistec-AI/dataset-releases/releases"
LABELS, ACTORS = "emotion_label.json", "actor_demography.json"
EMOTIONS = {"Neutral": "neutral", "Angry": "angry", "Happy": "happy", "Sad": "sad", "Frustrated": "frustration"}
GENDERS: Mapping[str, Gender] = {"female": "female", "male": "male"}
STYLES = {"impro": "improvised", "script": "scripted"}
NAME = re.compile(r"([sz]\d{3})_([a-z]+\d*)_actor(\d{3})_((impro|script)\w+)")
PARTS = (*(f"studio{first}-{first + 9}" for first in range(1, 80, 10)), "zoom1-10", "zoom11-20")


@CORPORA.register("thai-ser")
class ThaiSer(Corpus):
    """The label is the emotion *assigned* to the actor, from ``emotion_label.json``; listeners' votes are not used.

    An utterance was recorded by several microphones (in the studios con, clip and middle; over Zoom mic): one row
    each, all in one group. The label file names one of them and holds for all. Improvised turns that it doesn't
    name keep an empty native label and count as "other"; scripted ones have the emotion's number in their names.
    """

    title = "THAI SER (2021)"
    language = "Thai"
    licence = "CC-BY-SA-4.0"
    commercial_use = True
    url = f"{RELEASE}/tag/v1"
    citation = "Wongpithayadisai et al. (2025), arXiv:2507.09618"
    n_speakers, n_utterances = 200, 27_854
    example: Mapping[str, str] = {
        "studio1-10/studio001/con/s001_con_actor001_impro1_1.flac": "happy",
        "studio1-10/studio001/clip/s001_clip_actor001_impro1_1.flac": "happy",
        "studio1-10/studio001/clip/s001_clip_actor002_script2_2_2b.flac": "angry",
        "studio1-10/studio001/clip/s001_clip_actor002_impro1_9.flac": "other",
        "studio1-10/studio001/con/s001_con_actor002_script1_1_1a.flac": "neutral",
        "zoom1-10/zoom001/mic/z001_mic_actor101_script1_1_4a.flac": "sad",
        "zoom1-10/zoom001/mic/z001_mic_actor101_script1_2_5a.flac": "frustration",
    }
    extra_files: Mapping[str, str] = {
        LABELS: json.dumps(
            {
                "s001_con_actor001_impro1_1.flac": [{"assigned_emo": "Happy", "majority_emo": "Neutral"}],
                "z001_mic_actor101_script1_1_4a.flac": [{"assigned_emo": "Sad", "majority_emo": "Sad"}],
            }
        ),
        ACTORS: json.dumps(
            {
                "data": [
                    {"Actor's ID": "001", "Age": 22, "Sex": "Female"},
                    {"Actor's ID": "002", "Age": 23, "Sex": "Male"},
                    {"Actor's ID": "101", "Age": 24, "Sex": "Female"},
                ]
            }
        ),
    }
    lists_one_of_several = True
    label_files = (LABELS, ACTORS)
    archives = (
        *(Archive(f"{RELEASE}/download/v1/{part}.zip") for part in PARTS),
        *(Archive(f"{RELEASE}/download/v1/{name}") for name in (LABELS, ACTORS)),
    )

    def parser(self, root: Path) -> Parser:
        """Load the labels and the actors' sexes."""
        return partial(_utterance, labels=_labels(root), genders=_genders(root))

    def published(self, root: Path) -> list[str]:
        """The recordings that the label file names; the same turns from other microphones may be there too."""
        return [Path(name).stem for name in _read(root / LABELS)]


def _utterance(path: Path, labels: Mapping[str, str], genders: Mapping[str, Gender | None]) -> Utterance:
    room, microphone, actor, turn, kind = matched(NAME, path, "s001_con_actor001_impro1_1.flac").groups()
    native = labels.get(f"{room}_{actor}_{turn}") or (_scripted_emotion(path, turn) if kind == "script" else "")
    return Utterance(
        utterance_id=path.stem,
        path=path,
        corpus="thai-ser",
        speaker=f"thai-ser-{actor}",
        gender=genders.get(actor),
        session={"s": "studio", "z": "zoom"}[room[0]] + room[1:],
        text_id=turn if kind == "script" else "",
        emotion=EMOTIONS[native] if native else "other",
        native_emotion=native,
        style=STYLES[kind],
        channel=microphone,
        group=f"thai-ser-{room}-{actor}-{turn}",
    )


def _scripted_emotion(path: Path, turn: str) -> str:
    """Return the emotion of a scripted turn: the digit that begins the last field, 1 to 5."""
    digit = turn.rpartition("_")[2][:1]
    if digit not in ("1", "2", "3", "4", "5"):
        raise unknown_name(path, "s001_con_actor001_script2_2_2b.flac")
    return list(EMOTIONS)[int(digit) - 1]


def _labels(root: Path) -> dict[str, str]:
    """Assigned emotion of every turn, whatever microphone the label file names."""
    labels = {}
    for name, entries in _read(root / LABELS).items():
        match, first = NAME.fullmatch(Path(name).stem), entries[0] if isinstance(entries, list) and entries else {}
        native = first.get("assigned_emo", "") if isinstance(first, dict) else first
        if not match or not isinstance(native, str) or native not in EMOTIONS:
            raise CorpusError(f"{root / LABELS}: {shown(name)} has the unknown name or label {shown(native)}.")
        room, _, actor, turn, _ = match.groups()
        labels[f"{room}_{actor}_{turn}"] = native
    return labels


def _genders(root: Path) -> dict[str, Gender | None]:
    try:
        return {actor["Actor's ID"]: GENDERS.get(actor["Sex"].lower()) for actor in _read(root / ACTORS)["data"]}
    except (KeyError, TypeError, AttributeError):
        raise CorpusError(f"{root / ACTORS}: expected data with Actor's ID and Sex. Download it again.") from None


def _read(path: Path) -> dict[str, Any]:
    missing = f"no such file. Download it from {RELEASE}/tag/v1 into that folder."
    content = read_json(path, CorpusError, missing, "Download it again.")
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: expected a table of names. Download it again.")
    return content
