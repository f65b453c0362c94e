"""A folder of labelled recordings → a tested, calibrated bundle, in a minute and without torch.

And what would help most: measured on what is there, by learning from less of it.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import join

import numpy as np
import numpy.typing as npt

from earnest.bundle import DEFAULT_BUNDLE, LONGEST_NAME, Bundle, TrainingCorpus, load_bundle
from earnest.corpora.base import CORPORA
from earnest.corpora.check import LATE_S
from earnest.corpora.manifest import Utterance, doubts_about, doubts_about_shared_names, write_manifest
from earnest.corpora.own import OwnData, Refused, read_own
from earnest.corpora.own.data import PROTOCOL, typed
from earnest.errors import CorpusError, EarnestError, MissingExtraError, counted, in_percent, is_printable, printable
from earnest.evaluation.answers import text_column
from earnest.evaluation.calibration import bound_warnings, expected_ece, reliability
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import METRICS, PREDICTIONS, Predictions, identified, write_predictions
from earnest.export.card import BUNDLE, MODEL, refuse_full, result_of, staged, write_bundle_files
from earnest.files.reading import real_path
from earnest.files.writing import SUMS, held_folder, write_json, write_sums
from earnest.learning.crossval import (
    LabelledEmbeddings,
    OutOfFold,
    cross_validate,
    domain_of,
    folds_of,
    with_shares,
)
from earnest.learning.discriminant import Floats, Numbers
from earnest.learning.domain import known_limit
from earnest.own.bundle import PAGE, Answers, ClassResult, FittedHead, Learned, bundle_of
from earnest.own.recordings import (
    OWN,
    OwnEmbeddings,
    forget_kept,
    hear_own,
    known_corpora,
    last_layer,
    read_kept,
    without_doubles,
    without_rare,
    write_kept,
)
from earnest.progress import SILENT, Progress
from earnest.report.build import remove_report
from earnest.runtime.predictor import Predictor
from earnest.settings.limits import NumberFromZero, Validated, require_text

LEARNED, MANIFEST = "learn.json", "manifest.csv"
BESIDE = (BUNDLE, "card.md", PREDICTIONS, METRICS, LEARNED, MANIFEST)  # the files that a bundle lists
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LearnOptions(Validated):
    """Options of learning; see `earnest.learn`."""

    model: str | Path = DEFAULT_BUNDLE
    seed: NumberFromZero = 0
    balance: bool = True
    augment: bool = False
    keep: bool = True
    continued: Path | None = None
    jobs: int = 1
    report: bool = True
    progress: Progress = SILENT


def learn(  # noqa: PLR0913, each is a word of the command line
    source: str | Path,
    output: str | Path,
    *,
    model: str | Path | None = None,
    label_column: str | None = None,
    speaker_column: str | None = None,
    label_pattern: str | None = None,
    speaker_pattern: str | None = None,
    root: str | Path | None = None,
    name: str = "",
    licence: str = "",
    data_licence: str = "",
    attribution: str = "",
    seed: int = 0,
    balance: bool = True,
    augment: bool = False,
    keep: bool = True,
    continued: str | Path | None = None,
    jobs: int = 1,
    report: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Learned:
    """Learn a model of one's own from labelled recordings, and test it: without torch, in a minute for 500 recordings.

    The last layer of a shipped model is fitted anew; labels are whatever words stand there.

    Raises `EarnestError` when there is nothing to learn from, or ``output`` holds something and ``overwrite`` is not
    said. What is wrong with single recordings is in `Learned.refused`.

    Parameters
    ----------
    source : folder, table or list of files, see `earnest.corpora.own.read_own`, which takes the columns, patterns and
        ``root`` too
    output : folder to make: a bundle for `load`, with ``report.html``, ``predictions.csv`` and ``learn.json`` beside
    model : whose embedding is learnt from; None for the default one
    licence, data_licence, attribution : for the card: of the model, of the recordings, and whom to name
    seed : of folds, changes and the map
    balance : classes are taken to be equally frequent; otherwise as frequent as in the recordings
    augment : learn from a changed copy of each recording too (noise, rooms, telephone)
    keep : embeddings and labels beside the bundle, for ``continued``; they are personal data
    continued : folder of a model that kept them: its recordings are learnt from too
    jobs : threads that decode and hear
    report : write ``report.html`` where the extra "report" is installed
    """
    columns = {"label_column": label_column, "speaker_column": speaker_column}
    columns |= {"label_pattern": label_pattern, "speaker_pattern": speaker_pattern}
    require_text(name=name, **columns)
    folder, earlier = Path(output), Path(continued) if continued else None
    answers = Answers(named(folder, name), licence=licence, data_licence=data_licence, attribution=attribution)
    options = LearnOptions(
        model or DEFAULT_BUNDLE, seed, balance, augment, keep, earlier, jobs, report, progress or SILENT
    )
    data = read_own(source, **columns, root=Path(root) if root else None)
    return learn_own(data, folder, answers, options, overwrite)


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
    refuse_full(output, overwrite, "Replace it with overwrite=True, or choose another output.")
    watch = _Watch()
    base = load_bundle(options.model)
    if MODEL not in base.info.files:
        raise EarnestError(f"'{base.info.name}' has the format {base.info.format}. Choose a model for onnxruntime.")
    _refuse_among_recordings(output, data)
    with held_folder(output):
        with watch.step("hear"):
            own, refused, notes = _gathered(data, base, options)
            data = replace(data, notes=(*data.notes, *notes))
        with watch.step("learn"):
            fitted, scores, learned = _fitted(own, data, base, options)
        learned = replace(learned, refused=refused, n_refused=len(refused), name=answers.name, path=output)
        with staged(output) as fresh:
            with watch.step("write"):
                _write(fresh, own, base, fitted, scores, answers, learned)
                if options.keep:
                    write_kept(fresh, own, base)
            with watch.step("report"):
                page = _page(fresh, learned, own, options) if options.report else None
            learned = replace(learned, report=page and output / page.name, seconds=watch.seconds)
            write_json(fresh / LEARNED, learned.to_dict())
            names = [*load_bundle(fresh.absolute()).info.files, *BESIDE, *([] if page is None else [page.name])]
            write_sums(fresh, names)
            _remove_earlier(output)
    return learned


def _refuse_among_recordings(output: Path, data: OwnData) -> None:
    """Raise `EarnestError` where the model's files would lie among recordings to learn from, and replace some there."""
    folder = real_path(output)
    if inside := [one for one in {row.path.parent for row in data.utterances} if real_path(one).is_relative_to(folder)]:
        raise EarnestError(
            f"{output}: holds recordings to learn from (in {printable(str(min(inside)))}). Name a new folder."
        )


