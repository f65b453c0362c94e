"""The folds of a protocol, each trained and scored once; beside them a learning curve, or the authors' own protocol."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.corpora.load import scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError, named
from earnest.evaluation.author_protocols import STAMP, author_protocol, chosen_on_test, is_chosen_on_test, published_as
from earnest.evaluation.calibration import known_rows, quality, undone
from earnest.evaluation.intervals import Spread, manifest_columns
from earnest.evaluation.metrics import (
    BOOTSTRAP_SEED,
    Scores,
    affect_results,
    intensity_scores,
    score,
    scores_of,
    seeds_apart,
)
from earnest.evaluation.predictions import METRICS, PREDICTIONS, Predictions, joined, of_classes, write_predictions
from earnest.evaluation.protocols import Coverage, Protocol, coverage_of, protocol_called
from earnest.evaluation.report import Amount, metrics_document, result_row
from earnest.evaluation.splits import Leakage, Split
from earnest.experiments.task import (
    ALL_DATA,
    ONE_BY_ONE,
    FoldEngine,
    Job,
    SharedClips,
    Task,
    auxiliary_utterances,
    fold_called,
    label_counts,
    protocol_utterances,
    rows_in,
    under,
    with_weights_of,
)
from earnest.experiments.tune import SearchSpace, selected_settings
from earnest.files.reading import read_json
from earnest.files.writing import holding, write_json, write_sums
from earnest.labels import SchemeCounts, scheme_called
from earnest.models.classifier import Network, refuse_wrong_answers
from earnest.progress import SILENT, Progress
from earnest.settings.recipe import Recipe
from earnest.training.batches import ALONE, Ranks, change_of
from earnest.training.learn import Clips, learner_for
from earnest.training.record import RECORD, RunRecord, read_record
from earnest.training.run import (
    code_of,
    initial_classifier,
    is_finished,
    leakage_of,
    refuse_known_speakers,
    run_split,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The outcome of one recipe under one protocol.

    Attributes
    ----------
    class_subsets : the same answers among fewer classes, where the protocol asks for it: label scheme → scores
    over_repeats : headline → mean and deviation over trainings with other seeds; empty where there was one
    """

    protocol: Protocol
    splits: Sequence[Split]
    predictions: Predictions
    scores: Scores
    class_subsets: Mapping[str, Scores]
    labels: SchemeCounts
    coverage: Coverage
    leakage: Sequence[Leakage]
    document: Mapping[str, Any]
    over_repeats: Mapping[str, Spread]


@holding("output")
def evaluate(
    task: Task,
    output: Path,
    command: str,
    engine: FoldEngine = ONE_BY_ONE,
    on_fold: Callable[[str], object] | None = None,
    space: SearchSpace | None = None,
) -> Evaluation:
    """Train and score every fold; finished folds are read from ``output``, killed ones resumed.

    Parameters
    ----------
    output : gets a run folder a fold, and predictions.csv and metrics.json of all together
    command : what to type for this result; kept in metrics.json
    engine : runs the folds; the numbers don't depend on it
    on_fold : told each fold as it is done; with it, progress is shown
    space : settings that each fold chooses by its own validation utterances, before its test utterances are scored
    """
    _refuse_other_results(task, output)
    all_jobs = [job_of(task, split, output, space) for split in task.splits]
    _check_before_decoding(all_jobs)
    parts = {job.split.fold: job.predictions() for job in all_jobs if job.is_finished}
    left = [job for job in all_jobs if job.split.fold not in parts]
    # Clips outside the splits stay out: they could add classes to the scheme "native", and move the others' numbers.
    auxiliary = auxiliary_utterances(task.recipe, task.folders) if left else ()
    make_clips = partial(SharedClips, rows_in(task.splits), Progress(on_fold is not None and engine.here), auxiliary)
    for fold, predictions in engine.predictions(left, make_clips):
        parts[fold] = predictions
        if on_fold:
            on_fold(fold)
    together = joined([parts[split.fold] for split in task.splits])
    write_predictions(together, output / PREDICTIONS)
    selected = {"selected": selected_settings([job.folder for job in all_jobs])} if space else {}
    facts = selected | _told_by_runs(together, {job.split.fold: job.folder for job in all_jobs})
    outcome = scored(task, together, output, command, output / METRICS, facts)
    write_sums(output, (PREDICTIONS, METRICS))
    return outcome


