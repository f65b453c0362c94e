"""A base's graph with a head of one's own → the files and the description of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from earnest.bundle import Bundle, BundleInfo, ProtocolResult, TrainingCorpus, classes_text, sha256_of
from earnest.errors import EarnestError, shown
from earnest.evaluation.calibration import FittedCalibration, quality, softmax
from earnest.export.files import MODEL, NOTICE
from earnest.installation import __version__
from earnest.learning.crossval import OutOfFold, abstain_below
from earnest.learning.discriminant import Floats, Numbers
from earnest.learning.domain import Domain
from earnest.onnx.surgery import GraphHead, KnownSound, with_head

NOT_STATED = "not stated: ask whoever made it before you pass it on"


@dataclass(frozen=True)
class Answers:
    """What a person says about the model and the recordings.

    Attributes
    ----------
    licence : of the weights; ``data_licence`` of the recordings; ``attribution`` whom to name; "" for not said
    """

    name: str
    version: str = "1"
    licence: str = ""
    data_licence: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        for name, text in vars(self).items():
            if not text.isprintable():
                raise EarnestError(f"{name}: {shown(text)} can't be printed. Say it in one line of plain text.")


@dataclass(frozen=True, eq=False)
class FittedHead:
    """The head of all recordings, with what cross-validation says of it."""

    classes: tuple[str, ...]
    weights: Floats
    bias: Floats
    domain: Domain | None
    out: OutOfFold
    targets: Numbers

    def info(self, base: Bundle) -> BundleInfo:
        """Return the base's description with what the head changes."""
        old = base.info
        n_changed = (len(self.classes) - len(old.classes)) * (self.weights.shape[1] + 1)
        return replace(
            old,
            classes=self.classes,
            scheme="native",
            n_parameters=old.n_parameters + n_changed,
            recipe={},
            temperature=self.out.temperature,
            calibration=self._calibration(),
            adaptation=None,
            out_of_domain_from=self.domain.threshold if self.domain else None,
            abstain_below=abstain_below(self.out.probabilities, self.targets),
            left_out=None,
            results=(),
        )

    def _calibration(self) -> FittedCalibration | None:
        before, after = (quality(one, self.targets) for one in (softmax(self.out.logits), self.out.probabilities))
        return FittedCalibration("temperature", before, after)

    def graph(self, data: bytes, facts: dict[str, str]) -> bytes:
        """Return the base's graph with this head."""
        domain = self.domain
        known = KnownSound(domain.mean, domain.directions, domain.threshold) if domain else None
        weight, bias = self.weights.astype(np.float32), self.bias.astype(np.float32)
        return with_head(data, GraphHead(weight, bias, self.out.temperature, known), facts)


def refuse_other_formats(base: Bundle) -> None:
    """Raise `EarnestError` for a base whose graph is not one for onnxruntime."""
    if MODEL not in base.info.files:
        raise EarnestError(f"'{base.info.name}' has the format {base.info.format}. Choose a model for onnxruntime.")


def bundle_of(
    base: Bundle,
    head: FittedHead,
    answers: Answers,
    corpus: TrainingCorpus,
    result: ProtocolResult,
    notes: Sequence[str],
) -> tuple[dict[str, bytes], BundleInfo]:
    """Return the files of a bundle but its description and card, and the description.

    Parameters
    ----------
    corpus : the own recordings, in the ledger after what the base has heard
    notes : sentences for the card
    """
    facts = {
        "name": answers.name,
        "version": answers.version,
        "licence": answers.licence or NOT_STATED,
        "classes": classes_text(head.classes),  # as others read them; ours are below
        "scheme": "native",
        "sample_rate_hz": str(base.info.sample_rate_hz),
        "shortest_s": str(base.info.shortest_s),
        "longest_s": str(base.info.longest_s),
        "format": base.info.format,
    }
    files = {MODEL: head.graph(base.model_bytes(), facts)}
    if NOTICE in base.info.files:
        files[NOTICE] = base.listed_bytes(NOTICE)
    told = (
        f"The last layer was learnt from own recordings with earnest {__version__}; the rest is that of "
        f"'{base.info.name}' {base.info.version}. Gender and what is no speech are answered as by that.",
        "It does not adapt to a speaker: that network was made for other classes.",
        f"Licence of the base: {base.info.licence}.",
        *notes,
    )
    info = replace(
        head.info(base),
        name=answers.name,
        version=answers.version,
        licence=answers.licence or NOT_STATED,
        files={name: sha256_of(content) for name, content in files.items()},
        training_corpora=(*base.info.training_corpora, corpus),
        results=(result,),
        origin=f"{base.info.name} {base.info.version}",
        notes=" ".join(told),
    )
    return files, info
