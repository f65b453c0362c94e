"""The socket that several workers share."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import uvicorn

from earnest.apps.server import process
from earnest.apps.server.metrics import FOLDER
from earnest.apps.server.settings import Settings
from earnest.errors import EarnestError


def test_what_connects_to_workers_sends_small_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    class Looked:
        def __init__(self, config: object, sockets: list[socket.socket]) -> None:
            self.listener = sockets[0]

        def run(self) -> None:
            self.listener.listen()
            with self.listener, socket.create_connection(self.listener.getsockname()):
                accepted, _ = self.listener.accept()
                with accepted:
                    found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    quiet = uvicorn.Config("no:app", port=0, log_config=None)  # ours would set up logging for all later tests
    monkeypatch.setattr(process, "_try_application", lambda *_: None)  # with the folder "" it would leave counters here
    monkeypatch.setattr(process, "config_of", lambda *_: quiet)
    monkeypatch.setattr(process, "Supervisor", Looked)
    monkeypatch.setenv(FOLDER, os.environ.get(FOLDER, ""))
    process.serve(Settings(models=("small",)), process.Address("127.0.0.1", 0), workers=2)
    assert len(found) == 1 and found[0]


@pytest.mark.skipif(sys.platform == "win32", reason="its processes have no limit of files")
@pytest.mark.parametrize(("now", "most", "becomes"), [(64, 128, 128), (128, 64, 128), (64, 10**9, 256)])
def test_connections_may_be_as_many_as_the_limit_says_where_the_system_lets_them(
    now: int, most: int, becomes: int
) -> None:
    program = (
        "import resource; from earnest.apps.server import process; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({now}, 256)); process._allow_files({most}); "
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(becomes), "256"]


def test_on_windows_a_port_is_not_shared_with_who_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with socket.socket() as other:
        # Linux lets two share a port where neither listens yet, as Windows does where one listens.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        with pytest.raises(EarnestError, match="can't be listened at"):
            process._bound(process.Address(port=other.getsockname()[1]))


def test_models_that_no_worker_could_load_are_told_before_any_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise AssertionError("each worker would die, and be replaced for ever")

    monkeypatch.setattr(process, "config_of", started)
    with pytest.raises(EarnestError, match="two models are called 'small'"):
        process.serve(Settings(models=("small", "small")), process.Address("127.0.0.1", 0), workers=2)


def test_workers_without_a_temporary_folder_are_told_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_usable(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(process, "_try_application", lambda *_: None)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", none_usable)
    with pytest.raises(
        EarnestError, match=r"--workers needs .*\(TMPDIR\).* with --workers 1 none is needed. No usable"
    ):
        process.serve(Settings(models=("small",)), process.Address("127.0.0.1", 0), workers=2)


def test_where_an_open_lock_cant_be_removed_the_folder_of_a_killed_supervisor_goes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rmtree(folder: Path, **_: object) -> None:  # as on Windows
        for path in folder.iterdir():
            if path.name != ".lock":
                path.unlink()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    held, emptied, new = (tmp_path / f"{process.WORKERS}{name}" for name in ("held", "emptied", "new"))
    for folder, names in ((held, ("tickets", ".lock")), (emptied, ("tickets",)), (new, ())):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    folders = process._folder_of_workers()
    own = folders.__enter__()
    assert {*tmp_path.iterdir()} == {own, new}
    monkeypatch.undo()
    folders.__exit__(None, None, None)
