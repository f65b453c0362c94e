"""earnest batch on a Ray cluster of two nodes, of which one is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batches import finished, keys_in, started, write_clips
from patience import PATIENCE_S, wait_for
from stand_in import write_bundle

pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
pytest.importorskip("ray", reason="needs Ray, earnest[ray]")
pytestmark = pytest.mark.slow

# Ray starts threads and processes of its own: it gets a process to itself. Says its address, kills a node when told.
CLUSTER = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=small)
second = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.2", object_store_memory=80 * 2**20)
cluster.wait_for_nodes()
print("at", cluster.address, flush=True)
sys.stdin.readline()
second.kill_raylet(check_alive=False)
print("killed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


def test_a_lost_node_costs_nothing(tmp_path: Path) -> None:
    planned = write_clips(tmp_path / "clips", 5_000, 3)  # enough for Ray to notice
    bundle, output = write_bundle(tmp_path / "bundle"), tmp_path / "answers"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], **pipes) as cluster:
        assert cluster.stdin
        assert cluster.stdout
        address = next(line.split()[1] for line in cluster.stdout if line.startswith("at "))
        words = (tmp_path / "clips", "--output", output, "--model", bundle, "--shard-size", 4)
        run = started(*words, "--engine", "ray", "--address", address, "--jobs", 2)
        wait_for(lambda: run.poll() is not None or len(list(output.glob("shards/*.sha256"))) >= 6)
        assert run.poll() is None
        print("now", file=cluster.stdin, flush=True)
        n_done = len(keys_in(output))
        _, said = run.communicate(timeout=300)
        print("end", file=cluster.stdin, flush=True)
        cluster.wait(PATIENCE_S)
    assert n_done < len(planned)
    assert run.returncode == 3, said
    assert "5000 answered, 3 failed" in said
    assert "its worker died (on Ray)" in said
    assert keys_in(output) == planned
    finished(*words, "--engine", "ray", exit_code=3)  # nothing is left, so nothing is started


def begun(folder: Path) -> tuple[tuple[object, ...], "subprocess.Popen[str]"]:
    """Start to answer the clips of a folder on a cluster of its own; return the command without its engine."""
    output = folder / "answers"
    bundle = write_bundle(folder / "bundle")
    words = (folder / "clips", "--output", output, "--model", bundle, "--shard-size", 4, "--jobs", 2)
    run = started(*words, "--engine", "ray")
    wait_for(lambda: run.poll() is not None or len(list(output.glob("shards/*.sha256"))) >= 6)
    assert run.poll() is None
    return words, run


def children_of(process: str, *name: str) -> list[str]:
    return subprocess.check_output(["pgrep", "-P", process, *name], text=True).split()


def test_without_any_node_left_it_ends_and_says_so(tmp_path: Path) -> None:
    planned = write_clips(tmp_path / "clips", 1_000, 3)
    words, run = begun(tmp_path)
    (raylet,) = children_of(str(run.pid), "raylet")
    for process in (raylet, *children_of(raylet)):
        os.kill(int(process), signal.SIGKILL)
    _, said = run.communicate(timeout=300)
    assert run.returncode == 1, said
    assert "Give the same command again" in said
    finished(*words, exit_code=3)
    assert keys_in(tmp_path / "answers") == planned


def test_an_address_where_nobody_listens_is_told_at_once(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", 3, 0)
    words = (tmp_path / "clips", "--output", tmp_path / "answers", "--model", write_bundle(tmp_path / "bundle"))
    began = time.monotonic()
    said = finished(*words, "--engine", "ray", "--address", "127.0.0.1:17", exit_code=1)
    assert "Ray at 127.0.0.1:17:" in said
    assert "Check --address." in said
    assert time.monotonic() - began < PATIENCE_S


def test_a_killed_driver_costs_nothing(tmp_path: Path) -> None:
    planned = write_clips(tmp_path / "clips", 500, 3)
    words, run = begun(tmp_path)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    n_done = len(keys_in(tmp_path / "answers"))
    assert 0 < n_done < len(planned)
    finished(*words, "--engine", "ray", exit_code=3)
    assert keys_in(tmp_path / "answers") == planned  # one row an input, none twice
