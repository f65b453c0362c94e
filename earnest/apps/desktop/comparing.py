"""Two annotators side by side: where they differ, and Cohen's kappa."""

from pathlib import Path

from PySide6.QtGui import QColor
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from earnest.apps.desktop.plain import PlainLabel
from earnest.apps.desktop.texts import tr, word
from earnest.errors import printable
from earnest.evaluation.agreement import AnnotatorAgreement

MOST_ROWS = 5_000
DIFFERS = QColor("#f4b6a6")


class AgreementDialog(QDialog):
    """The stretches that both labelled; where they differ, the row has a colour and says so."""

    def __init__(self, found: AnnotatorAgreement, second: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Two annotators"))
        self.resize(760, 520)
        self.summary = PlainLabel(_summary(found))
        self.summary.setWordWrap(True)
        self.summary.setAccessibleName(tr("Agreement"))
        shown = sorted(found.shared, key=lambda one: (one.first == one.second, one.path, one.start_s))[:MOST_ROWS]
        self.table = QTableWidget(len(shown), 6)
        self.table.setAccessibleName(tr("Stretches that both labelled"))
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        titles = tr("File"), tr("Start"), tr("End"), tr("I"), printable(Path(second).name), ""
        self.table.setHorizontalHeaderLabels(list(titles))
        for row, one in enumerate(shown):
            differs = one.first != one.second
            times = f"{one.start_s:.2f}", "" if one.end_s > 1e8 else f"{one.end_s:.2f}"
            said = word(one.first), word(one.second), tr("differs") if differs else ""
            for column, text in enumerate((printable(Path(one.path).name), *times, *said)):
                item = QTableWidgetItem(text)
                if differs:
                    item.setBackground(DIFFERS)
                    item.setForeground(QColor("black"))
                self.table.setItem(row, column, item)
        self.table.horizontalHeader().setStretchLastSection(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (self.summary, self.table, buttons):
            layout.addWidget(widget)


def _summary(found: AnnotatorAgreement) -> str:
    if not found.shared:
        return tr("The two files label no common stretch of a recording.")
    kappa = tr("not defined") if found.kappa is None else f"{found.kappa:.3f}"
    said = tr("Cohen's kappa {kappa}; they agree on {share} of what both labelled ({count} stretches).")
    return said.format(kappa=kappa, share=f"{found.observed:.1%}", count=len(found.shared))
