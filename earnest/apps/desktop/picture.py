"""The log-mel spectrogram that the network sees, as a picture that can be saved and dropped back."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Listening
from earnest.apps.desktop.background import Background
from earnest.apps.desktop.texts import PlainLabel, localised, tr
from earnest.files.writing import new_file, unfollowed
from earnest.runtime.picture import Picture, is_picture


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

    def __init__(self, background: Background, parent: QWidget | None = None) -> None:
        super().__init__(parent)
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
        self.said = PlainLabel()
        self.said.setWordWrap(True)
        self.said.setAccessibleName(tr("About the picture"))
        self.button = QPushButton(tr("Save picture …"))
        self.button.setAccessibleName(tr("Save picture"))
        self.button.clicked.connect(self.saving_wanted)
        row = QHBoxLayout()
        row.addWidget(self.said, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.addWidget(self._plot, 1)
        layout.addLayout(row)
        self.clear("")

    def clear(self, why: str) -> None:
        """Show no picture, and why."""
        self.picture = None
        self._image.clear()
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
