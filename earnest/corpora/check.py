"""Checks of recordings: is a copy of a corpus what was published, and are own recordings fit for learning?

Counts, names, durations, damaged files, the same sound twice; of own recordings also labels that contradict, and what
would help most.
"""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earnest.audio.io import SILENT_PEAK, decode, digest_of_sound, is_blank
from earnest.audio.parts import PartReader
from earnest.corpora.base import SILENT, Corpus, Parser
from earnest.corpora.load import corpus_called
from earnest.corpora.manifest import Utterance, doubts_about
from earnest.corpora.own.data import OwnData, Refused
from earnest.errors import AudioError, CorpusError, MissingExtraError, counted, printable

OnProgress = Callable[[int, int], object]
"""Is called with the recordings decoded so far and their number."""
MOST_NAMED = 5


def audio_digests(utterances: Sequence[Utterance], on_progress: Callable[[], object] = lambda: None) -> dict[str, str]:
    """Decode every utterance and return its key → a digest of its samples at their own rate, "" for silence.

    Raises `CorpusError` when recordings can't be read, naming them.
    """
    whole = [row for row in utterances if not row.start_s and row.end_s is None]
    digests, failures = {}, []
    for row, sound in zip(whole, examine_all([row.path for row in whole]), strict=True):
        on_progress()
        digests[row.key] = sound.digest if sound.peak >= SILENT_PEAK else ""
        failures += [f"{row.path}: {sound.error}"] if sound.error else []
    parts = PartReader()
    with parts.kept_open():
        for row in utterances:
            if row.key not in digests:
                on_progress()
                try:
                    part = decode(row.source, opener=parts.open_audio)
                except AudioError as error:
                    failures.append(str(error))
                    continue
                is_silent = is_blank(part.waveform)
                digests[row.key] = "" if is_silent else digest_of_sound(part.waveform, part.sample_rate_hz)
    if failures:
        raise CorpusError(f"{counted(len(failures), 'recording')} can't be read: " + " ".join(failures[:MOST_NAMED]))
    return digests


_LONGEST_OGG_PAGE = 27 + 255 + 255 * 255
_LAST_PAGE = 4


@dataclass(frozen=True)
class Sound:
    """One recording, decoded.

    Attributes
    ----------
    digest : equal for recordings with equal samples and sample rates
    peak : largest absolute sample
    ends_early : the container lacks its end, though what is there could be decoded
    error : why it could not be decoded, without its path; "" if it could
    """

    path: Path
    digest: str = ""
    duration_s: float = 0.0
    peak: float = 0.0
    n_channels: int = 0
    ends_early: bool = False
    error: str = ""


def examine(path: Path) -> Sound:
    """Decode one recording; an error becomes a part of the answer."""
    try:
        recording = decode(path)
    except (AudioError, MissingExtraError) as error:
        return Sound(path, error=str(error).removeprefix(f"{printable(str(path))}: "))
    waveform = recording.waveform
    return Sound(
        path=path,
        digest=digest_of_sound(waveform, recording.sample_rate_hz),
        duration_s=recording.duration_s,
        peak=float(np.abs(waveform).max()),
        n_channels=recording.n_channels,
        ends_early=recording.encoding.startswith("OGG") and not _ogg_has_an_end(path),
    )


def examine_all(paths: Sequence[Path], on_progress: OnProgress = lambda *_: None) -> Iterator[Sound]:
    """Decode recordings in parallel and yield them in order; decoders release the interpreter, so threads do."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for number, sound in enumerate(pool.map(examine, paths), 1):
            on_progress(number, len(paths))
            yield sound
    finally:
        pool.shutdown(cancel_futures=True)  # who stops listening doesn't wait for the rest


def _ogg_has_an_end(path: Path) -> bool:
    """Whether the last page of an Ogg file is marked as the stream's last."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _LONGEST_OGG_PAGE, 0))
        tail = file.read()
    place = tail.rfind(b"OggS")
    return place >= 0 and len(tail) > place + 5 and bool(tail[place + 5] & _LAST_PAGE)


MANY_MISSING = 1_000  # above this a copy is a part of its corpus, and one finding says so instead of thousands


@dataclass(frozen=True)
class Finding:
    """One thing about a copy that a user of it should know.

    Attributes
    ----------
    kind : missing, unexpected, same name, unreadable, cut, short, silent, same audio, stereo, label file,
        no label or counts
    files : relative to the corpus' folder; for "missing" the ids, none where there are very many
    known : true of the corpus as its authors published it, so no fault of this copy
    """

    kind: str
    files: tuple[str, ...]
    detail: str
    known: bool = False


