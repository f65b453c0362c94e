"""Engines that run the folds of an evaluation: one after the other, in worker processes, on a Ray cluster."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from earnest.errors import EarnestError, first_line, told
from earnest.evaluation.predictions import Predictions, read_predictions
from earnest.evaluation.splits import Split
from earnest.experiments.task import SharedClips
from earnest.experiments.tune import SearchSpace, claim_selection, selected_recipe
from earnest.experiments.workers import enter_worker, packed_call, ray_cluster
from earnest.files.writing import held_folder
from earnest.settings.recipe import Recipe
from earnest.training.run import PREDICTIONS, claim, is_finished, run_split, seal

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
    space: SearchSpace | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds all, predictions included."""
        return is_finished(self.folder, self.split)

    def claim(self) -> None:
        """Note down in the folder what it is for, or refuse one that holds something else."""
        if self.space is None:
            claim(self.folder, self.recipe, self.split)
        else:
            claim_selection(self.space, self.split, self.folder)

    def predictions(self) -> Predictions:
        """Read those of a finished run; one whose files were changed since is refused."""
        with held_folder(self.folder, DYING_S):  # takes a dead owner's lock away, too
            seal(self.folder)
            return read_predictions(self.folder / PREDICTIONS)

    def run(self, clips: SharedClips) -> Predictions:
        """Train on the split, with the best settings where they are to be chosen, and predict its test set once."""
        with held_folder(self.folder, DYING_S):
            recipe = selected_recipe(self.space, self.split, self.folder, clips) if self.space else self.recipe
            predictions = run_split(recipe, self.split, clips.of(recipe), self.folder)
        assert predictions is not None
        return predictions


class FoldEngine(Protocol):
    """Trains folds and predicts their test sets. Every training has one thread, so all engines give the same bits.

    Attributes
    ----------
    here : whether this process does it, which can show its progress
    """

    @property
    def here(self) -> bool: ...

    def predictions(self, jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
        """Yield each fold as it is done.

        Parameters
        ----------
        make_clips : returns the utterances of all jobs; called once a process
        """


class OneByOne:
    """The folds in this process, in their order."""

    here = True

    def predictions(self, jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
        torch.set_num_threads(1)  # the same bits as with several jobs
        _clips[:], _make_here[:] = [], [make_clips]
        for job in jobs:
            yield job.split.fold, _run_here(job)


ONE_BY_ONE = OneByOne()


@dataclass(frozen=True)
class WorkerProcesses:
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
class RayTasks:
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
