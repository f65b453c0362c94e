"""Kill every command that writes at random moments, let it end, and count what was lost, doubled or damaged.

    python scripts/chaos.py --kills 400 --write     # makes docs/security/chaos.md
    python scripts/chaos.py --kills 12 --targets predict-csv,train

A round begins with an empty folder. The command is started and killed (SIGKILL, the whole process group or the parent
alone) after a time drawn up to a little more than it needs, started again at once, and so on, at most `MOST_KILLS`
times; then it may end. What it leaves is compared with what it leaves undisturbed. In some rounds two are started at
once: one must be refused in words, or both must end with the same files.
"""

import argparse
import csv
import gc
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
PAGE = ROOT / "docs" / "security" / "chaos.md"
MOST_KILLS = 6  # in a round
TOGETHER = 0.15  # share of rounds that begin with two at once
N_CLIPS = 300
N_TALKS = 4
END_S = 300.0
REFUSED = ("is being written by", "already exists", "That run did not end", ": holds ")
TABLE = """
[tune]
trials = 4
[tune.ranges]
training.learning_rate = { low = 1e-3, high = 2e-2, log = true }
"""


@dataclass(frozen=True)
class Target:
    """A command that writes.

    Attributes
    ----------
    words : the command, given where it shall write
    seen : what must be equal, given where it wrote: file → rows or digest
    share : of all kills
    in_fork : started from a process that has loaded PyTorch already
    begun : makes what is there before the first start
    """

    name: str
    words: Callable[[Path], Sequence[str]]
    seen: Callable[[Path], Mapping[str, Any]]
    share: int
    in_fork: bool = True
    begun: Callable[[Path], object] = lambda _: None