def _remove_earlier(output: Path) -> None:
    """Remove what a model before has that the new one may lack; its description first, so that none is left in part."""
    for name in (BUNDLE, SUMS):
        (output / name).unlink(missing_ok=True)
    remove_report(output / PAGE)
    forget_kept(output)


def _gathered(
    data: OwnData, base: Bundle, options: LearnOptions
) -> tuple[OwnEmbeddings, tuple[Refused, ...], list[str]]:
    """Hear the recordings, add earlier ones, and leave out what can't be learnt from, with notes about the earlier."""
    earlier = read_kept(options.continued, base) if options.continued else None
    augment, notes = options.augment, list[str]()
    if options.continued and earlier and augment != bool(len(earlier.copies)):
        how = "without" if augment else "with"
        notes.append(WITHOUT_COPIES.format(printable(options.continued.name), how))
        augment, earlier = False, replace(earlier, copies=earlier.copies[:0])
    own, unheard = hear_own(data, Predictor(base), options.jobs, augment, options.seed, options.progress)
    if earlier:
        own = own.after(earlier) if own.rows else earlier
    own, doubles = without_doubles(own, len(earlier.rows) if earlier else 0) if own.rows else (own, [])
    own, rare = without_rare(own)
    refused = (*data.refused, *unheard, *doubles, *rare)
    if len(own.classes) < 2:
        first = "".join(f" {one.where}: {one.reason.removesuffix('.')}." for one in refused[:1])
        found = ", ".join(printable(label) for label in own.classes) or "none"
        raise CorpusError(
            f"{data.source}: learning needs at least two classes with three recordings each; usable classes: {found} "
            f"(labels: {data.label_from}). {counted(len(refused), 'recording')} could not be used.{first}"
            + "".join(f" {note}" for note in (*data.notes, *doubts_about(data.class_counts, own.rows)))
        )
    return own, refused, notes


