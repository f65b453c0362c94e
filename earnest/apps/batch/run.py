"""A batch run: its plan is made or found, and what is left of it is done; what its shards hold is summed up."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any

from earnest.apps.batch.engines import BatchEngine
from earnest.apps.batch.inputs import Input, inputs_of
from earnest.apps.batch.places import LocalPlace, Place, is_sound, is_url, machine_of
from earnest.apps.batch.plan import (
    LEAST_SHARDS,
    REQUEST,
    SHARDS,
    BatchPlan,
    Part,
    check_same,
    cut,
    read_plan,
    shard_inputs,
    shard_name,
    write_plan,
)
from earnest.apps.batch.shard import METADATA, Work
from earnest.errors import EarnestError, counted, printable
from earnest.files.locks import held_folder
from earnest.files.reading import parsed_json
from earnest.files.writing import refuse_foreign
from earnest.progress import Progress

PLANNING_S = 3600.0  # that the other tasks of an array wait for the one that makes the plan
SHARDS_A_PART = 4  # of `--shard 3/64`, at least
N_SLOWEST = N_ERRORS = 10
N_MACHINES, MOST_LETTERS = 10, 100  # that are told, and of each name
MOST_FAILED = 1_000  # that a summary names
_COLUMNS = ("path", "status", "emotion", "duration_s", "speech_s", "quality", "read_s", "error")


@dataclass
class Outcome:
    """The outcome of a run: rows, failures, seconds of sound.

    Attributes
    ----------
    n_failed : rows with an error
    n_left : inputs that have no row yet
    n_held_failed : rows with an error that were there already
    errors : why shards could not be written, a sentence each
    """

    n_rows: int = 0
    n_failed: int = 0
    n_left: int = 0
    n_held_failed: int = 0
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
        asked = Counter[str]()
        inputs = _inputs(words["source"], words["channel"])
        shards, n_doubled = cut(_counted_elsewhere(inputs, words["source"], asked), shard_size, n_least)
        if asked:
            tell(_elsewhere(words["source"], asked))
        if n_doubled:
            tell(f"{counted(n_doubled, 'input')} named more than once; one row for each.")
        return write_plan(place, shards, words)


def _inputs(source: str, channel: int | None) -> Iterator[Input]:
    """Yield the inputs of a source, or of each the channel that is named."""
    for one in inputs_of(source):
        if channel and one.channel:
            raise EarnestError(
                f"{printable(source)}: names a channel already, {printable(one.key)}. Leave out --channel."
            )
        yield one.of_channel(channel)


def _counted_elsewhere(inputs: Iterator[Input], source: str, asked: Counter[str]) -> Iterator[Input]:
    """Yield inputs; count those that a list or table names on other machines than its own, by machine."""
    own = machine_of(source) if is_url(source) else None
    for one in inputs:
        location = os.fsdecode(one.location)
        if one.kind == "file" and is_url(location) and (machine := machine_of(location)) != own:
            asked[machine] += 1
        yield one


def _elsewhere(source: str, asked: Counter[str]) -> str:
    machines = ", ".join(
        f"{printable(name[:MOST_LETTERS])} ({number})" for name, number in asked.most_common(N_MACHINES)
    )
    more = f" and {len(asked) - N_MACHINES} more" if len(asked) > N_MACHINES else ""
    named = f"{printable(source)} names {counted(asked.total(), 'recording')} elsewhere"
    return f"{named}, which a run fetches with what you may do there: {machines}{more}. (--plan fetches none.)"


def tell_new(plan: BatchPlan, tell: Callable[[str], None]) -> None:
    """Report recordings that came after a run was planned: its plan doesn't change any more.

    A source that is elsewhere, or is not there any more, is passed over: what was planned can be done without it.
    """
    source = plan.request.source
    if is_url(source) or is_url(plan.place.name):
        return
    try:
        new = sorted({one.key for one in _inputs(source, plan.request.channel)} - plan.keys())
    except EarnestError:
        return
    if new:
        told = f"After this run was planned came {len(new)} more of {source}, such as {new[0]}"
        tell(f"{told}. A plan doesn't change: another --output answers all, `earnest predict --resume` what is new.")


def run(
    plan: BatchPlan, work: Work, engine: BatchEngine, left: Sequence[int], progress: Progress, n_held_failed: int = 0
) -> Outcome:
    """Answer the shards that are left; ``n_held_failed`` as in `Outcome`."""
    sizes = plan.sizes()
    outcome = Outcome(n_left=sum(sizes[number] for number in left), n_held_failed=n_held_failed)
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


@dataclass
class Summary:
    """One look at all shards.

    Attributes
    ----------
    n_inputs : of the plan
    n_shards, n_done : of the plan; of these, those that are there and are what their checksums say
    damaged : numbers of shards that are there and are not
    doubled, missing, strange : keys of the shards that are done, against those of the plan; none unless it was checked
    statuses, emotions : rows by status; rows with an emotion by emotion
    qualities : rows by each of their quality words
    errors : message without the recording's name → rows
    failed : key → error, of the first `MOST_FAILED` rows with one
    worker_s : that workers spent
    slowest : key, seconds that reading took, seconds of sound
    """

    n_inputs: int
    n_shards: int
    n_done: int = 0
    n_rows: int = 0
    damaged: list[int] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    emotions: Counter[str] = field(default_factory=Counter)
    qualities: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    sound_s: float = 0.0
    speech_s: float = 0.0
    worker_s: float = 0.0
    slowest: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether there is exactly one row an input."""
        wrong = self.damaged or self.doubled or self.missing or self.strange
        return self.n_done == self.n_shards and self.n_rows == self.n_inputs and not wrong

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "complete": self.is_complete,
            "inputs": self.n_inputs,
            "rows": self.n_rows,
            "shards": self.n_shards,
            "shards_done": self.n_done,
            "shards_damaged": self.damaged,
            "keys_doubled": self.doubled,
            "keys_missing": self.missing,
            "keys_strange": self.strange,
            "statuses": dict(self.statuses.most_common()),
            "emotions": dict(self.emotions.most_common()),
            "qualities": dict(self.qualities.most_common()),
            "errors": dict(self.errors.most_common(N_ERRORS)),
            "failed": [{"path": path, "error": error} for path, error in self.failed.items()],
            "sound_s": round(self.sound_s, 3),
            "speech_s": round(self.speech_s, 3),
            "worker_s": round(self.worker_s, 3),
            "slowest": [{"path": path, "read_s": read_s, "duration_s": sound} for path, read_s, sound in self.slowest],
        }


