"""All folds of a protocol: trained, predicted once, scored together."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch

from earnest.corpora.load import corpus_root, load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, RecipeError
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import Predictions, joined, write_predictions
from earnest.evaluation.protocol import Protocol
from earnest.evaluation.protocols import protocol_called, splits_of
from earnest.evaluation.report import metrics_document, write_metrics
from earnest.evaluation.splits import Split, leakage
from earnest.frontends.log_mel import LogMel
from earnest.labels import SchemeCounts, count_labels
from earnest.recipe import Recipe
from earnest.suggest import suggestion
from earnest.training.data import Example, compute_examples
from earnest.training.run import Clips, run_split, scheme_of

BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Evaluation:
    """The outcome of one recipe under one protocol."""

    protocol: Protocol
    splits: Sequence[Split]
    predictions: Predictions
    scores: Scores
    labels: SchemeCounts
    document: Mapping[str, Any]


def evaluate(
    recipe: Recipe,
    protocol_name: str,
    folders: Mapping[str, Path],
    output: Path,
    command: str,
    jobs: int = 1,
    on_fold: Callable[[str], object] = str,
) -> Evaluation:
    """Train and score every fold; finished folds are read from ``output``, killed ones resumed.

    Parameters
    ----------
    folders : corpus name → folder
    output : gets a run folder a fold, and predictions.csv and metrics.json of all together
    command : what to type for this result; kept in metrics.json
    jobs : folds at a time, one thread each; the numbers don't depend on it
    """
    protocol = protocol_called(protocol_name)
    recipe = under(protocol, recipe)
    utterances = protocol_utterances(recipe, protocol, folders)
    splits = splits_of(protocol_name, utterances)
    parts: dict[str, Predictions] = {}
    if jobs > 1:
        context = get_context("spawn")
        arguments = (recipe, protocol_name, dict(folders))
        with ProcessPoolExecutor(
            min(jobs, len(splits)), context, initializer=_prepare_worker, initargs=arguments
        ) as pool:
            futures = {pool.submit(_run_prepared, split.fold, output / split.fold): split.fold for split in splits}
            for future in as_completed(futures):
                parts[futures[future]] = future.result()
                on_fold(futures[future])
    else:
        torch.set_num_threads(1)  # the same bits as with several jobs
        _prepared[:] = [_prepare(recipe, splits, utterances)]
        for split in splits:
            parts[split.fold] = _run_prepared(split.fold, output / split.fold)
            on_fold(split.fold)
    predictions = joined([parts[split.fold] for split in splits])
    write_predictions(predictions, output / "predictions.csv")
    labels = label_counts(recipe, utterances)
    return _scored(recipe, protocol, splits, predictions, labels, command, output)


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
    used = (*split.train, *split.valid, *split.test)
    predictions = run_split(recipe, split, Clips(examples_of(recipe, used)), output, show_progress)
    if predictions is None:
        return None
    return _scored(recipe, protocol, [split], predictions, label_counts(recipe, used), command, output)


def _scored(
    recipe: Recipe,
    protocol: Protocol,
    splits: Sequence[Split],
    predictions: Predictions,
    labels: SchemeCounts,
    command: str,
    output: Path,
) -> Evaluation:
    scores = score(predictions, np.random.default_rng(BOOTSTRAP_SEED))
    facts = {
        "command": command,
        "seed": recipe.training.seed,
        "labels": labels.sentence(),
        "leakage": [line.to_dict() for split in splits for line in leakage(split)],
        "recipe": recipe.to_dict(),
    }
    write_metrics(protocol.name, scores, facts, output / "metrics.json")
    return Evaluation(protocol, splits, predictions, scores, labels, metrics_document(protocol.name, scores, facts))


def under(protocol: Protocol, recipe: Recipe) -> Recipe:
    """Return the recipe with the corpora and classes that the protocol is defined on, where it is defined on any."""
    scheme = recipe.scheme if protocol.scheme == "native" else protocol.scheme
    return replace(recipe, corpus=protocol.corpora or recipe.corpus, scheme=scheme)


def protocol_utterances(recipe: Recipe, protocol: Protocol, folders: Mapping[str, Path]) -> list[Utterance]:
    """Load the usable clips of the corpora of a protocol, or of the recipe's where it takes any."""
    wanted = recipe.corpora
    if protocol.optional_corpora:
        wanted = tuple(name for name in wanted if _is_given(name, folders))
    return load_utterances(wanted, folders)


def label_counts(recipe: Recipe, utterances: Sequence[Utterance]) -> SchemeCounts:
    """Count what the recipe's scheme keeps, merges and drops."""
    labels = ((row.emotion, row.corpus, row.native_emotion) for row in utterances)
    return count_labels(scheme_of(recipe, utterances), labels)


def _is_given(name: str, folders: Mapping[str, Path]) -> bool:
    """Say whether a corpus that may be absent is there; one that was named with --data must be."""
    try:
        corpus_root(name, folders)
    except CorpusError:
        return name in folders
    return True


def examples_of(recipe: Recipe, utterances: Sequence[Utterance]) -> dict[str, Example]:
    """Compute the frames of every utterance that the recipe's scheme keeps."""
    return compute_examples(LogMel(recipe.front_end), utterances, scheme_of(recipe, utterances))


def split_called(protocol: str, fold: str | None, utterances: Sequence[Utterance], keep_test: bool = True) -> Split:
    """Return one fold of a protocol, by default the first; without ``keep_test`` its test set is trained on."""
    splits = {split.fold: split for split in splits_of(protocol, utterances)}
    name = next(iter(splits)) if fold is None else fold
    if name not in splits:
        raise RecipeError(f"The protocol {protocol} has no fold '{name}'.{suggestion(name, splits)}")
    split = splits[name]
    return split if keep_test else replace(split, train=(*split.train, *split.test), test=())


@dataclass(frozen=True)
class _Prepared:
    recipe: Recipe
    splits: Mapping[str, Split]
    clips: Clips


_prepared: list[_Prepared] = []  # one a worker process, so that frames are computed once and not sent


def _prepare(recipe: Recipe, splits: Sequence[Split], utterances: Sequence[Utterance]) -> _Prepared:
    return _Prepared(recipe, {split.fold: split for split in splits}, Clips(examples_of(recipe, utterances)))


def _prepare_worker(recipe: Recipe, protocol_name: str, folders: dict[str, Path]) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # folds run side by side, and the number of threads moves the last bits
    logging.getLogger("earnest").setLevel(logging.ERROR)  # the parent has said what was left out
    utterances = protocol_utterances(recipe, protocol_called(protocol_name), folders)
    _prepared[:] = [_prepare(recipe, splits_of(protocol_name, utterances), utterances)]


def _end_with_parent() -> None:
    """Don't go on training for nobody when the command is killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run_prepared(fold: str, folder: Path) -> Predictions:
    prepared = _prepared[0]
    predictions = run_split(prepared.recipe, prepared.splits[fold], prepared.clips, folder)
    assert predictions is not None
    return predictions
