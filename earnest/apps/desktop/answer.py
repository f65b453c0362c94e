"""The answer about one recording: emotion, confidence and what it means, bars, quality, vocal bursts, adaptation."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QFormLayout, QGridLayout, QLabel, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from earnest.apps.desktop.fields import arranged
from earnest.apps.desktop.texts import PlainLabel, explained, localised, tr, word
from earnest.audio.io import OTHER_TRACKS, SEPARATE
from earnest.bundle import BundleInfo
from earnest.errors import in_percent, printable
from earnest.runtime.prediction import HIGHEST_SHOWN, Prediction, percent
from earnest.runtime.timeline_plot import clock, colours_of

STEPS = 1_000  # of a bar


def paint(bar: QProgressBar, colour: str) -> None:
    """Give a bar the colour of an emotion."""
    palette = bar.palette()
    palette.setColor(QPalette.ColorRole.Highlight, QColor(colour))
    bar.setPalette(palette)


class AnswerPanel(QScrollArea):
    """Shows a prediction; the window says about what."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setAccessibleName(tr("Answer"))
        inside = QWidget()
        self.setWidget(inside)
        self.about, self.emotion, self.meaning = (_text(name) for name in (tr("About"), tr("Emotion"), tr("Meaning")))
        font = self.emotion.font()
        font.setPointSizeF(font.pointSizeF() * 1.8)
        font.setBold(True)
        self.emotion.setFont(font)
        self._bars = QGridLayout()
        self._facts = QFormLayout()
        arranged(QVBoxLayout(inside), self.about, self.emotion, self.meaning, self._bars, self._facts, 1)
        self.clear()

    def clear(self) -> None:
        """Clear the panel: no recording is chosen."""
        self.about.setText("")
        self.emotion.setText(tr("No recording is chosen"))
        self.meaning.setText(tr("Open recordings or folders, drop them here, or record yourself."))
        self._empty()

    def say(self, about: str, what: str) -> None:
        """Show why there is no answer yet."""
        self.about.setText(about)
        self.emotion.setText(what)
        self.meaning.setText("")
        self._empty()

    def show_prediction(
        self, prediction: Prediction, info: BundleInfo, about: str = "", classes: Sequence[str] = ()
    ) -> None:
        """Show an answer among ``classes``, empty for all, or an error."""
        self._empty()
        self.about.setText(about or printable(Path(prediction.path).name))
        self.emotion.setText(headline(prediction))
        self.meaning.setText(" ".join(filter(None, (meaning(prediction, info), about_notes(prediction, classes)))))
        colours = colours_of(tuple(prediction.probabilities))
        for row, (name, share) in enumerate(prediction.probabilities.items()):
            self._add_bar(row, name, share, colours[name])
        for name, value in facts(prediction):
            label = _text(name)
            label.setText(value)
            self._facts.addRow(name, label)

    def _add_bar(self, row: int, name: str, share: float, colour: str) -> None:
        title = PlainLabel(word(printable(name)))
        bar = QProgressBar()
        bar.setRange(0, STEPS)
        bar.setValue(round(STEPS * min(share, HIGHEST_SHOWN)))  # above, nothing is told apart
        bar.setTextVisible(False)
        bar.setMaximumHeight(14)
        said = tr("Probability of {emotion}: {share}").format(emotion=word(name), share=localised(percent(share)))
        bar.setAccessibleName(said)
        paint(bar, colour)
        value = PlainLabel(localised(percent(share)))
        value.setAlignment(Qt.AlignmentFlag.AlignRight)
        title.setBuddy(bar)
        for column, item in enumerate((title, bar, value)):
            self._bars.addWidget(item, row, column)

    def _empty(self) -> None:
        while self._facts.rowCount():
            self._facts.removeRow(0)
        while item := self._bars.takeAt(0):
            if widget := item.widget():
                widget.hide()
                widget.deleteLater()


