"""A batch run: its plan is made or found, what is left of it is done by several workers, and its shards are summed up.

Workers are processes of this machine, or actors of a Ray cluster.
"""

import logging
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from heapq import nlargest
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from earnest.apps.batch.inputs import Input, inputs_of
from earnest.apps.batch.places import LocalPlace, Place, is_sound, is_url, machine_of
from earnest.apps.batch.plan import (
    LEAST_SHARDS,
    REQUEST,
    SHARDS,
    ArrayPart,
    BatchPlan,
    check_same,
    cut,
    read_plan,
    shard_inputs,
    shard_name,
    write_plan,
)
from earnest.apps.batch.shard import METADATA, ShardReport, ShardWorker, Work
from earnest.errors import EarnestError, counted, first_line, named, printable
from earnest.files.reading import parsed_json
from earnest.files.writing import held_folder, refuse_foreign
from earnest.progress import Progress
from earnest.workers import ray_cluster

LOOK_S = 10.0  # at the nodes of a cluster that says nothing
# Of workers over one shard; from the second try on its recordings are decoded in processes of their own.
MOST_DEATHS = 3
MOST_FAILURES = 3  # shards, one after the other, that an error keeps from being written: then it is all of them
STOP_S = 10.0
_log = logging.getLogger(__name__)
MOST_RESTARTS = 1_000  # of lost nodes, beyond those that shards are counted for
PLANNING_S = 3600.0  # that the other tasks of an array wait for the one that makes the plan
SHARDS_A_PART = 4  # of `--shard 3/64`, at least
N_SLOWEST = N_ERRORS = 10
N_MACHINES, MOST_LETTERS = 10, 100  # that are told, and of each name
MOST_FAILED = 1_000  # that a summary names
_COLUMNS = ("path", "status", "emotion", "duration_s", "speech_s", "quality", "read_s", "error")