def summarise(plan: BatchPlan, progress: Progress) -> Summary:
    """Read all shards that are done, check their checksums, and compare their keys with the plan's, shard by shard."""
    told, done = Summary(plan.request.n_inputs, plan.request.n_shards), sorted(plan.done())
    for number in progress.counted("Reading", done, len(done)):
        if is_sound(plan.place, shard_name(number)) and _take_in(plan, number, told):
            told.n_done += 1
        else:
            told.damaged.append(number)
    return told


def _take_in(plan: BatchPlan, number: int, told: Summary) -> bool:
    """Add a shard up; return whether it is one of this plan's."""
    keys: Counter[str] = Counter()
    with plan.opened(number) as table:
        stored = (table.schema_arrow.metadata or table.metadata.metadata or {}).get(METADATA.encode(), b"{}")
        facts = parsed_json(stored.decode(), f"{plan.place.name}/{shard_name(number)}: its metadata")
        if not isinstance(facts, dict):
            return False
        if facts.get("inputs_sha256") != plan.request.inputs_sha256 or facts.get("shard") != number:
            return False
        told.worker_s += facts["seconds"]
        for batch in table.iter_batches(10_000, columns=_known(table.schema_arrow.names), use_threads=False):
            keys.update(_add(batch.to_pylist(), told))
    planned = {one.key for one in shard_inputs(plan.place, plan.request, number)}
    told.doubled += sorted(key for key, count in keys.items() if count > 1)
    told.missing += sorted(planned - keys.keys())
    told.strange += sorted(keys.keys() - planned)
    return True


def _known(names: list[str]) -> list[str]:
    return [name for name in _COLUMNS if name in names]


def _add(rows: list[dict[str, Any]], told: Summary) -> Iterator[str]:
    for row in rows:
        told.n_rows += 1
        told.statuses[row["status"]] += 1
        if row.get("emotion"):
            told.emotions[row["emotion"]] += 1
        told.qualities.update((row.get("quality") or "").split())
        if row["error"]:
            told.errors[_kind_of(row["error"], row["path"])] += 1
            if len(told.failed) < MOST_FAILED:
                told.failed[row["path"]] = row["error"]
        told.sound_s += row.get("duration_s") or 0.0
        told.speech_s += row.get("speech_s") or 0.0
        yield row["path"]
    slow = [(row["path"], row["read_s"], row.get("duration_s") or 0.0) for row in rows if row["read_s"]]
    told.slowest = nlargest(N_SLOWEST, [*told.slowest, *slow], key=lambda one: one[1])


def _kind_of(error: str, key: str) -> str:
    """Return an error without the recording's name, so that equal ones are counted together."""
    for name in map(printable, (key, key.rpartition("/")[2])):
        with suppress(ValueError):
            place = error.index(f"{name}: ")
            return error[place + len(name) + 2 :]
    return error
