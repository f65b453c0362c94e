"""earnest batch on a Ray cluster of two nodes, of which one is killed in the middle."""

import signal
import subprocess
import sys
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
    planned = write_clips(tmp_path / "clips", 1_600, 3)
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
    assert "1600 answered, 3 failed" in said
    assert "its worker died (on Ray)" in said
    assert keys_in(output) == planned
    finished(*words, "--engine", "ray")  # nothing is left, so nothing is started


def test_a_killed_driver_costs_nothing(tmp_path: Path) -> None:
    planned = write_clips(tmp_path / "clips", 500, 3)
    bundle, output = write_bundle(tmp_path / "bundle"), tmp_path / "answers"
    words = (tmp_path / "clips", "--output", output, "--model", bundle, "--shard-size", 4, "--jobs", 2)
    run = started(*words, "--engine", "ray")
    wait_for(lambda: run.poll() is not None or len(list(output.glob("shards/*.sha256"))) >= 6)
    assert run.poll() is None
    run.send_signal(signal.SIGKILL)
    run.communicate()
    n_done = len(keys_in(output))
    assert 0 < n_done < len(planned)
    finished(*words, "--engine", "ray", exit_code=3)
    assert keys_in(output) == planned  # one row an input, none twice
