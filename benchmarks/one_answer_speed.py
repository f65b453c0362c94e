"""How fast answers are beside another checkout of the package: ratios of medians, measured in turns.

    EARNEST_DATA=… python benchmarks/one_answer_speed.py --before CHECKOUT [--rounds 5] [--only predict] [--hour]

A process of each checkout stays alive, with its own bundles, and answers when it is asked, one at a time and with one
thread: before, now, before, now … so that other work on the machine slows both. Sounds are speech of CREMA-D with
pauses of 0.3 to 1.5 s (seed 0); up to a minute it lies in memory, a timeline reads a FLAC file. Printed are, for wall
time and for CPU time, now / before of the medians over all answers, and in brackets the least and the greatest such
ratio of a round. Written to docs/results/speed/one-answer.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
RATE_HZ, SEED = 16_000, 0


@dataclass(frozen=True)
class Case:
    """A question: what is asked of which model about how many seconds, and how often in a round."""

    call: str
    model: str
    seconds: float
    repeats: int

    @property
    def name(self) -> str:
        """What to call it in the table."""
        return f"`{self.call}`, {self.seconds:g} s, `{self.model}`"


CASES = (
    Case("predict", "base", 3.0, 40),
    Case("predict", "small", 3.0, 60),
    Case("predict", "base", 4.0, 30),
    Case("predict", "small", 4.0, 40),
    Case("predict", "base", 60.0, 4),
    Case("predict", "small", 60.0, 4),
    Case("timeline", "base", 600.0, 1),
    Case("timeline", "small", 600.0, 1),
)
HOUR = Case("timeline", "base", 3600.0, 1)


@dataclass
class Times:
    """Seconds of each answer of one checkout, by round: (wall, CPU)."""

    rounds: list[list[tuple[float, float]]] = field(default_factory=list)

    def medians(self, kind: int) -> list[float]:
        """Return each round's median, of wall (0) or CPU time (1)."""
        return [median(times[kind] for times in rows) for rows in self.rounds]

    def median(self, kind: int) -> float:
        """Return the median over all answers."""
        return median(times[kind] for rows in self.rounds for times in rows)


class Worker:
    """A process that answers with one checkout's package."""

    def __init__(self, checkout: Path) -> None:
        environ = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__).resolve()), "--worker"]
        self._process = subprocess.Popen(
            command, env=environ, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        found = Path(self._line())
        if not found.is_relative_to(checkout):
            raise SystemExit(f"{checkout}: its package should answer, but {found} did.")

    def ask(self, case: Case, path: Path) -> tuple[float, float]:
        """Return seconds of one answer: wall, CPU."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([case.call, case.model, str(path)]) + "\n")
        self._process.stdin.flush()
        wall_s, cpu_s = json.loads(self._line())
        return wall_s, cpu_s

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("A worker ended; what it said is above.")
        return line.rstrip("\n")


@contextmanager
def working(checkout: Path) -> Iterator[Worker]:
    """Give a worker, and end it."""
    worker = Worker(checkout.resolve())
    try:
        yield worker
    finally:
        worker.end()


def work() -> None:
    """Answer questions from standard input; only what both checkouts have is used."""
    import earnest
    from earnest.runtime.predictor import Predictor

    tell(str(Path(earnest.__file__).resolve()))
    models: dict[str, Predictor] = {}
    sounds: dict[str, tuple[np.ndarray, int]] = {}
    for line in sys.stdin:
        call, name, path = json.loads(line)
        model = models[name] if name in models else models.setdefault(name, Predictor.load(name))
        if call == "predict" and path not in sounds:
            sounds[path] = soundfile.read(path, dtype="float32")
        start = time.perf_counter(), time.process_time()
        if call == "predict":
            model.predict(sounds[path])
        else:
            model.timeline(path)
        tell(json.dumps([time.perf_counter() - start[0], time.process_time() - start[1]]))


def tell(line: str) -> None:
    """Write one line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write_speech(folder: Path, lengths: Sequence[float]) -> dict[float, Path]:
    """Write recordings of these seconds, each the beginning of the longest."""
    from earnest.audio.io import load_waveform
    from earnest.corpora.load import load_utterances

    rows, rng = load_utterances(["crema-d"], {}), np.random.default_rng(SEED)
    parts: list[np.ndarray] = []
    n_samples = 0
    while n_samples < max(lengths) * RATE_HZ:
        clip = load_waveform(rows[int(rng.integers(len(rows)))].path, RATE_HZ)
        parts += [clip, np.zeros(int(rng.uniform(0.3, 1.5) * RATE_HZ), np.float32)]
        n_samples += len(parts[-2]) + len(parts[-1])
    speech = np.concatenate(parts)
    speech += 1e-3 * rng.normal(size=len(speech)).astype(np.float32)
    paths = {seconds: folder / f"{seconds:g}.flac" for seconds in lengths}
    for seconds, path in paths.items():
        soundfile.write(path, speech[: round(seconds * RATE_HZ)], RATE_HZ, subtype="PCM_16")
    return paths


def measure(case: Case, path: Path, workers: Sequence[Worker], rounds: int) -> list[Times]:
    """Ask each worker in turn, over and over, after one answer that isn't counted."""
    for worker in workers:
        worker.ask(case, path)
    times = [Times() for _ in workers]
    for _ in range(rounds):
        answers = [[worker.ask(case, path) for worker in workers] for _ in range(case.repeats)]
        for number, own in enumerate(times):
            own.rounds.append([answer[number] for answer in answers])
    return times


def line(case: Case, before: Times, now: Times) -> str:
    """Return one line of the table."""
    cells = [f"{1000 * before.median(0):.1f}", f"{1000 * now.median(0):.1f}"]
    for kind in (0, 1):
        ratios = [one / other for one, other in zip(now.medians(kind), before.medians(kind), strict=True)]
        ratio = now.median(kind) / before.median(kind)
        cells.append(f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return f"| {case.name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hour", action="store_true", help="also a timeline of an hour")
    parser.add_argument("--only", choices=("predict", "timeline"), help="leave the other out")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work()
        return
    if asked.before is None:
        parser.error("--before is missing.")
    cases = [case for case in (*CASES, *([HOUR] if asked.hour else [])) if asked.only in (None, case.call)]
    lines = [
        "# Speed of one answer, before and now",
        "",
        f"Written by `python benchmarks/one_answer_speed.py --before CHECKOUT --rounds {asked.rounds}`, which says",
        "how.",
        "",
        "| answer | before, ms | now, ms | now / before, wall (rounds) | CPU |",
        "|---|---:|---:|---:|---:|",
    ]
    tell("\n".join(lines[5:]))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        paths = write_speech(Path(name), sorted({case.seconds for case in cases}))
        workers = [stack.enter_context(working(checkout)) for checkout in (asked.before, ROOT)]
        for case in cases:
            lines.append(line(case, *measure(case, paths[case.seconds], workers, asked.rounds)))
            tell(lines[-1])
    (ROOT / "docs" / "results" / "speed" / "one-answer.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
