"""The folds of an evaluation: each trained and predicted once, several side by side in worker processes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from earnest.errors import EarnestError
from earnest.evaluation.predictions import Predictions, read_predictions
from earnest.evaluation.splits import Split
from earnest.experiments.task import SharedClips
from earnest.experiments.tune import SearchSpace, claim_selection, selected_recipe
from earnest.experiments.workers import enter_worker, packed_call
from earnest.files.locks import held_folder
from earnest.settings.recipe import Recipe
from earnest.training.run import PREDICTIONS, claim, is_finished, run_split, seal

DYING_S = 30.0  # how long the worker of an evaluation that was killed may take to end
MakeClips = Callable[[], SharedClips]
_clips: list[SharedClips] = []  # one a worker process, so that frames are computed once and not sent
_make_here: list[MakeClips] = []


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes
    ----------
    space : where settings are chosen first, on training and validation clips of this split alone
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


def run_folds(jobs: Sequence[Job], make_clips: MakeClips, n_at_a_time: int) -> Iterator[tuple[str, Predictions]]:
    """Train and predict; yield each fold as it is done.

    Parameters
    ----------
    make_clips : returns the clips of all jobs; called once a process
    n_at_a_time : one thread each; the numbers don't depend on it
    """
    return _side_by_side(jobs, make_clips, n_at_a_time) if n_at_a_time > 1 else _one_by_one(jobs, make_clips)


def _one_by_one(jobs: Sequence[Job], make_clips: MakeClips) -> Iterator[tuple[str, Predictions]]:
    torch.set_num_threads(1)  # the same bits as with several jobs
    _clips[:], _make_here[:] = [], [make_clips]
    for job in jobs:
        yield job.split.fold, _run_here(job)


def _side_by_side(jobs: Sequence[Job], make_clips: MakeClips, n_at_a_time: int) -> Iterator[tuple[str, Predictions]]:
    n_workers = max(1, min(n_at_a_time, len(jobs)))
    begin = packed_call(_enter_worker, make_clips)
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), enter_worker, (begin,))
    try:
        futures = {pool.submit(_run_here, job): job.split.fold for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise EarnestError(
            "A worker was ended from outside; perhaps memory ran out. The same command resumes; try fewer jobs."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # after an error, folds that have not begun are not waited for


def _enter_worker(make_clips: MakeClips) -> None:
    torch.set_num_threads(1)  # folds run side by side, and the number of threads moves the last bits
    logging.getLogger("earnest").setLevel(logging.ERROR)  # the parent has said what was left out
    _make_here[:] = [make_clips]  # called with the first fold: an error in here would reach nobody


def _run_here(job: Job) -> Predictions:
    if not _clips:
        _clips.append(_make_here[0]())
    return job.run(_clips[0])
