"""Menus and keys: everything that the mouse does has an entry, most have a key; and what "About" tells.

That is what the application is made of, and under which licences: of a folder without Python, where the texts lie.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence, QShortcut, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QMainWindow, QMenu, QVBoxLayout, QWidget

from earnest.apps.desktop.export import TIMELINES
from earnest.apps.desktop.fields import RowsTable, arranged
from earnest.apps.desktop.texts import LANGUAGES, tr
from earnest.errors import printable

if TYPE_CHECKING:
    from earnest.apps.desktop.window import DesktopWindow

PARTS = (
    "earnest", "PySide6_Essentials", "shiboken6", "pyqtgraph", "sounddevice", "numpy", "onnxruntime", "soundfile",
    "soxr", "pillow", "click", "rich",
)  # fmt: skip


def licences() -> str:
    """Return a line for each part, and where the licences' texts are."""
    folder = getattr(sys, "_MEIPASS", None)  # of PyInstaller
    if folder is not None:
        place = Path(folder) / "licences"
        names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        return "\n".join([tr("The texts are in {place}:").format(place=printable(str(place))), "", *names])
    found = []
    for name in PARTS:
        try:
            found.append(distribution(name))
        except PackageNotFoundError:
            continue
    lines = [f"{one.name} {one.version}: {licence_of(one)}" for one in found]
    return "\n".join([*lines, "", tr("Each package has the text in its .dist-info folder.")])


def licence_of(package: Distribution) -> str:
    """Return a package's licence in a few words, as its makers declare it."""
    facts = package.metadata
    declared = [str(facts[name]).strip() for name in ("License-Expression", "License") if name in facts]
    short = [text for text in declared if text and len(text) < 80 and "\n" not in text]  # others are the whole text
    if short:
        return short[0]
    kinds = [str(line) for line in facts.get_all("Classifier") or () if str(line).startswith("License ::")]
    return ", ".join(line.rpartition(" :: ")[2] for line in kinds) or tr("see its folder")


@dataclass(frozen=True)
class Item:
    """One entry of a menu; ``keys`` as Qt writes them, "" for none."""

    text: str
    what: Callable[[], object]
    keys: str = ""


def fill(menu: QMenu, *items: Item | None) -> list[QAction]:
    """Add entries to a menu; None is a line between them."""
    actions = []
    for item in items:
        if item is None:
            menu.addSeparator()
            continue
        action = QAction(item.text, menu)
        action.triggered.connect(lambda _=False, what=item.what: what())
        if item.keys:
            action.setShortcuts([QKeySequence(keys) for keys in item.keys.split("|")])
        menu.addAction(action)
        actions.append(action)
    return actions


def choices(menu: QMenu, offered: dict[str, str], current: str, chosen: Callable[[str], object]) -> None:
    """Add entries of which one is chosen."""
    group = QActionGroup(menu)
    for name, text in offered.items():
        action = QAction(text, menu, checkable=True)
        action.setChecked(name == current)
        action.triggered.connect(lambda _=False, name=name: chosen(name))
        group.addAction(action)
        menu.addAction(action)


def keys_of(widget: QWidget, pairs: dict[str, Callable[[], object]]) -> None:
    """Give a widget, and those inside it, keys that hold only there."""
    for keys, what in pairs.items():
        shortcut = QShortcut(QKeySequence(keys), widget)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(lambda what=what: what())


def fill_menus(window: "DesktopWindow") -> list[QAction]:
    """Fill the window's menu bar; return the entries that name emotions, whose texts are the model's classes."""
    bar = window.menuBar()
    _fill_file(bar.addMenu(tr("&File")), window)
    _fill_edit(bar.addMenu(tr("&Edit")), window)
    _fill_look(bar.addMenu(tr("&View")), window)
    _fill_sound(bar.addMenu(tr("S&ound")), window)
    label_actions = _fill_labels(bar.addMenu(tr("A&nnotate")), window)
    fill(bar.addMenu(tr("&Help")), Item(tr("&Keys"), window.show_keys, "F1"), Item(tr("&About"), window.show_about))
    _give_keys(window)
    return label_actions


def _fill_file(file: QMenu, window: "DesktopWindow") -> None:
    fill(
        file,
        Item(tr("&Open recordings …"), window.ask_files, "Ctrl+O"),
        Item(tr("Open &folder …"), window.ask_folder, "Ctrl+Shift+O"),
        Item(tr("&Paste"), window.paste, "Ctrl+V"),
        Item(tr("Speakers from a transcript …"), window.ask_turns),
        Item(tr("Profile of the chosen files' speaker …"), window.ask_profile),
    )
    file.addMenu(window.recent)
    window.recent.aboutToShow.connect(window.fill_recent)
    fill(file, None, Item(tr("Export &answers as a table …"), window.ask_rows, "Ctrl+E"))
    timelines = file.addMenu(tr("Export &timelines"))
    fill(timelines, *(Item(form, partial(window.ask_timelines, form)) for form in TIMELINES))
    fill(
        file,
        Item(tr("Save pict&ure …"), window.ask_picture),
        Item(tr("Save each &channel as a file …"), window.ask_channels),
        None,
        Item(tr("&Quit"), window.close, "Ctrl+Q"),
    )


