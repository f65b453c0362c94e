"""The task of an evaluation: a recipe under a protocol, its folds and repeats; its utterances, decoded once; engines.

An engine trains the folds one after the other, in worker processes, or on a Ray cluster.
"""

import json
import logging
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from earnest.corpora.base import CORPORA
from earnest.corpora.load import corpus_root, load_utterances, scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import (
    CorpusError,
    EarnestError,
    RecipeError,
    SplitError,
    counted,
    first_line,
    named,
    suggestion,
    told,
)
from earnest.evaluation.predictions import Predictions, read_predictions
from earnest.evaluation.protocols import Protocol, splits_of
from earnest.evaluation.splits import MARK, Split, fold_and_repeat, repeated, without_repeats
from earnest.files.cache import disk_cache
from earnest.files.writing import held_folder
from earnest.labels import Scheme, SchemeCounts, count_labels
from earnest.models.classifier import build_front_end
from earnest.progress import SILENT, Progress
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe
from earnest.training.closed_form import EmbeddingCache
from earnest.training.examples import Example, clips_of_corpora, compute_examples
from earnest.training.learn import Clips
from earnest.training.run import PREDICTIONS, claim, is_finished, run_split, seal
from earnest.workers import enter_worker, packed_call, ray_cluster

if TYPE_CHECKING:
    from earnest.experiments.tune import SearchSpace


def training_seeds(protocol: Protocol, own: int, repeats: int | None) -> tuple[int, ...]:
    """Return the seed of each repeat.

    Raises `RecipeError` when the protocol has fewer seeds.

    Parameters
    ----------
    own : the recipe's seed; a protocol without seeds of its own counts on from it
    repeats : None for as many as the protocol has
    """
    seeds = protocol.training_seeds
    if not seeds:
        return tuple(range(own, own + (repeats or 1)))
    if repeats and repeats > len(seeds):
        raise RecipeError(
            f"{protocol.name} has {counted(len(seeds), 'seed')}, so at most {counted(len(seeds), 'repeat')}; "
            f"got {repeats}."
        )
    return seeds[:repeats]


@dataclass(frozen=True)
class FoldChoice:
    """The folds that are scored, and how many the protocol has.

    Attributes
    ----------
    splits : one a fold and repeat
    note : what else sets the result apart from the protocol's, such as less training data
    """

    splits: Sequence[Split]
    n_folds: int
    note: str = ""

    @property
    def folds(self) -> list[str]:
        """Names of the folds, without their repeats."""
        return without_repeats([split.fold for split in self.splits])

    @property
    def some_folds(self) -> str:
        """Names of the chosen folds: "only f1 of 6 folds"; empty for all."""
        return "" if len(self.folds) == self.n_folds else f"only {', '.join(self.folds)} of {self.n_folds} folds"

    @property
    def part(self) -> str:
        """Difference from a result of the whole protocol; empty for none."""
        return ", ".join(filter(None, [self.some_folds, self.note]))

    def title(self, protocol: Protocol) -> str:
        """Return the title of a result."""
        return f"{', '.join(filter(None, [protocol.name, self.part]))} ({protocol.kind})"


def chosen_folds(
    protocol: Protocol, utterances: Sequence[Utterance], names: Sequence[str] = (), repeats: int = 1
) -> FoldChoice:
    """Divide ``utterances`` by a protocol and return the folds called ``names`` in the protocol's order; without, all.

    Raises `RecipeError` for an unknown fold, with the nearest right one; `SplitError` when a fold's name reads as a
    repeat of another fold.

    Parameters
    ----------
    repeats : how often each fold is trained
    """
    splits = {split.fold: split for split in splits_of(protocol, utterances)}
    if taken := [fold for fold in splits if fold_and_repeat(fold, splits)[1] > 1]:
        raise SplitError(f"The fold '{taken[0]}' would be read as a repeat of another one. Call it without {MARK}.")
    for name in names:
        if name not in splits:
            raise RecipeError(f"The protocol {protocol.name} has no fold '{name}'.{suggestion(name, splits)}")
    wanted = [split for fold, split in splits.items() if fold in names or not names]
    return FoldChoice(repeated(wanted, repeats), len(splits))