WITHOUT_COPIES = (
    "No changed copies are learnt from, because '{}' was learnt {} --augment. Say it for both, or for neither."
)


def _fitted(
    own: OwnEmbeddings, data: OwnData, base: Bundle, options: LearnOptions
) -> tuple[FittedHead, Scores, Learned]:
    labelled, seed = own.labelled(last_layer(own, base)), options.seed
    folds = folds_of(labelled.groups, labelled.targets, own.knows_speakers, seed)
    if not folds.any():
        raise CorpusError(
            f"{data.source}: all of it is one recording, so that no other is left to test on. Add recordings, or name "
            "the speakers of its parts in a column speaker."
        )
    out = cross_validate(labelled, folds, seed)
    shrinkage = labelled.shrinkage(seed)
    weights, bias = labelled.discriminant(shrinkage)
    targets = labelled.targets[~labelled.is_copy]
    if not options.balance:
        out, offset = with_shares(out, targets)
        bias = bias + offset
    domain = domain_of(labelled) if out.distances is not None else None
    if domain and out.distances is not None:
        domain = replace(domain, threshold=known_limit(out.distances))
    head = FittedHead(own.classes, weights, bias, domain, out, targets, own.sure_from_s, labelled)
    scores = score(predictions_of(own, head), np.random.default_rng(0))
    return head, scores, _summary(own, data, base, head, scores, shrinkage, options)


def _summary(
    own: OwnEmbeddings,
    data: OwnData,
    base: Bundle,
    head: FittedHead,
    scores: Scores,
    shrinkage: float,
    options: LearnOptions,
) -> Learned:
    speakers = [row.speaker for row in own.rows]
    classes = class_results(own.classes, head.out.probabilities, head.targets, speakers)
    known = known_corpora(own.rows, (line.name for line in base.info.training_corpora))
    info = head.info(base)
    wa, ua_of_folds = scores.over_folds["wa"], scores.over_folds["ua"]
    return Learned(
        path=Path(),
        name="",
        base=base.info.name,
        command=_command(data, base, options),
        source=str(data.source),
        layout=data.layout,
        label_from=data.label_from,
        speaker_from=data.speaker_from,
        classes=tuple(classes),
        n=len(own.rows),
        n_refused=0,
        n_speakers=own.n_speakers,
        hours=float(own.seconds.sum()) / 3600,
        speaker_independent=own.knows_speakers,
        folds=folds_in_words(own, len(scores.folds)),
        wa=wa.mean,
        wa_sd=wa.sd or 0.0,
        ua=scores.ua,  # a fold may lack classes, and its UA leaves them out
        ua_over_folds=ua_of_folds.mean,
        ua_sd=ua_of_folds.sd or 0.0,
        ece=reliability(head.out.probabilities, head.targets).ece,
        ece_by_chance=expected_ece(head.out.probabilities, np.random.default_rng(options.seed)).mean,
        shrinkage=shrinkage,
        temperature=info.temperature,
        abstain_below=info.abstain_below,
        out_of_domain_from=info.out_of_domain_from,
        known_corpora=known,
        refused=(),
        warnings=(
            *warnings_on(own, data, base, known),
            *bound_warnings("emotion", info.temperature),
            *([] if head.domain else [NO_DOMAIN]),
            *filter(None, [scores.without_errors]),
        ),
        advice=tuple(advice_on(head.learnt_from, head.out, classes, own.n_speakers, options.seed)),
        report=None,
        seconds={},
    )


NO_DOMAIN = (
    "Without one fold (or speaker) fewer than ten recordings are left, too few to know which sound is unlike them: "
    'this model never says "out-of-domain".'
)


def _command(data: OwnData, base: Bundle, options: LearnOptions) -> str:
    """Return the command for the same model; names without folders, as where recordings lie is nobody's business."""
    words = ["earnest", "learn", data.source.resolve().name, "--from", base.info.name, *typed(data.hints)]
    words += ["--continue", options.continued.name] if options.continued else []
    words += ["--seed", str(options.seed)] if options.seed else []
    words += ["--augment"] if options.augment else []
    words += [] if options.balance else ["--as-frequent"]
    return printable(join(words))


