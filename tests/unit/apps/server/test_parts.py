"""Parts of the server that need no server: shared runs, formats, limits, metrics of several processes."""

import asyncio
import errno
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import earnest_cli
from patience import PATIENCE_S, wait_for
from stand_in import write_bundle

from earnest.apps.server import metrics
from earnest.apps.server.engine import Shared
from earnest.apps.server.formats import ROWS, ProblemError, chosen_format
from earnest.apps.server.metrics import Seldom
from earnest.apps.server.settings import Limits
from earnest.audio.deadline import Deadline, check_deadline
from earnest.errors import RecipeError, TooLateError
from earnest.installation import install_command

pytestmark = pytest.mark.long

A_SECOND = np.zeros(16_000, np.float32)


class Network:
    """Answers with each clip's first sample; remembers what shared a run."""

    predicted = ("probabilities",)

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.go = threading.Event()
        self.error: Exception | None = None

    def run(self, waveforms: Sequence[Any], names: Sequence[str] | None = None) -> dict[str, Any]:
        assert self.go.wait(PATIENCE_S)
        self.batches.append([float(waveform[0]) for waveform in waveforms])
        if self.error:
            raise self.error
        return {"probabilities": np.array([[waveform[0]] for waveform in waveforms])}


def asked_together(network: Network, shared: Shared, clips: Sequence[Any], names: Sequence[Any]) -> list[Any]:
    """Ask from as many threads, all of which wait when the first run begins; return answers or errors."""
    with ThreadPoolExecutor(len(clips)) as pool:
        answers = [pool.submit(shared.run, [clip], name) for clip, name in zip(clips, names, strict=True)]
        while len(shared._waiting) < len(clips) - 1:  # the first one is running
            pass
        network.go.set()
        return [answer.exception() or answer.result()["probabilities"].tolist() for answer in answers]


def test_windows_that_wait_share_a_run_and_get_their_own_answers() -> None:
    network = Network()
    clips = [A_SECOND + number for number in range(6)]
    answers = asked_together(network, Shared(network, 4, 1), clips, [None] * 6)
    assert answers == [[[float(number)]] for number in range(6)]
    assert sorted(map(len, network.batches)) == [1, 1, 4]


def test_windows_of_other_lengths_or_outputs_don_t_share() -> None:
    network = Network()
    clips = [A_SECOND, A_SECOND + 1, A_SECOND[:9_000] + 2, A_SECOND + 3]
    answers = asked_together(network, Shared(network, 4, 1), clips, [None, None, None, ("embedding",)])
    assert answers == [[[float(number)]] for number in range(4)]
    assert all(len(batch) == 1 for batch in network.batches)


def test_an_error_reaches_all_that_shared_the_run() -> None:
    network = Network()
    network.error = ValueError("broken")
    answers = asked_together(network, Shared(network, 4, 1), [A_SECOND] * 4, [None] * 4)
    assert [str(error) for error in answers] == ["broken"] * 4
    network.error = None
    assert Shared(network, 4, 1).run([A_SECOND])["probabilities"].tolist() == [[0.0]]


def test_windows_that_come_together_stay_together() -> None:
    network = Network()
    network.go.set()
    Shared(network, 2, 1).run([A_SECOND + number for number in range(5)])
    assert network.batches == [[0.0, 1.0, 2.0, 3.0, 4.0]]


def test_who_shares_a_run_has_its_own_deadline() -> None:
    network = Network()
    network.go.set()
    shared = Shared(network, 2, 1)
    with Deadline(60):
        assert shared.run([A_SECOND])
    with Deadline(0), pytest.raises(TooLateError):
        shared.run([A_SECOND])


def test_who_leaves_ends_no_run_that_another_shares() -> None:
    leaving = Deadline(60)

    class Left(Network):
        """Its client leaves while it shares a run."""

        def run(self, waveforms: Sequence[Any], names: Sequence[str] | None = None) -> dict[str, Any]:
            answers = super().run(waveforms, names)
            if len(waveforms) > 1:
                leaving.end()
                check_deadline()
            return answers

    network = Left()
    shared = Shared(network, 4, 1)

    def asked(deadline: Deadline) -> list[list[float]]:
        with deadline:
            return list(shared.run([A_SECOND])["probabilities"].tolist())

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(asked, Deadline(60))
        wait_for(lambda: not shared._turns._value and not shared._waiting)  # it runs alone
        gone, stays = pool.submit(asked, leaving), pool.submit(asked, Deadline(30))
        wait_for(lambda: len(shared._waiting) == 2)
        network.go.set()
        assert isinstance(gone.exception(), TooLateError)
        assert first.result() == stays.result() == [[0.0]]
    assert sorted(map(len, network.batches)) == [1, 2]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/*", "csv"),
        ("text/csv, application/json", "json"),  # equal: the server's order
        ("text/csv, application/json;q=0.9", "csv"),
        ("application/json;q=0, */*;q=0.1", "jsonl"),
        ("text/html, */*;q=0.5", "json"),
        ("TEXT/CSV; charset=utf-8; q=0.3", "csv"),
        ("text/csv;q=high", "json"),
    ],
)
def test_the_format_wanted_most_is_chosen(accept: str, form: str) -> None:
    assert chosen_format(None, accept, ROWS) == form


