"""RAVDESS, speech and song (Livingstone and Russo, 2018)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from earnest.corpora.base import CORPORA, Archive, LabelsInNames, audio_files, unknown_name
from earnest.corpora.manifest import Utterance
from earnest.labels import CORE_EMOTIONS

ZENODO = "https://zenodo.org/records/1188976"
EMOTIONS = {f"{number:02d}": emotion for number, emotion in enumerate(CORE_EMOTIONS, 1)}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids", "02": "dogs"}
ACTORS = tuple(f"{actor:02d}" for actor in range(1, 25))
AUDIO_ONLY = "03"
# Two takes of actor 7 are one recording; as one group they never fall on both sides of a split.
SAME_AUDIO = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")


class _Ravdess(LabelsInNames):
    """Labels are in the names: modality, channel, emotion, intensity, statement, repetition, actor."""

    language = "English"
    licence = "CC-BY-NC-SA-4.0"
    commercial_use = False
    url = ZENODO
    groups_share_audio = True
    citation = "Livingstone and Russo (2018), PLOS ONE 13(5): e0196391"
    channel: str
    style: str
    emotions: Sequence[str]
    actors: Sequence[str] = ACTORS

    def recordings(self, root: Path) -> list[Path]:
        """All audio files except those whose names say that they are videos or of the other vocal channel."""
        return [path for path in audio_files(root) if not self._is_another_part(path.stem.split("-"))]

    def _is_another_part(self, fields: list[str]) -> bool:
        return len(fields) == 7 and fields[0] in ("01", "02", "03") and fields[:2] != [AUDIO_ONLY, self.channel]

    def published(self, root: Path) -> list[str]:
        """Two takes of two statements in two intensities by every actor; neutral has the normal intensity only."""
        kinds = [(emotion, intensity) for emotion in self.emotions for intensity in INTENSITIES]
        return [
            f"{AUDIO_ONLY}-{self.channel}-{emotion}-{intensity}-{statement}-{repetition}-{actor}"
            for actor in self.actors
            for emotion, intensity in kinds
            if (emotion, intensity) != ("01", "02")
            for statement in STATEMENTS
            for repetition in ("01", "02")
        ]

    def utterance(self, path: Path) -> Utterance:
        fields = path.stem.split("-")
        if len(fields) != 7 or not self._known(fields):
            raise unknown_name(path, Path(min(self.example)).name)
        _, _, emotion, intensity, statement, repetition, actor = fields
        return Utterance(
            utterance_id=path.stem,
            path=path,
            corpus=f"ravdess-{self.style}".removesuffix("-speech"),
            speaker=f"ravdess-{actor}",
            gender="male" if int(actor) % 2 else "female",
            text_id=STATEMENTS[statement],
            emotion=EMOTIONS[emotion],
            native_emotion=EMOTIONS[emotion],
            intensity=INTENSITIES[intensity],
            style=self.style,
            repetition=repetition.lstrip("0"),
            group=SAME_AUDIO[0] if path.stem in SAME_AUDIO else "",
        )

    def _known(self, fields: Sequence[str]) -> bool:
        tables = ([AUDIO_ONLY], [self.channel], self.emotions, INTENSITIES, STATEMENTS, ["01", "02"], self.actors)
        return all(field in table for field, table in zip(fields, tables, strict=True))


@CORPORA.register("ravdess")
class Ravdess(_Ravdess):
    """The speech part: eight emotions, 24 actors."""

    title = "RAVDESS speech (2018)"
    n_speakers, n_utterances = 24, 1440
    shortest_s = 2.9
    class_counts: Mapping[str, int] = {"neutral": 96} | dict.fromkeys(CORE_EMOTIONS[1:], 192)
    example: Mapping[str, str] = {
        "Actor_02/03-01-05-01-01-01-02.wav": "angry",
        "Actor_07/03-01-03-01-02-01-07.wav": "happy",
        "Actor_07/03-01-01-01-02-02-07.wav": "neutral",
    }
    archives = (
        Archive(f"{ZENODO}/files/Audio_Speech_Actors_01-24.zip", "md5:bc696df654c87fed845eb13823edef8a", 208_468_073),
    )
    channel, style, emotions = "01", "speech", tuple(EMOTIONS)


@CORPORA.register("ravdess-song")
class RavdessSong(_Ravdess):
    """The song part: six emotions, without actor 18; the speakers are those of the speech part."""

    title = "RAVDESS song (2018)"
    speakers_of = "ravdess"
    n_speakers, n_utterances = 23, 1012
    shortest_s = 3.5
    class_counts: Mapping[str, int] = {"neutral": 92} | dict.fromkeys(CORE_EMOTIONS[1:6], 184)
    example: Mapping[str, str] = {
        "Actor_02/03-02-04-02-01-01-02.wav": "sad",
        "Actor_17/03-02-02-01-01-02-17.wav": "calm",
    }
    archives = (
        Archive(f"{ZENODO}/files/Audio_Song_Actors_01-24.zip", "md5:5411230427d67a21e18aa4d466e6d1b9", 225_505_317),
    )
    channel, style, emotions = "02", "song", tuple(EMOTIONS)[:6]
    actors = tuple(actor for actor in ACTORS if actor != "18")