@dataclass(frozen=True)
class CorpusReport:
    """The report of `check_corpus`.

    Attributes
    ----------
    hours : sum of what could be decoded
    class_counts : canonical emotion → rows; ``expected_`` fields are the published numbers
    has_list : whether the names of all published utterances are known, so that each can be looked for
    n_missing : published utterances that are not here; without a list, by their number alone
    """

    corpus: str
    title: str
    licence: str
    root: str
    n_recordings: int
    n_utterances: int
    expected_n_utterances: int
    n_speakers: int
    expected_n_speakers: int
    hours: float
    class_counts: Mapping[str, int]
    expected_class_counts: Mapping[str, int]
    has_list: bool
    n_missing: int
    findings: Sequence[Finding]

    @property
    def as_published(self) -> bool | None:
        """False when something is wrong; None when nothing is, but no list of names tells whether all is right."""
        return False if self.problems else True if self.has_list else None

    @property
    def verdict(self) -> str:
        """Return the verdict in a sentence or two: is this copy as published?"""
        if self.as_published:
            return "As published."
        problems = f" {counted(len(self.problems), 'problem')}." if self.problems else ""
        missing = f"{self.n_missing:,} of {self.expected_n_utterances:,} utterances are missing"
        if self.has_list:
            return f"Not as published{f': {missing}' if self.n_missing else ''}.{problems}"
        here = f"{self.n_utterances:,} of {self.expected_n_utterances:,} utterances are here"
        return f"No published list of names to compare with: {here}.{problems}"

    @property
    def problems(self) -> list[Finding]:
        """The findings that are not true of the published corpus."""
        return [finding for finding in self.findings if not finding.known]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"as_published": self.as_published, "verdict": self.verdict}


def check_corpus(name: str, root: Path, on_progress: OnProgress = lambda *_: None) -> CorpusReport:
    """Read every label and decode every recording of one corpus.

    A cut recording shows when its container ends early, when decoding fails, or when it is shorter than any that was
    published; one that was shortened less and saved anew can't be told from a short one.

    Raises `CorpusError` when ``root`` holds nothing of this corpus.
    """
    corpus = corpus_called(name)
    paths = corpus.found(root)
    rows, unexpected = _parsed(paths, corpus.parser(root))
    if not rows:
        raise CorpusError(
            f"None of {len(paths)} recordings under {root} is of {corpus.title}. {next(iter(unexpected.values()))}"
        )
    sounds = {sound.path: sound for sound in examine_all(paths, on_progress)}
    published = corpus.published(root)
    findings = [
        *_names(corpus, root, rows, published, unexpected),
        *_sound(corpus, root, sounds.values(), rows),
        *_same_audio(corpus, root, sounds.values(), rows),
        *_labels(corpus, root, rows),
        *_numbers(corpus, rows, published),
    ]
    return CorpusReport(
        corpus=name,
        title=corpus.title,
        licence=corpus.licence,
        root=str(root),
        n_recordings=len(paths),
        n_utterances=len({row.utterance_id for row in rows}),
        expected_n_utterances=corpus.n_utterances,
        n_speakers=len({row.speaker for row in rows}),
        expected_n_speakers=corpus.n_speakers,
        hours=sum(sound.duration_s for sound in sounds.values()) / 3600,
        class_counts=_counts(rows),
        expected_class_counts=corpus.class_counts,
        has_list=published is not None,
        n_missing=_n_missing(corpus, rows, published),
        findings=findings,
    )


def _parsed(paths: Iterable[Path], parse: Parser) -> tuple[list[Utterance], dict[Path, str]]:
    """Parse paths to utterances; the others are returned with the reason."""
    rows, errors = [], {}
    for path in paths:
        try:
            rows.append(parse(path))
        except CorpusError as error:
            errors[path] = str(error)
    return rows, errors


def _counts(rows: Sequence[Utterance]) -> dict[str, int]:
    return dict(sorted(Counter(row.emotion for row in {row.utterance_id: row for row in rows}.values()).items()))


def _names(
    corpus: Corpus,
    root: Path,
    rows: Sequence[Utterance],
    published: Sequence[str] | None,
    unexpected: Mapping[Path, str],
) -> Iterable[Finding]:
    by_id = defaultdict(list)
    for row in rows:
        by_id[row.utterance_id].append(row.path)
    missing = [utterance_id for utterance_id in published or () if utterance_id not in by_id]
    if len(missing) > MANY_MISSING:
        yield Finding("missing", (), f"{len(missing)} published utterances are not here: this is a part of the corpus")
    else:
        yield from (Finding("missing", (utterance_id,), "published, but not here") for utterance_id in missing)
    for path, why in sorted(unexpected.items()):
        yield Finding("unexpected", (_relative(path, root),), why.removeprefix(f"{printable(str(path))}: "))
    listed = set(by_id if published is None or corpus.lists_one_of_several else published)
    for utterance_id, paths in by_id.items():
        if utterance_id not in listed:
            yield Finding("unexpected", _relatives(paths, root), "not one of the published names")
        if len(paths) > 1:
            yield Finding("same name", _relatives(paths, root), f"all are {utterance_id}; keep one")


