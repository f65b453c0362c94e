"""A bundle learnt from own recordings: its files, its description, and its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from earnest.bundle import Bundle, BundleInfo, ProtocolResult, TrainingCorpus, classes_text, licence_in_words, sha256_of
from earnest.corpora.own import Refused
from earnest.errors import EarnestError, in_percent, is_printable, shown
from earnest.evaluation.calibration import FittedCalibration, quality, softmax
from earnest.evaluation.texts import NONE, ShownNumber, percent, shown_number
from earnest.export.card import MODEL, NOTICE
from earnest.installation import __version__
from earnest.learning.crossval import LabelledEmbeddings, OutOfFold, abstain_below
from earnest.learning.discriminant import Floats, Numbers
from earnest.learning.domain import Domain, known_limit
from earnest.onnx.surgery import MISMATCH, OVERLAP, GraphHead, KnownSound, added_head_of, with_head
from earnest.runtime.timeline_plot import clock

PAGE = "report.html"  # in the folder of the model
CLASS_COLUMNS = ("class", "n", "speakers", "recall %", "most often taken for")
CLASS_NAMES = ("class", "n", "n_speakers", "recall_percent", "taken_for")  # in JSON
NOT_STATED = "not stated: ask whoever made it before you pass it on"


@dataclass(frozen=True)
class Answers:
    """A person's description of the model and the recordings.

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
            if not isinstance(text, str) or not is_printable(text):
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
    sure_from_s: float
    learnt_from: LabelledEmbeddings

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

    def graph(self, base: Bundle, facts: dict[str, str]) -> bytes:
        """Return the base's graph with this head."""
        data, domain = base.model_bytes(), self.domain
        mismatch_from = self._start_of(data, MISMATCH, base.info.out_of_domain_from)
        known = KnownSound(domain.mean, domain.directions, domain.threshold, mismatch_from) if domain else None
        weight, bias = self.weights.astype(np.float32), self.bias.astype(np.float32)
        overlap_from = self._start_of(data, OVERLAP, 0.0)
        head = GraphHead(weight, bias, self.out.temperature, self.sure_from_s, known, overlap_from)
        return with_head(data, head, facts)

    def _start_of(self, data: bytes, name: str, base_from: float | None) -> float | None:
        """Return from where on a head that was added to the base makes less sure; None where the base has none.

        It is where it is in the base. Where own recordings are such themselves, all but a hundredth stay below.
        """
        own = self.learnt_from.embeddings[~self.learnt_from.is_copy]
        head = added_head_of(data, name, own.shape[1])
        if head is None or base_from is None:
            return None
        start = base_from if head.start is None else head.start
        return max(start, known_limit(head.values(own)))


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
    heard, licence = (*base.info.training_corpora, corpus), answers.licence or NOT_STATED
    facts = {
        "name": answers.name,
        "version": answers.version,
        "licence": licence_in_words(licence, heard),
        "classes": classes_text(head.classes),  # as others read them; ours are below
        "scheme": "native",
        "sample_rate_hz": str(base.info.sample_rate_hz),
        "shortest_s": str(base.info.shortest_s),
        "longest_s": str(base.info.longest_s),
        "format": base.info.format,
    }
    files = {MODEL: head.graph(base, facts)}
    if NOTICE in base.info.files:
        files[NOTICE] = base.listed_bytes(NOTICE)
    also = " and from what the base says of its own classes" if head.learnt_from.base else ""
    told = (
        f"The last layer was learnt from own recordings{also} with earnest {__version__}; the rest is that of "
        f"'{base.info.name}' {base.info.version}. Gender and what is no speech are answered as by that.",
        "It does not adapt to a speaker: that network was made for other classes.",
        f"Licence of the base: {base.info.licence_in_words}.",
        *notes,
    )
    info = replace(
        head.info(base),
        name=answers.name,
        version=answers.version,
        licence=licence,
        files={name: sha256_of(content) for name, content in files.items()},
        training_corpora=heard,
        results=(result,),
        origin=f"{base.info.name} {base.info.version}",
        notes=" ".join(told),
    )
    return files, info


@dataclass(frozen=True)
class ClassResult:
    """One class out of fold: its recordings and speakers, the share recognised, and what it is most often taken for."""

    name: str
    n: int
    n_speakers: int
    recall: float
    taken_for: str
    taken_share: float


