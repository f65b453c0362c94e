"""``earnest serve``: predictions over HTTP and WebSocket."""

import functools
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import JOBS, MODELS
from earnest.apps.cli._typed import EXIT_STOPPED, output_options, word_pairs
from earnest.errors import MissingExtraError
from earnest.runtime.engine import Provider
from earnest.settings.limits import from_mapping

if TYPE_CHECKING:
    from earnest.apps.server.settings import Limits

KEYS = "EARNEST_API_KEYS"
TOKEN_BYTES = 24
EVERYWHERE = ("0.0.0.0", "::")  # where to listen means all addresses of this machine


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="Port to listen at; 0 takes a free one.",
)
@click.option(
    "--model",
    "models",
    **MODELS,
    help="The bundle that answers. Repeatable: a request may name one; where it names none, the first one answers.",
)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Cores for the network.")
@click.option(
    "--provider", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Processor or GPU."
)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Number of processes.")
@click.option("--jobs", **JOBS, help="Recordings that a process works on at a time.")
@click.option(
    "--micro-batch",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Windows of different requests that may share a run of the network. 1 keeps numbers exact.",
)
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=NUMBER", help="Change a limit; repeatable. See --show-limits."
)
@click.option("--show-limits", is_flag=True, help="List the limits and end.")
@click.option(
    "--api-keys",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help=f"File with one key per line, of 16 letters or more; lines that start with # are left out. {KEYS} "
    "has keys too, with spaces between, which are not checked. Without keys, anybody on this machine may ask.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Ask for no key, beyond this machine too. For use behind a proxy that checks who asks.",
)
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    metavar="NAME",
    help="Another name of this server, such as its proxy's. Other names in the header Host are refused.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin of a page elsewhere that may ask; repeatable.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False, exists=True, writable=True),
    help="Folder for recordings and answers, within keep_bytes and keep_days. Without it nothing is stored.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Which logs are written.",
)
@output_options
def command(
    host: str,
    port: int,
    models: tuple[str, ...],
    threads: int,
    provider: Provider,
    workers: int,
    jobs: int,
    micro_batch: int,
    limits: tuple[str, ...],
    show_limits: bool,
    api_keys: Path | None,
    no_token: bool,
    host_names: tuple[str, ...],
    cors_origins: tuple[str, ...],
    keep: Path | None,
    log_level: str,
) -> None:
    """Answer over HTTP and WebSocket, until SIGTERM or Ctrl-C.

    Logs are JSON, one object per line, on standard error. With --quiet there are warnings only. docs/server.md has
    addresses, errors and limits. For TLS (https) put a reverse proxy before it. Beyond this machine (--host) the server
    asks for a key: one of --api-keys. Without --api-keys it makes a token, and prints it with its address. With --json
    it prints {"url": …, "token": …} once it listens; the token is null where none was made.

    \b
    Examples:
      earnest serve
      earnest serve --host 0.0.0.0 --workers 2 --model small --limit streams=400
      curl --data-binary @talk.wav -H 'Content-Type: audio/wav' localhost:8000/v1/predict
    """
    try:
        with _ended_by_ctrl_c():
            from earnest.apps.server.front_door import is_loopback
            from earnest.apps.server.process import Address, serve
            from earnest.apps.server.service import digest_of_key, keys_in
            from earnest.apps.server.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("earnest"):
            raise
        raise MissingExtraError("the server", "server") from None
    bounds = _limits(limits)
    if show_limits:
        _show(bounds)
        return
    keys = keys_in(api_keys) if api_keys else tuple(map(digest_of_key, os.environ.get(KEYS, "").split()))
    if no_token and keys:
        raise click.UsageError(
            "--no-token can't be used with keys (--api-keys or the environment variable). Leave one out."
        )
    token = None if keys or no_token or is_loopback(host) else secrets.token_urlsafe(TOKEN_BYTES)
    kept = (digest_of_key(token),) if token else keys
    who = kept, api_keys, cors_origins, host_names
    settings = Settings(models, threads, provider, jobs, micro_batch, bounds, *who, keep)
    is_for_people = not keys and is_loopback(host) and not say.is_quiet() and _is_terminal()
    is_told = say.is_json() or token or is_for_people
    show = functools.partial(_announce, host, token, say.is_json()) if is_told else None
    serve(settings, Address(host, port), workers, "warning" if say.is_quiet() else log_level, show)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process while the server is imported: Python loses the error of one inside its import locks.

    A server would run then that was told to stop. Nothing is begun yet, so nothing is left behind.
    """

    def end(*_: object) -> None:
        os.write(2, b"Stopped.\n")
        os._exit(EXIT_STOPPED)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else somebody ignores it, as a shell does for what it runs behind
        signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)


def _limits(words: tuple[str, ...]) -> "Limits":
    from earnest.apps.server.settings import Limits

    numbers: dict[str, Any] = {}
    for name, text in word_pairs("--limit", words).items():
        try:
            numbers[name] = int(text)
        except ValueError:
            try:
                numbers[name] = float(text)
            except ValueError:
                raise click.UsageError(f"--limit {name} expects a number, got '{text}'.") from None
    return from_mapping(Limits, numbers, "--limit")


def _show(limits: "Limits") -> None:
    values = {bound.name: getattr(limits, bound.name) for bound in fields(limits)}
    if not say.answer(values):
        rows = [(name, f"{value:g}" if value < 1e6 else f"{value:,}") for name, value in values.items()]
        say.table(("name", "limit"), rows, right=("limit",))


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _announce(host: str, token: str | None, as_json: bool, port: int) -> None:
    """Print the server's address: as JSON with its key for a program, with a token for others, else for people here.

    The token stands behind "#": browsers send that to nobody, so no log has it.
    """
    if as_json:
        name = "127.0.0.1" if host in EVERYWHERE else _in_address(host)
        click.echo(json.dumps({"url": f"http://{name}:{port}", "token": token}))
    elif token:
        hosts = [host] if host not in EVERYWHERE else ["127.0.0.1", *_own_address()]
        for name in hosts:
            click.echo(f"http://{_in_address(name)}:{port}/#token={token}")
    else:  # the logs beside it are for machines
        click.echo(f"Open http://{_in_address(host)}:{port}/ in a browser on this machine; Ctrl-C ends the server.")


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_address() -> list[str]:
    """Return the address by which others may reach this machine, if it has one; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # an address of nobody's (RFC 5737)
        except OSError:
            return []
        return [str(asking.getsockname()[0])]
