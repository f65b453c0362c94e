"""What a missing extra's message tells people to type."""

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from earnest import installation
from earnest.errors import MissingExtraError


class Installed:
    """What pip remembers."""

    def __init__(self, **told: object) -> None:
        self.told = told

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return json.dumps(self.told) if self.told else None


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))


def command(monkeypatch: pytest.MonkeyPatch, **told: object) -> str:
    monkeypatch.setattr(installation, "_is_checkout", lambda: False)
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed(**told))
    return installation.install_command("server")


def test_a_checkout_is_installed_again_with_the_extra() -> None:
    assert str(MissingExtraError("the server", "server")) == (
        "the server needs more packages, those of earnest[server]. "
        "Install them with: pip install --editable '.[server]' (in the folder of earnest's sources)"
    )


def test_a_folder_is_told_as_the_folder_of_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    said = command(monkeypatch, url="file:///home/ada/earnest", dir_info={})
    assert said == "pip install '.[server]' (in the folder of earnest's sources)"


def test_a_wheel_is_named_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    said = command(monkeypatch, url="file:///home/ada/my%20files/earnest-1-py3-none-any.whl", archive_info={})
    assert said == "pip install './earnest-1-py3-none-any.whl[server]' (where this file lies)"


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        ("pipx_metadata.json", "pipx install --force"),
        ("uv-receipt.toml", "uv tool install --force"),
        ("pyvenv.cfg", "uv pip install"),
        ("no.cfg", "pip install"),
    ],
)
def test_an_environment_of_pipx_or_uv_is_installed_into_by_these(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, begins: str
) -> None:
    (tmp_path / file).write_text("home = /usr/bin\nuv = 0.13.9\n", encoding="utf-8")
    assert command(monkeypatch) == f"{begins} 'earnest[server]'"


def test_of_a_repository_the_address_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said = command(monkeypatch, url="file:///home/ada/earnest", vcs_info={"vcs": "git"})
    assert said == "pip install 'earnest[server] @ git+ADDRESS' (with the address that it came from)"


@pytest.mark.parametrize("told", [{}, {"url": "https://example.org/earnest.whl"}, {"url": 3}, {"url": None}])
def test_of_anything_else_the_index_is_asked(monkeypatch: pytest.MonkeyPatch, told: dict[str, object]) -> None:
    assert command(monkeypatch, **told) == "pip install 'earnest[server]'"


def test_an_earnest_that_pip_does_not_know_asks_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> Installed:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "_is_checkout", lambda: False)
    monkeypatch.setattr("importlib.metadata.distribution", unknown)
    assert installation.install_command("server") == "pip install 'earnest[server]'"
