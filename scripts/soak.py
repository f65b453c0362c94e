"""Let good and bad clients at a server for an hour, and see whether it stays as it was.

    python scripts/soak.py                                  # an hour, one worker, the model "small"
    python scripts/soak.py --minutes 10 --workers 2 --folder /tmp/soak

Writes soak.csv (a line every ten seconds, the mean of five looks: memory, descriptors and threads of the server and its
children, latencies of recordings), soak.png and soak.md into docs/security. Ends with 1 where something rises or
surprises. The clients are in soak_traffic.py. The plot needs earnest[report].

What it wants to know, and the rule for each, set before a run:

* Does it still grow? The slope of the last third alone: a leak goes on, what warms up or takes a step once doesn't.
  Flat means that the upper end of the slope's 95 % interval is at most `MOST_AN_HOUR`; "rises", that the lower end is
  above; else the run was too short to tell. Neighbouring samples are alike, which widens the interval.
* How much did it grow in all? The median of the last third against that of the first third after warming up: at most
  `MOST_GROWN` of the first.
"""

import argparse
import csv
import itertools
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from soak_traffic import ACTORS, Actor, Sounds, Visitor
from soak_watch import FLAT, Sample, Slope, averaged, grown, sampled, slope_of
from trial_server import server_process

from earnest.files.writing import write_atomically
from earnest.plots.style import picture

