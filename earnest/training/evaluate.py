"""All folds of a protocol: trained, predicted once, scored together."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from earnest.corpora.base import CORPORA
from earnest.corpora.load import corpus_root, load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, SplitError
from earnest.evaluation.fold_choice import FoldChoice, chosen_folds
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import Predictions, joined, read_predictions, write_predictions
from earnest.evaluation.protocol import Coverage, Protocol
from earnest.evaluation.protocols import coverage_of, protocol_called
from earnest.evaluation.report import metrics_document, write_metrics
from earnest.evaluation.slices import manifest_columns
from earnest.evaluation.splits import Split, leakage
from earnest.labels import SchemeCounts, count_labels
from earnest.models.classifier import build_front_end
from earnest.recipe import Recipe
from earnest.suggest import suggestion
from earnest.training.affect import affect_results
from earnest.training.batches import change_of
from earnest.training.calibrate import calibration_change
from earnest.training.data import Example, compute_examples, decoding_bar
from earnest.training.discriminant import last_layer
from earnest.training.folds import run_folds
from earnest.training.record import read_record
from earnest.training.run import PREDICTIONS, Clips, claim, initial_classifier, is_finished, run_split, scheme_of

BOOTSTRAP_SEED = 0
METRICS = "metrics.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The outcome of one recipe under one protocol."""

    protocol: Protocol
    splits: Sequence[Split]
    predictions: Predictions
    scores: Scores
    labels: SchemeCounts
    coverage: Coverage
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A recipe under a protocol: what it trains on, all rows there are, and the folds that are wanted."""

    recipe: Recipe
    protocol: Protocol
    utterances: Sequence[Utterance]
    choice: FoldChoice


def task_of(recipe: Recipe, protocol_name: str, folders: Mapping[str, Path], folds: Sequence[str]) -> Task:
    """Read the corpora and divide them; empty ``folds`` means all."""
    protocol = protocol_called(protocol_name)
    recipe = under(protocol, recipe)
    utterances = protocol_utterances(recipe, protocol, folders)
    return Task(recipe, protocol, utterances, chosen_folds(protocol_name, utterances, folds))


def evaluate(
    recipe: Recipe,
    protocol_name: str,
    folders: Mapping[str, Path],
    output: Path,
    command: str,
    jobs: int = 1,
    on_fold: Callable[[str], object] | None = None,
    folds: Sequence[str] = (),
) -> Evaluation:
    """Train and score every fold; finished folds are read from ``output``, killed ones resumed.

    Parameters
    ----------
    folders : corpus name → folder
    output : gets a run folder a fold, and predictions.csv and metrics.json of all together
    command : what to type for this result; kept in metrics.json
    jobs : folds at a time, one thread each; the numbers don't depend on it
    on_fold : told each fold as it is done; with it, progress is shown
    folds : some of the protocol's; empty: all
    """
    task = task_of(recipe, protocol_name, folders, folds)
    recipe, protocol, utterances, choice = task.recipe, task.protocol, task.utterances, task.choice
    splits = choice.splits
    runs = {split.fold: output / split.fold for split in splits}
    _check_before_decoding(recipe, splits, runs)
    finished = [split.fold for split in splits if is_finished(runs[split.fold], split)]
    parts = {fold: read_predictions(runs[fold] / PREDICTIONS) for fold in finished}
    left = {fold: run for fold, run in runs.items() if fold not in parts}
    # Clips outside the splits stay out: they could add classes to the scheme "native", and move the others' numbers.
    decode = partial(examples_of, recipe, rows_in(splits), on_fold is not None and jobs == 1)
    for fold, predictions in run_folds(recipe, splits, decode, left, jobs):
        parts[fold] = predictions
        if on_fold:
            on_fold(fold)
    together = joined([parts[split.fold] for split in splits])
    write_predictions(together, output / "predictions.csv")
    return scored(
        recipe, protocol, choice, together, utterances, command, output / METRICS, _calibration(together, runs)
    )


def train(
    recipe: Recipe,
    protocol_name: str,
    fold: str | None,
    folders: Mapping[str, Path],
    output: Path,
    command: str,
    keep_test: bool = True,
    show_progress: bool = False,
) -> Evaluation | None:
    """Train on one fold of a protocol, the first by default, and score its test set once.

    Parameters
    ----------
    output : the run folder; the same call again resumes a killed run
    keep_test : without it the test set is trained on, and so are, in the end, the validation clips: for shipping

    Returns
    -------
    scores of the test set, None without one
    """
    protocol = protocol_called(protocol_name)
    recipe = under(protocol, recipe)
    if not keep_test:
        recipe = replace(recipe, training=replace(recipe.training, refit=True))
    utterances = protocol_utterances(recipe, protocol, folders)
    split = split_called(protocol_name, fold, utterances, keep_test)
    _check_before_decoding(recipe, [split], {split.fold: output})
    clips = Clips({} if is_finished(output, split) else examples_of(recipe, rows_in([split]), show_progress))
    predictions = run_split(recipe, split, clips, output, show_progress)
    if predictions is None:
        return None
    change = _calibration(predictions, {split.fold: output})
    return scored(recipe, protocol, FoldChoice([split], 1), predictions, utterances, command, output / METRICS, change)


def scored(
    recipe: Recipe,
    protocol: Protocol,
    choice: FoldChoice,
    predictions: Predictions,
    utterances: Sequence[Utterance],
    command: str,
    path: Path,
    more_facts: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Score predictions and write them to ``path``, a metrics.json.

    Parameters
    ----------
    choice : where folds are left out, title and clips say so
    """
    columns = manifest_columns(predictions, utterances, ("style", "intensity"))
    scores = score(predictions, np.random.default_rng(BOOTSTRAP_SEED), columns=columns)
    splits = choice.splits
    used = rows_in(splits)
    labels, coverage = label_counts(recipe, protocol, used, utterances), coverage_of(protocol, used)
    facts = {
        "command": command,
        "seed": recipe.training.seed,
        "clips": coverage.sentence(),
        "labels": labels.sentence(),
        "leakage": [line.to_dict() for split in splits for line in leakage(split)],
        "recipe": recipe.to_dict(),
        "affect": affect_results(predictions, utterances, recipe.training.affect_range),
        **(more_facts or {}),
    }
    if choice.part:
        sentence = f"{coverage.sentence()}, {choice.part} tested: {scores.n} clips"
        facts |= {"title": choice.title(protocol), "part": choice.part, "clips": sentence}
    write_metrics(protocol.name, scores, facts, path)
    document = metrics_document(protocol.name, scores, facts)
    return Evaluation(protocol, splits, predictions, scores, labels, coverage, document)