def job_of(task: Task, split: Split, output: Path, space: SearchSpace | None) -> Job:
    """Return the training of one fold and repeat."""
    if Path(split.fold).name != split.fold:
        raise SplitError(f"The fold '{split.fold}' can't be a folder's name. Rename it, or the speaker it is of.")
    recipe = task.recipe_for(split)
    return Job(recipe, split, output / split.fold, replace(space, recipe=recipe) if space else None)


def require_fold(recipe: Recipe, protocol_name: str, fold: str | None, folders: Mapping[str, Path]) -> None:
    """Raise what `train` would for a fold or recordings that are not there, before anything is written."""
    protocol = protocol_called(protocol_name)
    fold_called(protocol, fold, protocol_utterances(recipe, protocol, folders))


@holding("output")
def train(  # noqa: PLR0913, PLR0917 - all that one training depends on
    recipe: Recipe,
    protocol_name: str,
    fold: str | None,
    folders: Mapping[str, Path],
    output: Path,
    command: str,
    keep_test: bool = True,
    progress: Progress = SILENT,
    ranks: Ranks = ALONE,
    rows: Sequence[Utterance] = (),
) -> Evaluation | None:
    """Train on one fold of a protocol, the first by default, and score its test set once.

    Parameters
    ----------
    output : the run folder; the same call again resumes a killed run
    keep_test : without it the test set is trained on, and so are, in the end, the validation utterances: for shipping
    ranks : the processes that learn together, of which this is the first
    rows : the utterances of the corpora where they were read before

    Returns
    -------
    scores of the test set, None without one
    """
    protocol = protocol_called(protocol_name)
    recipe = under(protocol, recipe)
    if not keep_test:
        recipe = replace(recipe, training=replace(recipe.training, refit=True))
    utterances = rows or protocol_utterances(recipe, protocol, folders)
    choice = fold_called(protocol, fold, utterances, keep_test)
    (split,) = choice.splits
    recipe = with_weights_of(recipe, split.fold if keep_test else ALL_DATA)
    _check_before_decoding([Job(recipe, split, output)], ranks)
    ended = is_finished(output, split)
    auxiliary = () if ended else auxiliary_utterances(recipe, folders)
    clips = SharedClips(() if ended else rows_in([split]), progress, auxiliary).of(recipe)
    predictions = run_split(recipe, split, replace(clips, progress=progress, ranks=ranks), output)
    if predictions is None:
        return None
    runs = {split.fold: output}
    task = Task(recipe, protocol, utterances, choice, (recipe.training.seed,))
    facts = _told_by_runs(predictions, runs)
    return scored(task, predictions, output.parent, command, output / METRICS, facts, runs)


def scored(
    task: Task,
    predictions: Predictions,
    output: Path,
    command: str,
    path: Path,
    more_facts: Mapping[str, Any],
    runs: Mapping[str, Path] | None = None,
) -> Evaluation:
    """Score predictions and write them to ``path``, a metrics.json.

    Parameters
    ----------
    output : holds a run folder a fold, unless ``runs`` says where they are
    more_facts : what else belongs into metrics.json
    """
    protocol, choice, splits = task.protocol, task.choice, task.splits
    columns = manifest_columns(predictions, task.utterances)
    scores, repeats = seeds_apart(score(predictions, np.random.default_rng(BOOTSTRAP_SEED), columns=columns))
    subsets = class_subset_scores(protocol, predictions)
    used = rows_in(splits)
    coverage, labels = coverage_of(protocol, used), label_counts(task, used)
    lines = [line for split in splits for line in leakage_of((runs or {}).get(split.fold, output / split.fold), split)]
    facts = {
        "title": task.title,
        "command": command,
        "seed": task.seeds[0],
        "selected_on": _selected_on(protocol.name, splits),
        "clips": coverage.sentence(),
        "labels": labels.sentence(),
        "leakage": [line.to_dict() for line in lines],
        "recipe": task.recipe.to_dict(),
        "affect": affect_results(predictions, task.recipe.training.affect_range),
        **({"intensity": asdict(intensity)} if (intensity := intensity_scores(predictions)) else {}),
        **({"class_subsets": {name: one.to_dict() for name, one in subsets.items()}} if subsets else {}),
        **more_facts,
    }
    if choice.part:
        facts["part"] = choice.part
    if choice.some_folds:
        facts["clips"] = f"{coverage.sentence()}, {choice.some_folds} tested: {scores.size('utterance')}"
    if repeats:
        facts["repeats"] = {
            "seeds": list(task.seeds),
            "over_repeats": {name: asdict(value) for name, value in repeats.items()},
        }
    document = metrics_document(protocol, scores, facts)
    write_json(path, document)
    return Evaluation(protocol, splits, predictions, scores, subsets, labels, coverage, lines, document, repeats)


