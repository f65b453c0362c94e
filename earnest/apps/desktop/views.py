"""One recording to look at: waveform, spectrogram, lanes of emotion, probabilities over time, and what is selected.

And the log-mel spectrogram that the network sees, as a picture that can be saved and dropped back.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Background, Listening
from earnest.apps.desktop.fields import arranged, button
from earnest.apps.desktop.player import Samples
from earnest.apps.desktop.texts import PlainLabel, localised, moment, tr, word
from earnest.errors import printable
from earnest.files.writing import new_file, unfollowed
from earnest.labels import EMOTIONS
from earnest.runtime.picture import Picture, is_picture
from earnest.runtime.prediction import Segment, Span, Window
from earnest.runtime.timeline import Timeline
from earnest.runtime.timeline_plot import clock, colours_of, label_colour, tick_step_s

LEAST_PEAK = 1e-3  # quieter sound is drawn as quiet as it is
SHORTEST_S = 0.02  # of what is seen at once
SETTLED_MS = 40
MOST_NAMES = 60  # of spans, in what is seen
MOST_POINTS = 4_000  # of a curve of probability
Floats = npt.NDArray[np.float64]
NAME_HEIGHTS = 1.35  # of a plot, the most that its name may reach over
LEAST_STEP = 90  # pixels between two times below the views
NAME_EDGES = 2  # pixels of a span that are free beside its name, at least


class _TimeAxis(pg.AxisItem):
    """Times as people write them."""

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:  # noqa: N802, N803
        if maxVal - minVal < 60:
            return list(super().tickSpacing(minVal, maxVal, size))
        return [(tick_step_s(maxVal - minVal, size / LEAST_STEP), 0)]  # of minutes and hours

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        longest_s = max(values, default=0.0)
        told = moment if spacing < 1 and longest_s >= 60 else lambda *times: localised(clock(*times))
        return [told(value, longest_s) if value >= 0 else "" for value in values]


class _NamedAxis(pg.AxisItem):
    """The axis at the left; beside a plot that is much lower than its name, without the name."""

    def resizeEvent(self, ev: Any = None) -> None:  # noqa: N802
        super().resizeEvent(ev)
        if self.label is not None:  # as while it closes
            self.label.setVisible(self.label.boundingRect().width() <= NAME_HEIGHTS * self.size().height())


class _SelectingBox(pg.ViewBox):
    """The mouse selects by dragging; the wheel zooms over time, with Shift it moves."""

    def __init__(self, views: "RecordingViews") -> None:
        super().__init__(enableMenu=False)
        self._views = views
        self.setMouseEnabled(x=True, y=False)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802
        if ev.button() != Qt.MouseButton.LeftButton:
            super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        first, last = (self.mapSceneToView(where).x() for where in (ev.buttonDownScenePos(), ev.scenePos()))
        self._views.select(min(first, last), max(first, last), settled=ev.isFinish())

    def mouseClickEvent(self, ev: Any) -> None:  # noqa: N802
        if ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self._views.click(self.mapSceneToView(ev.scenePos()).x(), ev.double())

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802
        ev.accept()
        steps = ev.delta() / 120
        if ev.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._views.pan(-0.2 * steps)
        else:
            self._views.zoom(0.8**steps, self.mapSceneToView(QPointF(ev.scenePos())).x())


class RecordingViews(QWidget):
    """Plots above each other over one axis of time.

    Attributes
    ----------
    duration_s : seconds of what is shown

    Signals
    -------
    cursor_moved : seconds, where the user clicked
    selection_changed : start and end in seconds; both 0 for none
    span_chosen : number of the span that the user clicked twice
    """

    cursor_moved = Signal(float)
    selection_changed = Signal(float, float)
    span_chosen = Signal(int)

    def __init__(self, background: Background) -> None:
        super().__init__()
        self._background = background
        self._samples: Samples | None = None
        self._classes: tuple[str, ...] = EMOTIONS  # those of the timeline, and those that a person may name
        self._spans: tuple[Span, ...] = ()
        self._lanes: Mapping[int, str] = {}
        self.duration_s, self._view_turn = 1.0, 0
        self.cursor_s, self.selection = 0.0, (0.0, 0.0)
        self._canvas = pg.GraphicsLayoutWidget()
        for widget in (self, self._canvas):
            widget.setAccessibleName(tr("Waveform, spectrogram, emotions and probabilities over time"))
        self._canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._canvas)
        self._boxes: list[Any] = []
        self._wave, self._spectrum, self._emotions, self._shares = (
            self._plot(row, stretch) for row, stretch in enumerate((3, 3, 2, 4))
        )
        self._line = self._wave.plot([], [])
        self._image = pg.ImageItem(axisOrder="row-major")
        self._image.setColorMap(pg.colormap.get("magma"))
        self._spectrum.addItem(self._image)
        self._bars = pg.BarGraphItem(x0=[], x1=[], y0=[], height=[])
        self._emotions.addItem(self._bars)
        self._names: list[Any] = []
        self._curves: dict[str, Any] = {}
        self._regions, self._cursors = [], []
        for plot in self._plots():
            region = pg.LinearRegionItem(movable=False, brush=(80, 140, 255, 60))
            region.setZValue(10)
            region.hide()
            cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen("#e8590c", width=2))
            cursor.setZValue(20)
            cursor.hide()
            plot.addItem(region, ignoreBounds=True)
            plot.addItem(cursor, ignoreBounds=True)
            self._regions.append(region)
            self._cursors.append(cursor)
        self._settle = QTimer(self, interval=SETTLED_MS, singleShot=True)
        self._settle.timeout.connect(self._draw_detail)
        for changed in (self._wave.getViewBox().sigXRangeChanged, self._wave.getViewBox().sigResized):
            changed.connect(lambda *_: self._settle.start())
        self._shares.setYRange(0, 1, padding=0.02)
        self.retranslate()
        self.repaint_theme()

    def _plots(self) -> tuple[Any, ...]:
        return self._wave, self._spectrum, self._emotions, self._shares

    def _plot(self, row: int, stretch: int) -> Any:
        box = _SelectingBox(self)
        axes = {"left": _NamedAxis("left")} | ({"bottom": _TimeAxis("bottom")} if row == 3 else {})
        plot = self._canvas.addPlot(row=row, col=0, viewBox=box, axisItems=axes)
        plot.hideButtons()
        box.disableAutoRange()  # all ranges are set; else every drawing looks for them
        plot.getAxis("left").setWidth(64)
        if row < 3:
            plot.hideAxis("bottom")
        if row:
            plot.setXLink(self._boxes[0])
        self._boxes.append(box)
        self._canvas.ci.layout.setRowStretchFactor(row, stretch)
        return plot

    def retranslate(self) -> None:
        """Name the axes."""
        names = tr("waveform"), tr("spectrogram"), tr("emotion"), tr("probability")
        for plot, name in zip(self._plots(), names, strict=True):
            plot.setLabel("left", name, **{"font-size": "8pt"})  # beside a low plot, in every language
            plot.getAxis("left").enableAutoSIPrefix(False)
        for plot in self._plots()[:3]:
            plot.getAxis("left").setTicks([])
        self._shares.getAxis("left").setTicks([[(share, localised(f"{share:.0%}")) for share in (0, 0.5, 1)]])

    def repaint_theme(self) -> None:
        """Take the window's colours, light or dark."""
        palette = QGuiApplication.palette()
        ink = palette.color(QPalette.ColorRole.WindowText)
        self._canvas.setBackground(palette.color(QPalette.ColorRole.Base))
        self._line.setPen(pg.mkPen(palette.color(QPalette.ColorRole.Highlight), width=1))
        for plot in self._plots():
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(ink)
                plot.getAxis(side).setTextPen(ink)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Follow the system from light to dark."""
        if event.type() == QEvent.Type.PaletteChange:
            self.repaint_theme()
        super().changeEvent(event)

    @property
    def visible_s(self) -> tuple[float, float]:
        """First and last second that is seen."""
        first, last = self._wave.getViewBox().viewRange()[0]
        return float(first), float(last)

    def clear(self) -> None:
        """Show nothing."""
        self._samples = None
        self._line.setData([], [])
        self._image.clear()
        self.show_timeline(None)
        self._extend(1.0)
        self.fit()
        self.select(0, 0)
        self.set_cursor(0)
        self._show_cursors(False)

    def _show_cursors(self, shown: bool) -> None:
        for cursor in self._cursors:
            cursor.setVisible(shown)

    def show_samples(self, samples: Samples) -> None:
        """Draw waveform and spectrogram."""
        self._samples = samples
        loudest = max(float(samples.high.max(initial=LEAST_PEAK)), -float(samples.low.min(initial=-LEAST_PEAK)))
        self._wave.setYRange(-loudest, loudest, padding=0.02)
        self._show_cursors(True)
        self._extend(samples.duration_s)

    def show_timeline(self, timeline: Timeline | None) -> None:
        """Draw spans and probabilities."""
        self._classes = (*(timeline.classes if timeline else ()), *EMOTIONS)
        self._draw_probabilities(timeline)
        self.show_spans(tuple(timeline.entries()) if timeline else (), {})
        if timeline and timeline.duration_s:
            self._extend(timeline.duration_s)

    def show_spans(self, spans: Sequence[Span], lanes: Mapping[int, str]) -> None:
        """Draw the lanes of emotion; ``lanes`` says who speaks in which span, for a lane a speaker."""
        self._spans, self._lanes = tuple(spans), lanes
        speakers = list(dict.fromkeys(lanes.values()))
        rows = [speakers.index(lanes[number]) if number in lanes else 0 for number in range(len(spans))]
        brushes = [pg.mkBrush(label_colour(span.emotion, self._classes)) for span in spans]
        starts, ends = ([getattr(span, side) for span in spans] for side in ("start_s", "end_s"))
        heights = [0.8] * len(spans)
        self._bars.setOpts(
            x0=starts, x1=ends, y0=[-row - 0.4 for row in rows], height=heights, brushes=brushes, pen=pg.mkPen(None)
        )
        lowest = max(len(speakers), 1)
        self._emotions.setYRange(0.5 - lowest, 0.5, padding=0.02)
        ticks = [(-row, printable(name)) for row, name in enumerate(speakers) if name]
        self._emotions.getAxis("left").setTicks([ticks])
        self._draw_names()

    def _draw_probabilities(self, timeline: Timeline | None) -> None:
        """Move the curves; items of pyqtgraph are dear to make, so those of the timeline before are used again."""
        windows = timeline.windows[:: -(-len(timeline.windows) // MOST_POINTS)] if timeline and timeline.windows else ()
        colours = colours_of(timeline.classes) if timeline and windows else {}
        for name in [name for name in self._curves if colours and name not in colours]:
            self._shares.removeItem(self._curves.pop(name))
        for curve in self._curves.values() if not colours else ():
            curve.setData([], [])
        if timeline is None or not colours:
            return
        times, places, connected = _points(windows, timeline.segments)
        for name, colour in colours.items():
            if name not in self._curves:
                self._curves[name] = self._shares.plot([], [], skipFiniteCheck=True)
            shares = np.fromiter((window.probabilities[name] for window in windows), np.float64, len(windows))[places]
            self._curves[name].setData(times, shares, pen=pg.mkPen(colour, width=2), connect=connected)

    def _extend(self, duration_s: float) -> None:
        is_other = abs(duration_s - self.duration_s) > SHORTEST_S  # else a person may have zoomed in
        self.duration_s = max(duration_s, SHORTEST_S)
        for box in self._boxes:
            box.setLimits(xMin=0, xMax=self.duration_s, minXRange=SHORTEST_S, maxXRange=self.duration_s)
        if is_other:
            self.fit()
        self._settle.start()

    def _draw_detail(self) -> None:
        """Draw what is seen as finely as it can be seen; the spectrogram in a thread."""
        self._draw_names()
        samples, (start_s, end_s) = self._samples, self.visible_s
        if samples is None or end_s <= start_s:
            return
        self._line.setData(*samples.outline(start_s, end_s))
        first, last = max(start_s, 0.0), min(end_s, samples.duration_s)
        self._view_turn += 1
        turn = self._view_turn

        def show(decibels: Any) -> None:
            if turn == self._view_turn:
                self._image.setImage(decibels, levels=(-80, 0))
                self._image.setRect(QRectF(first, 0, last - first, 1))
                self._spectrum.setYRange(0, 1, padding=0)

        if last > first:
            self._background.run(lambda: samples.decibels(first, last), show)

    def _draw_names(self) -> None:
        for item in self._names:
            self._emotions.removeItem(item)
        self._names = []
        start_s, end_s = self.visible_s
        pixels = self._emotions.getViewBox().width() / (end_s - start_s)
        speakers = list(dict.fromkeys(self._lanes.values()))
        names = {one: word(printable(one)) for one in dict.fromkeys(span.emotion for span in self._spans)}
        widths = {one: self.fontMetrics().horizontalAdvance(name) + NAME_EDGES for one, name in names.items()}
        seen = [
            (number, span)
            for number, span in enumerate(self._spans)
            if (min(span.end_s, end_s) - max(span.start_s, start_s)) * pixels >= widths[span.emotion]
        ]
        for number, span in seen[:MOST_NAMES]:
            dark = QColor(label_colour(span.emotion, self._classes)).lightness() < 120
            text = pg.TextItem(names[span.emotion], color="white" if dark else "black", anchor=(0.5, 0.5))
            row = speakers.index(self._lanes[number]) if number in self._lanes else 0
            text.setPos((max(span.start_s, start_s) + min(span.end_s, end_s)) / 2, -row)
            self._emotions.addItem(text, ignoreBounds=True)
            self._names.append(text)

    def set_cursor(self, seconds: float) -> None:
        """Move the cursor, and what is seen with it where it would leave it."""
        self.cursor_s = min(max(seconds, 0.0), self.duration_s)
        for cursor in self._cursors:
            cursor.setPos(self.cursor_s)
        start_s, end_s = self.visible_s
        if not start_s <= self.cursor_s <= end_s:
            self._look_at(self.cursor_s, self.cursor_s + end_s - start_s)

    def click(self, seconds: float, twice: bool = False) -> None:
        """Put the cursor where the mouse was clicked; a double click selects the span there."""
        self.set_cursor(seconds)
        self.cursor_moved.emit(self.cursor_s)
        number = next((at for at, span in enumerate(self._spans) if span.start_s <= seconds < span.end_s), None)
        if twice and number is not None:
            self.select(self._spans[number].start_s, self._spans[number].end_s)
            self.span_chosen.emit(number)

    def select(self, start_s: float, end_s: float, settled: bool = True) -> None:
        """Select a stretch; one without length is none."""
        start_s, end_s = (min(max(seconds, 0.0), self.duration_s) for seconds in (start_s, end_s))
        if end_s - start_s < SHORTEST_S:
            start_s = end_s = 0.0
        self.selection = start_s, end_s
        for region in self._regions:
            region.setRegion((start_s, end_s))
            region.setVisible(end_s > start_s)
        if settled:
            self.selection_changed.emit(start_s, end_s)

    def zoom(self, factor: float, around_s: float | None = None) -> None:
        """Show a stretch that is ``factor`` as long, around the cursor or a time."""
        start_s, end_s = self.visible_s
        middle = self.cursor_s if around_s is None else around_s
        middle = min(max(middle, start_s), end_s)
        self._look_at(middle - (middle - start_s) * factor, middle + (end_s - middle) * factor)

    def pan(self, share: float) -> None:
        """Move by a share of what is seen."""
        start_s, end_s = self.visible_s
        by = share * (end_s - start_s)
        self._look_at(start_s + by, end_s + by)

    def fit(self) -> None:
        """Show all."""
        self._look_at(0, self.duration_s)

    def show_selection(self) -> None:
        """Zoom to the selection."""
        if self.selection[1] > self.selection[0]:
            self._look_at(*self.selection)

    def _look_at(self, start_s: float, end_s: float) -> None:
        length = min(max(end_s - start_s, SHORTEST_S), self.duration_s)
        start_s = min(max(start_s, 0.0), self.duration_s - length)
        self._wave.setXRange(start_s, start_s + length, padding=0)


def _points(
    windows: Sequence[Window], segments: Sequence[Segment]
) -> tuple[Floats, npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """Return times of a curve's points, which window each tells of, and whether a line goes on to the next one.

    A curve goes through the windows' middles, from the start of a segment's first to the end of its last.
    """
    starts, ends = (np.array([getattr(window, side) for window in windows]) for side in ("start_s", "end_s"))
    of_segment = np.searchsorted([segment.start_s for segment in segments], starts, side="right")
    is_first = np.append(True, np.diff(of_segment) > 0)
    is_last = np.append(is_first[1:], True)
    number = np.arange(len(windows))
    times = np.concatenate([starts[is_first], (starts + ends) / 2, ends[is_last]])
    places = np.concatenate([number[is_first], number, number[is_last]])
    kinds = np.concatenate([np.zeros(is_first.sum()), np.ones(len(number)), np.full(is_last.sum(), 2)])
    order = np.lexsort((kinds, places))
    return times[order], places[order], (kinds[order] != 2).astype(np.int32)


class _NumberAxis(pg.AxisItem):
    """Numbers as the window's language writes them."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        return [localised(text) for text in super().tickStrings(values, scale, spacing)]