@dataclass(frozen=True)
class Task:
    """A recipe under a protocol.

    Attributes
    ----------
    utterances : all that were read
    choice : the folds that are trained and scored, once a seed
    seeds : of training, one a repeat
    folders : corpus name → folder, for what is read later, see `auxiliary_utterances`
    """

    recipe: Recipe
    protocol: Protocol
    utterances: Sequence[Utterance]
    choice: FoldChoice
    seeds: tuple[int, ...]
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def splits(self) -> Sequence[Split]:
        """One a fold and repeat."""
        return self.choice.splits

    @property
    def title(self) -> str:
        """The title of every result."""
        return self.choice.title(self.protocol)

    def recipe_for(self, split: Split) -> Recipe:
        """Return the recipe with the seed of this repeat and the initial weights of this fold."""
        fold, repeat = fold_and_repeat(split.fold, [one.fold for one in self.splits])
        training = replace(self.recipe.training, seed=self.seeds[repeat - 1])
        return with_weights_of(replace(self.recipe, training=training), fold)

    def with_splits(self, change: Callable[[Split], Split]) -> "Task":
        """Return the task with every split changed."""
        return replace(self, choice=replace(self.choice, splits=[change(split) for split in self.splits]))


def task_of(
    recipe: Recipe,
    protocol: Protocol,
    folders: Mapping[str, Path],
    folds: Sequence[str] = (),
    repeats: int | None = None,
    rows: Sequence[Utterance] = (),
) -> Task:
    """Read the corpora and divide them.

    Parameters
    ----------
    folders : corpus name → folder
    folds : some of the protocol's; empty: all
    repeats : trainings a fold, each with a seed of its own; None: as the protocol says
    rows : the utterances of the corpora where they were read before
    """
    recipe = under(protocol, recipe)
    seeds = training_seeds(protocol, recipe.training.seed, repeats)
    utterances = rows or protocol_utterances(recipe, protocol, folders)
    choice = chosen_folds(protocol, utterances, folds, len(seeds))
    return Task(recipe, protocol, utterances, choice, seeds, folders)


N_LABELS = 5  # that a message names
FOLD, ALL_DATA = "{fold}", "all"


def with_weights_of(recipe: Recipe, fold: str) -> Recipe:
    """Return the recipe with the initial weights of one fold: the fold's name for ``{fold}`` in their name.

    Weights that were fine-tuned on labels are those of some speakers, and each fold needs such that know none of its
    test speakers, such as ``weights = "runs/encoders/{fold}"``. Whether they know any is checked in each fold.

    Parameters
    ----------
    fold : `ALL_DATA` where no utterance is left out
    """
    weights = recipe.network.get("weights")
    if not isinstance(weights, str) or FOLD not in weights:
        return recipe
    return replace(recipe, network={**recipe.network, "weights": weights.replace(FOLD, fold)})


def rows_in(splits: Sequence[Split]) -> list[Utterance]:
    """Return the utterances of all sets of ``splits``, each once."""
    rows = (row for split in splits for members in split.sets.values() for row in members)
    return list({row.key: row for row in rows}.values())


def under(protocol: Protocol, recipe: Recipe) -> Recipe:
    """Return the recipe under its protocol: with the corpora and classes it is defined on, where it is on any."""
    scheme = recipe.scheme if protocol.scheme == "native" else protocol.scheme
    return replace(recipe, corpus=protocol.corpora or recipe.corpus, scheme=scheme, protocol=protocol.name)


def protocol_utterances(recipe: Recipe, protocol: Protocol, folders: Mapping[str, Path]) -> list[Utterance]:
    """Load the usable utterances of the corpora of a protocol, or of the recipe's where it takes any."""
    wanted = recipe.corpora
    _refuse_misspelt(folders, {*wanted, *recipe.finetune.corpus}, protocol)
    if protocol.optional_corpora:
        wanted = tuple(name for name in wanted if _is_given(name, folders))
    return load_utterances(wanted, folders)


