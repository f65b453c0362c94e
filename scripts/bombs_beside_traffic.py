"""Cost of decompression bombs for a server, and for recordings answered beside them: docs/security/bombs.md.

    python scripts/bombs_beside_traffic.py                     # 50 clips a second, 1 minute
    python scripts/bombs_beside_traffic.py --rate 10 --no-page

Starts `earnest serve`. First recordings of 3 s come alone, at an even pace, whether or not the one before was answered;
then each bomb of `attacks.decoding.bombs` is sent beside them, one after another. A recording is late when its answer
takes longer than ``--late`` seconds. Ends with exit code 1 when a recording came late, was refused or lost beside
bombs, or a bomb took longer than two seconds or 200 MiB. Some bombs are harmless by now: they are answered.
"""

import argparse
import http.client
import io
import json
import os
import platform
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from trial_server import server_process  # noqa: E402

from attacks.decoding import bombs  # noqa: E402

PAGE = ROOT / "docs/security/bombs.md"
DEMO = ROOT / "earnest/demo"
MOST_TRIES = 20
MOST_S, MOST_MIB = 2.0, 200.0
HEADERS = {"Content-Type": "application/octet-stream"}


@dataclass
class Traffic:
    """Recordings at an even pace, and how long each took; None where there was no answer or another one than 200."""

    port: int
    clip: bytes
    rate: float
    seconds_of: list[float | None] = field(default_factory=list)

    def run(self, ending: threading.Event, at_least_s: float) -> None:
        """Send until the event is set, but for so long at least."""
        started, number = time.monotonic(), 0
        with ThreadPoolExecutor(64) as pool:
            while time.monotonic() - started < at_least_s or not ending.is_set():
                due = started + number / self.rate
                time.sleep(max(due - time.monotonic(), 0))
                pool.submit(self._ask, due)
                number += 1

    def _ask(self, due: float) -> None:
        try:
            status, _ = post(self.port, self.clip)
        except OSError:
            status = 0
        self.seconds_of.append(time.monotonic() - due if status == 200 else None)

    def told(self, late_s: float) -> dict[str, float]:
        """Return numbers for the page."""
        answered = [seconds for seconds in self.seconds_of if seconds is not None]
        return {
            "sent": len(self.seconds_of),
            "lost": len(self.seconds_of) - len(answered),
            "late": sum(seconds > late_s for seconds in answered),
            "middle_ms": 1000 * statistics.median(answered or [0]),
            "high_ms": 1000 * float(np.quantile(answered or [0], 0.99)),
            "slowest_ms": 1000 * max(answered, default=0),
        }


def post(port: int, body: bytes, query: str = "") -> tuple[int, str]:
    """Send one recording; return status and what was said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", f"/v1/predict{query}", body, HEADERS)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def main() -> None:
    """Measure, tell and write."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rate", type=float, default=50.0, help="clips a second")
    asked.add_argument("--seconds", type=float, default=30.0, help="alone, and beside bombs at least")
    asked.add_argument("--late", type=float, default=1.0, help="seconds")
    asked.add_argument("--model", default="small")
    asked.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked.add_argument("--no-page", action="store_true")
    given = asked.parse_args()
    all_bombs = list(bombs())
    words = ("--model", given.model, "--jobs", str(given.jobs), "--quiet", "--limit", "client_requests=64")
    with server_process(*words) as server:
        port = server.port
        post(port, three_seconds())  # the first one is warmed up for
        clip = three_seconds()
        for _ in range(10):
            post(port, clip)
        alone = Traffic(port, clip, given.rate)
        over = threading.Event()
        over.set()
        alone.run(over, given.seconds)
        beside, over = Traffic(port, clip, given.rate), threading.Event()
        thread = threading.Thread(target=beside.run, args=(over, given.seconds))
        thread.start()
        rows = [cost(port, server.pid, name, bomb) for name, bomb in all_bombs]
        over.set()
        thread.join()
    text = page(rows, alone.told(given.late), beside.told(given.late), given)
    sys.stdout.write(text)
    if not given.no_page:
        PAGE.write_text(text, encoding="utf-8")
    told = beside.told(given.late)
    is_good = all(row.seconds <= MOST_S and row.mib <= MOST_MIB for row in rows) and not told["late"] + told["lost"]
    raise SystemExit(0 if is_good else 1)


@dataclass(frozen=True)
class Row:
    """The cost of one bomb."""

    name: str
    n_bytes: int
    seconds: float
    mib: float
    status: int
    said: str


def cost(port: int, server: int, name: str, bomb: bytes) -> Row:
    """Send a bomb and measure the decoders meanwhile."""
    for pid in decoders_of(server):
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # forget the most that was held so far
    before = set(decoders_of(server))
    status, said, seconds = 0, "{}", 0.0
    for _ in range(MOST_TRIES):
        started = time.monotonic()
        with suppress(OSError):
            status, said = post(port, bomb)
        seconds = time.monotonic() - started
        if status not in (0, 429, 503):
            break
        time.sleep(0.5)  # a server with too much to do refuses it unread
    most = max((peak_mib(pid) for pid in decoders_of(server)), default=0.0)
    values = json.loads(said)
    detail = str(values.get("detail", values.get("status"))).partition(": ")[2] or str(values.get("status"))
    died = "" if before <= set(decoders_of(server)) else " (its decoder was ended)"
    return Row(name, len(bomb), seconds, most, status, detail + died)


def decoders_of(server: int) -> list[int]:
    """Return the decoder processes of a server."""
    found = []
    for path in Path(f"/proc/{server}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in path.read_text(encoding="ascii").split()]
    return found


def peak_mib(pid: int) -> float:
    """Return the most that a process has held."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def three_seconds() -> bytes:
    """Return a recording as WAV."""
    sound, rate_hz = soundfile.read(min(DEMO.glob("*.flac")), dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, np.resize(sound, 3 * rate_hz), rate_hz, format="WAV")
    return file.getvalue()


def page(rows: list[Row], alone: dict[str, float], beside: dict[str, float], given: argparse.Namespace) -> str:
    """Return the page."""
    lines = [
        "# Bombs beside traffic",
        "",
        "Written by `python scripts/bombs_beside_traffic.py`; the bombs are those of `attacks/decoding.py`.",
        f"`earnest serve --model {given.model} --jobs {given.jobs}` on {len(os.sched_getaffinity(0))} cores "
        f"({platform.machine()}). Clips of 3 s, {given.rate:g} a second, whether or not the one before was answered; "
        f"late is more than {given.late:g} s. A bomb should cost no more than {MOST_S:g} s and {MOST_MIB:g} MiB.",
        "",
        "| | clips | lost | late | median, ms | 99 %, ms | slowest, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, told in (("alone", alone), ("beside bombs", beside)):
        counts = f"{told['sent']} | {told['lost']} | {told['late']}"
        lines.append(f"| {name} | {counts} | " + " | ".join(f"{told[key]:.0f}" for key in list(told)[3:]) + " |")
    lines += ["", "| bomb | bytes | status | seconds | decoder, MiB | what is said |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        numbers = f"{row.n_bytes:,} | {row.status} | {row.seconds:.2f} | {row.mib:.0f}"
        lines.append(f"| {row.name} | {numbers} | {row.said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
