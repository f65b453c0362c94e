"""Processes and sockets: how uvicorn is to run, alone or with several workers."""

import functools
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from fastapi import FastAPI

from earnest.apps.server.app import create_app
from earnest.apps.server.front_door import LOOPBACK, HostNames, is_loopback, origin_of
from earnest.apps.server.metrics import FOLDER, log_config
from earnest.apps.server.protocols import (
    HEADER_BYTES,
    PING_S,
    PONG_S,
    Config,
    GuardedStream,
    Server,
    Supervisor,
    TimedProtocol,
)
from earnest.apps.server.service import renewed_keys
from earnest.apps.server.settings import Settings
from earnest.bundle import load_bundle
from earnest.errors import EarnestError
from earnest.files.writing import held_folder
from earnest.workers import end_with_parent

_log = logging.getLogger("earnest.server")
WORKERS = "earnest-workers-"  # how the folder of a supervisor's workers is called
LAST_S = 5.0  # to finish what the time for requests allows
IDLE_S = 5  # a connection may be without a request; deploy/nginx.conf forgets its own before
OTHER_FILES = 512  # beside connections: models, the parts of what arrives, decoders
SILENT_S = 60  # a worker that says nothing for so long hangs; on a busy machine uvicorn's 5 s kill those that start


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str = LOOPBACK
    port: int = 8000


def serve(
    settings: Settings,
    address: Address,
    workers: int = 1,
    log_level: str = "info",
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then what was taken on is answered before the process ends.

    A worker that dies is replaced.

    Parameters
    ----------
    on_listening : called with the port, once connections are taken
    """
    for name in settings.models:
        load_bundle(name)  # what is wrong with a model, a name or an origin is told here, not by each worker
    HostNames(address.host, settings.host_names)
    for origin in settings.cors_origins:
        origin_of(origin)
    if workers > 1:
        _try_application(settings, address)
    with ExitStack() as stack:
        if workers > 1:
            folder = stack.enter_context(_folder_of_workers())
            os.environ[FOLDER] = str(folder)
            settings = replace(settings, shared=folder / "tickets")
        config = config_of(settings, address, workers, log_level)
        _allow_files(settings.limits.connections + OTHER_FILES)
        listener = _bound(address)
        # asyncio does so for sockets of its own; what connects inherits it. Else small answers wait 40 ms for others.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not settings.api_keys and not is_loopback(address.host):
            _log.warning("anybody may ask: neither keys nor a token", extra={"host": address.host})
        tell = functools.partial(_tell_listening, address.host, listener.getsockname()[1], on_listening)
        if workers == 1:
            server = Server(config)
            server.on_listening = tell
            server.run([listener])
        else:
            supervisor = Supervisor(config, [listener])
            supervisor.on_listening = tell
            if file := settings.keys_file:
                supervisor.renewed_application = functools.partial(_renewed_worker, settings, file, address.host)
            supervisor.run()


@contextmanager
def _folder_of_workers() -> Iterator[Path]:
    """Give a folder for what workers tell each other, locked; those of supervisors that were killed are removed."""
    try:
        made = tempfile.TemporaryDirectory(prefix=WORKERS)
    except OSError as error:
        told = "--workers needs a temporary folder (TMPDIR) with some MB of room; with --workers 1 none is needed."
        raise EarnestError(f"{told} {error.strerror}.") from None
    with made as name, held_folder(own := Path(name)):
        for other in own.parent.glob(f"{WORKERS}*"):
            with suppress(OSError, EarnestError):  # it is held, or gone by now
                # An empty folder was just made; another user's name may be a link to anywhere.
                if other != own and other.lstat().st_uid == own.lstat().st_uid and any(other.iterdir()):
                    with held_folder(other):
                        shutil.rmtree(other, ignore_errors=True)  # Windows keeps the lock, which is open
                    other.rmdir()
        yield own


def _try_application(settings: Settings, address: Address) -> None:
    """Raise the error of an application that no worker could load: each would die of it, and be replaced for ever.

    It is loaded in a process of its own, whose end gives back what the models take.
    """
    spawning = multiprocessing.get_context("spawn")
    hearing, telling = spawning.Pipe(duplex=False)
    trying = spawning.Process(target=_tell_error, args=(settings, address, telling), daemon=True)
    trying.start()
    telling.close()
    with hearing:
        try:
            told = hearing.recv()
        except EOFError:
            told = "The process that tried to load the models was ended. Is there enough memory?"
    trying.join()
    if told:
        raise EarnestError(told)


def _tell_error(settings: Settings, address: Address, telling: Connection) -> None:
    told = ""
    try:
        create_app(settings, address.host)
    except EarnestError as error:
        told = str(error)
    telling.send(told)


def _create_worker(settings: Settings, host: str) -> FastAPI:
    """Return the application of a worker: it ends with its supervisor, whatever ended that, and frees the port."""
    end_with_parent(signal.SIGTERM)
    return create_app(settings, host)


def _renewed_worker(settings: Settings, keys_file: Path, host: str) -> Callable[[], FastAPI] | None:
    """Return a factory of a worker's application with the keys in their file now; None where there are none."""
    keys = renewed_keys(keys_file)
    if keys is None:
        return None
    return functools.partial(_create_worker, replace(settings, api_keys=keys), host)


def _tell_listening(host: str, port: int, on_listening: Callable[[int], None] | None) -> None:
    _log.info("listening", extra={"host": host, "port": port})
    if on_listening:
        on_listening(port)


def _allow_files(most: int) -> None:
    """Raise the number of files and connections that this process and its workers may have open, where they may."""
    if sys.platform == "win32":
        return
    import resource

    now, hardest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hardest == resource.RLIM_INFINITY else min(most, hardest)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):  # macOS takes less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hardest))


def _bound(address: Address) -> socket.socket:
    """Return a socket with the address that is asked for.

    Uvicorn's own would end the process where it can't have it, and say seconds too early that the server runs.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    # On Windows SO_REUSEADDR would share a port that another program listens at.
    bound.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
    try:
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        where = f"{address.host}, port {address.port}"
        raise EarnestError(
            f"{where}: can't be listened at ({error.strerror}). Choose another --port or --host."
        ) from None
    return bound


def config_of(settings: Settings, address: Address, workers: int, log_level: str) -> Config:
    """Return how uvicorn is to run."""
    limits = settings.limits
    config = Config(
        functools.partial(create_app if workers == 1 else _create_worker, settings, address.host),
        factory=True,
        host=address.host,
        port=address.port,
        workers=workers,
        http=TimedProtocol,
        ws=GuardedStream,  # reads a message when the one before was taken: back-pressure
        loop="asyncio",
        lifespan="on",
        log_config=dict(log_config(log_level)),
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        h11_max_incomplete_event_size=HEADER_BYTES,
        ws_max_size=4 * limits.stream_frame_bytes,  # what is a little too big arrives, and is told so before the end
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        ws_per_message_deflate=False,  # samples don't shrink, and what doesn't inflate can't be a bomb
        timeout_keep_alive=IDLE_S,
        timeout_worker_healthcheck=SILENT_S,
        timeout_graceful_shutdown=int(limits.body_s + limits.request_s + LAST_S),
    )
    config.header_s, config.read_s = limits.header_s, limits.read_s
    config.client_connections = limits.client_connections
    return config