def _refuse_misspelt(folders: Mapping[str, Path], used: set[str], protocol: Protocol) -> None:
    """Refuse a folder under a name that is neither a corpus nor used: other recordings would be read in its place.

    Where each corpus that is read has its folder, nothing can be.
    """
    if used <= folders.keys():
        return
    for name in sorted(folders.keys() - {*used, *CORPORA.names()}):
        raise CorpusError(
            f"{name}={folders[name]}: protocol {protocol.name} reads no corpus '{name}' here.{suggestion(name, used)}"
        )


def auxiliary_utterances(recipe: Recipe, folders: Mapping[str, Path]) -> list[Utterance]:
    """Load the utterances of corpora that a fine-tuning learns from beside the recipe's own."""
    wanted = tuple(name for name in recipe.finetune.corpus if name not in recipe.corpora)
    return load_utterances(wanted, folders) if recipe.finetune else []


def _is_given(name: str, folders: Mapping[str, Path]) -> bool:
    """Whether a corpus that may be absent is there; one that was named with --data must be."""
    try:
        corpus_root(name, folders)
    except CorpusError:
        return name in folders
    return True


def label_counts(task: Task, used: Sequence[Utterance]) -> SchemeCounts:
    """Count labels: kept and merged among the utterances of the splits, dropped among those of the protocol.

    Parameters
    ----------
    used : the utterances of the splits; the scheme "native" has their emotions as classes
    """
    scheme, belongs, keys = scheme_of_rows(task.recipe.scheme, used), task.protocol.belongs, {row.key for row in used}
    part = [row for row in task.utterances if belongs is None or belongs(row)]
    told = (row.labels for row in part if row.key in keys or scheme.class_of(*row.labels) is None)
    return count_labels(scheme, told)


def examples_of(recipe: Recipe, utterances: Sequence[Utterance], progress: Progress = SILENT) -> dict[str, Example]:
    """Compute the frames of every utterance that the recipe's scheme keeps; samples too if the recipe augments."""
    scheme = scheme_of_rows(recipe.scheme, utterances)
    _refuse_foreign_labels(scheme, utterances)
    with progress.bar("decoding", len(utterances)) as advance:
        return compute_examples(
            build_front_end(recipe),
            utterances,
            scheme,
            advance,
            keep_waveforms=bool(recipe.augment),
            affect_range=recipe.training.affect_range,
            disk=disk_cache(),
        )


def _refuse_foreign_labels(scheme: Scheme, utterances: Sequence[Utterance]) -> None:
    """Refuse recordings of whose labels the scheme knows none, or one: there would be nothing to tell apart."""
    counts = count_labels(scheme, (row.labels for row in utterances))
    if len(counts.kept) > 1 or not counts.dropped:
        return
    left_out = sum(counts.dropped.values())
    which = "All recordings" if not counts.kept else f"All recordings but those of '{next(iter(counts.kept))}'"
    labels = sorted(counts.dropped)
    raise CorpusError(
        f"{which} ({left_out}) are left out: their labels ({named(labels, N_LABELS)}) are not in the scheme "
        f"{scheme.name} ({', '.join(scheme.classes)}). Learn them as they are with --scheme native or scheme = "
        '"native" in the recipe. Or say what each label means: earnest corpus manifest PATH -o mine.csv --emotion '
        "YOURS=OURS"
    )


def fold_called(
    protocol: Protocol, fold: str | None, utterances: Sequence[Utterance], keep_test: bool = True
) -> FoldChoice:
    """Choose one fold of a protocol, by default the first; without ``keep_test`` its test set is trained on."""
    choice = chosen_folds(protocol, utterances, () if fold is None else (fold,))
    split = choice.splits[0]
    return replace(choice, splits=[split if keep_test else replace(split, train=(*split.train, *split.test), test=())])