def _text(name: str) -> QLabel:
    label = PlainLabel(name=name, wraps=True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def headline(prediction: Prediction) -> str:
    """Format an answer in a few words: "sad, 73%", or its status."""
    said = word(prediction.emotion or prediction.status)
    if prediction.emotion and prediction.confidence is not None:
        return f"{said}, {localised(percent(prediction.confidence))}"
    return said


def meaning(prediction: Prediction, info: BundleInfo) -> str:
    """Explain how far an answer can be believed, or why there is none."""
    if prediction.error:
        return short_error(prediction)
    if prediction.status == "ok" and prediction.confidence is not None:
        return tr(
            "Of answers with a confidence of {share}, about that share is right, on speech like that it was measured "
            "on. Your recordings may be different; the model's card has the measurements."
        ).format(share=localised(percent(prediction.confidence)))
    if prediction.status == "unsure" and (shares := prediction.answered_shares):
        told = ", ".join(f"{word(name)} {localised(percent(share))}" for name, share in shares.items())
        return tr("Less than half of the speech could be answered: {shares}.").format(shares=told)
    if prediction.status == "unsure":
        likeliest = ", ".join(f"{word(name)} {localised(percent(share))}" for name, share in prediction.top(2))
        limit = localised(f"{info.abstain_below:.0%}")
        return tr("The likeliest: {likeliest}. Below {limit} this model is right too rarely to name one.").format(
            likeliest=likeliest, limit=limit
        )
    reasons = {
        "mixed": tr("Several emotions over time; none holds most of the speech."),
        "vocal-burst": tr("A voice without words."),
        "no-speech": tr("Nobody speaks here: noise, music or silence."),
        "too-short": tr("Too short to be answered."),
    }
    return reasons.get(prediction.status, "")


def about_notes(prediction: Prediction, classes: Sequence[str]) -> str:
    """Explain several channels or tracks, or an emotional talk, and what to do; "" where nothing needs it."""
    turns = tr("Its channels take turns, like two sides of a call: the answer is about their mean.")
    each = tr("“Save each channel as a file” in the menu File opens each by itself.")
    tracks = tr("It has more sound tracks; the first was heard.")
    has_turns, cancels = SEPARATE in prediction.quality, "channels cancel" in (prediction.error or "")
    emotional = tr(
        "More of the speech is told as emotional than as neutral. When people talk and don't act, most of it is "
        "neutral: then switch on “Most of it is neutral” in the tab Model."
    )
    told = {
        turns: has_turns,
        each: has_turns or cancels,
        tracks: OTHER_TRACKS in prediction.quality,
        emotional: prediction.is_emotional_talk and not classes,
    }
    return " ".join(text for text, holds in told.items() if holds)


def short_error(prediction: Prediction) -> str:
    """Return why there is no answer, without the path, which stands beside it."""
    return explained((prediction.error or "").removeprefix(f"{printable(prediction.path)}: "))


def facts(prediction: Prediction) -> list[tuple[str, str]]:
    """Return further facts about an answer, as names and values."""
    rows = []
    if prediction.duration_s is not None:
        rows.append((tr("Length"), localised(clock(round(prediction.duration_s, 2), prediction.duration_s))))
    if prediction.speech_s is not None:
        rows.append((tr("Speech"), localised(clock(round(prediction.speech_s, 2), prediction.speech_s))))
    if prediction.shares:
        shares = ", ".join(
            f"{word(name)} {localised(f'{in_percent(share)}%')}" for name, share in prediction.shares.items()
        )
        rows.append((tr("Shares"), shares))
    if prediction.quality:
        rows.append((tr("Quality"), ", ".join(word(name) for name in prediction.quality)))
    if prediction.vocal_bursts:
        bursts = [
            f"{word(f'({one.kind})')} {localised(f'{one.start_s:.1f}–{one.end_s:.1f} s')}"
            for one in prediction.vocal_bursts[:20]
        ]
        rows.append((tr("Vocal bursts"), ", ".join(bursts)))
    if prediction.adapted:
        rows.append((tr("Adaptation weight"), localised(f"{prediction.adaptation_weight:.2f}")))
    if prediction.polarity is not None:
        rows.append((tr("Polarity"), localised(f"{prediction.polarity:+.2f}")))
    if prediction.model:
        rows.append((tr("Model"), printable(prediction.model)))
    return rows
