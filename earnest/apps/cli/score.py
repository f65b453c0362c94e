"""``earnest score``: the metrics of any predictions file, ours or anybody's; what it reads, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from earnest.apps.cli import say
from earnest.apps.cli._options import CORPUS
from earnest.apps.cli._training import PROTOCOL, echo_affect, named_corpora
from earnest.apps.cli._typed import (
    FOLDER,
    PATH,
    corpus_folders,
    data_option,
    output_options,
    overwrite_option,
    word_pairs,
)
from earnest.bundle import load_bundle, shipped_bundles
from earnest.corpora.load import corpus_root, load_corpus, scheme_of_rows, usable
from earnest.corpora.manifest import Utterance, read_manifest
from earnest.errors import EarnestError, MissingExtraError, named
from earnest.evaluation.alignment import Joined, LabelMapping, Relabelled, join, relabelled
from earnest.evaluation.answers import SystemAnswers, TextColumn
from earnest.evaluation.author_protocols import stamp_of
from earnest.evaluation.confusion import HEADLINES
from earnest.evaluation.doubts import N_NAMED, doubts
from earnest.evaluation.importers import READERS, read_any
from earnest.evaluation.intervals import Slice, manifest_columns
from earnest.evaluation.metrics import Scores, affect_results, intensity_scores, score, seeds_apart
from earnest.evaluation.predictions import (
    METRICS,
    PREDICTIONS,
    Predictions,
    metrics_in,
    predictions_file,
    told_by_run,
    write_predictions,
)
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.report import metrics_document
from earnest.evaluation.splits import without_repeats
from earnest.evaluation.texts import NONE, SCORES_IN_WORDS, percent, range_text, spread_text
from earnest.files.writing import SUMS, holding, refuse_existing, summed_in, write_atomically, write_json, write_sums
from earnest.labels import Scheme, composed, scheme_called

DERIVED = "Affect is derived from emotions, not learnt from ratings; here it is scored by ratings."


@dataclass(frozen=True)
class Source:
    """Where the truth is, and how labels are to be read.

    Attributes
    ----------
    corpora : corpus name → its folder or manifest
    words : their label → ours
    """

    manifest: Path | None = None
    corpora: Mapping[str, Path] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    scheme: str | None = None
    form: str | None = None
    ignore_unknown: bool = False

    @property
    def has_truth(self) -> bool:
        """Whether truth is looked up rather than read from the file."""
        return self.manifest is not None or bool(self.corpora)

    @property
    def changes(self) -> bool:
        """Whether truth or labels are others than those of the file."""
        return self.has_truth or bool(self.words) or self.scheme is not None

    def utterances(self) -> list[Utterance]:
        """Return the rows of manifest and corpora, recordings that are not usable too."""
        rows = [] if self.manifest is None else read_manifest(self.manifest)
        for name, root in self.corpora.items():
            rows += load_corpus(name, corpus_root(name, {name: root}))
        return rows


@dataclass(frozen=True, eq=False)
class ToScore:
    """Predictions ready for scoring.

    Attributes
    ----------
    notes : what was left out or counted as wrong, in sentences
    columns : what else the manifest says about each row, for slices
    more : scores of the answers beside the emotion
    models : names of those that answered, where the file says so
    """

    predictions: Predictions
    notes: Sequence[str] = ()
    columns: Mapping[str, TextColumn] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = ()


def to_score(path: Path, source: Source) -> ToScore:
    """Read a file and put truth beside it."""
    answers = read_any(path, source.form)
    models = sorted({*answers.text("model")} - {""})
    found = _with_truth(answers, source)
    return replace(found, models=models, notes=[*found.notes, *_learnt_from(models, found.predictions)])


def _learnt_from(models: Sequence[str], predictions: Predictions) -> list[str]:
    """Warn of models whose training heard the recordings that they are scored on, as far as the corpus says so."""
    scored, notes = {*predictions.corpus}, []
    for name in sorted({*models}.intersection(shipped_bundles())):
        if heard := scored.intersection(one.name for one in load_bundle(name).info.training_corpora):
            told = f"'{name}' learnt from {named(sorted(heard))}: this is no measure of how well it does on others"
            notes.append(f"{told}. Those that it never heard: earnest models {name}.")
    return notes


def _with_truth(answers: SystemAnswers, source: Source) -> ToScore:
    if not source.has_truth:
        if not source.changes:
            predictions = Predictions.of(answers)
            notes = [*answers.notes, *doubts(predictions)]
            return ToScore(predictions, notes, more=_affect_scores(predictions))
        found = relabelled(answers, _label_mapping(source, answers, ()))
        predictions = Predictions.of(found.answers)
        notes = [*answers.notes, *_notes(found, None, source), *doubts(predictions, found.outside)]
        return ToScore(predictions, notes)
    rows = source.utterances()
    label_mapping = _label_mapping(source, answers, rows)
    found = relabelled(replace(answers, emotion=None, affect=None), label_mapping)
    joined = join(found.answers, rows, label_mapping.scheme, source.ignore_unknown, usable(rows).left_out)
    predictions = joined.predictions
    columns = manifest_columns(predictions, joined.utterances)
    more = _affect_scores(predictions)
    derived = [DERIVED] if more and answers.affect_derived is not None and answers.affect_derived.any() else []
    notes = [*answers.notes, *_notes(found, joined, source), *doubts(predictions, found.outside), *derived]
    return ToScore(predictions, notes, columns, more)


def _label_mapping(source: Source, answers: SystemAnswers, rows: Sequence[Utterance]) -> LabelMapping:
    scheme = _scheme(source, answers, rows)
    return LabelMapping(source.words, scheme, canonical=source.has_truth or scheme is not None)


def _scheme(source: Source, answers: SystemAnswers, rows: Sequence[Utterance]) -> Scheme | None:
    """Return the scheme asked for; of own recordings, whose words are no emotions, without asking these words."""
    if source.scheme is None:
        own = scheme_of_rows("native", rows)
        return own if own.native else None
    return scheme_of_rows(source.scheme, rows) if rows else scheme_called(source.scheme, answers.classes())


def _notes(found: Relabelled, joined: Joined | None, source: Source) -> list[str]:
    is_outside = found.is_outside if joined is None else found.is_outside[joined.kept]
    counted = [
        (found.n_dropped, "Left out, their true label not being in the scheme"),
        (int(is_outside.sum()), f"Answers that are {_no_label(found, source)}, counted as none"),
    ]
    if joined is not None:
        counted += [
            (joined.n_dropped, "Utterances of the manifest left out, unusable or their label not in the scheme"),
            (joined.n_repeats, "Rows of the manifest that say of a recording what another row says, counted once"),
            (joined.n_unanswered, "Utterances of the manifest without an answer, counted as wrong"),
            (joined.n_unknown, "Left out, their utterance is not in the manifest"),
            (joined.n_by_name, "Found by the name of the file alone, in another folder than the answers say"),
        ]
    return [f"{what}: {count}." for count, what in counted if count]


def _no_label(found: Relabelled, source: Source) -> str:
    """Explain answers that count as none; a manifest's own words may be others for the same."""
    words = named(found.outside, N_NAMED)
    if source.scheme is not None:
        return f"not in the scheme ({words})"
    return f"no label of the manifest ({words}; say --map ANSWER=TRUTH for what they mean)"