@dataclass
class Count:
    """Counts for one target."""

    kills: int = 0
    rounds: int = 0
    lost: int = 0
    doubled: int = 0
    corrupt: int = 0
    refused: int = 0
    shared: int = 0
    notes: list[str] = field(default_factory=list)

    def compare(self, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        """Count differences: rows by rows, all else by files."""
        for name in sorted({*found, *expected}):
            rows, wanted = found.get(name), expected.get(name)
            if rows == wanted:
                continue
            if isinstance(rows, list) and isinstance(wanted, list):
                missing, more = Counter(wanted) - Counter(rows), Counter(rows) - Counter(wanted)
                self.lost += missing.total()
                self.doubled += more.total()
            else:
                self.corrupt += 1
            self.notes.append(f"{name} differs")


class Place:
    """Where all is made that the commands need."""

    def __init__(self, root: Path) -> None:
        from made_up_corpus import recipe_text, write_corpus

        self.root = root
        self.manifest = write_corpus(root / "corpus", n_speakers=4, n_takes=2)
        for name, epochs, more in (("train", 5, ""), ("short", 2, ""), ("tune", 1, TABLE)):
            (root / f"{name}.toml").write_text(recipe_text(epochs) + more, encoding="utf-8")

    def prepare(self, names: Sequence[str]) -> None:
        """Make bundle and recordings, a finished training, a finished evaluation, as far as ``names`` need them."""
        from stand_in import write_adapting

        from earnest.testing.sounds import write_voice

        write_adapting(self.root / "bundle")
        (self.root / "clips").mkdir()
        for number in range(5):
            write_voice(self.root / f"{number}.wav", 0.5 + number, seed=number)
        for number in range(N_CLIPS):
            os.link(self.root / f"{number % 5}.wav", self.root / "clips" / f"{number:04d}.wav")
        for number in range(2 * N_TALKS):
            self._talk(self.root / ("talks", "more")[number // N_TALKS], number)
        rows = [f"clips/{number:04d}.wav,0.1,{0.4 + number % 5 / 2},s{number % 7}" for number in range(N_CLIPS)]
        (self.root / "parts.csv").write_text("\n".join(["path,start_s,end_s,speaker", *rows]), encoding="utf-8")
        if "learn-continue" in names:
            self.must([*LEARN, "more", "--output", "mine"])
        if "export" in names:
            self.must(["train", "short.toml", *self.data, "--output", "trained", "-q"])
        if "stress" in names:
            self.must(["evaluate", "short.toml", *self.data, *FOLDS, "--folds", "f1", "--output", "evaluated", "-q"])

    def _talk(self, path: Path, number: int) -> None:
        """Write a talk of three manners, and annotations of its parts: of ELAN, Praat or Audacity."""
        import numpy as np
        from made_up_corpus import MANNERS, RATE_HZ, spoken
        from soundfile import write

        from earnest.runtime.prediction import Prediction, Span
        from earnest.runtime.timeline import Timeline

        path.mkdir(exist_ok=True)
        words, take = [*MANNERS][1:], 100 * number
        pieces = [np.tile(spoken(words[at % 3], number, take + at), 2) for at in range(12)]
        ends = (np.cumsum([len(piece) for piece in pieces]) / RATE_HZ).tolist()
        write(path / f"{number}.wav", np.concatenate(pieces), RATE_HZ)
        spans = [Span(start, end, words[at % 3], 0.9) for at, (start, end) in enumerate(pairwise([0.0, *ends]))]
        said = Timeline(Prediction(f"{number}.wav", "mixed", ends[-1], ends[-1]), spans=tuple(spans))
        form, suffix = [("eaf", "eaf"), ("textgrid", "TextGrid"), ("audacity", "txt")][number % 3]
        (path / f"{number}.{suffix}").write_text(said.to(form), encoding="utf-8")

    @property
    def data(self) -> tuple[str, ...]:
        """The option that says where the corpus is."""
        return ("--data", f"made-up={self.manifest}")

    def must(self, words: Sequence[str]) -> None:
        """Run a command that nothing disturbs."""
        child = Child(words, self.root, in_fork=True)
        code = child.wait(END_S)
        if code not in (0, 3):
            raise SystemExit(f"{' '.join(words)}: exit code {code}\n{child.said()}")


FOLDS = ("--protocol", "speaker-4fold")
LEARN = ("learn", "--from", "bundle", "--speaker-pattern", r"(\d+)\.wav", "--label-column", "emotion", "-q")
OF_A_START = ("path", "report", "seconds", "refused", "n_refused")  # what --continue finds there already is refused
MODEL = ("--model", "bundle", "-q")


def targets(place: Place) -> list[Target]:
    """Return all commands."""
    data = place.data

    def rows(name: str, suffix: str, first: Sequence[str], share: int) -> Target:
        def words(out: Path) -> list[str]:
            return [*first, *MODEL, "--resume", "--output", f"{out}/rows.{suffix}"]

        return Target(name, words, lambda out: rows_of(out / f"rows.{suffix}"), share, in_fork=False)

    def predict(suffix: str) -> Target:
        return rows(f"predict-{suffix}", suffix, ["predict", "clips", "--adapt", "off"], 60)

    def evaluate(jobs: int) -> Target:
        def words(out: Path) -> list[str]:
            return ["evaluate", "short.toml", *data, *FOLDS, "--jobs", str(jobs), "-q", "--output", f"{out}/run"]

        return Target(f"evaluate-{jobs}", words, lambda out: files_of(out / "run"), 40, in_fork=jobs == 1)

    def stress(out: Path) -> list[str]:
        return ["stress", "evaluated", *data, "--clips", "1", "--predictions", "-q", "--output", f"{out}/run"]

    def simple(name: str, words: Callable[[Path], list[str]], share: int) -> Target:
        return Target(name, words, lambda out: files_of(out / "run"), share)

    def quick(name: str, words: Sequence[str], output: str, share: int) -> Target:
        """A command that loads no PyTorch."""
        named = [*words, "-q", "--output"]
        return Target(name, lambda out: [*named, f"{out}/{output}"], files_of, share, in_fork=False)

    def learn_on(out: Path) -> list[str]:
        return [*LEARN, "talks", "--no-report", "--continue", f"{out}/mine", "--output", f"{out}/mine", "--overwrite"]

    def copied(out: Path) -> None:
        shutil.copytree(place.root / "mine", out / "mine")

    return [
        *map(predict, ("csv", "jsonl", "parquet")),
        simple("train", lambda out: ["train", "train.toml", *data, "-q", "--output", f"{out}/run"], 60),
        evaluate(1),
        evaluate(2),
        simple("tune", lambda out: ["tune", "tune.toml", *data, "-q", "--output", f"{out}/run"], 30),
        simple("export", lambda out: ["export", "trained", "-q", "--output", f"{out}/run"], 30),
        simple("stress", stress, 20),
        rows("predict-parts", "csv", ["predict", "parts.csv", "--adapt", "auto"], 40),
        rows("embed", "npz", ["embed", "clips"], 40),
        quick("timeline", ["timeline", "clips", *MODEL], "spans.csv", 20),
        quick("adapt", ["adapt", "clips", *MODEL], "anna.json", 10),
        quick("manifest", ["corpus", "manifest", "talks", "--label-column", "emotion", "--readable"], "mine.csv", 20),
        quick("batch", ["batch", "clips", *MODEL, "--jobs", "2", "--shard-size", "20"], "answers", 60),
        quick("learn", [*LEARN, "talks"], "mine", 40),
        Target("learn-continue", learn_on, files_of, 40, in_fork=False, begun=copied),
    ]


class Child:
    """One command in a process group of its own."""

    def __init__(self, words: Sequence[str], root: Path, in_fork: bool) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        self._code: int | None = None
        if not in_fork:
            command = [sys.executable, "-m", "earnest", *words]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            self._kept = subprocess.Popen(  # kept, or Python would wait for it too
                command, cwd=root, env=environment, stdout=self._log, stderr=self._log, start_new_session=True
            )
            self.pid = self._kept.pid
            return
        self.pid = os.fork()
        if self.pid == 0:
            self._become(words, root)

    def _become(self, words: Sequence[str], root: Path) -> None:
        code = 1
        try:
            os.setsid()
            os.chdir(root)
            for descriptor in (1, 2):
                os.dup2(self._log.fileno(), descriptor)
            sys.argv = ["earnest", *words]
            from earnest.apps.cli.main import main

            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float) -> int | None:
        """Return the exit code, None when it still runs after that time."""
        end = time.monotonic() + seconds
        while self._code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= end:
                return None
            else:
                time.sleep(0.003)
        return self._code

    def kill(self, whole_group: bool) -> None:
        """Send SIGKILL."""
        (os.killpg if whole_group else os.kill)(self.pid, signal.SIGKILL)
        self.wait(END_S)

    def said(self) -> str:
        """Return its text on both outputs."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")


def rows_of(path: Path) -> dict[str, Any]:
    """Return the rows of a file of predictions or embeddings as texts, and what else lies beside it."""
    if path.suffix == ".npz":
        import numpy as np

        with np.load(path) as arrays:
            rows = [str(row) for row in zip(*(arrays[name].tolist() for name in sorted(arrays.files)), strict=True)]
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = [json.dumps(row) for row in csv.reader(file)]
    elif path.suffix == ".parquet":
        rows = [str(row) for row in parquet_rows(path)]
    else:
        rows = path.read_text(encoding="utf-8").splitlines()
    told = path.with_name(f"{path.name}.sha256").read_text().split()[0]
    whole = told == hashlib.sha256(path.read_bytes()).hexdigest()
    return {path.name: rows, "checksum": whole, "files": ", ".join(sorted(one.name for one in path.parent.iterdir()))}


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    from pyarrow import parquet

    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def files_of(folder: Path) -> dict[str, Any]:
    """Return the parts of a run folder that must be equal: rows of tables, digests of the rest, names of files.

    What workers of `earnest batch` began beside a shard stays for a day: another one may be writing it.
    """
    found: dict[str, Any] = {}
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or "tensorboard" in name or path.suffix == ".db" or "shards/.partial-" in name:
            continue
        names.append(name)
        if path.name == "history.csv":
            found[name] = [json.dumps(row[:-1]) for row in csv.reader(path.read_text().splitlines())]  # seconds differ
        elif path.suffix == ".csv":
            found[name] = path.read_text(encoding="utf-8").splitlines()
        elif path.suffix == ".parquet":
            found[name] = [str(row | {"read_s": None}) for row in parquet_rows(path)]
        elif path.name == "learn.json":
            told = json.loads(path.read_text(encoding="utf-8"))
            found[name] = {key: value for key, value in told.items() if key not in OF_A_START}
        elif path.name == "SHA256SUMS" or path.suffix == ".sha256":
            sums = (line.split("  ") for line in path.read_text().splitlines())
            found[name] = all(
                hashlib.sha256((path.parent / one).read_bytes()).hexdigest() == told for told, one in sums
            )
        elif path.suffix != ".png":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found | {"files": ", ".join(names)}


class Chaos:
    """The rounds."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place, self.draw = place, random.Random(seed)
        self.counts: dict[str, Count] = {}
        self._expected: dict[str, tuple[Mapping[str, Any], float]] = {}
        self._n_rounds = 0

    def expected(self, target: Target) -> tuple[Mapping[str, Any], float]:
        """Return the outcome of the undisturbed command, and how long it takes."""
        if target.name not in self._expected:
            out = self._folder(target)
            start = time.monotonic()
            child = self._start(target, out)
            if (code := child.wait(END_S)) not in (0, 3):
                how = f"does not end in {END_S:g} s" if code is None else "fails"
                raise SystemExit(f"{target.name} {how} undisturbed:\n{child.said()}")
            self._expected[target.name] = target.seen(out), time.monotonic() - start
        return self._expected[target.name]

    def round(self, target: Target, most_kills: int) -> int:
        """Kill a command up to so many times, let it end, compare; return the number of kills."""
        expected, seconds = self.expected(target)
        count, out, n_kills = self.counts.setdefault(target.name, Count()), self._folder(target), 0
        if self.draw.random() < TOGETHER:
            self._together(target, out, count)
        else:
            for _ in range(most_kills):
                start = time.monotonic()
                child = self._start(target, out)
                if child.wait(self.draw.uniform(0, 1.1 * seconds)) is not None:
                    self._check_end(child, count, n_kills)
                    if n_kills == 0:  # the machine has less to do than before
                        self._expected[target.name] = expected, min(seconds, time.monotonic() - start)
                    break
                child.kill(whole_group=self.draw.random() < 0.5)
                n_kills += 1
            else:
                child = self._start(target, out)
                child.wait(END_S)
                self._check_end(child, count, n_kills)
        count.kills += n_kills
        count.rounds += 1
        self._compare(target, out, expected, count)
        return n_kills

    def _together(self, target: Target, out: Path, count: Count) -> None:
        """Start two at once; the one that is refused has said so."""
        two = [self._start(target, out) for _ in range(2)]
        codes = [child.wait(END_S) for child in two]
        for child, code in zip(two, codes, strict=True):
            if code == 1 and any(words in child.said() for words in REFUSED) and "Traceback" not in child.said():
                count.refused += 1
            else:
                self._check_end(child, count)
        count.shared += sum(code in (0, 3) for code in codes) == 2

    def _check_end(self, child: Child, count: Count, n_kills: int = 0) -> None:
        code, said = child.wait(END_S), child.said()
        if code == 1 and n_kills and "Replace it with --overwrite" in said:
            return  # the one before was killed after its work: its files are compared
        if code not in (0, 3) or "Traceback" in said:
            count.corrupt += 1
            count.notes.append(f"exit code {code}: {said[-600:]}")

    def _compare(self, target: Target, out: Path, expected: Mapping[str, Any], count: Count) -> None:
        try:
            count.compare(target.seen(out), expected)
        except (OSError, ValueError, IndexError) as error:
            count.corrupt += 1
            count.notes.append(f"not readable: {error!r}")
        shutil.rmtree(out)

    def _start(self, target: Target, out: Path) -> Child:
        return Child(target.words(out), self.place.root, target.in_fork)

    def _folder(self, target: Target) -> Path:
        self._n_rounds += 1
        out = self.place.root / f"round-{self._n_rounds}"
        out.mkdir()
        target.begun(out)
        return out

    def run(self, chosen: Sequence[Target], n_kills: int) -> Iterator[str]:
        """Yield a line a round, until there were so many kills, spread over the targets by their shares."""
        total = sum(target.share for target in chosen)
        left = {target.name: -(-n_kills * target.share // total) for target in chosen}
        while any(left.values()):
            for target in chosen:
                if left[target.name]:
                    done = self.round(target, min(MOST_KILLS, left[target.name]))
                    left[target.name] -= done
                    yield f"{target.name}: {done} kills, {left[target.name]} left"


def table(counts: Mapping[str, Count]) -> str:
    """Return the result as Markdown."""
    head = ("command", "rounds", "kills", "rows lost", "rows doubled", "files corrupt", "two at once: refused in words",
            "two at once: shared")  # fmt: skip
    rows = [
        (name, one.rounds, one.kills, one.lost, one.doubled, one.corrupt, one.refused, one.shared)
        for name, one in counts.items()
    ]
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ("---", *["---:"] * 7), *rows)]
    return "\n".join(lines) + "\n"


def preload() -> None:
    """Load what forked children need once; none of them looks through it for cycles."""
    from importlib import import_module

    from command_line import PRELOADED

    for name in PRELOADED:
        import_module(name)
    gc.freeze()


def trace_once(run: Path) -> None:
    """Let forked children export with a graph that is traced here, so that kills meet what is written."""
    import onnx
    from traced_once import each_front_end_once

    from earnest.export import bundle
    from earnest.export.onnx import traced
    from earnest.training.run import load_run

    with each_front_end_once():
        graph = traced(load_run(run))

    def copied(_: object) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        return copy

    bundle.traced = copied


def main() -> None:
    """Run the rounds and tell."""
    os.environ["OMP_NUM_THREADS"] = "1"  # a forked child would wait for ever for threads that its parent had
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", help="names with commas; default: all")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        names = options.targets.split(",") if options.targets else [target.name for target in targets(place)]
        if unknown := set(names) - {target.name for target in targets(place)}:
            parser.error(f"there is no target {min(unknown)}")
        preload()
        place.prepare(names)
        if "export" in names:
            trace_once(place.root / "trained")
        chaos = Chaos(place, options.seed)
        start = time.monotonic()
        for line in chaos.run([target for target in targets(place) if target.name in names], options.kills):
            sys.stderr.write(f"{line}\n")
        minutes = (time.monotonic() - start) / 60
    found = table(chaos.counts)
    sys.stdout.write(found)
    for name, one in chaos.counts.items():
        for note in one.notes:
            sys.stdout.write(f"{name}: {note}\n")
    n_kills = sum(one.kills for one in chaos.counts.values())
    if options.write:
        command = f"python scripts/chaos.py --kills {options.kills} --seed {options.seed}"
        measured = f"{date.today()}: {n_kills} kills in {minutes:.0f} minutes, `{command}`:"
        PAGE.write_text(f"{HEAD}\n{measured}\n\n{found}", encoding="utf-8")
    sys.exit(any(one.lost or one.doubled or one.corrupt for one in chaos.counts.values()))


HEAD = """# Chaos: commands that are killed

Written by `make chaos` (`scripts/chaos.py`), which says how it is done. Every command is killed with SIGKILL at random
moments, the whole process group or the parent alone, and started again at once until it ends. Rows and files are then
compared with those of a run that nothing disturbed; a temporary file or a lock that is left counts as corrupt.
"""


if __name__ == "__main__":
    main()
