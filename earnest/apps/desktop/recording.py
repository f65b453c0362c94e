"""One recording: views, playing, and the answer about what is selected in it."""

from pathlib import Path

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Background, Listening
from earnest.apps.desktop.annotations import Parts, spans_of
from earnest.apps.desktop.fields import arranged, button
from earnest.apps.desktop.player import RATE_HZ, Player, Samples
from earnest.apps.desktop.texts import ElidedLabel, PlainLabel, localised, moment, tr
from earnest.apps.desktop.views import RecordingViews
from earnest.audio.deadline import Deadline, until
from earnest.corpora.transcripts import SpeakerTurn
from earnest.errors import EarnestError, printable
from earnest.runtime.picture import is_picture
from earnest.runtime.prediction import Prediction
from earnest.runtime.timeline import Timeline, speakers_of
from earnest.runtime.timeline_plot import clock

ASKED_MS = 150


class _NotWantedError(EarnestError):
    """Another recording was chosen."""


class RecordingPanel(QWidget):
    """Views and buttons for the recording that is current.

    Attributes
    ----------
    listening : what answers about selections
    turns : path of a recording → who speaks when in it

    Signals
    -------
    stretch_answered : prediction, start and end in seconds of the selected stretch; None where nothing is selected
    failed : why something can't be done
    """

    stretch_answered = Signal(object, float, float)
    failed = Signal(str)

    def __init__(self, background: Background) -> None:
        super().__init__()
        self._background = background
        self.views, self.player = RecordingViews(background), Player(background, self)
        self.path = ""
        self.samples: Samples | None = None
        self._timeline: Timeline | None = None
        self.turns: dict[str, list[SpeakerTurn]] = {}
        self.listening: Listening | None = None
        self._reading = Deadline()
        self.title, self.place = ElidedLabel(tr("Recording")), PlainLabel(name=tr("Place in the recording"))
        self.play, self.loop = QPushButton(tr("Play")), QPushButton(tr("Loop"))
        self.loop.setCheckable(True)
        self._ask = QTimer(self, interval=ASKED_MS, singleShot=True)
        self._ask.timeout.connect(self._answer_selection)
        self._arrange()
        self.play.clicked.connect(self.toggle)
        self.loop.toggled.connect(self.player.set_loop)
        self.player.moved.connect(self._follow)
        self.player.state_changed.connect(lambda on: self.play.setText(tr("Stop") if on else tr("Play")))
        self.player.failed.connect(self.failed)
        self.views.selection_changed.connect(lambda *_: self._ask.start())
        self.views.cursor_moved.connect(self._jump)

    def _arrange(self) -> None:
        zooms = (
            (tr("Zoom in"), "+", lambda: self.views.zoom(0.5)),
            (tr("Zoom out"), "−", lambda: self.views.zoom(2)),
            (tr("Show all"), tr("All"), self.views.fit),
            (tr("Show the selection"), tr("Selection"), self.views.show_selection),
        )
        buttons = [self.play, self.loop]
        for one in buttons:
            one.setAccessibleName(one.text())
        buttons += [button(text, what, name, name) for name, text, what in zooms]
        for one in buttons:
            one.setMinimumWidth(self.fontMetrics().horizontalAdvance(one.text()) + 20)  # Qt's own is 80
        row = arranged(QHBoxLayout(), *buttons, (self.title, 1))
        # A row of its own: beside the buttons it would, as it grows, push views aside that somebody drags over.
        layout = arranged(QVBoxLayout(self), (self.views, 1), row, self.place)
        layout.setContentsMargins(0, 4, 4, 4)

    def show_recording(self, path: str) -> None:
        """Show another recording; its samples come when they are decoded."""
        self.player.stop()
        self._reading.ends = 0.0  # whoever reads the one before ends
        self.path, self.samples, self._timeline = path, None, None
        self.title.show_text(printable(Path(path).name) if path else "")
        self.views.clear()
        self._tell_place()
        if not path or is_picture(path):
            return
        self._reading = deadline = Deadline(kind=_NotWantedError)

        def read() -> Samples:
            with until(deadline):
                return Samples.read(path)

        def show(samples: Samples) -> None:
            if path == self.path:
                self.samples = samples
                self.views.show_samples(samples)
                self._tell_place()

        def refuse(why: str) -> None:
            if path == self.path:
                told = why.replace(f"{printable(path)}: ", "")
                self.title.show_text(f"{printable(Path(path).name)}: {told}")

        self._background.run(read, show, refuse)

    def show_answer(self, timeline: Timeline | None, parts: Parts) -> None:
        """Show a recording's emotions: as they were heard or, where a person corrected them, as they were left."""
        if timeline is not self._timeline or timeline is None:
            self._timeline = timeline
            self.views.show_timeline(timeline)
        speakers = [one.speaker for one in parts]
        self.views.show_spans(spans_of(parts), dict(enumerate(speakers)) if any(speakers) else {})

    def speakers(self, timeline: Timeline | None) -> list[str]:
        """Return the speaker of each entry of a timeline, as far as a diarisation file names them."""
        turns = self.turns.get(timeline.path if timeline else "")
        return speakers_of(timeline.entries(), turns) if timeline and turns else []

    def toggle(self) -> None:
        """Play from the cursor, or what is selected; or stop."""
        if self.player.is_playing:
            self.player.stop()
        elif self.samples is not None:
            start_s, end_s = self.views.selection
            if end_s <= start_s:
                start_s, end_s = self.views.cursor_s, self.samples.duration_s
                if end_s - start_s < 0.05:
                    start_s = 0.0
            self.player.play(self.samples, start_s, end_s, self.loop.isChecked())

    def seek(self, by_s: float) -> None:
        """Move the cursor."""
        self.go_to(self.views.cursor_s + by_s)

    def go_to(self, seconds: float) -> None:
        """Put the cursor to a moment."""
        self.views.set_cursor(seconds)
        self._jump(self.views.cursor_s)

    def select_around_cursor(self, by_s: float) -> None:
        """Make the selection longer or shorter at its end, from the cursor where there is none."""
        start_s, end_s = self.views.selection
        if end_s <= start_s:
            start_s = end_s = self.views.cursor_s
        self.views.select(start_s, max(end_s + by_s, start_s))

    def close_player(self) -> None:
        """Be silent, and read no more."""
        self._reading.ends = 0.0
        self.player.stop()

    def _jump(self, seconds: float) -> None:
        self._tell_place()
        if self.player.is_playing and self.samples is not None:
            self.player.play(self.samples, seconds, self.samples.duration_s, self.loop.isChecked())

    def _follow(self, seconds: float) -> None:
        self.views.set_cursor(seconds)
        self._tell_place()

    def _tell_place(self) -> None:
        longest_s = self.views.duration_s
        said = localised(f"{clock(round(self.views.cursor_s, 2), longest_s)} / {clock(round(longest_s, 2), longest_s)}")
        start_s, end_s = self.views.selection
        if end_s > start_s:
            said += f"   [{moment(start_s, longest_s)} – {moment(end_s, longest_s)}]"
        self.place.setText(said if self.samples is not None else "")

    def _answer_selection(self) -> None:
        self._tell_place()
        samples, listening, (start_s, end_s) = self.samples, self.listening, self.views.selection
        if samples is None or listening is None:
            return
        if end_s <= start_s:
            self.stretch_answered.emit(None, 0.0, 0.0)
            return
        path = self.path

        def answer() -> Prediction:
            return listening.predict((samples.part(start_s, end_s), RATE_HZ))

        def show(prediction: Prediction) -> None:
            if path == self.path and self.views.selection == (start_s, end_s):
                self.stretch_answered.emit(prediction, start_s, end_s)

        self._background.run(answer, show, self.failed.emit)
