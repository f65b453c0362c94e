"""Learning from labels by hand, in the background: from what, and what is said of the model that came of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

import earnest
from earnest.apps.desktop.analysis import Background
from earnest.apps.desktop.annotations import Parts
from earnest.apps.desktop.preferences import Preferences
from earnest.apps.desktop.texts import localised, tr, word
from earnest.audio.deadline import Deadline, until
from earnest.corpora.annotations import utterances_of
from earnest.corpora.manifest import write_manifest
from earnest.errors import EarnestError, in_percent, printable

if TYPE_CHECKING:
    from earnest.own.bundle import Learned

UNTOLD = "learned"  # setting: what the next window says


class Learning(QObject):
    """One model at a time; of one that is ready after its window was closed, the next window tells.

    Signals
    -------
    learned : folder of a new bundle, and what is to be said of it
    failed : why there is none
    """

    learned = Signal(str, str)
    failed = Signal(str)

    def __init__(self, background: Background, preferences: Preferences, parent: QObject) -> None:
        super().__init__(parent)
        self._background, self._preferences = background, preferences
        self._untold = ""
        self.is_on = False

    def begin(self, annotated: Mapping[str, Parts]) -> None:
        """Learn from the parts that were labelled by hand; may take minutes."""
        folder = self._preferences.folder / "models"
        self.is_on = True

        def work() -> "Learned":
            found = learn_from(annotated, folder)
            self._untold = about_learned(found, annotated)
            return found

        self._background.run(work, self._take, self._fail)

    def close(self) -> None:
        """Keep the news of a model that nobody was told of, once the threads have ended."""
        if self._untold:
            not_yet = tr("It does not answer yet: choose it in the tab Model, with “Other bundle …”.")
            self._preferences.set_text(UNTOLD, f"{self._untold}\n{not_yet}")
            self._preferences.save()

    def told_late(self) -> str:
        """Return the news that the window before could not tell, once; "" for none."""
        said = self._preferences.text(UNTOLD)
        self._preferences.set_text(UNTOLD, "")
        return said

    def _take(self, found: "Learned") -> None:
        said, self._untold, self.is_on = self._untold, "", False
        self.learned.emit(str(found.path), said)

    def _fail(self, why: str) -> None:
        self.is_on = False
        self.failed.emit(why)


def learn_from(annotated: Mapping[str, Parts], folder: Path) -> "Learned":
    """Learn a bundle from the parts that were labelled by hand, all of them, also where the window is closed meanwhile.

    Raises `EarnestError` when there is too little to learn from, or it can't be written.
    """
    rows = utterances_of(annotated)
    emotions = {row.native_emotion for row in rows}
    if len(emotions) < 2:
        raise EarnestError(
            tr("To learn, correct or confirm parts of two or more emotions. So far: {count}.").format(
                count=len(emotions)
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "corrections.csv"
    write_manifest(rows, manifest)
    with until(Deadline()):  # never
        return earnest.learn(manifest, _free(folder / "my-model"), jobs=2)


def _free(path: Path) -> Path:
    """Return a name that nothing has."""
    names = (path.with_name(f"{path.name}-{number}") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())


def about_learned(learned: "Learned", annotated: Mapping[str, Parts]) -> str:
    """Describe a learnt model: data, scores, and what it left out; the reasons are the library's, in English."""
    lines = [
        tr(
            "{model} has learnt from {count} labels. Tested on labels that it had not learnt from, it named {share} of "
            "them right; its card, in the tab Model, tells more. It is in {path}."
        ).format(
            model=printable(learned.name),
            count=learned.n,
            share=localised(f"{in_percent(learned.wa)}%"),
            path=printable(str(learned.path)),
        )
    ]
    if learned.refused:
        reasons = "; ".join(dict.fromkeys(printable(one.kind) for one in learned.refused))
        lines.append(tr("Left out: {count} ({reasons}).").format(count=learned.n_refused, reasons=reasons))
    named = sorted({row.native_emotion for row in utterances_of(annotated)} - {one.name for one in learned.classes})
    if named:
        words = ", ".join(word(printable(name)) for name in named)
        lines.append(tr("It never says what has too few labels: {words}.").format(words=words))
    return "\n".join(lines)
