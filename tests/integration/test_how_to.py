"""The pages docs/how-to on adding something: their code, installed as packages of somebody else, works everywhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
import soundfile
from made_up_corpus import MANNERS, RATE_HZ, spoken

import earnest

ROOT = Path(earnest.__file__).parents[1]
ALL_PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "how-to").glob("*.md"))}
PAGES = {name: page for name, page in ALL_PAGES.items() if "`pyproject.toml`:" in page}  # those that add a package
SPEAKERS = ("anna", "bert", "cleo", "dora", "emil", "fay")
BROKEN = {
    "broken.py": "import a_package_that_is_not_installed\n",
    "pyproject.toml": """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "broken-corpora"
version = "0.3"
[project.entry-points."earnest.corpora"]
broken = "broken:Broken"
emodb = "broken:Broken"
[project.entry-points."earnest.models"]
broken = "broken:Broken"
[tool.setuptools]
py-modules = ["broken"]
""",
}


def files_of(page: str) -> dict[str, str]:
    """Name → text of the files that a page shows: its name in a line of its own, then a block."""
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def last_toml(page: str) -> str:
    return re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[-1]


@dataclass(frozen=True)
class Outside:
    """A machine on which the packages of the pages are installed."""

    sources: Path
    folder: Path
    site: Path

    def run(self, *words: object, exit_code: int = 0) -> str:
        """Run Python with the packages at hand; return standard output, or both where it was to fail."""
        path = os.pathsep.join(map(str, (self.site, ROOT, ROOT / "tests")))
        environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout + done.stderr if exit_code else done.stdout

    def earnest(self, *words: object, exit_code: int = 0) -> str:
        return self.run("-m", "earnest", *words, exit_code=exit_code)


def installed(folder: Path, packages: dict[str, dict[str, str]]) -> Outside:
    """Write packages and install them with pip, without network."""
    if missing := [tool for tool in ("pip", "setuptools") if not [*distributions(name=tool)]]:
        pytest.skip(f"{' and '.join(missing)} not installed")
    outside = Outside(folder / "sources", folder / "work", folder / "site")
    for package, files in packages.items():
        (outside.sources / package).mkdir(parents=True)
        for name, text in files.items():
            (outside.sources / package / name).write_text(text, encoding="utf-8")
    outside.folder.mkdir()
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    outside.run("-m", "pip", "install", *offline, "--target", outside.site, *outside.sources.iterdir())
    return outside


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return installed(tmp_path_factory.mktemp("outside"), {name: files_of(page) for name, page in PAGES.items()})


@pytest.fixture(scope="module")
def kitchen(outside: Outside) -> Path:
    """The made-up corpus under the names that the page on corpora reads."""
    folder = outside.folder / "recordings"
    folder.mkdir()
    for number, speaker in enumerate(SPEAKERS):
        for emotion in MANNERS:
            for take in range(3):
                path = folder / f"{speaker}_{emotion}_{take + 1}.wav"
                soundfile.write(path, spoken(emotion, number, take), RATE_HZ, subtype="PCM_16")
    return folder


def test_each_page_adds_one_thing_in_one_file() -> None:
    assert list(PAGES) == ["augmentation", "corpus", "network"]
    for page in PAGES.values():
        modules = [name for name in files_of(page) if name.endswith(".py") and not name.startswith("test_")]
        assert len(modules) == 1
        assert "pyproject.toml" in files_of(page)


def test_the_pages_are_linked() -> None:
    for name in PAGES:
        for text in ((ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "CONTRIBUTING.md").read_text("utf-8")):
            assert f"docs/how-to/{name}.md" in text


def test_files_that_the_pages_name_exist() -> None:
    for page in ALL_PAGES.values():
        for name in re.findall(r"`(earnest/[\w/]+\.py)`", page):
            assert (ROOT / name).is_file(), name
        for target in re.findall(r"\]\((?!https:)([^)#]+)\)", page):
            assert (ROOT / "docs" / "how-to" / target).exists(), target


def test_what_is_installed_is_listed_without_importing_it(outside: Outside) -> None:
    listed = outside.run(
        "-c",
        "import sys\n"
        "from earnest.augment.base import AUGMENTATIONS\n"
        "from earnest.corpora.base import CORPORA\n"
        "from earnest.registry import Registry\n"
        "print(*AUGMENTATIONS.names(), *CORPORA.names(), *Registry('MODELS', 'model', 'earnest.models').names())\n"
        "assert not {'torch', 'small_tdnn', 'kitchen_talk', 'peak_clipping'} & set(sys.modules)",
    ).split()
    assert {"peak-clipping", "kitchen-talk", "small-tdnn", "ravdess", "cabg", "gain"} <= set(listed)


def test_commands_list_the_corpus_and_the_network_from_outside(outside: Outside) -> None:
    rows = {row["name"]: row for row in json.loads(outside.earnest("corpus", "list", "--json"))}
    assert rows["kitchen-talk"]["title"] == "Kitchen talk"
    assert "kitchen-talk" in outside.earnest("corpus", "list")
    assert "Six speakers" in outside.earnest("corpus", "info", "kitchen-talk")
    assert "small-tdnn" in json.loads(outside.earnest("models", "--json", "--quiet"))["networks"]


def test_the_sizes_of_the_network_from_outside_are_counted(outside: Outside) -> None:
    code = "from earnest.models.classifier import summary_of; print(summary_of('small-tdnn').parameters)"
    assert int(outside.run("-c", code)) == (40 * 5 + 1) * 64 + (64 * 5 + 1) * 64 + 65 * 8


def test_the_corpus_from_outside_is_checked_and_read(outside: Outside, kitchen: Path) -> None:
    said = outside.earnest("corpus", "check", "kitchen-talk", kitchen)
    assert said.endswith("\nNo published list of names to compare with: 72 of 72 utterances are here.\n")
    manifest = outside.folder / "kitchen-talk.csv"
    told = json.loads(outside.earnest("corpus", "manifest", "kitchen-talk", kitchen, "-o", manifest, "--json"))
    assert (told["n_rows"], told["n_speakers"], told["class_counts"]["sad"]) == (72, 6, 18)


def test_a_recipe_with_all_three_trains_exports_and_predicts(outside: Outside, kitchen: Path) -> None:
    recipe = files_of(PAGES["network"])["recipe.toml"].replace('"ravdess"', '"kitchen-talk"')
    recipe = recipe.replace("epochs = 30", "epochs = 1\nbatch_size = 8") + last_toml(PAGES["augmentation"])
    (outside.folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    outside.earnest("train", "recipe.toml", "--data", f"kitchen-talk={kitchen}", "--output", "run", "--quiet")
    resolved = (outside.folder / "run" / "recipe.toml").read_text(encoding="utf-8")
    assert 'model = "small-tdnn"' in resolved
    assert "share = [0.3, 0.6]" in resolved
    outside.earnest("export", "run", "--output", "bundle", "--quiet")
    clip = kitchen / "anna_happy_1.wav"
    # Who predicts needs the packages no more: another machine, on which only earnest is.
    alone = Outside(outside.sources, outside.folder, outside.folder / "nothing")
    row = json.loads(alone.earnest("predict", clip, "--model", "bundle", "--json", "--no-abstain"))
    assert row["error"] is None
    said = alone.earnest("export", "run", "--output", "again", exit_code=1)
    assert "run: its model 'small-tdnn' is of the package small-tdnn 1.0, which is not installed here. Inst" in said
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_the_tests_of_the_pages_pass(outside: Outside) -> None:
    tests = sorted(outside.sources.glob("*/test_*.py"))
    assert [path.name for path in tests] == ["test_peak_clipping.py", "test_kitchen_talk.py", "test_small_tdnn.py"]
    words = ("-c", os.devnull, "-p", "no:cacheprovider", "-p", "traced_once", "--rootdir", outside.sources)
    said = outside.run("-m", "pytest", *words, *tests)
    n_checks = 12 + 6 + 13
    assert f" {n_checks} passed" in said


def test_every_command_of_the_pages_exists_with_its_options() -> None:
    from click.testing import CliRunner

    from earnest.apps.cli.main import cli

    blocks = [block for page in ALL_PAGES.values() for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)]
    commands = [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines()]
    for words in [words for words in commands if words and words[0] in cli.list_commands(None)]:
        usage = CliRunner().invoke(cli, [*words[: 2 if words[0] == "corpus" else 1], "--help"])
        assert usage.exit_code == 0, words
        assert all(word in usage.output for word in words if word.startswith("--")), words


def test_a_package_that_cannot_be_imported_is_named_and_breaks_no_other(tmp_path: Path) -> None:
    outside = installed(tmp_path, {"broken": BROKEN, "corpus": files_of(PAGES["corpus"])})
    rows = {row["name"]: row for row in json.loads(outside.run("-c", LIST_JSON))}
    assert rows["kitchen-talk"]["title"] == "Kitchen talk"
    assert rows["ravdess"]["n_utterances"] == 1440
    cause = "(ModuleNotFoundError: No module named 'a_package_that_is_not_installed')"
    assert rows["broken"] == {
        "name": "broken",
        "error": f"The corpus 'broken' of the package broken-corpora 0.3 can't be imported {cause}."
        " Update or uninstall that package.",
    }
    assert rows["emodb"]["error"].startswith("Two corpus entries are called 'emodb': those of earnest and broken-cor")
    said = outside.earnest("corpus", "list", exit_code=3)
    assert "kitchen-talk" in said
    assert f"earnest: {rows['broken']['error']}" in said
    assert rows["broken"]["error"] in outside.earnest("corpus", "info", "broken", exit_code=1)
    assert "ravdess" in outside.earnest("corpus", "info", "ravdess")
    summary = "from earnest.models.classifier import summary_of; print(summary_of('broken').note)"
    assert "The model 'broken' of the package broken-corpora 0.3 can't be imported" in outside.run("-c", summary)


LIST_JSON = """
from click.testing import CliRunner
from earnest.apps.cli.main import cli
done = CliRunner().invoke(cli, ["corpus", "list", "--json"])
assert done.exit_code == 3
print(done.stdout)
"""
