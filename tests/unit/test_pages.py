"""The pages name files, headings and commands that exist."""

import re
from collections import Counter
from dataclasses import fields
from inspect import getdoc
from pathlib import Path
from typing import get_args

import click
import pytest

from earnest.apps.cli.main import cli
from earnest.apps.server.settings import Limits
from earnest.runtime.formats import flat_values
from earnest.runtime.prediction import Prediction, Status

ROOT = Path(__file__).parents[2]
SECURITY = [ROOT / "SECURITY.md", *sorted((ROOT / "docs" / "security").glob("*.md"))]
FOLDERS = ("", "benchmarks/", "web/", "docs/**/", "earnest/bundles/*/", "earnest/demo/")
PAGES = sorted({page for folder in FOLDERS for page in ROOT.glob(f"{folder}*.md")})


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> set[str]:
    """Return the names by which a Markdown page's headings are linked to."""
    seen: Counter[str] = Counter()
    found = set()
    for title in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        assert not heading or heading in headings(place), target


def test_the_change_log_names_every_command() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    lines = " ".join(re.findall(r"`(earnest\s+[^`]+|[a-z]+)`", text)).split()
    commands = cli.list_commands(click.Context(cli))
    assert not set(commands) - set(lines)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_have_as_many_headers_as_columns(page: Path) -> None:
    for header, rule in re.findall(r"^(\|.*\|)\n(\|[-:| ]+\|)$", prose(page), re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", header)) == rule.count("|"), header


@pytest.mark.parametrize("page", SECURITY, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def words_in(page: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", prose(ROOT / "docs" / page)))


def test_all_that_an_answer_says_is_explained() -> None:
    columns = flat_values(Prediction("", "error"), ["neutral", "happy"])
    quality = re.search(r"^quality : (.*?)\nadapted : ", str(getdoc(Prediction)), re.DOTALL | re.MULTILINE)
    assert quality is not None
    told = {*columns, *get_args(Status), *(field.name for field in fields(Prediction))}
    assert not {*told, *re.findall(r'"([a-z-]+)"', quality[1])} - words_in("answers.md")


def test_all_limits_of_the_server_are_explained() -> None:
    assert not {field.name for field in fields(Limits)} - words_in("server.md")


def test_the_threat_model_is_one_page() -> None:
    assert len((ROOT / "docs" / "security" / "threat-model.md").read_text(encoding="utf-8").split()) < 1_300


def test_the_readme_tells_how_true_percentages_are_as_the_page_does() -> None:
    readme, page = (
        [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line.startswith("| never heard")]
        for name in ("README.md", "docs/how-good.md")
    )
    assert readme
    assert readme == page
