"""The window: what is opened, what is current, and which part of it does what."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMainWindow, QMenu, QMessageBox, QSplitter, QTabWidget, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Background, Listening
from earnest.apps.desktop.annotations import AgreementDialog, AnnotationPanel, Annotations, labelled, with_speakers
from earnest.apps.desktop.answer import AnswerPanel
from earnest.apps.desktop.export import (
    Exported,
    TimelineFiles,
    annotated_timelines,
    export_channels,
    export_manifest,
    export_rows,
    place_to_write,
)
from earnest.apps.desktop.fields import Notice, arranged
from earnest.apps.desktop.files import OPENED, Entry, FilesPanel, found_files, pasted_path
from earnest.apps.desktop.learning import Learning
from earnest.apps.desktop.menus import Item, KeysDialog, fill, fill_menus, licences
from earnest.apps.desktop.models import ModelChoice, ModelPanel
from earnest.apps.desktop.preferences import Preferences, set_scheme, window_icon
from earnest.apps.desktop.recorder import Microphone, RecordPanel, recovered
from earnest.apps.desktop.recording import RecordingPanel
from earnest.apps.desktop.texts import explained, moment, tr, word
from earnest.apps.desktop.views import PicturePanel, save_picture
from earnest.corpora.annotations import AnnotatorAgreement, agreement
from earnest.corpora.manifest import read_manifest
from earnest.corpora.transcripts import SpeakerTurn
from earnest.corpora.turns import ENDINGS, read_turns
from earnest.errors import EarnestError, printable
from earnest.files.tables import lines_of
from earnest.runtime.picture import is_picture
from earnest.runtime.prediction import Prediction


class DesktopWindow(QMainWindow):
    """Files on the left; the current one on the right, above what is known of it."""

    def __init__(self, preferences: Preferences, model: str | None = None) -> None:
        super().__init__()
        self.preferences = preferences
        self.background = Background(self)
        self.annotations = Annotations(preferences.folder / "corrections.jsonl", self)
        self.learning = Learning(self.background, preferences, self)
        self.microphone = Microphone(self)
        self._listening: Listening | None = None
        self._has_no_model = False  # and none is being loaded
        self._n_loads = 0
        self.files, self.recording, self.answer = FilesPanel(), RecordingPanel(self.background), AnswerPanel()
        self.parts, self.picture = AnnotationPanel(self.annotations), PicturePanel(self.background)
        self.record = RecordPanel(self.microphone, self.background)
        self.models = ModelPanel(preferences, model)
        self.recent = QMenu(tr("&Recent"), self)
        self._arrange()
        self.label_actions = fill_menus(self)
        self._connect()
        self._restore()
        try:
            self.annotations.recover()
        except EarnestError as error:
            self.tell(str(error))
        self.load_model(self.models.choice)

    def _arrange(self) -> None:
        self.setWindowTitle("earnest")
        self.setWindowIcon(window_icon())
        self.setAcceptDrops(True)
        self.tabs = QTabWidget()
        for panel, name in (
            (self.answer, tr("Answer")),
            (self.parts, tr("Annotate")),
            (self.record, tr("Record")),
            (self.picture, tr("Spectrogram")),
            (self.models, tr("Model")),
        ):
            self.tabs.addTab(panel, name)
        self.tabs.setAccessibleName(tr("What is known of the recording"))
        self.right, self.split = QSplitter(Qt.Orientation.Vertical), QSplitter(Qt.Orientation.Horizontal)
        self.right.addWidget(self.recording)
        self.right.addWidget(self.tabs)
        self.split.addWidget(self.files)
        self.split.addWidget(self.right)
        self.right.setSizes([420, 300])
        self.split.setSizes([460, 820])
        self.split.setStretchFactor(1, 1)  # a narrow window takes it of the right side first, as far as that can shrink
        self.notice = Notice(self.files.table)
        middle = QWidget()
        layout = arranged(QVBoxLayout(middle), self.notice, (self.split, 1))
        layout.setContentsMargins(0, 0, 0, 0)
        self.setCentralWidget(middle)
        self.resize(QSize(1280, 800).boundedTo(self.screen().availableSize() - QSize(0, 40)))  # and its title

    def _connect(self) -> None:
        self.files.current_changed.connect(self._show_current)
        self.files.answered.connect(self._take_answers)
        self.recording.stretch_answered.connect(self._show_stretch)
        self.recording.views.span_chosen.connect(self.parts.choose)
        self.recording.views.selection_changed.connect(self.parts.set_selection)
        self.recording.failed.connect(self.tell)
        self.parts.part_chosen.connect(self.recording.go_to)
        self.parts.saving_wanted.connect(lambda: self.ask_annotations("manifest"))
        self.parts.comparing_wanted.connect(self.ask_second)
        self.parts.learning_wanted.connect(self.learn)
        self.parts.refused.connect(self.tell)
        self.annotations.changed.connect(self._annotated)
        self.annotations.stepped.connect(self._show_stepped, Qt.ConnectionType.QueuedConnection)  # when it is done
        self.annotations.failed.connect(self.tell)
        self.learning.learned.connect(self._answer_with_learned)
        self.learning.failed.connect(self._tell_not_learned)
        self.record.wanted.connect(self._begin_recording)
        self.microphone.ended.connect(self._recorded)
        self.microphone.failed.connect(self.tell)
        self.picture.saving_wanted.connect(self.ask_picture)
        self.models.chosen.connect(self.load_model)
        self.models.making_wanted.connect(self.ask_profile)
        self.tabs.currentChanged.connect(lambda _: self._show_tab())

    def _restore(self) -> None:
        set_scheme(self.preferences.text("scheme", "system"))
        self.recording.views.repaint_theme()
        for name, widget in (("split", self.split), ("right", self.right)):
            widget.restoreState(self.preferences.shape(name))
        self.restoreGeometry(self.preferences.shape("window"))

    # What is opened.

    def open_paths(self, paths: Iterable[str]) -> None:
        """Open files and folders; they are looked for in a thread.

        What is kept of them, such as corrections, is found again from wherever the next window is started.
        """
        wanted = [str(Path(path).expanduser().absolute()) for path in paths]
        if not wanted:
            return

        def opened(found: tuple[list[Entry], list[str]]) -> None:
            entries, problems = found
            for path in reversed(wanted if entries else []):
                self.preferences.opened(path)
            self.files.add(entries)
            if problems:
                self.tell("\n".join(problems))

        self.background.run(lambda: found_files(wanted), opened, self.tell)

    def ask_files(self) -> None:
        """Ask for recordings."""
        endings = " ".join(f"*{ending}" for ending in sorted(OPENED))
        kinds = f"{tr('Recordings and spectrograms')} ({endings});;{tr('All files')} (*)"
        paths, _ = QFileDialog.getOpenFileNames(self, tr("Open recordings"), self._folder(), kinds)
        self.open_paths(paths)

    def ask_folder(self) -> None:
        """Ask for a folder."""
        folder = QFileDialog.getExistingDirectory(self, tr("Open folder"), self._folder())
        self.open_paths([folder] if folder else [])

    def paste(self) -> None:
        """Open the files or paths that were copied elsewhere."""
        data = QGuiApplication.clipboard().mimeData()
        lines = map(pasted_path, lines_of(data.text()))
        self.open_paths([url.toLocalFile() for url in data.urls() if url.isLocalFile()] or filter(None, lines))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take files."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Open what is dropped."""
        event.acceptProposedAction()
        self.open_paths([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])

    def open_turns(self, path: str) -> None:
        """Take the speakers of the current recording from a file of speaker turns."""
        current = self.files.current
        if not current:
            self.tell(tr("Choose a recording in the table first."))
            return

        def show(turns: list[SpeakerTurn]) -> None:
            if not any(turn.speaker for turn in turns):
                self.tell(tr("The file names no speakers."))
                return
            self.recording.turns[current] = turns
            if (parts := self.annotations.by_recording.get(current)) is not None:  # else they are the model's
                self.annotations.change(current, parts, with_speakers(parts, turns), tr("another speaker"))
            self._show_answer(self.files.current)

        self.background.run(lambda: read_turns(Path(path), current), show, self.tell)

    def ask_turns(self) -> None:
        """Ask for a file of speaker turns."""
        endings = " ".join(f"*{ending}" for ending in ENDINGS)
        known = f"{tr('Speakers and transcripts')} ({endings})"
        path, _ = QFileDialog.getOpenFileName(self, tr("Who speaks when"), self._folder(), known)
        if path:
            self.open_turns(path)

    def ask_profile(self) -> None:
        """Ask where the profile of the chosen files' speaker goes."""
        if path := place_to_write(self, tr("Save the speaker's profile"), "speaker.json", "JSON (*.json)"):
            self.make_profile(path)

    def make_profile(self, path: str) -> None:
        """Hear the chosen files as one speaker's, as `earnest adapt` does, and answer with that profile.

        Files that can't be read are left out, and told.
        """
        listening = self._listening
        recordings = [one for one in self.files.chosen() if not is_picture(one)]
        if listening is None or not recordings:
            self.tell(tr("Choose recordings of one speaker in the table first."))
            return

        def made() -> list[EarnestError]:
            left_out: list[EarnestError] = []
            listening.predictor.profile(recordings, left_out.append).write(Path(path))
            return left_out

        def use(left_out: list[EarnestError]) -> None:
            self.models.use_profile(path)
            if left_out:
                self.tell("\n".join([tr("Left out of the profile:"), *(explained(str(error)) for error in left_out)]))

        self.statusBar().showMessage(tr("Hearing the speaker …"))
        self.background.run(made, use, self._tell_failure)

    def _folder(self) -> str:
        return str(Path(self.preferences.recent[0]).parent) if self.preferences.recent else ""

    def fill_recent(self) -> None:
        """List what was opened before."""
        self.recent.clear()
        items = [Item(printable(path), lambda path=path: self.open_paths([path])) for path in self.preferences.recent]  # type: ignore[misc]
        fill(self.recent, *items)

    # What answers.

    def load_model(self, choice: ModelChoice) -> None:
        """Load a model in a thread, and answer everything with it; where it fails, the one before stays."""
        self.statusBar().showMessage(tr("Loading {model} …").format(model=printable(choice.model)))
        self._n_loads += 1
        turn = self._n_loads  # what was chosen last answers, though another may take longer to load

        def loaded(found: tuple[Listening, str]) -> None:
            if turn != self._n_loads:
                return
            self._listening, card = found
            info = self._listening.predictor.info
            self.models.show_loaded(self._listening, card)
            self.parts.set_classes(info.classes)
            for action, name in zip(self.label_actions, info.classes, strict=False):
                action.setText(word(printable(name)))
            for number, action in enumerate(self.label_actions):
                action.setVisible(number < len(info.classes))
            self.recording.listening = self._listening
            self.files.answer_with(self._listening)
            self.statusBar().showMessage(tr("{model} is ready.").format(model=printable(info.name)), 5_000)
            self._show_tab()

        def failed(why: str) -> None:
            if turn != self._n_loads:
                return
            self._tell_failure(why)
            if self._listening is None and choice != (plain := ModelChoice(tells_unsure=choice.tells_unsure)):
                self.tell(tr("{why} {model} answers instead.").format(why=why, model=plain.model))
                self.models.show_choice(plain)
                self.load_model(plain)
            elif self._listening is None:
                self._has_no_model = True
            elif choice.model != self._listening.predictor.info.name:
                self.statusBar().showMessage(tr("The model before goes on answering."))

        self.background.run(choice.load, loaded, failed)

    # What is current.

    def _show_current(self, path: str) -> None:
        self.recording.show_recording(path)
        self._show_answer(path)
        self._show_tab()

    def _take_answers(self, paths: Sequence[str]) -> None:
        if self.files.current in paths:
            self._show_answer(self.files.current)

    def _show_answer(self, path: str) -> None:
        entry = self.files.model.of(path)
        timeline = entry.timeline if entry else None
        parts = self.annotations.of(path, timeline, self.recording.speakers(timeline))
        self.recording.show_answer(timeline, parts)
        self.parts.show_parts(path, parts)
        self._show_prediction(path)

    def _show_prediction(self, path: str) -> None:
        entry = self.files.model.of(path)
        timeline = entry.timeline if entry else None
        if entry is None or self._listening is None:
            self.answer.clear()
        elif timeline is None:
            self.answer.say(printable(Path(path).name), word(entry.state))
        else:
            self._show_answered(self._listening, timeline.prediction)

    def _show_answered(self, listening: Listening, prediction: Prediction, about: str = "") -> None:
        self.answer.show_prediction(prediction, listening.predictor.info, about, listening.options.classes)

    def _show_stretch(self, prediction: Prediction | None, start_s: float, end_s: float) -> None:
        if prediction is None or self._listening is None:
            self._show_prediction(self.files.current)
            return
        start, end = (moment(time_s, end_s) for time_s in (start_s, end_s))
        about = tr("Selection, {start} to {end}").format(start=start, end=end)
        self._show_answered(self._listening, prediction, about)
        if self.tabs.currentWidget() not in (self.answer, self.parts):
            self.tabs.setCurrentWidget(self.answer)

    def _show_tab(self) -> None:
        """Fill the tab that is seen; its picture and its microphones are looked for only there."""
        current = self.tabs.currentWidget()
        if current is self.record and not self.microphone.is_on:
            self.record.find_microphones()
        if current is self.picture:
            self.picture.draw(self.files.current, self._listening)

    def search(self) -> None:
        """Let the user type what to look for."""
        self.files.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.files.search.selectAll()

    # The microphone.

    def toggle_recording(self) -> None:
        """Show the microphone's tab, and begin or end a recording."""
        self.tabs.setCurrentWidget(self.record)
        self.record.toggle()

    def _begin_recording(self, device: str) -> None:
        if self._listening is None:
            self.statusBar().showMessage(tr("The model is still loading. Try again in a moment."))
            return
        self.recording.player.stop()
        self.record.begin(self._listening.predictor.info.classes)
        self.microphone.start(self._listening, self.preferences.recordings, device or None)

    def _recorded(self, path: str) -> None:
        if path:
            self.preferences.opened(path)
            self.files.add([Entry(path, Path(path).stat().st_size)])
            self.files.choose(path)

    def open_recovered(self) -> None:
        """Open what was being recorded when an earlier window ended without being closed; say what it could not."""
        if told := self.learning.told_late():
            self.notice.say_first(told)

        def opened(paths: list[str]) -> None:
            if paths:
                self.open_paths(paths)
                names = ", ".join(Path(path).name for path in paths)
                self.tell(tr("This recording was cut off, and is kept: {names}").format(names=names))

        folder = self.preferences.recordings
        self.background.run(lambda: recovered(folder), opened, self.tell)

    # What is written.

    def ask_rows(self) -> None:
        """Ask where the table of answers goes."""
        kinds = "CSV (*.csv);;JSON lines (*.jsonl);;Parquet (*.parquet)"
        if path := place_to_write(self, tr("Export answers"), "emotions.csv", kinds):
            self.export_rows(path)

    def export_rows(self, path: str) -> None:
        """Write the chosen files' answers as a table; of all that are shown where fewer than two are chosen."""
        (timelines, n_lacking), listening = self.files.answered_timelines(), self._listening
        if listening is not None:
            self._write(lambda: export_rows(timelines, Path(path), listening.predictor.info), n_lacking)

    def ask_timelines(self, form: str) -> None:
        """Ask for the folder that timelines go to."""
        if folder := QFileDialog.getExistingDirectory(self, tr("Folder for timelines")):
            self.export_timelines(folder, form)

    def export_timelines(self, folder: str, form: str) -> None:
        """Write a timeline for each chosen file."""
        timelines, n_lacking = self.files.answered_timelines()
        self._write_files(lambda: TimelineFiles(timelines, Path(folder), form), n_lacking)

    def ask_annotations(self, form: str) -> None:
        """Ask where annotations go."""
        if form == "manifest":
            place = place_to_write(self, tr("Save annotations"), "annotations.csv", "CSV (*.csv)")
        else:
            place = QFileDialog.getExistingDirectory(self, tr("Folder for annotations"))
        if place:
            self.export_annotations(place, form)

    def export_annotations(self, place: str, form: str) -> None:
        """Write all annotations."""
        self.parts.take_typed()
        annotated = dict(self.annotations.by_recording)
        if form == "manifest":
            self._write(lambda: export_manifest(annotated, Path(place)))
            return
        found = {path: entry.timeline for path in annotated if (entry := self.files.model.of(path))}
        self._write_files(lambda: TimelineFiles(annotated_timelines(annotated, found.get), Path(place), form))

    def ask_picture(self) -> None:
        """Ask where the picture goes."""
        if self.picture.picture is None or self.picture.path != self.files.current:
            self.tabs.setCurrentWidget(self.picture)  # there it is drawn, or says why not
            self.tell(tr("There is no picture. Choose a recording that the network hears at once."))
            return
        path = place_to_write(self, tr("Save picture"), f"{Path(self.picture.path).stem}.png", "PNG (*.png)")
        if path:
            self.save_picture(path)

    def save_picture(self, path: str) -> None:
        """Write the picture that is shown."""
        picture = self.picture.picture
        if picture is not None:
            self._write(lambda: Exported(1, save_picture(picture, Path(path))))

    def ask_channels(self) -> None:
        """Ask for the folder that the channels of the current recording go to."""
        path = self.files.current
        if not path or is_picture(path):
            self.tell(tr("Choose a recording in the table first."))
            return
        if folder := QFileDialog.getExistingDirectory(self, tr("Folder for channels"), str(Path(path).parent)):
            self.export_channels(path, folder)

    def export_channels(self, path: str, folder: str) -> None:
        """Write each channel of a recording as a file, and open these."""

        def opened(places: list[Path]) -> None:
            self.open_paths(map(str, places))

        self.background.run(lambda: export_channels(path, Path(folder)), opened, self.tell)

    def _write_files(self, named: Callable[[], TimelineFiles], n_lacking: int = 0) -> None:
        """Write files whose names nobody chose, after a question where some are there already."""

        def write(files: TimelineFiles) -> None:
            if not files.there:
                self._write(files.write, n_lacking)
                return
            question = tr("Files that are there already: {count}. Replace them?").format(count=len(files.there))
            there = "\n".join(printable(str(place)) for place in files.there)
            self._box(tr("Replace files"), question, there, QMessageBox.StandardButton.Cancel)
            replace = self.box.addButton(tr("Replace"), QMessageBox.ButtonRole.AcceptRole)
            replace.clicked.connect(lambda: self._write(files.write, n_lacking))

        self.background.run(named, write, self.tell)

    def _write(self, work: Callable[[], Exported], n_lacking: int = 0) -> None:
        def written(found: Exported) -> None:
            said = tr("{count} written: {place}").format(count=found.count, place=printable(str(found.place)))
            self.statusBar().showMessage(said, 10_000)
            if n_left_out := n_lacking + found.n_left_out:
                self.tell(
                    tr("Left out, as they have no answer, or, as pictures, no times: {count}").format(count=n_left_out)
                )

        self.background.run(work, written, self.tell)

    # What people say.

    def _annotated(self, path: str) -> None:
        if path == self.files.current:
            self._show_answer(path)

    def _show_stepped(self, path: str) -> None:
        if path != self.files.current:
            self.files.choose(path)

    def ask_second(self) -> None:
        """Ask for the manifest of a second annotator."""
        path, _ = QFileDialog.getOpenFileName(self, tr("Second annotator's manifest"), self._folder(), "CSV (*.csv)")
        if path:
            self.compare(path)

    def compare(self, path: str) -> None:
        """Show where a second annotator's manifest differs from the annotations here."""
        self.parts.take_typed()
        ours = dict(self.annotations.by_recording)

        def compared() -> AnnotatorAgreement:
            return agreement(labelled(ours), read_manifest(Path(path)))

        def show(found: AnnotatorAgreement) -> None:
            self.agreement = AgreementDialog(found, path, self)
            self.agreement.open()

        self.background.run(compared, show, self.tell)

    def learn(self) -> None:
        """Learn from the corrections in a thread, then answer with the new model."""
        if self.learning.is_on:
            return
        self.parts.take_typed()
        self.files.table.setFocus()  # the button can't keep the keys while it is disabled
        self.parts.learning.setEnabled(False)
        self.statusBar().showMessage(tr("Learning from your corrections …"))
        self.learning.begin(dict(self.annotations.by_recording))

    def _answer_with_learned(self, bundle: str, said: str) -> None:
        self.parts.learning.setEnabled(True)
        self.tell(said)
        self.models.choose_bundle(bundle)

    def _tell_not_learned(self, why: str) -> None:
        self.parts.learning.setEnabled(True)
        self._tell_failure(why)

    # The window itself.

    @property
    def is_settled(self) -> bool:
        """Whether all that was opened has its answers, or can't have any."""
        if not self.files.model.entries:
            return not self.notice.isHidden()
        return self._has_no_model if self._listening is None else not self.files.analysis.is_busy

    def tell(self, what: str) -> None:
        """Show an error above everything, until it is closed."""
        self.notice.say(what)

    def _tell_failure(self, what: str) -> None:
        """Show the error of work that the status bar told of."""
        self.statusBar().clearMessage()
        self.tell(what)

    def set_scheme(self, name: str) -> None:
        """Choose light or dark."""
        self.preferences.set_text("scheme", name)
        set_scheme(name)
        self.recording.views.repaint_theme()

    def set_language(self, name: str) -> None:
        """Choose the language of the next start."""
        self.preferences.set_text("language", name)
        self.tell(tr("The language changes when you start the application again."))

    def show_keys(self) -> None:
        """Show all keys."""
        self.keys = KeysDialog(self)
        self.keys.open()

    def show_about(self) -> None:
        """Show the window About."""
        import earnest

        said = tr(
            "earnest {version} tells which emotion a speaker expresses, and how sure that is. No sound leaves this "
            "computer. Licence: Apache-2.0; Qt and PySide: LGPL-3.0; the details have the others."
        )
        text, ends = said.format(version=earnest.__version__), QMessageBox.StandardButton.Close
        self._box("earnest", text, licences(), ends)

    def _box(self, title: str, text: str, details: str, ends: QMessageBox.StandardButton) -> None:
        self.box = QMessageBox(QMessageBox.Icon.NoIcon, title, text, ends, self)
        self.box.setDefaultButton(ends)
        self.box.setTextFormat(Qt.TextFormat.PlainText)
        self.box.setDetailedText(details)
        self.box.open()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Keep settings, typed text and recordings, and end the threads."""
        self.parts.take_typed()
        self.preferences.set_shape("window", self.saveGeometry())
        self.preferences.set_shape("split", self.split.saveState())
        self.preferences.set_shape("right", self.right.saveState())
        self.hide()  # what can't stop at once ends unseen
        self.microphone.close()
        self.preferences.save()
        self.recording.close_player()
        self.files.close_analysis()
        self.annotations.close()  # what is learnt in the background may take longer
        self.background.close()
        self.learning.close()
        super().closeEvent(event)
