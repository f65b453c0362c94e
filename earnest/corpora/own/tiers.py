"""Labels of parts of recordings, from the tiers of annotation programs beside them."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from earnest.audio.source import is_file
from earnest.corpora.folders import RecordingFinder
from earnest.corpora.own.data import FoundLayout, FoundRecording
from earnest.corpora.own.tables import LABEL, SPEAKER, guessed_name
from earnest.corpora.tiers import AnnotationFile, TierEntry
from earnest.errors import CorpusError, counted, named, printable, shown, suggestion
from earnest.labels import UNSURE

LAYOUT = "annotations beside recordings"


def labels_of(
    files: Sequence[AnnotationFile], source: Path, label_tier: str | None, speaker_tier: str | None, base: Path
) -> FoundLayout:
    """Return the parts of recordings that annotations label.

    Raises `CorpusError` when a tier that is named is not there, or none looks like the label.

    Parameters
    ----------
    label_tier, speaker_tier : names of tiers; None for the one that is called like a label ("emotion"), or the only
        one, and the one that is called like a speaker
    base : where paths start
    """
    counts = Counter(tier.name for one in files for tier in one.tiers if tier.is_used)
    speaker = _named(counts, speaker_tier, source) or guessed_name([*counts], SPEAKER)
    others = [name for name in counts if name != speaker]
    label = _named(counts, label_tier, source) or guessed_name(others, LABEL)
    if label is None and len(others) == 1:
        (label,) = others
    if label is None:
        tiers = named([printable(name) for name in counts]) or "none with a text"
        raise CorpusError(f"{source}: which tier is the label? Say --label-column NAME. There are {tiers}.")
    finder, found, n_without = RecordingFinder(), list[FoundRecording](), 0
    annotated = defaultdict[Path, list[str]](list)
    for one in files:
        path = _recording_of(one, finder)
        annotated[path].append(one.path.name)
        speakers = [tier.entries for tier in one.tiers if tier.name == speaker]
        for tier in (tier for tier in one.tiers if tier.name == label):
            for entry in tier.entries:
                if not entry.text or entry.text == UNSURE or entry.text.startswith("("):
                    n_without += bool(entry.text)  # such as "(laughter)", as `earnest timeline` writes it
                    continue
                times = {"start_s": repr(entry.start_s), "end_s": repr(entry.end_s)}
                who = _text_at(speakers[0], (entry.start_s + entry.end_s) / 2) if speakers else tier.speaker
                where = f"{one.path}: {shown(label)} at {entry.start_s:g} s"
                written = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
                found.append(FoundRecording(written, entry.text, where, who, "", times))
    notes = [f"{counted(n_without, 'part')} without an emotion left out (unsure, vocal bursts)."] if n_without else []
    twice = {path: names for path, names in annotated.items() if len(names) > 1}
    for path, names in [*twice.items()][:1]:
        several = f"{counted(len(twice), 'recording')} annotated in several files, such as {printable(path.name)}"
        notes.append(f"{several} in {named([printable(name) for name in names])}: the parts of all are taken.")
    knows = speaker is not None or any(one.speaker for one in found)
    speaker_from = f"tier {shown(speaker)}" if speaker else "whose tier it is"
    return FoundLayout(LAYOUT, found, base, f"tier {shown(label)}", speaker_from if knows else "", notes)


def _named(names: Iterable[str], declared: str | None, source: Path) -> str | None:
    if declared is None or declared in names:
        return declared
    raise CorpusError(f"{source}: no tier {shown(declared)}.{suggestion(declared, names)}")


def _text_at(entries: Sequence[TierEntry], moment_s: float) -> str:
    place = bisect_right(entries, moment_s, key=lambda entry: entry.start_s) - 1
    return entries[place].text if place >= 0 and moment_s <= entries[place].end_s else ""


def _recording_of(annotation: AnnotationFile, finder: RecordingFinder) -> Path:
    """Return the recording that a file names, or the one of its own name; where there is none, what it would be."""
    folder, stem = annotation.path.parent, annotation.path.stem
    for name in annotation.media:
        for path in (folder / name, folder / Path(name).name):
            if is_file(path):
                return path
    missing = Path(annotation.media[0]).name if annotation.media else f"{stem}.wav"
    return next(iter(finder.called(folder, stem)), folder / missing)