def _sound(corpus: Corpus, root: Path, sounds: Iterable[Sound], rows: Sequence[Utterance]) -> Iterable[Finding]:
    ids = {row.path: row.utterance_id for row in rows}
    for sound in sounds:
        files = (_relative(sound.path, root),)
        if sound.error:
            yield Finding("unreadable", files, sound.error)
            continue
        if sound.ends_early:
            yield Finding("cut", files, "the stream has no end: the file was cut")
        elif sound.duration_s < corpus.shortest_s:
            detail = f"{sound.duration_s:.2f} s, no published one is below {corpus.shortest_s:g} s"
            yield Finding("short", files, detail)
        if sound.peak < SILENT_PEAK:
            known = corpus.unusable.get(ids.get(sound.path, "")) == SILENT
            yield Finding("silent", files, f"its peak is {sound.peak:.1g}", known)
        if sound.n_channels > 1:
            yield Finding("stereo", files, f"{sound.n_channels} channels; they are averaged", known=True)


def _same_audio(corpus: Corpus, root: Path, sounds: Iterable[Sound], rows: Sequence[Utterance]) -> Iterable[Finding]:
    by_path = {row.path: row for row in rows}
    for paths in _sounding_alike(sounds):
        same = [by_path[path] for path in paths if path in by_path]
        emotions = sorted({row.emotion for row in same})
        verdict = f"labels contradict: {', '.join(emotions)}" if len(emotions) > 1 else "labels agree"
        if len(same) < len(paths):
            verdict = "not all of them are of this corpus"
        known = len(same) == len(paths) and _stated(corpus, same)
        yield Finding("same audio", _relatives(paths, root), verdict, known)


def _sounding_alike(sounds: Iterable[Sound]) -> list[list[Path]]:
    """Return the recordings that have the same samples; silence, and what can't be read, is like nothing."""
    by_digest = defaultdict[str, list[Path]](list)
    for sound in sounds:
        if not sound.error and sound.peak >= SILENT_PEAK:
            by_digest[sound.digest].append(sound.path)
    return [paths for paths in by_digest.values() if len(paths) > 1]


def _stated(corpus: Corpus, same: Sequence[Utterance]) -> bool:
    """Whether the reader says of these rows that they share their audio: as unusable, or as one group."""
    pair = len({row.utterance_id for row in same}) == len(same) == 2
    unusable = all(corpus.unusable.get(row.utterance_id) not in (None, SILENT) for row in same)
    return pair and (unusable or (same[0].group == same[1].group != "" and corpus.groups_share_audio))


def _labels(corpus: Corpus, root: Path, rows: Sequence[Utterance]) -> Iterable[Finding]:
    for name in corpus.label_files:
        if not (root / name).is_file():
            yield Finding("label file", (name,), "not here; what it says about the recordings is unknown")
    unlabelled = [row.path for row in rows if not row.native_emotion]
    if unlabelled:
        detail = "the corpus says nothing about their emotion; they are read as other"
        yield Finding("no label", _relatives(unlabelled, root), detail, known=True)


def _numbers(corpus: Corpus, rows: Sequence[Utterance], published: Sequence[str] | None) -> Iterable[Finding]:
    """Findings from published numbers beyond the list of names, whose differences are reported already."""
    if published is not None:
        if unlisted := _n_unlisted(corpus, published):
            detail = f"{unlisted} published utterances are in no list that is here: this is a part of the corpus"
            yield Finding("counts", (), detail)
        return
    counts = _counts(rows)
    for emotion, expected in corpus.class_counts.items():
        if counts.get(emotion, 0) != expected:
            yield Finding("counts", (), f"{counts.get(emotion, 0)} {emotion}, published are {expected}")
    n_here = sum(counts.values())
    if not corpus.class_counts and n_here != corpus.n_utterances:
        yield Finding("counts", (), f"{counted(n_here, 'utterance')}, published are {corpus.n_utterances}")


def _n_missing(corpus: Corpus, rows: Sequence[Utterance], published: Sequence[str] | None) -> int:
    """Count the published utterances that are not here: by name, and by number where names end."""
    here = {row.utterance_id for row in rows}
    if published is None:
        return max(corpus.n_utterances - len(here), 0)
    return sum(name not in here for name in published) + _n_unlisted(corpus, published)


def _n_unlisted(corpus: Corpus, published: Sequence[str]) -> int:
    """Count the utterances that a list lacks that was made of the copy's own label files (IEMOCAP) or names (TESS)."""
    return 0 if corpus.lists_one_of_several else max(corpus.n_utterances - len(published), 0)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _relatives(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    return tuple(_relative(path, root) for path in sorted(paths))


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


def check_own(data: OwnData, on_progress: OnProgress = lambda *_: None) -> OwnReport:
    """Decode every recording and look at labels and speakers."""
    paths = list(dict.fromkeys(row.path for row in data.utterances))
    sounds = list(examine_all(paths, on_progress))
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
            *_unfit(sounds),
            *_beyond(sounds, data.utterances),
            *_same_sound(sounds, data.utterances),
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


def _unfit(sounds: Iterable[Sound]) -> Iterable[Finding]:
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


def _same_sound(sounds: Iterable[Sound], rows: Sequence[Utterance]) -> Iterable[Finding]:
    of_path = defaultdict[Path, list[Utterance]](list)
    for row in rows:
        of_path[row.path].append(row)
    for paths in _sounding_alike(sounds):
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