def _affect_scores(predictions: Predictions) -> dict[str, Any]:
    found, intensity = affect_results(predictions), intensity_scores(predictions)
    return {**({"affect": found} if found else {}), **({"intensity": asdict(intensity)} if intensity else {})}


NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro-F1", "weighted_f1": "weighted F1"}
MOST_VALUES = 12  # of a slice that are printed; metrics.json has all


def echo_scores(scores: Scores, more: Mapping[str, Any], title: str) -> None:
    """Write all tables to standard output."""
    _echo_headlines(scores, title)
    if scores.gender:
        say.line(f"{scores.gender.sentence()}\n")
    echo_affect(more)
    _echo_classes(scores)
    _echo_confusion(scores)
    _echo_slices(scores.slices)


def _echo_headlines(scores: Scores, title: str) -> None:
    n_folds = len(without_repeats(scores.folds))
    rows = []
    for name in HEADLINES:
        folds = spread_text(scores.over_folds[name]) if n_folds > 1 else NONE
        rows.append([NAMES[name], percent(getattr(scores, name)), folds, range_text(scores.intervals[name])])
    over = scores.intervals["wa"].over
    folds = f"over {n_folds} folds" if n_folds > 1 else "one fold"
    columns = ("%", "over all recordings", folds, f"95 % interval over {over}")
    say.table(columns, rows, title, right=columns[1:])
    say.line(f"\n{scores.size('utterance')}, {percent(scores.coverage)} % answered", nl=False)
    if scores.calibration is not None:
        say.line(f" · Brier {scores.calibration.brier:.3f} · {scores.calibration.sentence}", nl=False)
    say.line("\n")
    for note in [*scores.notes, *([] if scores.calibration is None else scores.calibration.notes)]:
        say.line(f"{note}\n")


def _echo_classes(scores: Scores) -> None:
    columns = ("class", "n", "precision", "recall", "F1")
    rows = []
    for name, one in scores.per_class.items():
        rows.append([name, str(one.n), percent(one.precision), percent(one.recall), percent(one.f1)])
    say.table(columns, rows, right=columns[1:])


