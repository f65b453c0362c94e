"""A folder of labelled recordings → a tested, calibrated bundle, in a minute and without torch."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from earnest.bundle import DEFAULT_BUNDLE, LONGEST_NAME, Bundle, TrainingCorpus, load_bundle
from earnest.corpora.manifest import write_manifest
from earnest.corpora.own import OwnData, Refused
from earnest.errors import CorpusError, EarnestError, MissingExtraError, printable
from earnest.evaluation.calibration import reliability
from earnest.evaluation.intervals import spread
from earnest.evaluation.metrics import score
from earnest.evaluation.predictions import Predictions, text_column, write_predictions
from earnest.export.card import result_of
from earnest.export.files import refuse_full, write_bundle
from earnest.files.locks import held_folder
from earnest.files.writing import write_json
from earnest.learning.crossval import cross_validate, domain_of, fit_head, folds_of, threshold_of, with_shares
from earnest.own.advice import advice_on, class_results, ua_of
from earnest.own.bundle import Answers, FittedHead, bundle_of
from earnest.own.kept import read_kept, write_kept
from earnest.own.learned import Learned
from earnest.own.recordings import OwnEmbeddings, hear_own, known_corpora, without_doubles, without_rare
from earnest.progress import SILENT, Progress
from earnest.runtime.predictor import Predictor

PREDICTIONS, METRICS = "predictions.csv", "metrics.json"
LEARNED, MANIFEST = "learn.json", "manifest.csv"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LearnOptions:
    """How is learnt; see `earnest.learn`."""

    model: str | Path = DEFAULT_BUNDLE
    seed: int = 0
    balance: bool = True
    augment: bool = False
    keep: bool = True
    continued: Path | None = None
    jobs: int = 1
    report: bool = True
    progress: Progress = SILENT


@dataclass
class _Watch:
    """Seconds of each step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


def learn_own(data: OwnData, output: Path, answers: Answers, options: LearnOptions, overwrite: bool = False) -> Learned:
    """Learn from recordings that were read; see `earnest.learn`."""
    refuse_full(output, overwrite)
    watch = _Watch()
    base = load_bundle(options.model)
    with held_folder(output):
        with watch.step("hear"):
            own, refused = _gathered(data, base, options)
        with watch.step("learn"):
            fitted, learned = _fitted(own, data, base, options)
        learned = replace(learned, refused=refused, n_refused=len(refused), name=answers.name, path=output)
        with watch.step("write"):
            _write(output, own, base, fitted, answers, learned)
            if options.keep:
                write_kept(output, own, base)
        with watch.step("report"):
            page = _page(output, learned, own, options) if options.report else None
        learned = replace(learned, report=page, seconds=watch.seconds)
        write_json(output / LEARNED, learned.to_dict())
    return learned


def _gathered(data: OwnData, base: Bundle, options: LearnOptions) -> tuple[OwnEmbeddings, tuple[Refused, ...]]:
    """Hear the recordings, add earlier ones, and leave out what can't be learnt from."""
    predictor = Predictor(base, batch_s=20.0)
    own, unheard = hear_own(data, predictor, options.jobs, options.augment, options.seed, options.progress)
    if options.continued:
        earlier = read_kept(options.continued, base)
        own = own.after(earlier) if own.rows else earlier
    own, doubles = without_doubles(own) if own.rows else (own, [])
    own, rare = without_rare(own)
    refused = (*data.refused, *unheard, *doubles, *rare)
    if len(own.classes) < 2:
        first = "".join(f" {one.where}: {one.reason}." for one in refused[:1])
        found = ", ".join(printable(label) for label in own.classes) or "none"
        raise CorpusError(
            f"{data.source}: two classes of three recordings are the least to learn from; usable is {found}. "
            f"{len(refused)} recordings could not be used.{first}"
        )
    return own, refused


def _fitted(own: OwnEmbeddings, data: OwnData, base: Bundle, options: LearnOptions) -> tuple[FittedHead, Learned]:
    labelled, seed = own.labelled(), options.seed
    folds = folds_of(labelled.groups, labelled.targets, own.knows_speakers, seed)
    out = cross_validate(labelled, folds, seed)
    weights, bias, shrinkage = fit_head(labelled, seed)
    targets = labelled.targets[~labelled.is_copy]
    if not options.balance:
        out, offset = with_shares(out, targets)
        bias = bias + offset
    domain = domain_of(labelled) if out.distances is not None else None
    if domain and out.distances is not None:
        domain = replace(domain, threshold=threshold_of(out.distances))
    head = FittedHead(own.classes, weights, bias, domain, out, targets)
    return head, _summary(own, data, base, head, shrinkage, options)