def _calibration(predictions: Predictions, runs: Mapping[str, Path]) -> dict[str, Any]:
    records = {fold: read_record(run) for fold, run in runs.items()}
    return {"calibration_change": calibration_change(predictions, records)}


def rows_in(splits: Sequence[Split]) -> list[Utterance]:
    """Return the utterances of all sets of ``splits``, each once."""
    rows = (row for split in splits for members in split.sets.values() for row in members)
    return list({row.key: row for row in rows}.values())


def _check_before_decoding(recipe: Recipe, splits: Sequence[Split], folders: Mapping[str, Path]) -> None:
    """Refuse at once what would be refused after minutes of decoding: settings, weights, folders of other runs."""
    for fold in folders:
        if Path(fold).name != fold:
            raise SplitError(f"'{fold}' can't be a folder's name. Rename that speaker in the manifest.")
    if recipe.augment:
        change_of(recipe)
    classifier = initial_classifier(recipe, scheme_of(recipe, rows_in(splits)).classes)
    if recipe.training.method == "discriminant":
        last_layer(classifier.network)
    for split in splits:
        claim(folders[split.fold], recipe, split)


def under(protocol: Protocol, recipe: Recipe) -> Recipe:
    """Return the recipe with the corpora and classes that the protocol is defined on, where it is defined on any."""
    scheme = recipe.scheme if protocol.scheme == "native" else protocol.scheme
    return replace(recipe, corpus=protocol.corpora or recipe.corpus, scheme=scheme)


def protocol_utterances(recipe: Recipe, protocol: Protocol, folders: Mapping[str, Path]) -> list[Utterance]:
    """Load the usable clips of the corpora of a protocol, or of the recipe's where it takes any."""
    wanted = recipe.corpora
    for name in folders.keys() - {*wanted, *CORPORA.names()}:
        _log.warning("--data %s=… is not used.%s", name, suggestion(name, wanted))
    if protocol.optional_corpora:
        wanted = tuple(name for name in wanted if _is_given(name, folders))
    return load_utterances(wanted, folders)


def label_counts(
    recipe: Recipe, protocol: Protocol, used: Sequence[Utterance], utterances: Sequence[Utterance]
) -> SchemeCounts:
    """Count what is kept, merged and dropped of the clips that the protocol is about.

    Parameters
    ----------
    used : the clips of the splits; the scheme "native" has their emotions as classes
    utterances : all clips that were read
    """
    part = [row for row in utterances if protocol.belongs is None or protocol.belongs(row)]
    return count_labels(scheme_of(recipe, used), ((row.emotion, row.corpus, row.native_emotion) for row in part))


def _is_given(name: str, folders: Mapping[str, Path]) -> bool:
    """Say whether a corpus that may be absent is there; one that was named with --data must be."""
    try:
        corpus_root(name, folders)
    except CorpusError:
        return name in folders
    return True


def examples_of(recipe: Recipe, utterances: Sequence[Utterance], show_progress: bool = False) -> dict[str, Example]:
    """Compute the frames of every utterance that the recipe's scheme keeps; samples too if the recipe augments."""
    with decoding_bar(len(utterances), show_progress) as advance:
        return compute_examples(
            build_front_end(recipe),
            utterances,
            scheme_of(recipe, utterances),
            advance,
            keep_waveforms=bool(recipe.augment),
            affect_range=recipe.training.affect_range,
        )


def split_called(protocol: str, fold: str | None, utterances: Sequence[Utterance], keep_test: bool = True) -> Split:
    """Return one fold of a protocol, by default the first; without ``keep_test`` its test set is trained on."""
    splits = chosen_folds(protocol, utterances, () if fold is None else (fold,)).splits
    split = splits[0]
    return split if keep_test else replace(split, train=(*split.train, *split.test), test=())
