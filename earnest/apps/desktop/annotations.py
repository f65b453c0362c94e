"""Labels by hand: each recording's parts, undo and redo, a journal that a kill can't empty; learning from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

import earnest
from earnest.apps.desktop.background import reason
from earnest.apps.desktop.texts import tr
from earnest.corpora.annotations import Annotation, AnnotationJournal, utterances_of
from earnest.corpora.manifest import write_manifest
from earnest.errors import EarnestError
from earnest.runtime.events import Span
from earnest.runtime.timeline import Timeline

Parts = tuple[Annotation, ...]


class Annotations(QObject):
    """The parts of each recording that somebody touched; every change is in the journal before anything else happens.

    Signals
    -------
    changed : path of the recording
    failed : why the journal can't be written
    """

    changed = Signal(str)
    failed = Signal(str)

    def __init__(self, journal: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self._journal = AnnotationJournal(journal)
        self._parts: dict[str, Parts] = {}

    def recover(self) -> None:
        """Read what earlier windows left.

        Raises
        ------
        EarnestError
            When the journal is damaged.
        """
        self._parts = self._journal.read()

    @property
    def by_recording(self) -> Mapping[str, Parts]:
        """Path → parts, of the recordings that somebody touched."""
        return self._parts

    def of(self, path: str, timeline: Timeline | None, speakers: Sequence[str] = ()) -> Parts:
        """Return the parts of a recording: as they were left, else as the model hears them."""
        if path in self._parts:
            return self._parts[path]
        entries = timeline.entries() if timeline else []
        names = speakers if len(speakers) == len(entries) else [""] * len(entries)
        return tuple(
            Annotation(one.start_s, one.end_s, one.emotion, name) for one, name in zip(entries, names, strict=True)
        )

    def change(self, path: str, before: Parts, after: Parts, what: str) -> None:
        """Do something that can be undone."""
        if before != after:
            kept = before if path in self._parts else None
            self.undo_stack.push(_Change(self._set, path, kept, after, what))

    def _set(self, path: str, parts: Parts | None) -> None:
        if parts is None:
            self._parts.pop(path, None)
        else:
            self._parts[path] = parts
        try:
            self._journal.write(path, parts)
        except Exception as error:  # a full disk: the change is there, and the user is told that it is not safe
            self.failed.emit(tr("This correction is not saved: {why}").format(why=reason(error)))
        self.changed.emit(path)


class _Change(QUndoCommand):
    """One recording's parts, before (None where nobody had touched it) and after."""

    def __init__(
        self, put: Callable[[str, Parts | None], None], path: str, before: Parts | None, after: Parts, what: str
    ) -> None:
        super().__init__(what)
        self._put, self._path, self._before, self._after = put, path, before, after

    def redo(self) -> None:
        self._put(self._path, self._after)

    def undo(self) -> None:
        self._put(self._path, self._before)


def relabelled(parts: Parts, rows: Sequence[int], emotion: str) -> Parts:
    """Return the parts with another emotion in some of them; the same word confirms it."""
    return tuple(replace(one, emotion=emotion, by_hand=True) if row in rows else one for row, one in enumerate(parts))


def spoken_by(parts: Parts, rows: Sequence[int], speaker: str) -> Parts:
    """Return the parts with another speaker in some of them."""
    return tuple(replace(one, speaker=speaker) if row in rows else one for row, one in enumerate(parts))


def without(parts: Parts, rows: Sequence[int]) -> Parts:
    """Return the parts without some of them."""
    return tuple(one for row, one in enumerate(parts) if row not in rows)


def with_part(parts: Parts, new: Annotation) -> Parts:
    """Return the parts with another one; what lies under it is cut away, for parts don't overlap."""
    kept = []
    for one in parts:
        if one.end_s <= new.start_s or one.start_s >= new.end_s:
            kept.append(one)
            continue
        if one.start_s < new.start_s:
            kept.append(replace(one, end_s=new.start_s))
        if one.end_s > new.end_s:
            kept.append(replace(one, start_s=new.end_s))
    return tuple(sorted([*kept, new], key=lambda one: one.start_s))


def annotated_timeline(timeline: Timeline, parts: Parts) -> Timeline:
    """Return a timeline whose spans are those of a person; a label by hand has confidence 1."""
    heard = {(span.start_s, span.end_s): span for span in timeline.entries()}
    spans = []
    for one in parts:
        found = heard.get((one.start_s, one.end_s))
        same = found is not None and found.emotion == one.emotion and not one.by_hand
        spans.append(Span(one.start_s, one.end_s, one.emotion, found.confidence if found and same else 1.0))
    prediction = replace(timeline.prediction, vocal_bursts=())  # they are among the parts
    speakers = tuple(one.speaker for one in parts)
    return replace(timeline, prediction=prediction, spans=tuple(spans), speakers=speakers if any(speakers) else ())


def learn_from(annotated: Mapping[str, Parts], folder: Path) -> Path:
    """Learn from the parts that were labelled by hand; return the folder of the new bundle. May take minutes.

    Raises
    ------
    EarnestError
        When there is too little to learn from, or it can't be written.
    """
    rows = utterances_of(annotated, by_hand_only=True)
    emotions = {row.emotion for row in rows}
    if len(emotions) < 2:
        raise EarnestError(
            tr("To learn, correct or confirm parts of two or more emotions. So far: {count}.").format(
                count=len(emotions)
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "corrections.csv"
    write_manifest(rows, manifest)
    return earnest.learn(manifest, _free(folder / "my-model"), jobs=2).path


def _free(path: Path) -> Path:
    """Return a name that nothing has."""
    names = (path.with_name(f"{path.name}-{number}") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())
