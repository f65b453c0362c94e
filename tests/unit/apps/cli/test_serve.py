"""What `earnest serve` decides before it listens: names, keys, a token."""

import json
import logging
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from command_line import earnest_cli

from earnest.apps.cli import serve
from earnest.apps.server import process
from earnest.apps.server.app import create_app
from earnest.apps.server.front_door import HostNames, is_loopback, origin_of
from earnest.apps.server.process import Address
from earnest.apps.server.service import SHORTEST_KEY, digest_of_key
from earnest.apps.server.settings import Settings
from earnest.errors import EarnestError

PORT = 8123
FIRST, SECOND = "key-one-1234567890123456", "key-two-1234567890123456"


@dataclass
class Listening:
    """What would have been served."""

    settings: list[Settings] = field(default_factory=list)

    def serve(
        self,
        settings: Settings,
        address: Address,
        workers: int = 1,
        log_level: str = "info",
        on_listening: Callable[[int], None] | None = None,
    ) -> None:
        self.settings.append(settings)
        if on_listening:
            on_listening(PORT)


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listening:
    """Listen nowhere."""
    listening = Listening()
    monkeypatch.setattr(process, "serve", listening.serve)
    monkeypatch.delenv("EARNEST_API_KEYS", raising=False)
    return listening


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "2001:db8::7", "::", "emotion.example.org"])
def test_beyond_this_machine_a_token_is_asked_for_and_printed_behind_a_hash(listening: Listening, host: str) -> None:
    told = [earnest_cli("serve", "--host", host, "--quiet") for _ in range(2)]
    for text, settings in zip(told, listening.settings, strict=True):
        addresses = re.findall(r"^http://(\S+):8123/#token=([\w-]{32})$", text, re.MULTILINE)
        assert len(addresses) == len(text.splitlines()) >= 1
        assert {digest_of_key(token) for _, token in addresses} == set(settings.api_keys)
        names = HostNames(host, settings.host_names)
        assert all(names.hold(name) for name, _ in addresses)
    assert listening.settings[0].api_keys != listening.settings[1].api_keys


@pytest.mark.parametrize(
    "words",
    [(), ("--host", "localhost"), ("--host", "::1"), ("--host", "127.0.0.5"), ("--host", "0.0.0.0", "--no-token")],
)
def test_on_this_machine_alone_or_when_told_so_there_is_no_token(listening: Listening, words: tuple[str, ...]) -> None:
    assert earnest_cli("serve", *words) == ""
    assert listening.settings[0].api_keys == ()


def test_on_a_terminal_the_page_has_an_address_to_click(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_is_terminal", lambda: True)
    assert earnest_cli("serve", "--host", "::1").startswith(f"Open http://[::1]:{PORT}/ in a browser")
    assert earnest_cli("serve", "--quiet") == ""


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ((), f"http://127.0.0.1:{PORT}"),
        (("--host", "::1", "--quiet"), f"http://[::1]:{PORT}"),
        (("--host", "0.0.0.0"), f"http://127.0.0.1:{PORT}"),
    ],
)
def test_a_program_is_told_the_address_and_the_token_in_one_line(
    listening: Listening, words: tuple[str, ...], address: str
) -> None:
    (line,) = earnest_cli("serve", "--json", *words).splitlines()
    told = json.loads(line)
    assert told.keys() == {"url", "token"}
    assert told["url"] == address
    keys = (digest_of_key(told["token"]),) if "0.0.0.0" in words else ()
    assert listening.settings[0].api_keys == keys


def test_an_address_that_is_taken_is_told_and_how_to_choose_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = uvicorn.Config("no:app", port=port, log_config=None)
        monkeypatch.setattr(process, "config_of", lambda *_: config)
        with pytest.raises(EarnestError, match=rf"127\.0\.0\.1, port {port}: .* Choose another --port"):
            process.serve(Settings(models=("small",)), Address("127.0.0.1", port))