def _taken_for(one: ClassResult) -> ShownNumber:
    if not one.taken_share:
        return ShownNumber(NONE, None)
    numbers = {"class": one.taken_for, "percent": percent(one.taken_share).value}
    return ShownNumber(f"{one.taken_for} {in_percent(one.taken_share)} %", numbers)


@dataclass(frozen=True)
class Learned:
    """A model that was learnt from own recordings, and what it is worth.

    All scores are of cross-validation: each recording was answered by a model that hadn't learnt from its fold.

    Attributes
    ----------
    path : the bundle's folder, for `earnest.load`
    base : the model whose embedding was learnt from
    command : what to type for the same, where the recordings are at hand
    n, n_refused : recordings used, and those that could not be
    n_speakers : 0 where they are unknown
    speaker_independent : whether no speaker was in two folds
    folds : in words
    wa, ua : weighted accuracy, mean over folds, and unweighted accuracy over all recordings, the mean of what
        ``classes`` say of recall; ``_sd`` their standard deviation over folds
    ua_over_folds : mean over folds, which is what reports, comparisons and cards tell: a fold may lack classes, and its
        UA leaves them out
    ece : expected calibration error, 15 bins, each fold by the temperature of the others, whose heads have learnt from
        it; ``ece_by_chance`` is what probabilities that are true would have, of so few recordings
    known_corpora : that the base has learnt from and the recordings seem to be of: then the scores may be too high
    refused : which recordings could not be used, and why
    warnings : what makes the numbers worth less
    advice : what would help most
    report : the page, None where the extra "report" is not installed
    seconds : of the steps
    """

    path: Path
    name: str
    base: str
    command: str
    source: str
    layout: str
    label_from: str
    speaker_from: str
    classes: tuple[ClassResult, ...]
    n: int
    n_refused: int
    n_speakers: int
    hours: float
    speaker_independent: bool
    folds: str
    wa: float
    wa_sd: float
    ua: float
    ua_over_folds: float
    ua_sd: float
    ece: float
    ece_by_chance: float
    shrinkage: float
    temperature: float
    abstain_below: float
    out_of_domain_from: float | None
    known_corpora: tuple[str, ...]
    refused: tuple[Refused, ...]
    warnings: tuple[str, ...]
    advice: tuple[str, ...]
    report: Path | None
    seconds: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self) | {"path": str(self.path), "report": None if self.report is None else str(self.report)}
        return values | {"classes": [asdict(one) for one in self.classes]}

    @property
    def title(self) -> str:
        """The protocol of the scores, in one line."""
        kind = "speaker-independent" if self.speaker_independent else "NOT speaker-independent"
        return f"{kind}, {self.folds}"

    def rows(self) -> list[tuple[str, str]]:
        """Return the summary, name and value."""
        speakers = str(self.n_speakers) if self.n_speakers else "unknown"
        refused = f" ({self.n_refused} could not be used)" if self.n_refused else ""
        ua = f"{100 * self.ua_over_folds:.1f} ± {100 * self.ua_sd:.1f} over folds"
        return [
            ("recordings", f"{self.n}{refused}, {clock(round(3600 * self.hours, 1))}"),
            ("classes", str(len(self.classes))),
            ("speakers", speakers),
            ("tested", self.title),
            ("WA %", f"{100 * self.wa:.1f} ± {100 * self.wa_sd:.1f} over folds"),
            ("UA %", f"{ua}, {100 * self.ua:.1f} over all recordings (chance {100 / len(self.classes):.1f})"),
            ("ECE", f"{self.ece:.3f} (chance alone {self.ece_by_chance:.3f})"),
        ]

    def class_rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return a row a class: name, recordings, speakers, recall in per cent, what it is taken for."""
        return [
            (
                one.name,
                shown_number(one.n),
                shown_number(one.n_speakers) if one.n_speakers else ShownNumber("?", None),
                percent(one.recall),
                _taken_for(one),
            )
            for one in self.classes
        ]

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        summary = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in self.rows())
        head = "".join(f"<th>{name}</th>" for name in CLASS_COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.class_rows()
        )
        notes = "".join(f"<li>{escape(one)}</li>" for one in (*self.warnings, *self.advice))
        return (
            f"<p><b>{escape(self.name)}</b>: {escape(str(self.path))}</p><table>{summary}</table>"
            f"<table><tr>{head}</tr>{body}</table><ul>{notes}</ul>"
        )