def _summary(
    own: OwnEmbeddings, data: OwnData, base: Bundle, head: FittedHead, shrinkage: float, options: LearnOptions
) -> Learned:
    predictions = predictions_of(own, head)
    n_speakers = len({row.speaker for row in own.rows}) if own.knows_speakers else 0
    speakers = [row.speaker for row in own.rows]
    classes = class_results(own.classes, head.out.probabilities, head.targets, speakers)
    known = known_corpora(own.rows, (line.name for line in base.info.training_corpora))
    info = head.info(base)
    folds = fold_scores(predictions)
    wa, ua = spread([one[0] for one in folds]), spread([one[1] for one in folds])
    return Learned(
        path=Path(),
        name="",
        base=base.info.name,
        source=str(data.source),
        layout=data.layout,
        label_from=data.label_from,
        speaker_from=data.speaker_from,
        classes=tuple(classes),
        n=len(own.rows),
        n_refused=0,
        n_speakers=n_speakers,
        hours=float(own.seconds.sum()) / 3600,
        speaker_independent=own.knows_speakers,
        folds=folds_in_words(own, len(folds)),
        wa=wa.mean,
        wa_sd=wa.sd or 0.0,
        ua=ua.mean,
        ua_sd=ua.sd or 0.0,
        ece=reliability(head.out.probabilities, head.targets).ece,
        shrinkage=shrinkage,
        temperature=info.temperature,
        abstain_below=info.abstain_below,
        out_of_domain_from=info.out_of_domain_from,
        known_corpora=known,
        refused=(),
        warnings=tuple(warnings_on(own, data, base, known)),
        advice=tuple(advice_on(own.labelled(), head.out, classes, n_speakers, options.seed)),
        report=None,
        seconds={},
    )


def folds_in_words(own: OwnEmbeddings, n_folds: int) -> str:
    """Say how recordings were divided."""
    if not own.knows_speakers:
        return f"{n_folds} folds of recordings"
    n_speakers = len({row.speaker for row in own.rows})
    return (
        f"each of {n_folds} speakers left out once" if n_folds == n_speakers else f"{n_folds} folds of whole speakers"
    )


def warnings_on(own: OwnEmbeddings, data: OwnData, base: Bundle, known: Sequence[str]) -> Iterator[str]:
    """Yield what makes the numbers worth less, and what a reader of the data should know."""
    if known:
        yield (
            f"'{base.info.name}' has learnt from {' and '.join(known)}, and these recordings seem to be of it: it "
            "knows these speakers and their labels. The numbers are too high; other people it understands less well."
        )
    if not own.knows_speakers:
        named = {row.speaker for row in own.rows if row.speaker}
        why = "some recordings have no speaker" if len(named) > 1 else "no speakers are known"
        why = "there is one speaker" if len(named) == 1 and all(row.speaker for row in own.rows) else why
        yield (
            f"NOT speaker-independent: {why}, so the same voice may be in training and test. Other people it "
            "understands less well than the numbers say."
        )
    yield from data.notes


def fold_scores(predictions: Predictions) -> list[tuple[float, float]]:
    """Return WA and UA of each fold."""
    parts = [predictions.of_fold(fold) for fold in predictions.folds]
    return [(float((one.predicted == one.emotion).mean()), ua_of(one.predicted, one.emotion)) for one in parts]


def predictions_of(own: OwnEmbeddings, head: FittedHead) -> Predictions:
    """Return the answers of cross-validation."""
    rows, folds = own.rows, head.out.folds
    alone = own.knows_speakers and len(np.unique(folds)) == len({row.speaker for row in rows})
    names = [row.speaker for row in rows] if alone else [f"f{fold + 1}" for fold in folds.tolist()]
    return Predictions(
        classes=head.classes,
        utterance_id=text_column(row.utterance_id for row in rows),
        corpus=text_column(row.corpus for row in rows),
        speaker=text_column(row.speaker for row in rows),
        gender=text_column(row.gender or "" for row in rows),
        fold=text_column(names),
        emotion=head.targets,
        predicted=head.out.probabilities.argmax(axis=1).astype(np.int64),
        probabilities=head.out.probabilities.astype(np.float32),
    )


def _write(
    output: Path, own: OwnEmbeddings, base: Bundle, head: FittedHead, answers: Answers, learned: Learned
) -> None:
    """Write the answers of cross-validation, their scores, and the bundle."""
    predictions = predictions_of(own, head)
    scores = score(predictions, np.random.default_rng(0))
    command = f"earnest learn {learned.source} --from {learned.base}"
    facts = {
        "protocol": "own-recordings",
        "title": f"own recordings ({learned.title})",
        "speaker_independent": learned.speaker_independent,
        "command": command,
        "clips": f"{learned.n} recordings",
    }
    write_manifest(own.rows, output / MANIFEST)
    write_predictions(predictions, output / PREDICTIONS)
    write_json(output / METRICS, facts | scores.to_dict())
    result = result_of(facts | scores.to_dict())
    corpus = TrainingCorpus(
        "own recordings",
        answers.data_licence or "not stated",
        learned.n,
        learned.n_speakers,
        round(learned.hours, 3),
        answers.attribution,
    )
    files, info = bundle_of(base, head, answers, corpus, result, learned.warnings)
    write_bundle(output, files, info)


def _page(output: Path, learned: Learned, own: OwnEmbeddings, options: LearnOptions) -> Path | None:
    try:
        from earnest.own.page import write_page

        return write_page(output, learned, own, options.seed)
    except MissingExtraError as error:
        _log.warning("No report.html: %s", error)
        return None


def named(output: Path, name: str) -> str:
    """Return the model's name: the one given, or that of its folder.

    Raises
    ------
    EarnestError
        When it is no name of a bundle.
    """
    found = (name or output.resolve().name).strip()
    if not found.isprintable() or not 0 < len(found) <= LONGEST_NAME:
        raise EarnestError(
            f"A model's name has 1 to {LONGEST_NAME} letters that can be printed. Give it another --name."
        )
    return found
