"""The tab Model: bundle, backend, profile, adaptation, threshold; with the bundle's card."""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Listening
from earnest.apps.desktop.fields import ChoiceField, arranged, button
from earnest.apps.desktop.preferences import Preferences
from earnest.apps.desktop.texts import CardBrowser, PlainLabel, explained, localised, tip, tr, word
from earnest.bundle import DEFAULT_BUNDLE, bundle_anywhere, find_bundle, shipped_bundles
from earnest.errors import EarnestError, printable, printable_lines
from earnest.files.reading import read_text
from earnest.runtime.engine import Backend
from earnest.runtime.prediction import Options
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile

BACKENDS: tuple[Backend, ...] = ("auto", "onnxruntime", "openvino")
LARGEST_CARD = 1 << 22
NEUTRAL = "neutral"
MOSTLY_NEUTRAL = f"{NEUTRAL}=0.6"


@dataclass(frozen=True)
class ModelChoice:
    """The user's choice of a model."""

    model: str = DEFAULT_BUNDLE
    backend: Backend = "auto"
    profile: str = ""
    adapts: bool = False
    tells_unsure: bool = False
    is_mostly_neutral: bool = False

    def load(self) -> tuple[Listening, str]:
        """Load the model; return what answers with it, and its card. Takes a second.

        Raises `EarnestError` when the bundle or the profile is missing, damaged or of another kind.
        """
        predictor = Predictor.load(self.model, backend=self.backend)
        profile = Profile.read(Path(self.profile)) if self.profile else None
        if profile:
            profile.check(predictor.info, self.profile)
        if self.adapts and not predictor.can_adapt:
            raise EarnestError(
                tr("{model} can't adapt to a speaker. Choose another model, or switch it off.").format(
                    model=predictor.info.name
                )
            )
        if self.is_mostly_neutral and NEUTRAL not in predictor.info.classes:
            raise EarnestError(
                tr(
                    "{model} does not tell “neutral”. Choose another model, or switch “Most of it is neutral” off."
                ).format(model=predictor.info.name)
            )
        options = Options(
            (MOSTLY_NEUTRAL,) if self.is_mostly_neutral else (), abstain_below=0.0 if self.tells_unsure else None
        )
        return Listening(predictor, options, profile, self.adapts), _card(self.model)


def _card(model: str) -> str:
    path = find_bundle(model) / "card.md"
    try:
        return printable_lines(read_text(path, most=LARGEST_CARD, what="card"))
    except EarnestError:
        return tr("This bundle has no card.")


