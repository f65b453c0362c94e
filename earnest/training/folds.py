"""Folds one after another, or several at a time in processes of their own."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import torch

from earnest.errors import EarnestError
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.splits import Split
from earnest.recipe import Recipe
from earnest.training.data import Example
from earnest.training.run import Clips, run_split


@dataclass(frozen=True)
class _Prepared:
    recipe: Recipe
    splits: Mapping[str, Split]
    clips: Clips


Decode = Callable[[], Mapping[str, Example]]
Prepare = Callable[[], _Prepared]
_prepared: list[_Prepared] = []  # one a worker process, so that frames are computed once and not sent
_prepare_here: list[Prepare] = []


def run_folds(
    recipe: Recipe, splits: Sequence[Split], decode: Decode, folders: Mapping[str, Path], jobs: int
) -> Iterator[tuple[str, Predictions]]:
    """Train and predict the folds that ``folders`` names; yield each as it is done.

    Parameters
    ----------
    decode : returns the examples of all ``splits``; called once a process, and only if there is a fold to run
    jobs : folds at a time, one thread each; the numbers don't depend on it
    """
    prepare = partial(_prepare, recipe, splits, decode)
    return _side_by_side(prepare, folders, jobs) if jobs > 1 else _one_by_one(prepare, folders)


def _prepare(recipe: Recipe, splits: Sequence[Split], decode: Decode) -> _Prepared:
    return _Prepared(recipe, {split.fold: split for split in splits}, Clips(decode()))


def _one_by_one(prepare: Prepare, folders: Mapping[str, Path]) -> Iterator[tuple[str, Predictions]]:
    torch.set_num_threads(1)  # the same bits as with several jobs
    _prepared[:], _prepare_here[:] = [], [prepare]
    for fold, folder in folders.items():
        yield fold, _run_prepared(fold, folder)


def _side_by_side(prepare: Prepare, folders: Mapping[str, Path], jobs: int) -> Iterator[tuple[str, Predictions]]:
    pool = ProcessPoolExecutor(max(1, min(jobs, len(folders))), get_context("spawn"), _enter_worker, (prepare,))
    try:
        futures = {pool.submit(_run_prepared, fold, folder): fold for fold, folder in folders.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise EarnestError(
            "A worker was ended from outside; perhaps memory ran out. The same command resumes; try fewer jobs."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # after an error, folds that have not begun are not waited for


def _enter_worker(prepare: Prepare) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # folds run side by side, and the number of threads moves the last bits
    logging.getLogger("earnest").setLevel(logging.ERROR)  # the parent has said what was left out
    _prepare_here[:] = [prepare]  # called with the first fold: an error in here would reach nobody


def _end_with_parent() -> None:
    """Don't go on training for nobody when the command is killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run_prepared(fold: str, folder: Path) -> Predictions:
    if not _prepared:
        _prepared.append(_prepare_here[0]())
    prepared = _prepared[0]
    predictions = run_split(prepared.recipe, prepared.splits[fold], prepared.clips, folder)
    assert predictions is not None
    return predictions