def folds_in_words(own: OwnEmbeddings, n_folds: int) -> str:
    """Describe the folds."""
    if not own.knows_speakers:
        return f"{n_folds} folds of recordings"
    alone = n_folds == own.n_speakers
    return f"each of {n_folds} speakers left out once" if alone else f"{n_folds} folds of whole speakers"


def warnings_on(own: OwnEmbeddings, data: OwnData, base: Bundle, known: Sequence[str]) -> Iterator[str]:
    """Yield warnings that make the numbers worth less, and notes for readers of the data."""
    if known:
        heard = [name for name in known if name in base.info.origin]
        if heard:
            yield (
                f"'{base.info.name}' knows these recordings: its encoder was trained on the labels of "
                f"{' and '.join(heard)}. The numbers are too high; for other people it works less well."
            )
        else:
            yield (
                f"'{base.info.name}' knows these recordings: they seem to be from {' and '.join(known)}, on which its "
                "last layer was trained. That layer is replaced here. Its description says that its encoder was not "
                "trained on them. If it was, the numbers are too high: test it on recordings that it never heard."
            )
    if not own.knows_speakers:
        named = {row.speaker for row in own.rows if row.speaker}
        why = "some recordings have no speaker" if named else "no speakers are known"
        why = "there is one speaker" if own.n_speakers == 1 else why
        yield (
            f"NOT speaker-independent: {why}, so the same speaker may be in training and test. For other "
            "people it works less well than these numbers."
        )
    if lines := base.info.non_commercial:
        told = " and ".join(f"{line.name} ({line.licence})" for line in lines)
        yield f"For non-commercial use only: the weights of '{base.info.name}' were trained on {told}."
    yield from data.notes
    # Those of classes that were left out as too small, too: a slip of the pen makes such a class.
    yield from doubts_about(Counter(row.native_emotion for row in own.rows) | Counter(data.class_counts), own.rows)
    yield from _late_ends(own)
    by_corpus: dict[str, list[Utterance]] = {}
    for row in own.rows:
        if row.corpus not in CORPORA:
            by_corpus.setdefault(row.corpus, []).append(row)
    yield from doubts_about_shared_names(by_corpus)


def _late_ends(own: OwnEmbeddings) -> Iterator[str]:
    """Warn of parts that end after their recording: times that are wrong, such as milliseconds."""
    heard_to = (row.start_s + seconds for row, seconds in zip(own.rows, own.seconds.tolist(), strict=True))
    rows = zip(own.rows, heard_to, strict=True)
    if late := [row for row, heard_s in rows if row.end_s is not None and row.end_s > heard_s + LATE_S]:
        first = f"{printable(late[0].path.name)} from {late[0].start_s:g} s"
        yield (
            f"Parts that end after their recording, so that all the rest of it was heard as theirs: {len(late)} (the "
            f"first: {first}). Are the times in seconds?"
        )


def predictions_of(own: OwnEmbeddings, head: FittedHead) -> Predictions:
    """Return the answers of cross-validation."""
    rows, folds = own.rows, head.out.folds
    alone = own.knows_speakers and len(np.unique(folds)) == own.n_speakers
    names = [row.speaker for row in rows] if alone else [f"f{fold + 1}" for fold in folds.tolist()]
    return Predictions(
        classes=head.classes,
        fold=text_column(names),
        emotion=head.targets,
        predicted=head.out.probabilities.argmax(axis=1).astype(np.int64),
        probabilities=head.out.probabilities.astype(np.float32),
        **identified(rows),
    )


def _write(
    fresh: Path, own: OwnEmbeddings, base: Bundle, head: FittedHead, scores: Scores, answers: Answers, learned: Learned
) -> None:
    """Write the bundle, the answers of cross-validation, and their scores."""
    facts = {
        "protocol": PROTOCOL,
        "title": f"own recordings ({learned.title})",
        "speaker_independent": learned.speaker_independent,
        "command": learned.command,
        "clips": f"{learned.n} recordings",
    }
    result = result_of(facts | scores.to_dict())
    corpus = TrainingCorpus(
        OWN,
        answers.data_licence or "not stated",
        learned.n,
        learned.n_speakers,
        round(learned.hours, 3),
        answers.attribution,
    )
    notes = (*learned.warnings, *filter(None, [scores.lacking]))  # the card tells the mean over folds alone
    files, info = bundle_of(base, head, answers, corpus, result, notes)
    write_bundle_files(fresh, files, info)
    write_manifest(own.rows, fresh / MANIFEST)
    write_predictions(predictions_of(own, head), fresh / PREDICTIONS)
    write_json(fresh / METRICS, facts | scores.to_dict())