def test_keys_take_the_place_of_a_token(listening: Listening, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{FIRST}\n# of the second client\n\n  {SECOND}\r\n", encoding="utf-8")
    assert earnest_cli("serve", "--host", "0.0.0.0", "--api-keys", keys) == ""
    assert listening.settings[0].api_keys == (digest_of_key(FIRST), digest_of_key(SECOND))
    assert listening.settings[0].keys_file == keys
    earnest_cli("serve", "--host", "0.0.0.0", "--api-keys", keys, "--no-token", exit_code=2)


def test_keys_in_the_environment_have_spaces_between(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_API_KEYS", "first second")
    earnest_cli("serve")
    assert listening.settings[0].api_keys == (digest_of_key("first"), digest_of_key("second"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("key two that is long enough", "without spaces. Write one key on each line."),
        ("schlüssel-of-the-second-client", "signs of ASCII"),
        ("a-short-key", "this key has 11 letters, expected 16 or more. Make one with: python"),
    ],
)
def test_a_line_that_holds_no_good_key_is_refused_and_never_shown(
    listening: Listening, tmp_path: Path, line: str, told: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{FIRST}\n# comment\n{line}\n", encoding="utf-8")
    with pytest.raises(EarnestError) as caught:
        earnest_cli("serve", "--api-keys", keys)
    assert str(caught.value).startswith(f"{keys}, line 3: ")
    assert told in str(caught.value)
    assert line not in str(caught.value)
    assert listening.settings == []


def test_the_help_says_how_long_a_key_is() -> None:
    assert f"of {SHORTEST_KEY} letters or more" in " ".join(earnest_cli("serve", "--help").split())


def test_a_file_of_comments_alone_holds_no_key(listening: Listening, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# none yet\n\n", encoding="utf-8")
    with pytest.raises(EarnestError, match="holds no key"):
        earnest_cli("serve", "--api-keys", keys)


@pytest.mark.parametrize(("host", "n_warnings"), [("0.0.0.0", 1), ("127.0.0.1", 0)])
def test_a_server_without_a_token_says_so_loudly(
    host: str, n_warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Quiet:
        def __init__(self, config: Any) -> None:
            pass

        def run(self, sockets: Any) -> None:
            sockets[0].close()

    config = uvicorn.Config("no:app", port=0, log_config=None)  # listens on this machine, whatever is said
    monkeypatch.setattr(process, "config_of", lambda *_: config)
    monkeypatch.setattr(process, "Server", Quiet)
    with caplog.at_level(logging.WARNING, "earnest.server"):
        process.serve(Settings(models=("small",)), Address(host, 0))
    assert [record.getMessage() for record in caplog.records] == n_warnings * [
        "anybody may ask: neither keys nor a token"
    ]


@pytest.mark.parametrize("listened", ["0.0.0.0", "::"])
def test_where_all_addresses_are_listened_at_any_address_is_its_own_and_no_other_name(listened: str) -> None:
    names = HostNames(listened, ("Emotion.Example.org", "[2001:db8::1]"))
    own = ("192.0.2.1", "10.1.2.3:8000", "[2001:db8::9]:80", "localhost", "emotion.example.org:443")  # as probes say
    assert all(names.hold(host) for host in own)
    assert not any(names.hold(host) for host in ("evil.example", "emotion.example.org.evil.example", "1.2.3.4.5", ""))


def test_one_address_that_is_listened_at_is_its_own_and_no_other() -> None:
    names = HostNames("192.0.2.1")
    assert all(names.hold(host) for host in ("192.0.2.1:8000", "127.0.0.1"))
    assert not any(names.hold(host) for host in ("192.0.2.2", "192.0.2.1.evil.example", "[::ffff:192.0.2.1]"))
    assert not HostNames().hold("192.0.2.1")


@pytest.mark.parametrize("name", ["http://a.example", "a.example:80", "a b", "", "*", "a.example/"])
def test_what_is_no_name_of_a_host_is_an_error(name: str) -> None:
    with pytest.raises(EarnestError, match="--host-name"):
        create_app(Settings(models=("none",), host_names=(name,)))


@pytest.mark.parametrize(
    "origin", ["null", "*", "a.example", "https://a.example//", "https://a.example/page", "a://b c"]
)
def test_what_is_no_origin_is_an_error(origin: str) -> None:
    with pytest.raises(EarnestError, match="--cors-origin"):
        origin_of(origin)


def test_an_origin_is_compared_as_browsers_send_it() -> None:
    assert origin_of("https://Page.Example:443") == origin_of("https://page.example/") == "https://page.example"
    assert origin_of("http://[::1]:8000") == "http://[::1]:8000"
    assert origin_of("chrome-extension://abcdef") == "chrome-extension://abcdef"


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))