def test_a_format_that_is_not_there_is_refused() -> None:
    for accept in ("text/html", "*/*;q=0", "application/json;q=0"):
        with pytest.raises(ProblemError) as caught:
            chosen_format(None, accept, ROWS)
        assert caught.value.status == 406


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_bound_is_above_zero_and_finite(value: float) -> None:
    with pytest.raises(RecipeError, match="body_bytes"):
        Limits(body_bytes=value)  # type: ignore[arg-type]


def test_limits_on_the_command_line_are_typed() -> None:
    assert '"streams": 5' in earnest_cli("serve", "--limit", "streams=5", "--show-limits", "--json")
    assert "stream_speed" in earnest_cli("serve", "--show-limits")
    for words, message in (
        ("stream=5", "streams"),
        ("streams=1.5", "whole number"),
        ("streams=0", "streams must be at least 1, got 0"),
    ):
        with pytest.raises(RecipeError, match=message):
            earnest_cli("serve", "--limit", words, "--show-limits")
    earnest_cli("serve", "--limit", "streams=many", "--show-limits", exit_code=2)


METRICS = """
import os, sys
from earnest.apps.server.metrics import Metrics
metrics = Metrics()
metrics.streams.inc(3)
metrics.recordings.labels("ok").inc(2)
print(metrics.text().decode())
"""


def test_processes_add_up_and_the_dead_hold_nothing(tmp_path: Path) -> None:
    more = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    (tmp_path / "counter_999999.db").touch()  # of one that was killed before it wrote
    for n_before in range(2):
        done = subprocess.run([sys.executable, "-c", METRICS], env=more, capture_output=True, text=True, check=True)
        assert "earnest_streams_open 3.0" in done.stdout
        assert f'earnest_recordings_total{{status="ok"}} {2.0 * (n_before + 1)}' in done.stdout


SERVE = """
import sys
from starlette.testclient import TestClient
from earnest.apps.server.app import create_app
from earnest.apps.server import process
from earnest.apps.server.settings import Settings
with TestClient(create_app(Settings(models=(sys.argv[1],))), "http://localhost") as client:
    files = {"file": open(sys.argv[2], "rb").read()}
    assert client.post("/v1/predict?kind=timeline", files=files).status_code == 200
    client.get("/metrics"), client.get("/openapi.json")
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_the_server_loads_nothing_heavy(tmp_path: Path) -> None:
    from earnest.testing.sounds import write_voice

    arguments = [str(write_bundle(tmp_path / "bundle")), str(write_voice(tmp_path / "clip.wav", 2.0))]
    done = subprocess.run([sys.executable, "-c", SERVE, *arguments], capture_output=True, text=True, check=True)
    heavy = {"torch", "lightning", "librosa", "sklearn", "scipy", "pandas", "matplotlib", "onnx", "av"}
    loaded = set(done.stdout.split())
    assert not loaded & heavy
    assert "onnxruntime" in loaded


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fastapi", "starlette", "httpx2"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Blocker())
from earnest.apps.cli.main import main
from earnest.client import Client
from earnest.errors import MissingExtraError
try:
    Client()
except MissingExtraError as error:
    print(error)
sys.argv = ["earnest", "serve"]
main()
"""


def test_without_the_extra_the_command_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "earnest: the server needs more packages, those of earnest[server]. "
        f"Install them with: {install_command('server')}"
    )
    assert "earnest[client]" in done.stdout


def test_warnings_of_uvicorn_are_one_a_minute_and_tell_how_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    now, seldom = [1_000.0], Seldom()
    monkeypatch.setattr(metrics, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def told(name: str = "uvicorn.error", level: int = logging.WARNING, line: int = 1) -> int | None:
        """Return what a line tells was left out, None where it doesn't pass."""
        record = logging.LogRecord(name, level, "h11_impl.py", line, "Exceeded concurrency limit.", None, None)
        return getattr(record, "left_out", 0) if seldom.filter(record) else None

    assert [told() for _ in range(1_000)] == [0, *[None] * 999]
    assert [told(line=2), told(line=2)] == [0, None]  # a warning of another kind
    assert [told("earnest.server"), told("earnest.server"), told(level=logging.ERROR)] == [0, 0, 0]
    now[0] += 61
    assert [told(), told(), told(line=2)] == [999, None, 1]


def test_that_no_file_is_left_for_connections_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    class Full(socket.socket):
        n_asked = 0

        def accept(self) -> tuple[socket.socket, object]:
            self.n_asked += 1
            raise OSError(errno.EMFILE, "Too many open files")

    async def connected(listener: Full) -> None:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=listener)
        async with server:
            with socket.create_connection(listener.getsockname()):
                while not listener.n_asked:
                    await asyncio.sleep(0)

    caplog.handler.addFilter(seldom := Seldom())
    try:
        with Full() as listener:
            listener.bind(("127.0.0.1", 0))
            asyncio.run(connected(listener))
    finally:
        caplog.handler.removeFilter(seldom)
    assert len(caplog.records) == 1