def _fill_edit(edit: QMenu, window: "DesktopWindow") -> None:
    undo = window.annotations.undo_stack.createUndoAction(window, tr("Undo"))
    redo = window.annotations.undo_stack.createRedoAction(window, tr("Redo"))
    undo.setShortcut("Ctrl+Z")
    redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
    edit.addActions([undo, redo])
    fill(
        edit,
        None,
        Item(tr("&Search"), window.search, "Ctrl+F"),
        Item(tr("Answer &again"), window.files.retry, "F5"),
        Item(tr("&Cancel the work"), window.files.cancel, "Ctrl+."),
        Item(tr("&Remove from the table"), window.files.remove_chosen, "Ctrl+Del"),
        Item(tr("&Next file"), lambda: window.files.step(1), "Alt+Down"),
        Item(tr("&Previous file"), lambda: window.files.step(-1), "Alt+Up"),
    )


def _fill_look(look: QMenu, window: "DesktopWindow") -> None:
    views = window.recording.views
    fill(
        look,
        Item(tr("Zoom &in"), lambda: views.zoom(0.5), "Ctrl++|Ctrl+="),
        Item(tr("Zoom &out"), lambda: views.zoom(2), "Ctrl+-"),
        Item(tr("Show &all"), views.fit, "Ctrl+0"),
        Item(tr("Show the &selection"), views.show_selection, "Ctrl+J"),
        Item(tr("Select &nothing"), lambda: views.select(0, 0), "Esc"),
        None,
    )
    schemes = {"system": tr("As the system"), "light": tr("Light"), "dark": tr("Dark")}
    choices(look.addMenu(tr("&Colours")), schemes, window.preferences.text("scheme", "system"), window.set_scheme)
    languages = {**LANGUAGES, "system": tr("As the system")}
    kept = window.preferences.text("language", "system")
    choices(look.addMenu(tr("&Language")), languages, kept, window.set_language)


def _fill_sound(sound: QMenu, window: "DesktopWindow") -> None:
    fill(
        sound,
        Item(tr("&Play or stop"), window.recording.toggle, "Ctrl+Space"),
        Item(tr("&Loop"), window.recording.loop.toggle, "Ctrl+L"),
        Item(tr("To the &start"), lambda: window.recording.seek(-1e9)),
        Item(tr("To the &end"), lambda: window.recording.seek(1e9)),
        Item(tr("&Record or stop"), window.toggle_recording, "Ctrl+R"),
    )


def _fill_labels(labels: QMenu, window: "DesktopWindow") -> list[QAction]:
    emotions = labels.addMenu(tr("&Emotion"))
    numbered = enumerate(map(str, range(1, 10)))
    named = (Item(key, partial(window.parts.relabel_by_number, number), f"Ctrl+{key}") for number, key in numbered)
    label_actions = fill(emotions, *named)
    fill(
        labels,
        Item(tr("&Right as it is"), window.parts.confirm, "Ctrl+Return"),
        Item(tr("&Add selection"), window.parts.add_selection, "Ctrl+D"),
        Item(tr("Delete &part"), window.parts.delete, "Ctrl+Backspace"),
        Item(tr("&Next part"), lambda: window.parts.step(1), "Ctrl+Down"),
        Item(tr("Pre&vious part"), lambda: window.parts.step(-1), "Ctrl+Up"),
        None,
        Item(tr("Save as &manifest …"), lambda: window.ask_annotations("manifest"), "Ctrl+S"),
        Item(tr("Save for E&LAN …"), lambda: window.ask_annotations("eaf")),
        Item(tr("Save as &TextGrid …"), lambda: window.ask_annotations("textgrid")),
        None,
        Item(tr("Compare with a &second annotator …"), window.ask_second),
        Item(tr("Learn &from my corrections …"), window.learn),
    )
    return label_actions


def _give_keys(window: "DesktopWindow") -> None:
    views = window.recording.views
    keys_of(
        views,
        {
            "Space": window.recording.toggle,
            "Home": lambda: window.recording.seek(-1e9),
            "End": lambda: window.recording.seek(1e9),
            "Left": lambda: window.recording.seek(-0.5),
            "Right": lambda: window.recording.seek(0.5),
            "Shift+Left": lambda: window.recording.select_around_cursor(-0.25),
            "Shift+Right": lambda: window.recording.select_around_cursor(0.25),
            "+": lambda: views.zoom(0.5),
            "-": lambda: views.zoom(2),
        },
    )
    keys_of(window.parts.table, {"Del": window.parts.delete, "Return": window.parts.confirm})


class KeysDialog(QDialog):
    """Each key, and what it does; low enough for small screens."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setWindowTitle(tr("Keys"))
        self.resize(760, 440)
        self.table, model = RowsTable(tr("Keys")), QStandardItemModel(self)
        for texts in _keys(window):
            model.appendRow([QStandardItem(text) for text in texts])
        self.table.setModel(model)
        self.table.setEditTriggers(RowsTable.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().hide()
        self.table.resizeColumnToContents(0)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        arranged(QVBoxLayout(self), self.table, buttons)


def _keys(window: QMainWindow) -> list[tuple[str, str]]:
    """Return keys as the window's language calls them, and what they do."""
    actions = (one for one in window.findChildren(QAction) if one.isVisible() and not one.shortcut().isEmpty())
    of_menus = sorted((_native(one.shortcut()), one.text().replace("&", "")) for one in actions)
    own = (
        ("Space", tr("Play or stop, in the waveform")),
        ("Left|Right", tr("Move the cursor by half a second, in the waveform")),
        ("Shift+Left|Shift+Right", tr("Change the selection, in the waveform")),
        ("+|-", tr("Zoom, in the waveform; as the mouse's wheel does, with Shift it moves")),
    )
    return [*of_menus, *((", ".join(map(_native, keys.split("|"))), text) for keys, text in own)]


def _native(keys: QKeySequence | str) -> str:
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