class ModelPanel(QWidget):
    """The choice, and the card of what answers now.

    Signals
    -------
    chosen : a `ModelChoice` that the user made
    making_wanted : the user asks for a profile of the chosen files' speaker
    """

    chosen = Signal(object)
    making_wanted = Signal()

    def __init__(self, preferences: Preferences, model: str | None = None) -> None:
        super().__init__()
        self._preferences = preferences
        self.bundles, self.backends = ChoiceField(tr("Model")), ChoiceField(tr("What runs the network"))
        for name in shipped_bundles():
            self.bundles.addItem(name, name)
        for backend in BACKENDS:
            self.backends.addItem(backend, backend)
        self.profile = PlainLabel(name=tr("Profile of a speaker"))
        self._profile = ""
        self.adapts = QCheckBox(tr("Adapt to what was heard before in the recording"))
        self.tells = QCheckBox(tr("Tell unsure answers too"))
        self.neutral = QCheckBox(tr("Most of it is neutral, as in conversations"))
        self.summary = PlainLabel(name=tr("What answers now"), wraps=True)
        self.card = CardBrowser()
        self.card.setAccessibleName(tr("Card of the model"))
        self._arrange()
        self.show_choice(self._kept(model))
        self.bundles.activated.connect(self._choose_shown)
        self.backends.activated.connect(self._choose)
        self.adapts.clicked.connect(self._choose)
        self.tells.clicked.connect(self._choose)
        self.neutral.clicked.connect(self._choose)

    def _arrange(self) -> None:
        form = QFormLayout()
        model = arranged(QHBoxLayout(), self.bundles, button(tr("Other bundle …"), self.open_bundle))
        hint = tr("Hear the chosen files as one speaker's, and adapt to this speaker")
        profile = arranged(
            QHBoxLayout(),
            self.profile,
            button(tr("Make …"), self.making_wanted.emit, tr("Make a profile of the chosen files"), hint),
            button(tr("Choose …"), self.open_profile, tr("Choose a profile")),
            button(tr("None"), lambda: self.use_profile(""), tr("No profile")),
        )
        named = PlainLabel(tr("Model"))
        named.setBuddy(self.bundles)
        form.addRow(named, model)
        form.addRow(tr("Backend"), self.backends)
        form.addRow(tr("Profile"), profile)
        form.addRow(self.adapts)
        form.addRow(self.tells)
        form.addRow(self.neutral)
        left = arranged(QVBoxLayout(), form, self.summary, 1)
        arranged(QHBoxLayout(self), (left, 2), (self.card, 3))

    @property
    def choice(self) -> ModelChoice:
        """The current choice."""
        backend: Backend = self.backends.currentData()
        return ModelChoice(
            str(self.bundles.currentData()),
            backend,
            self._profile,
            self.adapts.isChecked(),
            self.tells.isChecked(),
            self.neutral.isChecked(),
        )

    def show_choice(self, choice: ModelChoice) -> None:
        """Show a choice without asking for it."""
        if self.bundles.findData(choice.model) < 0:
            self.bundles.addItem(printable(Path(choice.model).name), choice.model)
            self.bundles.setItemData(self.bundles.count() - 1, tip(choice.model), Qt.ItemDataRole.ToolTipRole)
        self.bundles.setCurrentIndex(self.bundles.findData(choice.model))
        self.backends.setCurrentIndex(max(self.backends.findData(choice.backend), 0))
        self._set_profile(choice.profile)
        self.adapts.setChecked(choice.adapts)
        self.tells.setChecked(choice.tells_unsure)
        self.neutral.setChecked(choice.is_mostly_neutral)

    def show_loaded(self, listening: Listening, card: str) -> None:
        """Show the loaded model, and keep the choice."""
        info, choice = listening.predictor.info, self.choice
        words = ", ".join(word(printable(name)) for name in info.classes)
        said = tr("{name} {version} tells: {words}. Unsure below {limit}. Licence: {licence}.")
        self.summary.setText(
            said.format(
                name=printable(info.name),
                version=printable(info.version),
                words=words,
                limit=localised(f"{info.abstain_below:.0%}"),
                licence=explained(printable(info.licence_in_words)),
            )
        )
        self.card.setMarkdown(card)
        keep = self._preferences
        kept = {"model": bundle_anywhere(choice.model), "backend": choice.backend, "profile": choice.profile}
        for name, value in kept.items():
            keep.set_text(name, value)
        keep.set_flag("adapts", choice.adapts)
        keep.set_flag("tells_unsure", choice.tells_unsure)
        keep.set_flag("is_mostly_neutral", choice.is_mostly_neutral)

    def choose_bundle(self, path: str) -> None:
        """Choose a bundle's folder."""
        self.show_choice(ModelChoice(path, self.choice.backend, "", False, self.choice.tells_unsure))
        self._choose()

    def open_bundle(self) -> None:
        """Ask for a bundle's folder."""
        if folder := QFileDialog.getExistingDirectory(self, tr("Folder of a bundle")):
            self.choose_bundle(folder)

    def open_profile(self) -> None:
        """Ask for a profile that `earnest adapt` wrote."""
        path, _ = QFileDialog.getOpenFileName(self, tr("Profile of a speaker"), "", "JSON (*.json)")
        if path:
            self.use_profile(path)

    def use_profile(self, path: str) -> None:
        """Answer with a speaker's profile from now on, "" for none."""
        self._set_profile(path)
        self._choose()

    def _set_profile(self, path: str) -> None:
        self._profile = path
        self.profile.setText(printable(Path(path).name) if path else tr("none"))

    def _choose_shown(self) -> None:
        """Answer with the bundle of the list; a profile is of one model."""
        if bundle_anywhere(self.choice.model) != self._preferences.text("model"):
            self._set_profile("")
        self._choose()

    def _choose(self) -> None:
        self.chosen.emit(self.choice)

    def _kept(self, model: str | None) -> ModelChoice:
        keep = self._preferences
        backend = next((one for one in BACKENDS if one == keep.text("backend")), BACKENDS[0])
        if model is not None:  # of the command line
            return ModelChoice(model, backend)
        return ModelChoice(
            keep.text("model", DEFAULT_BUNDLE),
            backend,
            keep.text("profile"),
            keep.flag("adapts"),
            keep.flag("tells_unsure"),
            keep.flag("is_mostly_neutral"),
        )
