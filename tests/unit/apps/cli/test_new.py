"""``earnest new``: what it writes is what the how-to pages show, under the name that was given."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import earnest
from earnest.apps.cli.main import cli
from earnest.apps.cli.new import EXAMPLES, package

PAGES = Path(earnest.__file__).parents[1] / "docs" / "how-to"


def new(*words: object) -> Result:
    return CliRunner().invoke(cli, ["new", *map(str, words)])


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_page_shows_what_is_written_for_its_example(kind: str) -> None:
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    assert package(kind, EXAMPLES[kind]) == shown
    assert f"`earnest new {kind} {EXAMPLES[kind]}`" in page.replace("\n", " ")


@pytest.mark.parametrize("kind", EXAMPLES)
def test_another_name_stands_everywhere(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    done = new(kind, "my-own-2nd", "--output", folder)
    assert done.exit_code == 0
    names = sorted(path.name for path in folder.iterdir())
    assert done.stdout.splitlines()[0] == f"{folder}: {', '.join(names)}"
    assert {"my_own_2nd.py", "test_my_own_2nd.py", "pyproject.toml"} <= set(names)
    text = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    assert "class MyOwn2nd" in text
    example = EXAMPLES[kind]
    assert not re.search(f"{example}|{example.replace('-', '_')}|{example.title().replace('-', '')}", text)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    [points] = project["project"]["entry-points"].values()
    assert points == {"my-own-2nd": "my_own_2nd:MyOwn2nd"}
    for path in folder.glob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")


def test_its_folder_is_named_after_it_and_told_to_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = json.loads(new("corpus", "my-talk", "--json").stdout)
    assert told == {
        "folder": "my-talk",
        "kind": "corpus",
        "name": "my-talk",
        "files": ["my_talk.py", "pyproject.toml", "test_my_talk.py"],
    }
    assert all((tmp_path / "my-talk" / name).is_file() for name in told["files"])


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("mine", encoding="utf-8")
    done = new("corpus", "my-talk", "--output", tmp_path)
    assert done.exit_code == 1
    assert str(done.exception) == f"{tmp_path}: holds files already. Name a new folder with --output."
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("corpus", "My Talk", "'My Talk' can't be a name"),
        ("corpus", "../talk", "'../talk' can't be a name"),
        ("corpus", "class", "'class' can't be a name"),
        ("corpus", "ravdess", "ravdess is the name of a corpus already"),
        ("network", "cabg", "cabg is the name of a network already"),
        ("augmentation", "gain", "gain is the name of an augmentation already"),
        ("network", "json", "A Python module called json is installed already"),
        ("augmentation", "numpy", "A Python module called numpy is installed already"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(kind: str, name: str, why: str, tmp_path: Path) -> None:
    done = new(kind, name, "--output", tmp_path / "made")
    assert done.exit_code == 2
    assert why in done.stderr
    assert not (tmp_path / "made").exists()