def class_subset_scores(protocol: Protocol, predictions: Predictions) -> dict[str, Scores]:
    """Score the utterances and answers of fewer classes, where the protocol asks for it: label scheme → scores."""
    if not protocol.class_subset:
        return {}
    fewer = of_classes(predictions, scheme_called(protocol.class_subset).classes)
    return {protocol.class_subset: scores_of(fewer)}


def _refuse_other_results(task: Task, output: Path) -> None:
    """Refuse a folder whose results would be lost: those of a training, of another protocol, or of more folds."""
    if (output / RECORD).exists():
        raise RecipeError(f"{output}: holds a run of `earnest train`. Choose another --output.")
    if not (output / METRICS).exists():
        return
    document = read_json(output / METRICS, RecipeError, hint="Choose another --output.")
    try:
        held, folds = document["protocol"], list(document["folds"])
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{output / METRICS}: not the result of an evaluation. Choose another --output.") from error
    if held != task.protocol.name:
        raise RecipeError(f"{output}: holds results of the protocol '{held}'. Choose another --output.")
    wanted = {split.fold for split in task.splits}
    if more := [fold for fold in folds if fold not in wanted]:
        raise RecipeError(
            f"{output}: holds results of {named(more)} too, which would be lost. Choose another --output."
        )


def _selected_on(protocol: str, splits: Sequence[Split]) -> str:
    """Return which set chose epoch and temperature; "nothing" where a fold has no validation recordings."""
    if is_chosen_on_test(protocol):
        return "test"
    return "validation" if all(split.valid for split in splits) else "nothing"


def _told_by_runs(predictions: Predictions, runs: Mapping[str, Path]) -> dict[str, Any]:
    records = {fold: read_record(run) for fold, run in runs.items()}
    warnings = {fold: list(record.warnings) for fold, record in records.items() if record.warnings}
    imported = next((record.selected_on for record in records.values() if record.selected_on), "")
    return (
        {"calibration_change": calibration_change(predictions, records)}
        | ({"warnings": warnings} if warnings else {})
        | ({"selected_on": imported} if imported else {})
    )


def calibration_change(predictions: Predictions, records: Mapping[str, RunRecord]) -> dict[str, Any] | None:
    """Return ECE and NLL of test utterances before calibration and after, over all folds and of each.

    Parameters
    ----------
    predictions : calibrated; rows without probabilities are left out
    records : fold → finished run
    """
    if predictions.probabilities is None:
        return None
    known = predictions.take(np.flatnonzero(known_rows(predictions.probabilities)))
    assert known.probabilities is not None
    folds, plain = {}, np.empty(known.probabilities.shape)
    for fold in known.folds:
        rows = np.flatnonzero(known.fold == fold)
        # p^T normalised: what softmax(z) was before z was divided by T.
        plain[rows] = undone(known.probabilities[rows], records[fold].temperature)
        folds[fold] = {
            "temperature": records[fold].temperature,
            **_change(plain[rows], known.probabilities[rows], known.emotion[rows]),
        }
    return {**_change(plain, known.probabilities, known.emotion), "folds": folds} if folds else None