class PicturePanel(QWidget):
    """The network's own log-mel spectrogram.

    Signals
    -------
    saving_wanted : the user asks to save it
    """

    saving_wanted = Signal()

    def __init__(self, background: Background) -> None:
        super().__init__()
        self._background = background
        self.picture: Picture | None = None
        self.path = ""
        self._plot = pg.PlotWidget(axisItems={"bottom": _NumberAxis("bottom")})
        self._plot.setAccessibleName(tr("What the network sees"))
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.hideButtons()
        self._image = pg.ImageItem(axisOrder="row-major")
        self._image.setColorMap(pg.colormap.get("magma"))
        self._plot.addItem(self._image)
        self._edges: list[Any] = []
        self.said = PlainLabel(name=tr("About the picture"), wraps=True)
        self.button = button(tr("Save picture …"), self.saving_wanted.emit, tr("Save picture"))
        row = arranged(QHBoxLayout(), (self.said, 1), self.button)
        arranged(QVBoxLayout(self), (self._plot, 1), row)
        self.clear("")

    def clear(self, why: str) -> None:
        """Show no picture, and why."""
        self.picture = None
        self._image.clear()
        self._show_axes(False)
        self._draw_edges(())
        self.said.setText(why)
        self.button.setEnabled(False)

    def draw(self, path: str, listening: Listening | None) -> None:
        """Show the log-mel spectrogram of a recording or picture, when a thread has drawn it."""
        self.path = path
        if not path or listening is None:
            self.clear(tr("Choose a recording."))
            return
        self.clear(tr("Drawing …"))
        predictor = listening.predictor

        def drawn(picture: Picture) -> None:
            if path == self.path:
                self.show_picture(picture)

        def refused(why: str) -> None:
            if path == self.path:
                self.clear(why)

        made = predictor.decoders.read_picture if is_picture(path) else predictor.spectrogram
        self._background.run(lambda: made(path), drawn, refused)

    def show_picture(self, picture: Picture) -> None:
        """Show a picture."""
        self.picture = picture
        self._show_axes(True)
        rows, frames = picture.log_mel.shape
        self._image.setImage(picture.log_mel)
        windows = [window for segment in picture.segments for window in segment.windows]
        width = float(frames) if windows else picture.duration_s
        self._image.setRect(QRectF(0, 0, width, rows))
        self._draw_edges(np.cumsum([window.n_frames for window in windows])[:-1])
        self._plot.setLabel("bottom", tr("columns, window beside window") if windows else tr("time in s"))
        self._plot.setLabel("left", tr("band"))
        self._plot.setRange(xRange=(0, width), yRange=(0, rows), padding=0)
        lowest, highest = float(picture.log_mel.min()), float(picture.log_mel.max())
        said = tr(
            "{frames} by {rows} pixels, {lowest} to {highest} dB. Saved and dropped back, it gives the same answer."
        )
        decibels = {"lowest": localised(f"{lowest:.1f}"), "highest": localised(f"{highest:.1f}")}
        about = said.format(frames=frames, rows=rows, **decibels)
        if windows:
            about += " " + tr("The recording is heard in {count} windows, which stand side by side.").format(
                count=len(windows)
            )
        self.said.setText(about)
        self.button.setEnabled(True)

    def _show_axes(self, shown: bool) -> None:
        for side in ("left", "bottom"):
            self._plot.showAxis(side, shown)

    def _draw_edges(self, places: Iterable[float]) -> None:
        """Draw a line where one window ends and the next begins."""
        for line in self._edges:
            self._plot.removeItem(line)
        self._edges = [pg.InfiniteLine(place, angle=90, pen=pg.mkPen("w", width=2)) for place in places]
        for line in self._edges:
            self._plot.addItem(line)


def save_picture(picture: Picture, path: Path) -> Path:
    """Write a picture as `earnest spectrogram` does; what was there is replaced."""
    with new_file(path, overwrite=True) as place, open(place, "wb", opener=unfollowed) as file:
        file.write(picture.to_png())
    return path
