"""Runs targets one after another and keeps the counts in docs/security/fuzz.json, from which the page is written.

Campaigns may run beside each other, each with a share of the targets. What a target did is counted, however it ended;
one that had to be stopped long after its time, as happens on a busy machine, is tried again when the others are done.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from earnest.files.writing import write_atomically
from fuzz import ROOT
from fuzz.readers import Reader, reader_called, readers

CORPORA = ROOT / ".fuzz"  # what the fuzzer found to reach more code; git leaves it alone
COUNTS = ROOT / "docs" / "security" / "fuzz.json"
MOST_RESTARTS = 20
GRACE_S = 300.0  # to start and to end on a busy machine; who takes longer is stopped
_ENDED = "the process ended"
_OPTIONS = ("-max_len=32768", "-rss_limit_mb=3072", "-timeout=20", "-print_final_stats=1", "-verbosity=1")


@dataclass
class Count:
    """What one target has done.

    Attributes
    ----------
    found : crashes by where and what, in all runs
    open : those of the last run
    """

    costly: bool = False
    executions: int = 0
    seconds: float = 0.0
    found: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Turn:
    """What one run of a target did; ``late``: it was stopped, `GRACE_S` after its time."""

    executions: int
    crashes: list[str]
    late: bool = False


def run(seconds: float, names: Sequence[str] = ()) -> list[str]:
    """Fuzz readers, all without names, for some seconds each; keep the counts, return who twice did not end in time."""
    chosen = list(names or readers())
    for name in chosen:
        reader_called(name)
    late = [name for name in chosen if _counted(name, seconds).late]
    return [name for name in late if _counted(name, seconds).late]


def share_of(number: int, shares: int) -> list[str]:
    """Return every so many-th reader: shares 1 to ``shares`` are all readers, each once."""
    if not 1 <= number <= shares:
        raise ValueError(f"A share is 1/{shares} to {shares}/{shares}, not {number}/{shares}.")
    return list(readers())[number - 1 :: shares]


def _counted(name: str, seconds: float) -> Turn:
    """Fuzz one reader, keep its counts and tell them."""
    reader, began = reader_called(name), monotonic()
    turn = _fuzz(reader, seconds)
    _add(Count(reader.costly, turn.executions, monotonic() - began, turn.crashes, turn.crashes), name)
    ended = ", stopped long after its time" if turn.late else ""
    sys.stdout.write(f"{name}: {turn.executions:,} executions, {len(turn.crashes)} unique crashes{ended}\n")
    sys.stdout.writelines(f"  {crash}\n" for crash in turn.crashes)
    sys.stdout.flush()
    return turn


def read_counts() -> dict[str, Count]:
    """Return what has been counted so far, by reader."""
    if not COUNTS.exists():
        return {}
    return {name: Count(**values) for name, values in json.loads(COUNTS.read_text(encoding="utf-8")).items()}


def _add(more: Count, name: str) -> None:
    """Add what one run has counted, and drop targets that are no more; campaigns beside each other take turns."""
    import fcntl

    known = readers()

    with (CORPORA / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        counts = read_counts()
        count = counts.setdefault(name, Count())
        count.costly, count.open = more.costly, more.open
        count.executions += more.executions
        count.seconds = round(count.seconds + more.seconds, 1)
        count.found += [crash for crash in more.found if crash not in count.found]
        text = json.dumps({key: asdict(value) for key, value in sorted(counts.items()) if key in known}, indent=1)
        write_atomically(COUNTS, f"{text}\n".encode())


def fuzz_once(name: str, seconds: float, folder: Path, corpus: Path) -> Turn:
    """Run a target in a child process; a crash of native code is one of its crashes."""
    findings, said = folder / "findings.json", folder / "said"
    findings.unlink(missing_ok=True)
    options = (*_OPTIONS, f"-max_total_time={max(round(seconds), 1)}", f"-artifact_prefix={folder}/")
    command = [sys.executable, "-m", "fuzz.target", name, str(findings), str(corpus), *options]
    code = _ended(command, seconds + GRACE_S, folder, said)
    text = said.read_text(encoding="utf-8", errors="replace")
    crashes = list(json.loads(findings.read_text(encoding="utf-8"))["crashes"]) if findings.exists() else []
    if code:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        known = re.findall(r"ERROR: libFuzzer: ([\w -]+)|Sanitizer: ([\w -]+)", text)
        crashes.append(f"{_ENDED}: {how} {next(filter(None, known[0]), '') if known else text[-300:]}".strip())
    return Turn(_executions(text), crashes, late=code is None)


def _ended(command: Sequence[str], most_s: float, folder: Path, said: Path) -> int | None:
    """Return the exit code of a target, None of one that had to be stopped; ``said`` gets its messages."""
    environment = {**os.environ, "FUZZ_TEMP": str(folder), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with said.open("w", encoding="utf-8") as messages, suppress(subprocess.TimeoutExpired):
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            timeout=most_s,
            check=False,
        ).returncode
    return None


def _fuzz(reader: Reader, seconds: float) -> Turn:
    """Run a target until its time is up, again where a crash of native code ended it."""
    corpus = CORPORA / re.sub(r"\W+", "-", reader.name)
    corpus.mkdir(parents=True, exist_ok=True)
    began, n_done, crashes, late = monotonic(), 0, dict[str, None](), False
    for _ in range(MOST_RESTARTS):
        with tempfile.TemporaryDirectory(dir=_fast_folder(), ignore_cleanup_errors=True) as folder:
            left = seconds - (monotonic() - began)
            turn = fuzz_once(reader.name, max(left, 0.0), Path(folder), corpus)
        n_done, late = n_done + turn.executions, turn.late
        crashes |= dict.fromkeys(turn.crashes)
        if monotonic() - began > seconds - 1 or not any(crash.startswith(_ENDED) for crash in turn.crashes):
            break
    return Turn(n_done, list(crashes), late)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _executions(said: str) -> int:
    total = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said)
    told = total or re.findall(r"^#(\d+)", said, re.MULTILINE)
    return int(told[-1]) if told else 0
