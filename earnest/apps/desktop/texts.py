"""Every text that people read, through Qt's translation: English in the code, other languages in ``translations/``.

``scripts/desktop_texts.py`` gathers the texts into ``translations/de.ts`` and compiles it.
"""

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from earnest.labels import EMOTIONS
from earnest.runtime.smoothing import UNSURE

FOLDER = Path(__file__).parent / "translations"
LANGUAGES: Mapping[str, str] = {"system": "", "en": "English", "de": "Deutsch"}
TEXTS, WORDS = "earnest", "words"  # contexts of the translation
STATUSES = ("ok", UNSURE, "mixed", "vocal-burst", "no-speech", "too-short", "error", "waiting", "hearing", "cancelled")
QUALITIES = ("clipped", "low-bandwidth", "noisy", "out-of-domain")
BURSTS = ("(laughter)", "(crying)", "(scream)", "(sigh)", "(other)")
SAID = (*EMOTIONS, *STATUSES, *QUALITIES, *BURSTS)


def tr(text: str) -> str:
    """Return a text in the language of the window; names in braces are left for `str.format`."""
    return QCoreApplication.translate(TEXTS, text)


def word(name: str) -> str:
    """Return an emotion, a status, a quality word or a vocal burst as it is said; one of somebody's own stays."""
    return QCoreApplication.translate(WORDS, name) if name in SAID else name


def install(language: str) -> QTranslator | None:
    """Translate what is told from now on; "system" is the system's language, English where there is no translation."""
    application = QCoreApplication.instance()
    chosen = QLocale.system().name()[:2] if language == "system" else language
    path = FOLDER / f"{chosen}.qm"
    if application is None or not path.exists():
        return None
    translator = QTranslator(application)
    translator.load(str(path))
    application.installTranslator(translator)
    of_qt = QTranslator(application)  # "Close", "Cancel" and other words of Qt's own
    if of_qt.load(f"qtbase_{chosen}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        application.installTranslator(of_qt)
    return translator
