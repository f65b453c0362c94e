"""Counters of several workers, in files that all of them read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from earnest.apps.server.metrics import FILE_BYTES, FOLDER

WORKER = """
import resource, sys
from earnest.apps.server.metrics import Metrics
if sys.argv[1] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
metrics = Metrics()
for route in range(int(sys.argv[2])):
    metrics.seconds.labels(f"/v1/some/address/{route}").observe(1.0)
    for method in ("GET", "HEAD", "POST", "OPTIONS", "WEBSOCKET", "OTHER"):
        for status in range(20):
            metrics.requests.labels(f"/v1/some/address/{route}", method, str(400 + status)).inc()
metrics.streams.inc()
print(metrics.text().decode())
"""


def worker_says(folder: Path, disk: str, n_routes: int) -> tuple[str, str]:
    """Return what a process tells Prometheus that counts into ``folder``, and its warnings."""
    words, environment = [sys.executable, "-c", WORKER, disk, str(n_routes)], os.environ | {FOLDER: str(folder)}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return run.stdout, run.stderr


def sizes(folder: Path) -> dict[str, int]:
    return {path.stem.rpartition("_")[0]: path.stat().st_size for path in folder.glob("*.db")}


@pytest.mark.skipif(sys.platform == "win32", reason="files have no blocks there")
def test_room_for_all_counters_is_taken_at_the_start_so_that_a_full_disk_ends_no_worker(tmp_path: Path) -> None:
    worker_says(tmp_path, "free", 20)
    assert sizes(tmp_path) == FILE_BYTES
    for path in tmp_path.glob("*.db"):
        stat = path.stat()
        assert 512 * stat.st_blocks >= stat.st_size  # no holes


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for files there")
def test_a_worker_without_room_for_its_counters_warns_and_counts_for_no_sum(tmp_path: Path) -> None:
    told, warned = worker_says(tmp_path, "full", 1)
    assert "no room for its counters" in warned
    assert "address" not in told and not sizes(tmp_path)


def test_counters_of_a_dead_process_stay_without_their_room_for_more(tmp_path: Path) -> None:
    worker_says(tmp_path, "free", 1)
    told, _ = worker_says(tmp_path, "free", 1)
    assert 'earnest_requests_total{method="GET",route="/v1/some/address/0",status="400"} 2.0' in told
    assert "earnest_streams_open 1.0" in told
    kept = sorted(path.stat().st_size for path in tmp_path.glob("counter_*.db"))
    assert kept[0] < kept[1] == FILE_BYTES["counter"]