def _page(fresh: Path, learned: Learned, own: OwnEmbeddings, options: LearnOptions) -> Path | None:
    try:
        from earnest.own.page import write_page

        return write_page(fresh, learned, own, options.seed)
    except MissingExtraError as error:
        _log.info("No report.html: %s", error)
        return None


def named(output: Path, name: str) -> str:
    """Return the model's name: the one given, or that of its folder.

    Raises `EarnestError` when it is no name of a bundle.
    """
    found = (name or real_path(output).name).strip()
    if not is_printable(found) or not 0 < len(found) <= LONGEST_NAME:
        raise EarnestError(
            f"A model's name has 1 to {LONGEST_NAME} letters that can be printed. Give it another --name."
        )
    return found


def class_results(
    names: Sequence[str], probabilities: Floats, targets: Numbers, speakers: Sequence[str]
) -> list[ClassResult]:
    """Return a row a class. ``speakers``: of each row, "" where unknown."""
    answers = probabilities.argmax(axis=1)
    found = []
    for number, name in enumerate(names):
        own = targets == number
        # A row of the confusion matrix over its sum, (classes,): where the recordings of this class went.
        counts = np.bincount(answers[own], minlength=len(names)) / own.sum()
        wrong = counts.copy()
        wrong[number] = 0
        other = int(wrong.argmax())
        known = {speakers[row] for row in np.flatnonzero(own).tolist()} - {""}
        found.append(
            ClassResult(name, int(own.sum()), len(known), float(counts[number]), names[other], float(wrong[other]))
        )
    return found


FEW_SPEAKERS, FEW_A_CLASS = 8, 20
OFTEN = 0.15  # of a class that is taken for another one: worth a word
GAIN = 0.02  # of UA from twice as much: worth a word
N_HALVES = 10  # one half is a toss of who is in it


@dataclass(frozen=True)
class UaChange:
    """A difference in UA and its standard error over groups, 0 to 1."""

    value: float
    error: float


def advice_on(
    data: LabelledEmbeddings, out: OutOfFold, classes: Sequence[ClassResult], n_speakers: int, seed: int
) -> list[str]:
    """Return sentences, the most helpful first. ``n_speakers``: 0 where they are unknown."""
    told = []
    if not n_speakers:
        some = any(one.n_speakers for one in classes)
        whom = "speaker of every recording" if some else "speakers (--speaker-column or --speaker-pattern)"
        told.append(
            f"Name the {whom}: only then the numbers show how well the model works for people that it never heard."
        )
    elif n_speakers == 1:
        told.append("Recordings of more speakers: with one, the numbers say nothing about other people.")
    what = "speakers" if n_speakers > 1 else "recordings"
    if are_guesses(data, out):
        told.append("Its answers can't be told from guesses: the labels can't be heard, are wrong, or are too few.")
    else:
        told.append(advice_on_more(gain_of_the_second_half(data, out, seed), what, n_speakers))
    alone = [one.name for one in classes if one.n_speakers == 1 and n_speakers > 1]
    tested = [one for one in classes if one.name not in alone]
    confused = max(tested, key=lambda one: one.taken_share * (1 - one.recall), default=None)
    if confused and confused.taken_share >= OFTEN:
        told.append(
            f"Clearer examples of '{confused.name}' against '{confused.taken_for}': "
            f"{in_percent(confused.taken_share)} % of the {confused.n} were taken for it. Perhaps their labels overlap."
        )
    smallest = min(classes, key=lambda one: one.n)
    if smallest.n < FEW_A_CLASS:
        told.append(f"More of '{smallest.name}': {smallest.n} recordings are few.")
    if alone:
        told.append(f"A second speaker of {', '.join(alone)}: with one, this class is never tested on another speaker.")
    return told