def split_called(protocol: Protocol, fold: str | None, utterances: Sequence[Utterance]) -> Split:
    """Return one fold of a protocol, by default the first."""
    return fold_called(protocol, fold, utterances).splits[0]


class SharedClips:
    """The utterances of ``rows`` as recipes see them that differ in front end, network or training alone.

    Parameters
    ----------
    auxiliary : utterances of other corpora that a fine-tuning learns from too
    """

    def __init__(
        self, rows: Sequence[Utterance], progress: Progress = SILENT, auxiliary: Sequence[Utterance] = ()
    ) -> None:
        self.rows, self.progress, self.auxiliary = rows, progress, auxiliary
        self._front_end: FrontEnd | None = None
        self._weights: Any = None
        self._clips = Clips({})
        self._caches: dict[str, EmbeddingCache] = {}

    def classes(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the recipe's classes, in output order; the scheme "native" has those of all ``rows``."""
        return scheme_of_rows(recipe.scheme, self.rows).classes

    def of(self, recipe: Recipe) -> Clips:
        """Return the utterances as the recipe's front end and network see them; a new front end decodes anew.

        Trainings share the embeddings of utterances where nothing changes the embedding.
        """
        if recipe.front_end != self._front_end:
            self._caches = {}
            examples = examples_of(recipe, self.rows, self.progress)
            auxiliary = clips_of_corpora(self.auxiliary, build_front_end(recipe), self.progress, disk_cache())
            self._clips = Clips(examples, classes=self.classes(recipe), auxiliary=auxiliary)
            self._front_end = recipe.front_end
        changes = recipe.training.changes if recipe.augment else ""
        heard = [recipe.training.seed, recipe.augment, changes]
        if recipe.finetune:  # each training has an embedding of its own, and shares with others what the copies are
            cache = self._caches.setdefault(json.dumps(heard, sort_keys=True), EmbeddingCache(keeps_frames=True))
            return replace(self._clips, cache=cache.for_another_network())
        if recipe.network.get("weights") != self._weights:  # those of another fold: nothing is heard alike any more
            self._caches, self._weights = {}, recipe.network.get("weights")
        network = json.dumps([dict(recipe.network), *heard], sort_keys=True)
        if network not in self._caches:
            embedded_by = json.dumps(
                [recipe.model, dict(recipe.network), asdict(recipe.segments), asdict(recipe.image)]
            )
            self._caches[network] = EmbeddingCache(disk=disk_cache(), made_by=embedded_by)
        return replace(self._clips, cache=self._caches[network])


DYING_S = 30.0  # how long the worker of an evaluation that was killed may take to end
MOST_RETRIES = 3  # of a fold whose node was lost; it goes on from its last epoch
MakeClips = Callable[[], SharedClips]
_clips: list[SharedClips] = []  # one a worker process, so that frames are computed once and not sent
_make_here: list[MakeClips] = []


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes
    ----------
    space : where settings are chosen first, on training and validation utterances of this split alone
    """

    recipe: Recipe
    split: Split
    folder: Path
    space: "SearchSpace | None" = None

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds all, predictions included."""
        return is_finished(self.folder, self.split)

    def claim(self) -> None:
        """Note down in the folder what it is for, or refuse one that holds something else."""
        if self.space is None:
            claim(self.folder, self.recipe, self.split)
        else:
            self.space.claim(self.split, self.folder)

    def predictions(self) -> Predictions:
        """Read those of a finished run; one whose files were changed since is refused."""
        with held_folder(self.folder, DYING_S):  # takes a dead owner's lock away, too
            seal(self.folder)
            return read_predictions(self.folder / PREDICTIONS)

    def run(self, clips: SharedClips) -> Predictions:
        """Train on the split, with the best settings where they are to be chosen, and predict its test set once."""
        with held_folder(self.folder, DYING_S):
            recipe = self.space.best_recipe(self.split, self.folder, clips) if self.space else self.recipe
            predictions = run_split(recipe, self.split, clips.of(recipe), self.folder)
        assert predictions is not None
        return predictions


class FoldEngine(ABC):
    """Trains folds and predicts their test sets. Every training has one thread, so all engines give the same bits.

    Attributes
    ----------
    here : whether this process does it, which can show its progress
    """

    here: ClassVar[bool]

    @abstractmethod
    def predictions(self, jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
        """Yield each fold as it is done. ``make_clips``: returns the utterances of all jobs; called once a process."""


class OneByOne(FoldEngine):
    """The folds in this process, in their order."""

    here = True

    def predictions(self, jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
        torch.set_num_threads(1)  # the same bits as with several jobs
        _clips[:], _make_here[:] = [], [make_clips]
        for job in jobs:
            yield job.split.fold, _run_here(job)


ONE_BY_ONE = OneByOne()


@dataclass(frozen=True)
class WorkerProcesses(FoldEngine):
    """So many folds at a time, in processes of this machine."""

    n_at_a_time: int
    here = False

    def predictions(self, jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
        n_workers = max(1, min(self.n_at_a_time, len(jobs)))
        begin = packed_call(_enter_worker, make_clips)
        pool = ProcessPoolExecutor(n_workers, get_context("spawn"), enter_worker, (begin,))
        try:
            futures = {pool.submit(_run_here, job): job.split.fold for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise EarnestError(
                "A worker process was killed; perhaps there was too little memory. Give the same "
                "command again, with fewer jobs."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)  # after an error, folds that have not begun are not waited for


@dataclass(frozen=True)
class RayTasks(FoldEngine):
    """So many folds at a time, as tasks of a Ray cluster whose nodes read the same folders; see `ray_cluster`."""

    n_at_a_time: int
    address: str | None = None
    here = False

    def predictions(self, jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
        """See `FoldEngine`; the fold of a lost node goes on from its last epoch on another one."""
        if not jobs:
            return
        with ray_cluster(min(self.n_at_a_time, len(jobs)), self.address) as ray:
            run_there = ray.remote(num_cpus=1, max_retries=MOST_RETRIES)(_run_there)
            clips, waiting, running = ray.put(make_clips), deque(jobs), dict[Any, Job]()
            while waiting or running:
                while waiting and len(running) < self.n_at_a_time:
                    job = waiting.popleft()
                    running[run_there.remote(Path.cwd(), clips, job)] = job
                (done,), _ = ray.wait(list(running), num_returns=1)
                yield running.pop(done).split.fold, _result(ray, done)


def fold_engine(name: Literal["processes", "ray"], jobs: int, address: str | None) -> FoldEngine:
    """Return an engine that runs ``jobs`` folds at a time."""
    if name == "ray":
        return RayTasks(jobs, address)
    return WorkerProcesses(jobs) if jobs > 1 else ONE_BY_ONE


def _result(ray: Any, done: Any) -> Predictions:
    try:
        predictions = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EarnestError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise EarnestError(f"Ray: {first_line(error)}. Give the same command again to continue.") from error
    assert isinstance(predictions, Predictions)
    return predictions


def _run_there(folder: Path, make_clips: MakeClips, job: Job) -> Predictions:
    """Run a job in a process of Ray's, which begins somewhere else."""
    if not _make_here:
        with told(folder):  # its paths may be relative
            os.chdir(folder)
        _enter_worker(make_clips)
    return _run_here(job)


def _enter_worker(make_clips: MakeClips) -> None:
    torch.set_num_threads(1)  # folds run side by side, and the number of threads moves the last bits
    logging.getLogger("earnest").setLevel(logging.ERROR)  # the parent has said what was left out
    _make_here[:] = [make_clips]  # called with the first fold: an error in here would reach nobody


def _run_here(job: Job) -> Predictions:
    if not _clips:
        _clips.append(_make_here[0]())
    return job.run(_clips[0])
