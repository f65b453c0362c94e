"""Export of the chosen files: formats of `earnest predict` and `earnest timeline`, annotations, single channels."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
from PySide6.QtWidgets import QFileDialog, QWidget

from earnest.apps.cli._row_file import Form, RowFile
from earnest.apps.desktop.annotations import Parts, annotated_timeline, labelled
from earnest.apps.desktop.texts import tr
from earnest.audio.io import open_audio
from earnest.audio.source import Channel
from earnest.bundle import BundleInfo
from earnest.corpora.manifest import write_manifest
from earnest.errors import EarnestError, printable, told
from earnest.files.writing import held_file, new_file, unfollowed
from earnest.runtime.picture import is_picture
from earnest.runtime.predictor import TIMELINE_MAX_SECONDS
from earnest.runtime.timeline import SUFFIXES, Timeline, written

TABLES: Mapping[str, Form] = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}
FULL = 32_768  # of 16 bits
TIMELINES = {form: suffix for suffix, form in SUFFIXES.items()} | {"textgrid": ".TextGrid"}  # as Praat writes it


@dataclass(frozen=True)
class Exported:
    """The outcome of an export: number of files or rows, place, and recordings left out as unreadable."""

    count: int
    place: Path
    n_left_out: int = 0


def place_to_write(parent: QWidget, title: str, name: str, kinds: str) -> str:
    """Ask where a file goes, "" for nowhere; a name without an ending gets that of the kind that was chosen."""
    path, kind = QFileDialog.getSaveFileName(parent, title, name, kinds)
    ending = re.search(r"\*(\.\w+)", kind or kinds)
    has_ending = re.search(r"[^\W\d]", Path(path).suffix)  # "30.11.2026" has none
    whole = path + ending[1] if path and ending and not has_ending else path
    return path if Path(whole).exists() else whole  # nobody was asked whether to replace the longer one


def export_rows(timelines: Sequence[Timeline], path: Path, info: BundleInfo) -> Exported:
    """Write one row a recording, as `earnest predict --output` does; what was there is replaced.

    Raises `EarnestError` when the name ends otherwise than in .csv, .jsonl or .parquet, or the file can't be written.
    """
    if path.suffix.lower() not in TABLES:
        raise EarnestError(tr("{path}: the name must end in {endings}.").format(path=path, endings=", ".join(TABLES)))
    form = TABLES[path.suffix.lower()]
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with held_file(path), RowFile(path, form, info, "overwrite") as rows:
        for timeline in timelines:
            rows.write(timeline.prediction)
        rows.close()
    return Exported(len(timelines), path)


class TimelineFiles:
    """A file for each recording that has an answer, in a folder; a picture's answer has no times.

    Attributes
    ----------
    there : those whose names are taken
    """

    def __init__(self, timelines: Sequence[Timeline], folder: Path, form: str) -> None:
        answered = [
            timeline for timeline in timelines if timeline.prediction.error is None and not is_picture(timeline.path)
        ]
        places = _places([timeline.path for timeline in answered], folder, TIMELINES[form])
        self._timelines, self._folder, self._form = dict(zip(places, answered, strict=True)), folder, form
        self.there = [place for place in places if place.exists()]
        self._n_left_out = len(timelines) - len(answered)

    def write(self) -> Exported:
        """Write them; those that are there are replaced.

        Raises `EarnestError` when one can't be written, or is there by now.
        """
        there = set(self.there)
        for place, timeline in self._timelines.items():
            with (
                new_file(place, place in there) as fresh,
                open(fresh, "w", encoding="utf-8", newline="", opener=unfollowed) as file,
            ):
                file.writelines(written(timeline, self._form, self._folder))
        return Exported(len(self._timelines), self._folder, self._n_left_out)


def _places(paths: Sequence[str], folder: Path, suffix: str) -> list[Path]:
    """Return a name for each recording: its own, with a number where another one is called the same."""
    taken: set[str] = set()  # as systems see them that do not tell A from a
    places = []
    for path in paths:
        stem = Path(path).stem
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        places.append(folder / f"{name}{suffix}")
    return places


def export_channels(recording: str, folder: Path) -> list[Path]:
    """Write each channel of a recording as a WAV file of its own, such as call-1.wav and call-2.wav; return these.

    Raises `EarnestError` when it can't be read, has one channel, or a file can't be written or is there already.
    """
    with open_audio(recording, TIMELINE_MAX_SECONDS) as audio:
        n_channels = audio.n_channels
    if n_channels == 1:
        raise EarnestError(tr("{name} has one channel only.").format(name=printable(Path(recording).name)))
    places = [folder / f"{Path(recording).stem}-{number}.wav" for number in range(1, n_channels + 1)]
    if there := next((place for place in places if place.exists()), None):
        raise EarnestError(tr("{path} is there already. Choose another folder.").format(path=printable(str(there))))
    for number, place in enumerate(places, start=1):
        _write_channel(Channel(recording, number), place)
    return places


def _write_channel(channel: Channel, path: Path) -> None:
    import soundfile

    with (
        new_file(path) as place,
        open_audio(channel, TIMELINE_MAX_SECONDS) as audio,
        soundfile.SoundFile(place, "w", audio.sample_rate_hz, 1, "PCM_16", format="WAV") as file,
    ):
        for block in audio.blocks:
            file.write(np.clip(np.round(FULL * block), -FULL, FULL - 1).astype(np.int16))


def export_manifest(annotated: Mapping[str, Parts], path: Path) -> Exported:
    """Write the parts that were labelled by hand as one CSV; what was there is replaced.

    Raises `EarnestError` when there is nothing to write, or it can't be written.
    """
    rows = labelled(annotated)
    write_manifest(rows, path)
    return Exported(len(rows), path)


def annotated_timelines(
    annotated: Mapping[str, Parts], timeline_of: Callable[[str], Timeline | None]
) -> list[Timeline]:
    """Return the timelines of the opened recordings that somebody annotated; without any, raise an `EarnestError`."""
    found = [(timeline_of(path), parts) for path, parts in annotated.items()]
    timelines = [annotated_timeline(timeline, parts) for timeline, parts in found if timeline is not None]
    if not timelines:
        raise EarnestError(
            tr("There are no annotations of the opened recordings yet. Correct or confirm a part first.")
        )
    return timelines
