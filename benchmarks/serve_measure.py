"""What a server bears on this machine: one command that starts `earnest serve`, lets Locust ask, and prints a table.

    python benchmarks/serve_measure.py --locust /tmp/locust/bin/locust                                  # 13 minutes
    python benchmarks/serve_measure.py --locust /tmp/locust/bin/locust --seconds 10 --stream-seconds 10 --streams 3

Clips of 3 s by 1, 8 and 64 clients; more clients than the server takes on (refusals should be fast), and 8 again right
after (it should have recovered); requests of one byte as fast as they can come; streams in real time. For what the
numbers are see `benchmarks/serve_load.py`.
"""

import argparse
import csv
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from trial_server import server_process

LOAD = Path(__file__).with_name("serve_load.py")
DEMO = Path(__file__).parents[1] / "earnest/demo"
BOUNDS = ("client_requests=64", "client_streams=2000", "streams=2000", "connections=4000")
SHOWN = ("Name", "Request Count", "Failure Count", "Requests/s", "50%", "99%", "Min Response Time", "Max Response Time")


def main() -> None:
    """Run it all."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--locust", required=True, help="the program, of its own environment")
    asked.add_argument("--model", default="small")
    asked.add_argument("--seconds", type=int, default=30, help="for each number of clients")
    asked.add_argument("--streams", type=int, default=100)
    asked.add_argument("--stream-seconds", type=int, default=600)
    asked.add_argument("--workers", type=int, default=1)
    given = asked.parse_args()
    bounds = [word for bound in BOUNDS for word in ("--limit", bound)]
    words = ("--model", given.model, "--workers", str(given.workers), "--quiet", *bounds)
    with tempfile.TemporaryDirectory() as name, server_process(*words) as server:
        folder = Path(name)
        locust = Locust(given.locust, server.address, server.pid, folder)
        write_clips(folder)
        show("what", *SHOWN)
        for clients in (1, 8, 64):
            locust.run("Clips", clients, given.seconds)
        locust.run("Clips", 192, given.seconds)
        locust.run("Clips", 8, given.seconds)
        locust.run("Tiny", 64, given.seconds)
        locust.run("Streams", given.streams, given.stream_seconds)


def write_clips(folder: Path) -> None:
    """Write 3 s, and all of the clips that the page tries: one talk of several emotions."""
    sounds = [soundfile.read(path, dtype="int16") for path in sorted(DEMO.glob("*.flac"))]
    rate = sounds[0][1]
    talk = np.concatenate([sound for sound, own_rate in sounds if own_rate == rate])
    for kind, samples in (("Clips", talk[: 3 * rate]), ("Tiny", talk[:1]), ("Streams", talk)):
        soundfile.write(folder / f"{kind}.wav", samples, rate, subtype="PCM_16")


class Locust:
    """Runs one kind of user at a time and prints what it measured."""

    def __init__(self, program: str, address: str, server: int, folder: Path) -> None:
        self.program, self.address, self.server, self.folder = program, address, server, folder

    def run(self, kind: str, users: int, seconds: int) -> None:
        """Ask for so many seconds once all users are there."""
        spawn = 10 if kind == "Streams" else 64
        words = ("--headless", "--host", self.address, "--users", str(users), "--spawn-rate", str(spawn))
        table = self.folder / f"{kind}-{users}"
        command = [self.program, "--locustfile", str(LOAD), kind, *words, "--run-time", f"{seconds + users // spawn}s"]
        known = {"CLIP": str(self.folder / f"{kind}.wav"), "SERVER_PID": str(self.server)}
        done = subprocess.run(
            [*command, "--reset-stats", "--csv", str(table), "--only-summary", "--exit-code-on-error", "0"],
            env=os.environ | known,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        text = table.with_name(f"{table.name}_stats.csv").read_text(encoding="utf-8")
        for row in csv.DictReader(io.StringIO(text)):
            if row["Name"] != "Aggregated":
                show(f"{kind} {users}", *(row[name] for name in SHOWN))


def show(*words: str) -> None:
    """Print one row."""
    sys.stdout.write("\t".join(word[:12] if word[:1].isdecimal() else word for word in words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