def _echo_confusion(scores: Scores) -> None:
    extra = ("none",) if scores.n_answered < scores.n else ()
    columns = ("", *_short(scores.classes), *extra)
    rows = []
    for name, counts in zip(scores.classes, scores.confusion, strict=True):
        rows.append([name, *map(str, counts), *(str(scores.unanswered[name]) for _ in extra)])
    say.table(columns, rows, "\nTrue class in rows, predicted in columns", right=columns[1:])


def _echo_slices(slices: Sequence[Slice]) -> None:
    names = dict.fromkeys(part.name for part in slices)
    shown = [[part for part in slices if part.name == name] for name in names if name != "speaker"]
    rows = [
        [part.name, part.value, str(part.n), percent(part.wa), percent(part.ua)]
        for parts in shown
        if len(parts) <= MOST_VALUES
        for part in parts
    ]
    if rows:
        columns = ("slice", "", "n", "WA", "UA")
        say.line()
        say.table(columns, rows, right=columns[2:])


def _short(classes: Sequence[str]) -> list[str]:
    short = [name[:4] for name in classes]
    return short if len(set(short)) == len(short) else list(classes)


UNKNOWN = "The file doesn't say whether training saw these speakers; name the --protocol if you know it."
OWN_MODEL = (
    "If {} learnt from these recordings, this says nothing about others: go by the scores that `earnest learn` wrote."
)
CONFUSION = "confusion.png"
FILE_SUFFIXES = (".html", ".json", ".jsonl", ".csv", ".png", ".md", ".txt")  # no folder is called so


@click.command()
@click.argument("predictions", type=PATH, callback=lambda _context, _argument, path: predictions_file(path))
@click.option("--protocol", **PROTOCOL, help="The protocol that the predictions follow; it goes into the title.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(READERS)),
    help="What wrote the file that is read; scores as JSON are --json. Default: what its content looks like.",
)
@click.option(
    "--manifest", type=PATH, help="A manifest (CSV or Parquet): recordings, speakers and true emotions come from there."
)
@click.option(
    "--corpus",
    "corpora",
    **CORPUS,
    help="A corpus instead of a manifest, or a folder or table of your own in any layout. Default: the corpora that "
    "--data names.",
)
@data_option
@click.option(
    "--map",
    "words",
    multiple=True,
    metavar="THEIRS=OURS",
    help="What a label of the file means, such as ang=angry: the answer first, then the true label; repeatable.",
)
@click.option("--scheme", metavar="NAME", help="Map labels to the classes of a scheme, such as iemocap4.")
@click.option("--ignore-unknown", is_flag=True, help="Leave out answers to recordings that the manifest doesn't have.")
@click.option("-o", "--output", type=FOLDER, help="Folder to write: metrics.json, predictions.csv and confusion.png.")
@overwrite_option
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@output_options
def command(
    predictions: Path,
    protocol: str | None,
    form: str | None,
    manifest: Path | None,
    corpora: Sequence[str],
    data: Sequence[str],
    words: Sequence[str],
    scheme: str | None,
    ignore_unknown: bool,
    output: Path | None,
    overwrite: bool,
    seed: int,
) -> None:
    """Score a predictions file, ours or anybody's.

    PREDICTIONS is the file, or a folder of results with predictions.csv. Columns: utterance_id, emotion (or truth),
    predicted and, where known, p_<class>, speaker (or participant, speaker_id …), corpus, gender, fold; commas,
    semicolons or tabs between, Parquet or JSON lines. Other columns are not read.

    With a manifest or a corpus, utterance_id (or path) and predicted are enough, and every recording counts.
    Without an answer ("unsure" and the like are none) it counts as wrong. The table of `earnest predict -o`, output of
    Hugging Face's pipelines (JSON) and result tables of nkululeko (CSV with a column "file") are read too. UA
    (unweighted accuracy) is the mean recall over the classes that occur.

    \b
    Examples:
      earnest score RUN/predictions.csv
      earnest corpus manifest recordings/ -o truth.csv && earnest score emotions.csv --manifest truth.csv
      earnest score pipeline.jsonl --data ravdess=~/data/ravdess --map ang=angry
      earnest score results.csv --manifest mine.csv --scheme iemocap4 -o scored
      earnest score other.csv --manifest mine.csv --scheme iemocap4 -o other && earnest compare scored other
    """
    told = _facts_of_run(predictions)
    if protocol is not None:
        _refuse_other_protocol(protocol, predictions, told)
    folders = corpus_folders(data)
    places = named_corpora(corpora or folders, folders)
    meant = {composed(theirs.strip()): composed(ours.strip()) for theirs, ours in word_pairs("--map", words).items()}
    source = Source(manifest, places, meant, scheme, form, ignore_unknown)
    if output is not None:
        _refuse_output(output, predictions, source, overwrite)
    found = to_score(predictions, source)
    scores, _ = seeds_apart(score(found.predictions, np.random.default_rng(seed), columns=found.columns))
    document = _document(protocol, told, scores, found)
    title = _title(predictions, protocol, told)
    if output is not None:
        _write(output, found.predictions if _is_apart(output, predictions) else None, document, scores, title)
    if say.answer(document):
        return
    echo_scores(scores, found.more, title)
    for note in found.notes:
        say.line(note)
    say.line(f"\n{SCORES_IN_WORDS}")
    if protocol is None and not (told or say.is_quiet()):
        if own := sorted({*found.models}.difference(shipped_bundles())):
            say.line(OWN_MODEL.format(named([f"'{name}'" for name in own], N_NAMED)), err=True)
        elif not _learnt_from(found.models, found.predictions):
            say.line(UNKNOWN, err=True)