def _change(
    before: npt.NDArray[np.floating], after: npt.NDArray[np.floating], true: npt.NDArray[np.integer]
) -> dict[str, Any]:
    both = {"before": quality(before, true), "after": quality(after, true)}
    return {name: {"ece": one.ece, "nll": one.nll, "n": one.n} for name, one in both.items()}


def _check_before_decoding(jobs: Sequence[Job], ranks: Ranks = ALONE) -> None:
    """Refuse at once what would be refused after minutes of decoding.

    These are settings, weights, test speakers that a fold's weights know, and folders of other runs.
    """
    rows, checked = rows_in([job.split for job in jobs]), None
    for job in jobs:
        if job.is_finished:
            continue
        if checked is None or checked[0] != job.recipe.network:
            classes = scheme_of_rows(job.recipe.scheme, rows).classes
            checked = job.recipe.network, _checked_network(job.recipe, classes, ranks)
        refuse_known_speakers(job.split, checked[1].known_speakers)
    for job in jobs:
        job.claim()
    _tell_other_code(jobs)


def _tell_other_code(jobs: Sequence[Job]) -> None:
    """Report finished folds that were trained before a network, an augmentation or earnest itself was changed."""
    made = {job.split.fold: read_record(job.folder).code for job in jobs if job.is_finished}
    current = code_of(jobs[0].recipe) if any(made.values()) else ""
    if old := [fold for fold, code in made.items() if code and code != current]:
        _log.warning(
            "%s: %d of %d folds (%s) were trained before the code was changed, and their answers are of then. To train "
            "them anew, choose another --output.",
            jobs[0].folder.parent,
            len(old),
            len(jobs),
            named(old),
        )


def _checked_network(recipe: Recipe, classes: tuple[str, ...], ranks: Ranks) -> Network:
    """Build the network as training starts, if the recipe's settings go together."""
    if recipe.augment:
        change_of(recipe)
    classifier = initial_classifier(recipe, classes)
    learner_for(recipe, Clips({}, ranks=ranks)).check(classifier.network)
    refuse_wrong_answers(classifier, recipe.model)
    return classifier.network


def with_train_share(split: Split, share: float) -> Split:
    """Keep a share of the training data; validation and test sets stay as they are.

    Speaker-independent splits keep whole speakers, others utterances of each emotion. Who stays depends on names alone,
    and who stays at a small share stays at every larger one.

    Raises `SplitError` when an emotion would have no training utterances left.
    """
    if not 0 < share <= 1:
        raise RecipeError(f"A share of the training data must be above 0 and at most 1, got {share:g}.")
    kept = _of_speakers(split.train, share) if split.speaker_independent else _of_clips(split.train, share)
    lost = sorted({row.word for row in split.train} - {row.word for row in kept})
    if lost:
        raise SplitError(f"{split.title}: {share:g} of the training data holds no recording of {', '.join(lost)}.")
    return replace(split, train=kept)


def _of_speakers(rows: Sequence[Utterance], share: float) -> list[Utterance]:
    chosen = set(_first(sorted({row.speaker for row in rows}), share))
    return [row for row in rows if row.speaker in chosen]


def _of_clips(rows: Sequence[Utterance], share: float) -> list[Utterance]:
    by_emotion: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_emotion[row.word].append(row.key)
    chosen = {key for keys in by_emotion.values() for key in _first(keys, share)}
    return [row for row in rows if row.key in chosen]


def _first(names: Sequence[str], share: float) -> list[str]:
    """Return a share of the names, at least one, in an order drawn by hashing them."""
    drawn = sorted(names, key=lambda name: sha256(name.encode()).digest())
    return drawn[: ceil(round(share * len(drawn), 6))]


LEARNING_CURVE = "learning_curve.json"


def with_shares(task: Task, shares: Sequence[float]) -> dict[float, Task]:
    """Return share → task whose results say so, ascending; all of the data is the task itself and left out."""
    found = {}
    for share in sorted(set(shares) - {1.0}):
        less = task.with_splits(partial(with_train_share, share=share))
        found[share] = replace(less, choice=replace(less.choice, note=f"{share:g} of the training data"))
    return found