def advice_on_more(gain: UaChange, what: str, n_speakers: int) -> str:
    """Say whether more of the same kind may help, or that it can't be told.

    Parameters
    ----------
    what : "speakers" or "recordings", of which half was left out
    """
    least, most = gain.value - 2 * gain.error, gain.value + 2 * gain.error
    if gain.value > GAIN and least > 0:
        return (
            f"More {what}: with half of the {what} UA was {100 * gain.value:.1f} points lower, and twice as many may "
            "help further."
        )
    if 1 < n_speakers < FEW_SPEAKERS:
        return f"More speakers: results of {n_speakers} say little about other people."
    lower = f"{100 * gain.value:.1f} points lower" if gain.value >= 0.0005 else "no lower"
    if most <= GAIN:
        return f"With half of the {what} UA was {lower}: more of the same kind may help little."
    return (
        f"With half of the {what} UA was {lower}, give or take {200 * gain.error:.1f}: whether more of the same kind "
        "help can't be told from so few."
    )


def are_guesses(data: LabelledEmbeddings, out: OutOfFold) -> bool:
    """Whether UA is within two standard errors of guesses, or below."""
    targets, groups = _asked(data)
    counts = np.bincount(targets, minlength=out.logits.shape[1])
    chance = 1 / len(counts)
    found = _over_groups((out.probabilities.argmax(axis=1) == targets) - chance, targets, groups)
    # Guesses among K classes: each recall has mean 1/K and variance 1/K·(1 − 1/K)/n_k, and UA is their mean. Where
    # labels go with speakers, whose answers are alike, it varies more: the larger error counts.
    of_guesses = chance * np.sqrt((chance * (1 - chance) / counts).sum())
    return bool(found.value < 2 * max(of_guesses, found.error))


def gain_of_the_second_half(data: LabelledEmbeddings, out: OutOfFold, seed: int) -> UaChange:
    """Return how much lower UA is with heads of half of the other groups, the mean of ten halves."""
    asked = np.flatnonzero(~data.is_copy)
    targets, groups = _asked(data)
    rng = np.random.default_rng(seed)
    right = np.zeros((N_HALVES, len(asked)))
    for fold, shrinkage in zip(np.unique(out.folds).tolist(), out.shrinkages, strict=True):
        others, held = np.flatnonzero(out.folds != fold), out.folds == fold
        for of_half in right:
            half = _half(groups[others], targets[others], rng)
            # And their copies, as the whole head had.
            weights, bias = data.take(np.isin(data.groups, groups[others[half]])).discriminant(shrinkage)
            answers = (data.embeddings[asked[held]] @ weights.T + bias + out.offset).argmax(axis=1)
            of_half[held] = answers == targets[held]
    return _over_groups((out.logits.argmax(axis=1) == targets) - right.mean(axis=0), targets, groups)


def _asked(data: LabelledEmbeddings) -> tuple[Numbers, npt.NDArray[np.str_]]:
    """Return targets and groups of the rows that are no copies."""
    asked = np.flatnonzero(~data.is_copy)
    return data.targets[asked], np.array([data.groups[row] for row in asked.tolist()])


def _over_groups(values: Floats, targets: Numbers, groups: npt.NDArray[np.str_]) -> UaChange:
    """Return the mean over classes of a value a row, and its standard error over groups; infinite of one group."""
    counts = np.bincount(targets)
    # 1/K · Σ_k (1/n_k) Σ_{i of class k} v_i, as a sum over groups: Var = G/(G − 1) · Σ_g (x_g − mean)².
    weighted = values / ((counts > 0).sum() * counts[targets])
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=weighted)
    n = len(sums)
    error = float(np.sqrt(n / (n - 1)) * np.sqrt(((sums - sums.mean()) ** 2).sum())) if n > 1 else float("inf")
    return UaChange(float(sums.sum()), error)


def _half(groups: npt.NDArray[np.str_], targets: Numbers, rng: np.random.Generator) -> Numbers:
    """Return the rows of half of the groups, drawn anew until each class is there, ten times at most."""
    names = np.unique(groups)
    for _ in range(10):
        rows = np.flatnonzero(np.isin(groups, rng.permutation(names)[: max(len(names) // 2, 1)]))
        if len(np.unique(targets[rows])) == len(np.unique(targets)):
            break
    return np.asarray(rows, np.int64)
