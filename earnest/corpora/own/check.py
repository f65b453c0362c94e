"""Are own recordings fit for learning? What can't be read, is silent, short or there twice; speakers and classes."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from earnest.audio.io import SILENT_PEAK
from earnest.corpora.check import Finding, Sound, examine_all
from earnest.corpora.manifest import Utterance
from earnest.corpora.own.data import OwnData, Refused, doubts_about

SHORT_S = 0.3  # a syllable
LATE_S = 0.5  # by which a part may end after its recording: times are rounded, and read off
FEW = 10  # recordings of a class
FEW_SPEAKERS = 5
SAME, TWICE, KEEP_ONE = "same audio", "listed twice", "keep one of them"


@dataclass(frozen=True)
class OwnReport:
    """The report of `check_own`.

    Attributes
    ----------
    findings : one a recording, or a group of the same sound; each is a reason to look
    advice : what would help most, in sentences
    hours : sum of what could be decoded, whole files
    """

    source: str
    layout: str
    label_from: str
    speaker_from: str
    n_recordings: int
    n_speakers: int
    class_counts: dict[str, int]
    hours: float
    findings: Sequence[Finding]
    advice: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def check_own(data: OwnData, on_progress: Callable[[int, int], object] | None = None) -> OwnReport:
    """Decode every recording and look at labels and speakers.

    Parameters
    ----------
    on_progress : called with the recordings decoded so far and their number
    """
    paths = list(dict.fromkeys(row.path for row in data.utterances))
    sounds: list[Sound] = []
    for sound in examine_all(paths):
        sounds.append(sound)
        if on_progress:
            on_progress(len(sounds), len(paths))
    refused = [Finding("left out", (one.where,), one.reason) for one in data.refused]
    twice = [rows for rows in _by_part(data.utterances) if len(rows) > 1]
    return OwnReport(
        source=str(data.source),
        layout=data.layout,
        label_from=data.label_from,
        speaker_from=data.speaker_from,
        n_recordings=len(data.utterances),
        n_speakers=len(data.speakers),
        class_counts=data.class_counts,
        hours=sum(sound.duration_s for sound in sounds) / 3600,
        findings=[
            *refused,
            *_sound(sounds),
            *_beyond(sounds, data.utterances),
            *_same_audio(sounds, data.utterances),
            *(Finding(TWICE, (str(rows[0].path),), _contradiction(rows)) for rows in twice),
        ],
        advice=[*data.notes, *doubts_about(data.class_counts, data.utterances), *_speakers(data), *_classes(data)],
    )


def without_faulty(data: OwnData, report: OwnReport) -> OwnData:
    """Leave out recordings with a finding, and say why each is; of the same sound under one label the first stays."""
    why: dict[str, str] = {}
    for finding in report.findings:
        if finding.kind != TWICE:
            one_stays = finding.kind == SAME and finding.detail == KEEP_ONE
            why |= dict.fromkeys(finding.files[one_stays:], f"{finding.kind}: {finding.detail}")
    here = {name for row in data.utterances for name in (str(row.path), _part(row))}
    refused = [Refused(path, reason) for path, reason in why.items() if path in here]
    kept: list[Utterance] = []
    for rows in _by_part(row for row in data.utterances if not {str(row.path), _part(row)} & why.keys()):
        detail = _contradiction(rows)
        kept += rows[:1] if len(rows) == 1 or detail == KEEP_ONE else ()
        if len(rows) > 1 and detail != KEEP_ONE:
            refused.append(Refused(str(rows[0].path), f"{TWICE}: {detail}"))
    return replace(data, utterances=tuple(kept), refused=(*data.refused, *refused))


def _by_part(rows: Iterable[Utterance]) -> Iterable[list[Utterance]]:
    """Group the rows of one recording, or of one part of it, in the order of the first of each."""
    parts: dict[tuple[Path, float, float | None], list[Utterance]] = defaultdict(list)
    for row in rows:
        parts[row.path, row.start_s, row.end_s].append(row)
    return parts.values()


def _contradiction(rows: Sequence[Utterance]) -> str:
    """Describe contradicting labels or speakers of rows with one sound; one of the rows may stay if none contradict."""
    labels = {row.native_emotion for row in rows}
    speakers = {row.native_speaker for row in rows if row.speaker}
    for what, told in ("labels", labels), ("speakers", speakers):
        if len(told) > 1:
            return f"{what} contradict: {', '.join(sorted(told))}"
    return KEEP_ONE


def _sound(sounds: Iterable[Sound]) -> Iterable[Finding]:
    for sound in sounds:
        files = (str(sound.path),)
        if sound.error:
            yield Finding("unreadable", files, sound.error)
        elif sound.peak < SILENT_PEAK:
            yield Finding("silent", files, f"its peak is {sound.peak:.1g}")
        elif sound.ends_early:
            yield Finding("cut", files, "the stream has no end: the file was cut")
        elif sound.duration_s < SHORT_S:
            yield Finding("short", files, f"{sound.duration_s:.2f} s")


def _beyond(sounds: Iterable[Sound], rows: Sequence[Utterance]) -> Iterable[Finding]:
    length_s = {sound.path: sound.duration_s for sound in sounds if not sound.error}
    for row in rows:
        file_s = length_s.get(row.path, math.inf)
        if row.start_s and row.start_s >= file_s:
            yield Finding("beyond the end", (_part(row),), f"the recording ends at {file_s:.2f} s")
        elif row.end_s is not None and row.end_s > file_s + LATE_S:
            told = f"it ends at {row.end_s:.2f} s, the recording at {file_s:.2f} s"
            yield Finding("beyond the end", (_part(row),), told)


def _part(row: Utterance) -> str:
    return f"{row.path} from {row.start_s:g} s"


def _same_audio(sounds: Iterable[Sound], rows: Sequence[Utterance]) -> Iterable[Finding]:
    of_path, same = defaultdict[Path, list[Utterance]](list), defaultdict[str, list[Path]](list)
    for row in rows:
        of_path[row.path].append(row)
    for sound in sounds:
        if not sound.error and sound.peak >= SILENT_PEAK:
            same[sound.digest].append(sound.path)
    for paths in same.values():
        if len(paths) > 1:
            one = (replace(row, path=paths[0]) for path in paths for row in of_path[path])
            details = (detail for part in _by_part(one) if (detail := _contradiction(part)) != KEEP_ONE)
            yield Finding(SAME, tuple(map(str, paths)), next(details, KEEP_ONE))


def _speakers(data: OwnData) -> Iterable[str]:
    if not data.speakers:
        yield (
            "Speakers are unknown, so nobody can say how a new speaker is answered. Tell them: earnest corpus manifest "
            "PATH -o mine.csv, with --speaker-column NAME (of folders 'folder 1', …) or --speaker-pattern REGEX."
        )
        return
    if len(data.speakers) < FEW_SPEAKERS:
        yield f"Few speakers: {len(data.speakers)}. More of them help a new one most."
    by_class = defaultdict(set)
    for row in data.utterances:
        by_class[row.native_emotion].add(row.speaker)
    for label, speakers in by_class.items():
        if len(speakers) == 1:
            yield f"All of '{label}' are of one speaker: a model would learn the speaker."


def _classes(data: OwnData) -> Iterable[str]:
    if len(data.class_counts) == 1:
        yield "There is one class; a model needs two."
    few = [f"{label} ({count})" for label, count in data.class_counts.items() if count < FEW]
    if few:
        yield f"Few recordings: {', '.join(few)}. Ten a class are little, fifty good."