def evaluate_learning_curve(
    task: Task,
    whole: Evaluation,
    less: Mapping[float, Task],
    output: Path,
    command: str,
    engine: FoldEngine,
    on_fold: Callable[[str], object] | None,
    space: SearchSpace | None,
) -> list[Amount]:
    """Train and score with each share; validation and test utterances stay.

    Parameters
    ----------
    whole : the outcome with all training data
    less : of `with_shares`
    output : gets a folder ``train-share-SHARE`` each and learning_curve.json
    """
    amounts = []
    for share, part in less.items():
        outcome = evaluate(part, output / f"train-share-{share:g}", command, engine, on_fold, space)
        amounts.append(Amount.of(share, part.splits, outcome.scores))
    amounts.append(Amount.of(1.0, task.splits, whole.scores))
    document = {"title": task.title, "command": command, "amounts": [asdict(amount) for amount in amounts]}
    write_json(output / LEARNING_CURVE, document)
    return amounts


ON_TEST, SAME_SPLIT, UNSEEN = "epoch_on_test", "same_split", "unseen_speakers"


@dataclass(frozen=True)
class AsPublished:
    """The outcomes, the authors' first.

    Attributes
    ----------
    columns : "epoch_on_test", the author's number where test utterances chose it, which is no result; "same_split", the
        same splits with the epoch chosen on validation utterances; "unseen_speakers", the honest protocol of the same
        task, where that is another
    """

    columns: Mapping[str, Evaluation]

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of a table, as texts."""
        found = []
        for one in self.columns.values():
            row = result_row("", one.protocol, one.scores)
            chosen_on = "TEST" if one.document["selected_on"] == "test" else "validation"
            found.append(
                {
                    "protocol": row.protocol,
                    "speakers": row.speakers,
                    "epoch chosen on": chosen_on,
                    "WA": row.wa,
                    "UA": row.ua,
                    "pooled WA": row.pooled_wa,
                }
            )
        return found

    def gaps(self) -> dict[str, float]:
        """Return by how many points of WA (mean over folds) the first lies above the others."""
        wa = {name: 100 * one.scores.over_folds["wa"].mean for name, one in self.columns.items()}
        first = next(iter(wa))
        return {name: wa[first] - value for name, value in wa.items() if name != first}

    def sentences(self) -> list[str]:
        """Describe the gaps in sentences."""
        gaps = self.gaps()
        if not gaps:
            return ["Its authors chose the epoch on validation utterances and tested unseen speakers, as we do."]
        if ON_TEST not in self.columns:
            chosen = "Its authors chose the epoch on validation utterances, as we do."
            return [chosen, f"Speakers that training heard: {gaps[UNSEEN]:+.1f} points of WA."]
        return [
            f"Choosing the epoch on test instead of validation: {gaps[SAME_SPLIT]:+.1f} points of WA.",
            f"That, and speakers that training heard: {gaps[UNSEEN]:+.1f} points of WA.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        note = f"{ON_TEST} is for comparison only ({STAMP})" if ON_TEST in self.columns else ""
        return {
            "note": note,
            "gaps_in_points_of_wa": self.gaps(),
            **{name: one.document for name, one in self.columns.items()},
        }


def evaluate_as_published(
    published: Task,
    unseen: Task,
    output: Path,
    command: str,
    engine: FoldEngine,
    on_fold: Callable[[str], object] | None,
) -> AsPublished:
    """Train and score each.

    Parameters
    ----------
    published : under the protocol that a publication reports
    unseen : under the honest protocol of the same task
    output : gets a folder for each
    """
    tasks = {SAME_SPLIT: published, UNSEEN: unseen}
    if unseen.protocol.name == published.protocol.name:
        del tasks[UNSEEN]
    if published_as(published.protocol.name).chosen_on == "test":
        on_test = replace(published.with_splits(chosen_on_test), protocol=author_protocol(published.protocol))
        tasks = {ON_TEST: on_test, **tasks}
    return AsPublished(
        {name: evaluate(task, output / task.protocol.name, command, engine, on_fold) for name, task in tasks.items()}
    )
