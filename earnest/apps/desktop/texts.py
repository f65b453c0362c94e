"""Every text that people read, through Qt's translation: English in the code, other languages in ``translations/``.

``scripts/desktop_texts.py`` gathers the texts into ``translations/de.ts`` and compiles it. What comes from files,
bundles and other people is plain text: never read as markup, and it loads nothing.
"""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, Qt, QTranslator
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QTextBrowser

from earnest.labels import EMOTIONS, UNSURE
from earnest.runtime.timeline_plot import clock

FOLDER = Path(__file__).parent / "translations"
LANGUAGES: Mapping[str, str] = {"system": "", "en": "English", "de": "Deutsch"}
TEXTS, WORDS = "earnest", "words"  # contexts of the translation
STATUSES = ("ok", UNSURE, "mixed", "vocal-burst", "no-speech", "too-short", "error", "waiting", "hearing", "cancelled")
QUALITIES = (
    *("clipped", "low-bandwidth", "noisy", "too-quiet", "separate-channels", "other-tracks"),
    *("overlapped-speech", "out-of-domain"),
)
BURSTS = ("(laughter)", "(crying)", "(scream)", "(sigh)", "(other)")
SAID = (*EMOTIONS, *STATUSES, *QUALITIES, *BURSTS)


def tr(text: str) -> str:
    """Return a text in the language of the window; names in braces are left for `str.format`."""
    return QCoreApplication.translate(TEXTS, text)


def word(name: str) -> str:
    """Return an emotion, a status, a quality word or a vocal burst as it is said; one of somebody's own stays."""
    return QCoreApplication.translate(WORDS, name) if name in SAID else name


def localised(number: str) -> str:
    """Return a number and its unit as the language of the window writes them: "7.5 s", "> 95%"; "7,5 s", "> 95 %"."""
    return number.replace(".", QLocale().decimalPoint()).replace("%", tr("%"))


def moment(seconds: float, longest_s: float) -> str:
    """Return a time to a hundredth, as long as the longest one needs: 7.50 s, 1:07.50, 2:03:07.50."""
    if longest_s < 60:
        return localised(f"{seconds:.2f} s")
    whole, hundredths = divmod(round(100 * seconds), 100)
    return localised(f"{clock(whole, longest_s)}.{hundredths:02d}")


def explained(error: str) -> str:
    """Return an error of the library, whose words are English; in another language after a sentence of the window's."""
    if QLocale().language() == QLocale.Language.English:
        return error
    said = {
        "no such file": tr("There is no such file."),
        "empty|no bytes|has a header, but no sound": tr("The file is empty."),
        "has no sound track": tr("There is no sound in the file."),
        r"its \d+ channels cancel": tr("Its channels cancel each other."),
        "several recordings in one": tr("The file holds several recordings."),
        "longer than|holds more sound|its header promises .* are decoded": tr("The recording is too long."),
        "not a recording|no sound but|a ZIP|a WAV file of|[A-Z0-9]+ files are not": tr("This is no recording."),
        "cut off|damaged|its header was never": tr("The file is damaged or cut off."),
        "not readable": tr("The file can't be opened."),
        "sound in .* needs more packages": tr("This kind of file needs more packages."),
        "is being written by|is locked by": tr("Another window or program writes there."),
        "the disk is full": tr("The disk is full."),
        "not writable": tr("This place can't be written to."),
        "There is no bundle": tr("There is no such model."),
        "The model .* can't adapt": tr("This model can't adapt to a speaker."),
        "made with the model|its classes are": tr("This profile is of another model."),
        "The microphone stopped": tr("The microphone stopped."),
        "The microphone can't be opened": tr("The microphone can't be opened."),
        "not stated": tr("It is not stated."),
        r"A folder is a link|\d+ folders are links": tr("Links to folders are not followed."),
        r"\d+ files? without a header": tr("Files without a header can't be read."),
        r"\d+ recordings? left out": tr("Recordings that are hidden or in folders of programs are left out."),
    }
    sentence = next((told for begin, told in said.items() if re.search(f"(^|: )({begin})", error)), "")
    return f"{sentence} ({error})" if sentence else error


def install(language: str) -> None:
    """Translate what is told from now on; "system" is the system's language, English where there is no translation.

    Numbers, those of Qt's own fields too, are written as in that language.
    """
    application = QCoreApplication.instance()
    chosen = QLocale.system().name()[:2] if language == "system" else language
    path = FOLDER / f"{chosen}.qm"
    QLocale.setDefault(QLocale(chosen if path.exists() else "en"))
    if application is None:
        return
    for earlier in application.findChildren(QTranslator):
        application.removeTranslator(earlier)
        earlier.setParent(None)
    if not path.exists():
        return
    translator = QTranslator(application)
    translator.load(str(path))
    application.installTranslator(translator)
    of_qt = QTranslator(application)  # "Close", "Cancel" and other words of Qt's own
    if of_qt.load(f"qtbase_{chosen}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        application.installTranslator(of_qt)


class PlainLabel(QLabel):
    """A label that shows its text as it is; a name may stand there in place of markup."""

    def __init__(self, text: str = "", name: str = "", wraps: bool = False) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        if name:
            self.setAccessibleName(name)


class ElidedLabel(PlainLabel):
    """A label that takes the room there is; what doesn't fit is in its tip."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.full = ""

    def show_text(self, text: str) -> None:
        """Show a text, or as much of it as fits."""
        self.full = text
        self.setToolTip(tip(text) if text else "")
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fit the text into the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self.full, Qt.TextElideMode.ElideRight, self.width()))


class CardBrowser(QTextBrowser):
    """Markdown of somebody's bundle; pictures and links in it are not followed."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)

    def loadResource(self, kind: int, name: Any) -> Any:  # noqa: N802
        """Load nothing."""
        return None


def tip(text: str) -> str:
    """Return a tool tip that shows a text as it is."""
    return f"<qt>{escape(text)}</qt>"
