"""What a change costs a server: this tree against another commit, side by side in one run.

    python benchmarks/serve_ratio.py 6b93f8d                       # writes docs/security/throughput-small.md: 10 min
    python benchmarks/serve_ratio.py 6b93f8d c2e9ee5 --rounds 60   # against both, one table each

Both servers run the whole time, each from its own folder with its own bundle of that name; they are asked in turn, in
rounds of random order, so that what else the machine does falls on both. A round's ratio is answers a second of this
tree over those of the other one; told are the median of the ratios and the 95 % interval of their median (bootstrap
over rounds). CPU time an answer, of the server and its children, is told beside it: other work on the machine moves it
less. ``HEAD`` in a clean tree compares equal servers: that shows what the method itself leaves.
"""

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from trial_server import server_process

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "earnest" / "demo"
PAGES = ROOT / "docs" / "security"
PATIENCE_S, WARM_UP_S = 60.0, 1.0
LEAST = 0.9
FORMATS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "mpeg": ("MP3", "MPEG_LAYER_III")}
CLIENTS = (1, 8)
HEAD = """# Throughput of the server with {model}, before and after

What the protections of the server cost it, with one model; [security](README.md) lists the page of each.

Written by `python benchmarks/serve_ratio.py {words}`. Clips of 3 s over loopback, the model {model}, one worker;
servers and clients share {cores} cores. Both servers run at once and are asked in turn, {rounds} rounds of
{seconds:g} s each; a ratio is of one round. The table has medians; ratios have a 95 % interval.
"""
HEADS = "| clips | clients | before, a second | after, a second | after : before | | CPU an answer, before : after |"


@dataclass(frozen=True)
class Case:
    """So many clients that send clips of one format."""

    kind: str
    clients: int