ROOT = Path(__file__).parents[1]
BODY_BYTES = 8 * 2**20
LIMITS = (f"body_bytes={BODY_BYTES}", "body_s=5", "header_s=5", "stream_s=1000000")
END_S = 150.0
EVERY_S, LOOKS = 10.0, 5  # seconds a sample, looks a sample
LONGEST_WARM_UP_S = 600.0
ENDS = (0, -signal.SIGTERM)  # by itself, or by the signal once all is done
# What counts as flat: what a server that holds some 300 MiB could bear for days between restarts.
MOST_AN_HOUR = {"rss_mib": 16.0, "server_mib": 8.0, "descriptors": 2.0, "threads": 1.0}
MOST_GROWN = 0.2  # of what was held after warming up
COLUMNS = {"rss_mib": "memory (RSS)", "server_mib": "… without decoders", "p99_ms": "latency of clips, p99"}
UNITS = {"rss_mib": "MiB", "server_mib": "MiB", "descriptors": "", "threads": "", "p99_ms": "ms"}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a soak.

    Attributes
    ----------
    ended : how often each kind of client ended how
    exit_code, exit_s : of the server, after SIGTERM
    """

    samples: Sequence[Sample]
    ended: Mapping[str, Counter[str]]
    exit_code: int
    exit_s: float

    def surprises(self) -> dict[str, dict[str, int]]:
        """Return surprises, by kind of client."""
        wrong = {
            name: {word: n for word, n in words.items() if word not in ACTORS[name].fine}
            for name, words in self.ended.items()
        }
        return {name: words for name, words in wrong.items() if words}

    @property
    def n_killed(self) -> int:
        """Number of killed decoders; each may cost one answer."""
        return self.ended["killer of decoders"]["killed"]

    @property
    def n_surprises(self) -> int:
        """Number of surprised clients."""
        return sum(n for words in self.surprises().values() for n in words.values())


def soak(model: str, seconds: float, workers: int = 1, every_s: float = EVERY_S, haste: float = 1.0) -> Outcome:
    """Start a server, let all clients at it, watch, and end it.

    Parameters
    ----------
    haste : pauses are divided by this
    """
    sounds = Sounds(ROOT / "earnest" / "demo")
    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    with server_process("--model", model, "--workers", str(workers), "--quiet", *limits) as server:
        process = server.process
        visitors: list[Visitor] = []
        threads: list[threading.Thread] = []
        ended: dict[str, Counter[str]] = {name: Counter() for name in ACTORS}
        for name, actor in ACTORS.items():
            for _ in range(actor.n_at_once):
                visitor = Visitor(server.port, process.pid, BODY_BYTES, sounds, seed=len(visitors))
                visitors.append(visitor)
                threads.append(threading.Thread(target=act, args=(visitor, actor, ended[name], haste), daemon=True))
        samples, looks = [], list[Sample]()
        for thread in threads:
            thread.start()
        started = time.monotonic()
        for number in itertools.count(1):
            wait(started + number * every_s / LOOKS)
            looks.append(sampled(process.pid, time.monotonic() - started))
            if number % LOOKS:
                continue
            latencies = [visitor.latencies_s.pop() for visitor in visitors for _ in range(len(visitor.latencies_s))]
            samples.append(averaged(looks, latencies))
            looks.clear()
            if process.poll() is not None or number * every_s >= seconds * LOOKS:
                break
        for visitor in visitors:
            visitor.over.set()
        for thread in threads:
            thread.join(END_S)
        asked_to_end = time.monotonic()
        process.terminate()
        code = process.wait(END_S)
        return Outcome(samples, ended, code, time.monotonic() - asked_to_end)


def wait(until: float) -> None:
    """Do nothing until a moment of the monotonic clock."""
    time.sleep(max(0.0, until - time.monotonic()))


def act(visitor: Visitor, actor: Actor, words: Counter[str], haste: float) -> None:
    """Do one thing after the other until it is over."""
    while not visitor.over.wait(visitor.rng.exponential(actor.pause_s / haste)):
        words[actor.act(visitor)] += 1


def warm_up_s(samples: Sequence[Sample]) -> float:
    """Return from when on the slopes are taken."""
    return min(LONGEST_WARM_UP_S, samples[-1].t_s / 4)


def slopes(samples: Sequence[Sample]) -> dict[str, Slope]:
    """Return the slope of each column in the last third."""
    return {column: slope_of(samples, column, samples[-1].t_s * 2 / 3) for column in UNITS}


def verdicts(samples: Sequence[Sample]) -> dict[str, str]:
    """Judge whether each bounded column is flat."""
    found = {}
    for column, slope in slopes(samples).items():
        first, last = grown(samples, column, warm_up_s(samples))
        if column in MOST_AN_HOUR:
            has_grown = last > first * (1 + MOST_GROWN)
            found[column] = "**has grown**" if has_grown else slope.verdict(MOST_AN_HOUR[column])
    return found


def page(outcome: Outcome, command: str, workers: int) -> str:
    """Return the page as Markdown."""
    minutes = outcome.samples[-1].t_s / 60
    lines = [
        "# The soak",
        "",
        f"Written by `{command}`: {minutes:.0f} minutes, {workers} worker{'s' * (workers > 1)}, all of these clients",
        "at once, on cores shared with the server. Asked is whether it still grows at the end: a line is fitted (least",
        "squares) to the last third, and flat means that the upper end of its slope's 95 % interval is at most the",
        f"bound. What is held at the end may be {MOST_GROWN:.0%} more than after {warm_up_s(outcome.samples):.0f} s of "
        "warming up (medians of",
        "thirds). Both bounds were set before the run.",
        "",
        "![Memory, descriptors, threads and latency over time](soak.png)",
        "",
        "| of the server and its children | first third | last third | slope of the last, an hour | flat: at most | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    found = verdicts(outcome.samples)
    for column, slope in slopes(outcome.samples).items():
        unit, most = UNITS[column], MOST_AN_HOUR.get(column)
        first, last = grown(outcome.samples, column, warm_up_s(outcome.samples))
        low, high = slope.interval
        cells = [COLUMNS.get(column, column), f"{first:.1f} {unit}", f"{last:.1f} {unit}"]
        cells += [
            f"{slope.per_hour:+.2f} ({low:+.2f} to {high:+.2f}) {unit}",
            "" if most is None else f"{most:g} {unit}",
        ]
        lines.append(f"| {' | '.join(cell.strip() for cell in cells)} | {found.get(column, '')} |")
    lines += ["", "| client | how its visits ended | |", "|---|---|---|"]
    surprises = outcome.surprises()
    for name, words in outcome.ended.items():
        told = ", ".join(f"{word}: {n:,}" for word, n in sorted(words.items()))
        verdict = f"surprised {sum(surprises[name].values())} times" if name in surprises else "as it should"
        lines.append(f"| {name} | {told} | {verdict} |")
    lines += [
        "",
        f"Decoders killed: {outcome.n_killed}, each of which may cost one answer; answers that were not as they should "
        f"be: {outcome.n_surprises}.",
        f"After SIGTERM the server ended with {outcome.exit_code} in {outcome.exit_s:.1f} s.",
    ]
    return "\n".join(lines) + "\n"


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Draw the columns over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    minutes = [sample.t_s / 60 for sample in samples]
    titles = {"rss_mib": "memory, MiB", "descriptors": "descriptors", "threads": "threads"}
    figure, axes = pyplot.subplots(4, 1, figsize=(9, 9), sharex=True, layout="constrained")
    for axis, (column, title) in zip(axes, titles.items(), strict=False):
        axis.plot(minutes, [getattr(sample, column) for sample in samples], linewidth=1)
        axis.set(ylabel=title, ylim=(0, None))
    axes[0].plot(minutes, [sample.server_mib for sample in samples], linewidth=1, label="without decoders")
    axes[0].legend()
    for column in ("p50_ms", "p99_ms"):
        axes[3].plot(minutes, [getattr(sample, column) for sample in samples], linewidth=1, label=column[:3])
    axes[3].set(ylabel="latency of clips, ms", xlabel="minutes", ylim=(0, None))
    axes[3].legend()
    write_atomically(path, picture(figure, path.suffix))
    pyplot.close(figure)


def write_csv(samples: Sequence[Sample], path: Path) -> None:
    """Write a line a sample."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        for sample in samples:
            writer.writerow({name: round(value, 2) for name, value in asdict(sample).items()})


def main() -> int:
    """Soak and tell."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--minutes", type=float, default=60.0)
    asked.add_argument("--workers", type=int, default=1)
    asked.add_argument("--model", default="small")
    asked.add_argument("--folder", type=Path, default=ROOT / "docs" / "security")
    given = asked.parse_args()
    outcome = soak(given.model, 60 * given.minutes, given.workers)
    given.folder.mkdir(parents=True, exist_ok=True)
    write_csv(outcome.samples, given.folder / "soak.csv")
    plot(outcome.samples, given.folder / "soak.png")
    command = f"python scripts/soak.py --minutes {given.minutes:g} --workers {given.workers} --model {given.model}"
    text = page(outcome, command, given.workers)
    (given.folder / "soak.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    is_flat = all(verdict == FLAT for verdict in verdicts(outcome.samples).values())
    return 0 if is_flat and outcome.n_surprises <= outcome.n_killed and outcome.exit_code in ENDS else 1


if __name__ == "__main__":
    sys.exit(main())
