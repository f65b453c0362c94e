"""Runs targets one after another and keeps the counts in docs/security/fuzz.json, from which the page is written."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from fuzz import ROOT
from fuzz.readers import Reader, reader_called, readers

CORPORA = ROOT / ".fuzz"  # what the fuzzer found to reach more code; git leaves it alone
COUNTS = ROOT / "docs" / "security" / "fuzz.json"
MOST_RESTARTS = 20
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


def run(seconds: float, names: Sequence[str] = ()) -> dict[str, Count]:
    """Fuzz readers, all without names, for some seconds each; return and keep the counts of all."""
    for name in names or readers():
        reader = reader_called(name)
        n_done, n_seconds, crashes = _fuzz(reader, seconds)
        _add(Count(reader.costly, n_done, n_seconds, crashes, crashes), name)
        sys.stdout.write(f"{name}: {n_done:,} executions, {len(crashes)} unique crashes\n")
        sys.stdout.writelines(f"  {crash}\n" for crash in crashes)
        sys.stdout.flush()
    return read_counts()


def read_counts() -> dict[str, Count]:
    """Return what has been counted so far, by reader."""
    if not COUNTS.exists():
        return {}
    return {name: Count(**values) for name, values in json.loads(COUNTS.read_text(encoding="utf-8")).items()}


def _add(more: Count, name: str) -> None:
    """Add what one run has counted; campaigns beside each other take turns."""
    import fcntl

    with (CORPORA / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        counts = read_counts()
        count = counts.setdefault(name, Count())
        count.costly, count.open = more.costly, more.open
        count.executions += more.executions
        count.seconds = round(count.seconds + more.seconds, 1)
        count.found += [crash for crash in more.found if crash not in count.found]
        text = json.dumps({key: asdict(value) for key, value in sorted(counts.items())}, indent=1)
        COUNTS.write_text(f"{text}\n", encoding="utf-8")


def fuzz_once(name: str, seconds: float, folder: Path, corpus: Path) -> tuple[int, list[str]]:
    """Run a target in a child process; return its executions and its crashes, one of native code among them."""
    findings = folder / "findings.json"
    findings.unlink(missing_ok=True)
    options = (*_OPTIONS, f"-max_total_time={max(round(seconds), 1)}", f"-artifact_prefix={folder}/")
    command = [sys.executable, "-m", "fuzz.target", name, str(findings), str(corpus), *options]
    environment = {**os.environ, "FUZZ_TEMP": str(folder), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with (folder / "said").open("w+", encoding="utf-8", errors="replace") as said:
        code = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=said,
            timeout=seconds + 300,
            check=False,
        ).returncode
        said.seek(0)
        text = said.read()
    crashes = list(json.loads(findings.read_text(encoding="utf-8"))["crashes"]) if findings.exists() else []
    if code:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        known = re.findall(r"ERROR: libFuzzer: ([\w -]+)|Sanitizer: ([\w -]+)", text)
        crashes.append(f"the process ended: {how} {next(filter(None, known[0]), '') if known else text[-300:]}".strip())
    return _executions(text), crashes


def _fuzz(reader: Reader, seconds: float) -> tuple[int, float, list[str]]:
    corpus = CORPORA / re.sub(r"\W+", "-", reader.name)
    corpus.mkdir(parents=True, exist_ok=True)
    began, n_done, crashes = monotonic(), 0, dict[str, None]()
    for _ in range(MOST_RESTARTS):
        with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
            left = seconds - (monotonic() - began)
            n_more, found = fuzz_once(reader.name, left, Path(folder), corpus)
        n_done += n_more
        crashes |= dict.fromkeys(found)
        if monotonic() - began > seconds - 1 or not any(crash.startswith("the process ended") for crash in found):
            break
    return n_done, monotonic() - began, list(crashes)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _executions(said: str) -> int:
    total = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said)
    told = total or re.findall(r"^#(\d+)", said, re.MULTILINE)
    return int(told[-1]) if told else 0