@dataclass(frozen=True)
class Server:
    """Where it listens, and its process."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Return the processor time that it and its children have had, those that have ended too."""
        waiting, ticks = [self.pid], 0
        while waiting:
            folder = Path(f"/proc/{waiting.pop()}")
            with suppress(OSError):
                words = (folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
                ticks += sum(map(int, words[11:15]))
                for task in (folder / "task").glob("*/children"):
                    waiting += map(int, task.read_text(encoding="ascii").split())
        return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Turn:
    """What one server did in a round."""

    a_second: float
    cpu_ms: float


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Give a folder with what is in another commit."""
    with tempfile.TemporaryDirectory() as name:
        archive = Path(name) / "tree.tar"
        subprocess.run(["git", "archive", "--output", str(archive), commit, "earnest"], cwd=ROOT, check=True)
        tree = Path(name) / "tree"
        shutil.unpack_archive(archive, tree, filter="data")
        archive.unlink()
        yield tree


@contextmanager
def serving(tree: Path, model: str) -> Iterator[Server]:
    """Give a server that runs the code of a folder."""
    bundle = str(tree / "earnest" / "bundles" / model)
    with server_process("--model", bundle, "--quiet", "--limit", "client_requests=64", tree=tree) as server:
        yield Server(server.port, server.pid)


def written(folder: Path) -> dict[str, bytes]:
    """Return 3 s of a demo clip in each format."""
    clips = {}
    samples, rate_hz = soundfile.read(DEMO / "lively.flac", dtype="float32")
    for kind, (name, subtype) in FORMATS.items():
        soundfile.write(folder / kind, samples[: 3 * rate_hz], rate_hz, format=name, subtype=subtype)
        clips[kind] = (folder / kind).read_bytes()
    return clips


def turn(server: Server, clip: bytes, case: Case, seconds: float) -> Turn:
    """Let clients ask who ask again as soon as they are answered."""
    cpu_s = server.cpu_s()
    counts, started = [0] * case.clients, time.perf_counter()
    refusals: list[int] = []

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        while time.perf_counter() - started < seconds:
            connection.request("POST", "/v1/predict", clip, {"Content-Type": f"audio/{case.kind}"})
            with connection.getresponse() as answer:
                answer.read()
                if answer.status != http.client.OK:
                    refusals.append(answer.status)
                    break
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(case.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refusals:
        raise SystemExit(f"A server answers {refusals[0]} to a clip.")
    took_s = time.perf_counter() - started
    return Turn(sum(counts) / took_s, 1000 * (server.cpu_s() - cpu_s) / max(1, sum(counts)))


def median_and_interval(ratios: Sequence[float], rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the median, and the 95 % interval of the median over rounds."""
    draws = np.median(rng.choice(np.asarray(ratios), (10_000, len(ratios))), axis=1)
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(np.median(ratios)), float(low), float(high)


def compared(commit: str, model: str, rounds: int, seconds: float) -> list[str]:
    """Measure against one commit; return its table."""
    rng = np.random.default_rng(0)
    told = ["git", "log", "-1", "--format=%h: %s", commit]
    title = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    heads = (
        "clips",
        "clients",
        "before, a second",
        "after, a second",
        "after : before",
        "",
        "CPU an answer, before : after",
    )
    lines = [f"## Against {title}", "", f"| {' | '.join(heads)} |", "|---|---:|---:|---:|---|---|---|"]
    with ExitStack() as stack:
        clips = written(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        before = stack.enter_context(serving(stack.enter_context(checkout(commit)), model))
        after = stack.enter_context(serving(ROOT, model))
        for case in (Case(kind, clients) for kind in FORMATS for clients in CLIENTS):
            turns: dict[Server, list[Turn]] = {before: [], after: []}
            for server in turns:
                turn(server, clips[case.kind], case, WARM_UP_S)
            for _ in range(rounds):
                for number in rng.permutation(2):
                    server = (before, after)[number]
                    turns[server].append(turn(server, clips[case.kind], case, seconds))
            lines.append(row(case, turns[before], turns[after], rng))
            sys.stdout.write(f"{lines[-1]}\n")
            sys.stdout.flush()
    return lines


def row(case: Case, before: Sequence[Turn], after: Sequence[Turn], rng: np.random.Generator) -> str:
    """Return a line of the table."""
    pairs = list(zip(before, after, strict=True))
    ratio, low, high = median_and_interval([new.a_second / old.a_second for old, new in pairs], rng)
    cpu = median_and_interval([old.cpu_ms / new.cpu_ms for old, new in pairs], rng)
    rates = (statistics.median(one.a_second for one in turns) for turns in (before, after))
    cpu_ms = " and ".join(f"{statistics.median(one.cpu_ms for one in turns):.1f}" for turns in (before, after))
    verdict = f"at least {LEAST}" if low >= LEAST else f"**below {LEAST}**" if high < LEAST else "not decided"
    cells = [case.kind, str(case.clients), *(f"{rate:.0f}" for rate in rates)]
    cells += [f"{ratio:.3f} ({low:.3f} to {high:.3f})", verdict]
    return f"| {' | '.join(cells)} | {cpu[0]:.3f} ({cpu[1]:.3f} to {cpu[2]:.3f}), {cpu_ms} ms |"


def main() -> None:
    """Measure and write the page."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("commits", nargs="+")
    asked.add_argument("--model", default="small")
    asked.add_argument("--rounds", type=int, default=30)
    asked.add_argument("--seconds", type=float, default=1.5, help="of each server in each round")
    asked.add_argument("--page", type=Path, help="Default: docs/security/throughput-MODEL.md.")
    given = asked.parse_args()
    words = " ".join(
        [*given.commits, f"--model {given.model}", f"--rounds {given.rounds}", f"--seconds {given.seconds:g}"]
    )
    text = [
        HEAD.format(
            cores=len(os.sched_getaffinity(0)),
            words=words,
            model=given.model,
            rounds=given.rounds,
            seconds=given.seconds,
        )
    ]
    for commit in given.commits:
        text += [*compared(commit, given.model, given.rounds, given.seconds), ""]
    page = given.page or PAGES / f"throughput-{given.model}.md"
    page.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