def _facts_of_run(predictions: Path) -> dict[str, Any]:
    """Return the facts of the run that are told again with other scores."""
    document = told_by_run(predictions)
    names = ("protocol", "speaker_independent", "title", "selected_on")
    return {name: document[name] for name in names if name in document}


def _refuse_other_protocol(protocol: str, predictions: Path, told: Mapping[str, Any]) -> None:
    """Refuse a protocol that is unknown, or that the folder of the predictions contradicts."""
    kind = protocol_called(protocol).kind
    if told and told.get("protocol") != protocol:
        known = told.get("title", told.get("protocol"))
        raise EarnestError(
            f"{predictions}: was made under {known}, says {METRICS} there, not under {protocol} ({kind})."
        )


def _document(protocol: str | None, told: dict[str, Any], scores: Scores, found: ToScore) -> dict[str, Any]:
    facts = {"notes": list(found.notes), **found.more, **({"models": list(found.models)} if found.models else {})}
    if protocol is None:
        return {"protocol": None, "speaker_independent": None, **told, **facts, **scores.to_dict()}
    return metrics_document(protocol, scores, told | facts)


def _title(predictions: Path, protocol: str | None, told: Mapping[str, Any]) -> str:
    known = str(told.get("title", "")) if protocol is None else f"{protocol} ({protocol_called(protocol).kind})"
    return ": ".join(filter(None, [predictions.name, known, stamp_of(told)]))


def _refuse_output(folder: Path, scored: Path, source: Source, overwrite: bool) -> None:
    """Refuse what is called as a file is, results that may not be overwritten, and a folder of another command."""
    if folder.suffix.lower() in FILE_SUFFIXES and not folder.is_dir():
        raise click.UsageError(f"--output {folder}: is a folder here, for metrics.json and predictions.csv. Name one.")
    if "recipe" in metrics_in(folder):
        raise EarnestError(f"{folder}: holds results of `earnest evaluate`. Choose another --output.")
    for name in (METRICS, CONFUSION):
        refuse_existing(folder / name, overwrite)
    if _is_apart(folder, scored):
        refuse_existing(folder / PREDICTIONS, overwrite)
    elif source.changes:
        told = "is scored with other truth or labels, which the file in that folder doesn't hold"
        raise EarnestError(f"{scored}: {told}. Choose another --output.")
    if foreign := {name for name, _ in summed_in(folder / SUMS)} - {METRICS, PREDICTIONS, CONFUSION}:
        raise EarnestError(f"{folder}: holds {min(foreign)} of something else. Choose another --output.")


def _is_apart(folder: Path, scored: Path) -> bool:
    """Whether the file that is scored is not the one that would be written."""
    return (folder / PREDICTIONS).resolve() != scored.resolve()


@holding("folder")
def _write(
    folder: Path, predictions: Predictions | None, document: Mapping[str, Any], scores: Scores, title: str
) -> None:
    """Write metrics.json, the confusion matrix where matplotlib is there, and checksums.

    Parameters
    ----------
    predictions : None where they lie in the folder already
    """
    from earnest.plots.results import plot_confusion

    (folder / SUMS).unlink(missing_ok=True)  # of what is about to change
    if predictions is not None:
        write_predictions(predictions, folder / PREDICTIONS)
    write_json(folder / METRICS, document)
    names = [METRICS, PREDICTIONS]
    try:
        write_atomically(folder / CONFUSION, plot_confusion(scores, title, document["speaker_independent"]))
        names.append(CONFUSION)
    except MissingExtraError as error:
        say.hint(f"No {CONFUSION}: {error}", err=True)
    write_sums(folder, names)