def planned(
    place: Place, words: dict[str, Any], shard_size: int | None, part: ArrayPart, tell: Callable[[str], None]
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
    machines = [f"{printable(name[:MOST_LETTERS])} ({number})" for name, number in asked.most_common()]
    told = f"{printable(source)} names {counted(asked.total(), 'recording')} elsewhere, which a run fetches with what"
    return f"{told} you may do there: {named(machines, N_MACHINES)}. (--plan fetches none.)"


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
        new_alone = "`earnest predict --adapt off --resume` what is new"
        tell(f"{told}. A plan doesn't change: another --output answers all, {new_alone}.")


class Waiting:
    """Shards that wait for a worker, and how often one died over each."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._left, self._deaths = deque(numbers), Counter[int]()
        self._n_failed = 0

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self) -> tuple[int, bool]:
        """Return the next shard, and whether its recordings are to be decoded in processes of their own."""
        number = self._left.popleft()
        return number, self._deaths[number] > 0

    def died(self, number: int, why: str) -> ShardReport | None:
        """Take a shard back whose worker died; return a report where that was once too often."""
        self._deaths[number] += 1
        _log.warning("Shard %d: its worker died (%s).", number, why)
        if self._deaths[number] < MOST_DEATHS:
            self._left.appendleft(number)
            return None
        return ShardReport(number, error=f"Shard {number}: {MOST_DEATHS} worker processes died on it ({why}).")

    def told(self, report: ShardReport) -> ShardReport:
        """Take note of a report; after several failures one after the other nothing waits any more."""
        self._n_failed = self._n_failed + 1 if report.error else 0
        if self._n_failed >= MOST_FAILURES:
            self._left.clear()
        return report


class Processes:
    """Processes of this machine, each with the model."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """Yield a report of each shard, in the order in which they end.

        A shard whose worker dies is done again by another one, at most `MOST_DEATHS` times.
        """
        waiting, workers = Waiting(numbers), dict[Any, _Process]()  # links, which have another class on Windows
        try:
            while waiting or workers:
                while waiting and len(workers) < self._jobs:
                    worker = _Process(work)
                    worker.give(waiting)
                    workers[worker.link] = worker
                for link in wait(list(workers)):
                    worker = workers[link]
                    try:
                        yield waiting.told(worker.link.recv())
                    except (EOFError, OSError):
                        del workers[link]
                        if lost := waiting.died(worker.number, worker.end()):
                            yield waiting.told(lost)
                        continue
                    if waiting:
                        worker.give(waiting)
                    else:
                        del workers[link]
                        worker.end()
        finally:
            for worker in workers.values():
                worker.end(kill=True)


class _Process:
    """A worker process and the shard that it is at. ``link``: gives reports; at its end when the process has ended."""

    def __init__(self, work: Work) -> None:
        self.number = -1
        self.link, theirs = get_context("spawn").Pipe()
        with theirs:
            # No daemon: it may have decoder processes of its own.
            self._process = get_context("spawn").Process(target=_serve, args=(theirs, work), name="earnest-batch")
            self._process.start()

    def give(self, waiting: Waiting) -> None:
        """Hand over the next shard."""
        self.number, isolated = waiting.take()
        with suppress(OSError):  # it has died, which the next look at the link tells
            self.link.send((self.number, isolated))

    def end(self, kill: bool = False) -> str:
        """End the process when it has done its shard, or now; return how it ended."""
        self.link.close()
        if kill:
            self._process.terminate()
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return _ending(self._process.exitcode)


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _serve(link: Connection, work: Work) -> None:
    """Answer shards until the other end of the link is closed, as it is when the driver has ended, however it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    try:
        worker = ShardWorker(work)
    except EarnestError as error:
        number, _ = link.recv()
        link.send(ShardReport(number, error=str(error)))
        return
    try:
        while True:
            link.send(worker.answered(*link.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        worker.close()


class RayActors:
    """Actors of a Ray cluster, at most one a core.

    Only numbers of shards and reports go through Ray, some hundred bytes each: an actor reads its inputs and writes its
    shard itself. So its object store needs no room, and each actor has one shard at a time.
    """

    def __init__(self, jobs: int, address: str | None) -> None:
        self._jobs, self._address = jobs, address

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """See `Processes.reports`; the shards of a node that was lost are done by others."""
        if not numbers:
            return
        with ray_cluster(self._jobs, self._address) as ray:
            count = min(self._jobs, len(numbers), max(1, int(ray.cluster_resources().get("CPU", 1))))
            yield from _Actors(ray, work, count).reports(Waiting(numbers))


class _Actors:
    """Actors, each with a shard at a time once it has started.

    `ray.util.ActorPool` hands work to actors that have not started too; where a node is lost there is no core for the
    one in its place, and that shard would wait for ever.
    """

    def __init__(self, ray: Any, work: Work, count: int) -> None:
        self._ray, self._work = ray, work
        self._starting, self._busy = dict[Any, Any](), dict[Any, tuple[Any, int]]()
        self._n_started, self._most_started = 0, MOST_DEATHS * count + MOST_RESTARTS
        for _ in range(count):
            self._start()

    def reports(self, waiting: Waiting) -> Iterator[ShardReport]:
        """Yield reports of the shards; see `Processes.reports`."""
        while waiting or self._busy:
            if not (self._busy or self._starting):
                raise EarnestError(f"Ray: {counted(self._n_started, 'worker')} died. Give the same command again.")
            found, _ = self._ray.wait([*self._starting, *self._busy], num_returns=1, timeout=LOOK_S)
            if not found:
                self._require_node()
                continue
            (done,) = found
            actor, number = (self._starting.pop(done), None) if done in self._starting else self._busy.pop(done)
            report, why = self._result(done)
            if why:
                _log.warning("Ray: %s.", why)
                self._start()
                report = None if number is None else waiting.died(number, "on Ray")
            if report:
                yield waiting.told(report)
            if not why:
                self._give(actor, waiting)
        for actor in [*self._starting.values(), *(actor for actor, _ in self._busy.values())]:
            self._ray.kill(actor)

    def _start(self) -> None:
        if self._n_started < self._most_started:
            self._n_started += 1
            # Ray's own restarts would do a shard again that ended its worker, as often as it does.
            actor = self._ray.remote(num_cpus=1, max_restarts=0)(ShardWorker).remote(self._work)
            self._starting[actor.ready.remote()] = actor

    def _require_node(self) -> None:
        """Raise where no node is left, whose worker would be waited for for ever."""
        if not any(node["Alive"] for node in self._ray.nodes()):
            raise EarnestError("Ray: none of its nodes is alive any more. Give the same command again.")

    def _give(self, actor: Any, waiting: Waiting) -> None:
        """Give an actor the next shard; without one it has done its work."""
        if waiting:
            number, isolated = waiting.take()
            self._busy[actor.answered.remote(number, isolated)] = actor, number
        else:
            self._ray.kill(actor)

    def _result(self, done: Any) -> tuple[ShardReport | None, str]:
        """Return an actor's report, or the reason of its death."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(done), ""
        except errors.RayActorError as error:
            cause = getattr(error, "cause", None) or error.__cause__
            if isinstance(cause, EarnestError):  # a worker that can't start: no other one can
                raise EarnestError(str(cause)) from error
            return None, first_line(error)
        except errors.RayError as error:
            raise EarnestError(f"Ray: {first_line(error)}. Give the same command again.") from error


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


def run(
    plan: BatchPlan,
    work: Work,
    engine: Processes | RayActors,
    left: Sequence[int],
    progress: Progress,
    n_held_failed: int,
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
        columns = [name for name in _COLUMNS if name in table.schema_arrow.names]
        for batch in table.iter_batches(10_000, columns=columns, use_threads=False):
            keys.update(_add(batch.to_pylist(), told))
    planned = {one.key for one in shard_inputs(plan.place, plan.request, number)}
    told.doubled += sorted(key for key, count in keys.items() if count > 1)
    told.missing += sorted(planned - keys.keys())
    told.strange += sorted(keys.keys() - planned)
    return True


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
