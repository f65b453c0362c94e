"""A real server process: decoders that are killed in traffic, a thread that never ends, bombs beside clips."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import earnest_cli
from patience import PATIENCE_S, wait_for
from ports import free_port
from server_process import CLIP, answers, ask, command_of, memory_mb, serving, workers_of
from stand_in import write_bundle

from attacks import decoding

N_DECODERS = 3  # of two jobs, and one that waits in case another dies
BOMBS = (
    decoding.flac(590, 1_000_000, 8),
    decoding.flac(590, 1_000_000, 8, promised_s=0),
    decoding.opus(20, 255),
    decoding.many_samples(),
    decoding.chunks(50_000),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("process") / "bundle")


def decoders_of(pid: int) -> list[int]:
    """Return the decoder processes of a server or a worker; any of its threads may have started them."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    children = sorted(int(child) for path in threads for child in path.read_text(encoding="ascii").split())
    return [child for child in children if b"decoder_child" in command_of(child)]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_decoders_cost_one_request_each_at_most(bundle: Path, workers: int) -> None:
    with serving(bundle, "--workers", str(workers), "--jobs", "2", "--log-level", "warning") as (address, process):
        owners = [process.pid]
        if workers > 1:
            wait_for(lambda: len(workers_of(process)) == workers)
            owners = workers_of(process)
        wait_for(lambda: all(len(decoders_of(owner)) == N_DECODERS for owner in owners))
        expected = ask(address, CLIP).json()
        stop, n_killed = False, 0

        def ask_on(_: int) -> list[tuple[int, object]]:
            found = []
            while not stop:
                answer = ask(address, CLIP)
                found.append((answer.status_code, answer.json()))
            return found

        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask_on, number) for number in range(3)]
            try:
                for _ in range(4):
                    for owner in owners:
                        wait_for(lambda owner=owner: len(decoders_of(owner)) == N_DECODERS)
                        os.kill(decoders_of(owner)[0], signal.SIGKILL)
                        n_killed += 1
                for owner in owners:  # so that the next one meets none that is about to be missed
                    wait_for(lambda owner=owner: len(decoders_of(owner)) == N_DECODERS)
            finally:
                stop = True
            found = [item for one in asking for item in one.result(PATIENCE_S)]
        assert answers(address)
        assert ask(address, CLIP).json() == expected
    lost = [answer for status, answer in found if status != 200]
    assert all(answer == expected for status, answer in found if status == 200)
    assert len(lost) <= n_killed
    assert all(answer["type"] == "urn:earnest:problem:not-readable" for answer in lost)


def test_bombs_beside_clips_cost_nobody_else_anything(bundle: Path) -> None:
    patient = ("--limit", "request_s=600", "--limit", "body_s=600")
    with serving(bundle, "--jobs", "2", "--log-level", "warning", *patient) as (address, process):
        wait_for(lambda: len(decoders_of(process.pid)) == N_DECODERS)
        decoders = decoders_of(process.pid)
        with ThreadPoolExecutor(4) as pool:
            bombs = [pool.submit(ask, address, bomb) for bomb in BOMBS * 2]
            clips = [pool.submit(ask, address, CLIP) for _ in range(20)]
            assert {answer.result().status_code for answer in clips} == {200}
            assert {answer.result().status_code for answer in bombs} == {413, 422}
        assert decoders_of(process.pid) == decoders  # none had to be ended
        assert all(memory_mb(pid) < 200 for pid in decoders)


def test_no_decoder_outlives_its_server(bundle: Path) -> None:
    with serving(bundle, "--jobs", "2", "--log-level", "warning") as (address, process):
        assert ask(address, CLIP).status_code == 200
        decoders = decoders_of(process.pid)
        assert decoders
        process.kill()
        process.wait(PATIENCE_S)
        wait_for(lambda: not any(is_alive(pid) for pid in decoders))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for somebody to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


STUCK = """
import sys, time
from contextvars import Context
import earnest
from earnest.apps.server import engine
from earnest.apps.server.process import Address, serve
from earnest.apps.server.settings import Limits, Settings

def stuck(*_, **__):
    print("begun", flush=True)
    model, sound = earnest.load(sys.argv[1]), ([0.1, -0.1] * 16_000, 16_000)
    while sys.argv[3] == "network":
        Context().run(model.predict, sound)  # without the deadline
    time.sleep(1_000)

engine.utterance = stuck
limits = Limits(body_s=1.0, request_s=1.0)
serve(Settings(models=(sys.argv[1],), jobs=1, limits=limits), Address("127.0.0.1", int(sys.argv[2])))
"""


@pytest.mark.parametrize("where", ["elsewhere", "network"])
def test_the_end_comes_when_it_was_promised_though_a_thread_hangs(bundle: Path, where: str) -> None:
    port = free_port()
    command = [sys.executable, "-c", STUCK, str(bundle), str(port), where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(address))
        assert ask(address, CLIP).status_code == 504
        assert not answers(address)  # its only turn is lost
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)  # promised: 1 + 1 + 5 s, and 5 for threads; a thousand before
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_folder_from_strangers_is_answered_row_by_row(bundle: Path, tmp_path: Path) -> None:
    for number, bomb in enumerate(BOMBS):
        (tmp_path / f"bomb-{number}.flac").write_bytes(bomb)
    (tmp_path / "clip.wav").write_bytes(CLIP)
    command = [sys.executable, "-m", "earnest", "predict", str(tmp_path), "--model", str(bundle), "--format", "csv"]
    rows = {}
    for words in ((), ("--isolate", "--timeout", "60")):
        done = subprocess.run([*command, *words, "--jobs", "2"], capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert done.stderr == ""
        rows[words] = done.stdout
        assert done.stdout.count(",error,") == len(BOMBS)
    assert len(set(rows.values())) == 1


def test_a_recording_that_takes_longer_than_its_time_is_a_row(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(CLIP)
    for words in ((), ("--isolate",)):
        told = earnest_cli("predict", tmp_path, "--model", bundle, "--json", "--timeout", "1e-6", *words, exit_code=3)
        row = json.loads(told)
        assert row["status"] == "error"
        assert "clip.wav: not read within 1e-06 s. Leave it out, or allow more time." in row["error"]
