"""A batch run: its plan is made or found, and what is left of it is done."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from earnest.apps.batch.engines import BatchEngine
from earnest.apps.batch.inputs import inputs_of
from earnest.apps.batch.places import LocalPlace, Place
from earnest.apps.batch.plan import (
    LEAST_SHARDS,
    REQUEST,
    SHARDS,
    BatchPlan,
    Part,
    check_same,
    cut,
    read_plan,
    write_plan,
)
from earnest.apps.batch.shard import Work
from earnest.files.locks import held_folder
from earnest.files.writing import refuse_foreign
from earnest.progress import Progress

PLANNING_S = 3600.0  # that the other tasks of an array wait for the one that makes the plan
SHARDS_A_PART = 4  # of `--shard 3/64`, at least


@dataclass
class Outcome:
    """What a run did.

    Attributes
    ----------
    n_failed : rows with an error
    n_left : inputs that have no row yet
    errors : why shards could not be written, a sentence each
    """

    n_rows: int = 0
    n_failed: int = 0
    n_left: int = 0
    sound_s: float = 0.0
    errors: list[str] = field(default_factory=list)


def planned(
    place: Place, words: dict[str, Any], shard_size: int | None, part: Part, tell: Callable[[str], None]
) -> BatchPlan:
    """Return the plan at a place, made anew where there is none.

    Parameters
    ----------
    words : what is asked, see `earnest.apps.batch.plan.Request.words`
    tell : called with what a person should know
    """
    with ExitStack() as held:
        if isinstance(place, LocalPlace):
            held.enter_context(held_folder(place.folder, PLANNING_S))
            refuse_foreign(place.folder, REQUEST, [SHARDS])
            place.forget_rests()
        if plan := read_plan(place):
            check_same(plan, words)
            return plan
        n_least = max(LEAST_SHARDS, SHARDS_A_PART * part.count)
        shards, n_doubled = cut(inputs_of(words["source"]), shard_size, n_least)
        if n_doubled:
            tell(f"{n_doubled} inputs are named more than once; each gets one row.")
        return write_plan(place, shards, words)


def run(plan: BatchPlan, work: Work, engine: BatchEngine, left: Sequence[int], progress: Progress) -> Outcome:
    """Answer the shards that are left."""
    sizes = plan.sizes()
    outcome = Outcome(n_left=sum(sizes[number] for number in left))
    with progress.bar("Answering", outcome.n_left) as advance:
        for report in engine.reports(work, left):
            outcome.n_rows += report.n_rows
            outcome.n_left -= report.n_rows
            outcome.n_failed += report.n_failed
            outcome.sound_s += report.sound_s
            outcome.errors += [report.error] if report.error else []
            for _ in range(report.n_rows):
                advance()
    return outcome
