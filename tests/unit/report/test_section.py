"""The page as a whole: what is in it, and what can't get into it."""

import base64
import html
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command_line import earnest_cli
from made_up_results import HISTORY, made_up, write_result, write_run

from earnest.errors import CorpusError, MissingExtraError
from earnest.evaluation.answers import text_column
from earnest.evaluation.predictions import joined
from earnest.evaluation.texts import SCORES_IN_WORDS, percent, range_text
from earnest.report.clips import recordings_of
from earnest.report.result import read_result
from earnest.report.section import render

pytestmark = pytest.mark.long

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def of(self, *names: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(autouse=True, scope="module")
def nothing_at_hand() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EARNEST_DATA", raising=False)
        yield


def written(folder: Path, *words: object) -> str:
    earnest_cli("report", folder, *words)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, nothing_at_hand: None) -> Path:
    """An honest result and its report: drawn once for all tests that only look."""
    made = write_result(tmp_path_factory.mktemp("report") / "made", protocol="ravdess-6fold")
    write_run(made / "f1", "f1", HISTORY)
    written(made)
    return made


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_page_tells_recordings_and_answers_of_repeated_trainings_apart(tmp_path: Path) -> None:
    once = made_up()
    again = replace(once, fold=text_column(f"{fold}#2" for fold in once.fold))
    write_result(tmp_path / "made", joined([once, again]))
    earnest_cli("report", tmp_path / "made", "--output", tmp_path / "page.html", "-q")
    page = (tmp_path / "page.html").read_text()
    assert "<dt>Recordings</dt><dd>60</dd><dd>120 answers of several trainings, 100.0 % answered, 2 folds</dd>" in page


def test_the_interval_stands_beside_the_value_that_it_is_of(tmp_path: Path) -> None:
    uneven = replace(made_up(), fold=text_column(["f1"] * 50 + ["f2"] * 10))
    scores = read_result(write_result(tmp_path / "made", uneven)).scores
    pooled = percent(scores.wa)
    assert pooled != percent(scores.over_folds["wa"].mean)
    assert f"<dd>pooled {pooled}, 95 %: {range_text(scores.intervals['wa'])}</dd>" in written(tmp_path / "made")


def test_the_page_holds_every_part_and_says_what_is_left_out(text: str) -> None:
    said = html.unescape(text)
    for heading in ("Leakage report", "Training history", "Confusion", "Classes", "Speakers and groups", "Noise"):
        assert f">{heading}</h3>" in said
    assert "SI · speaker-independent" in said
    assert "Fold f1: epoch 2 of 3" in said
    assert "The recordings of made-up are not at hand; --data made-up=PATH says where." in said
    assert "earnest evaluate --noise FOLDER adds it" in said
    assert "earnest evaluate recipe.toml --protocol speaker-5fold" in said


def test_scores_are_spelled_out_once_in_each_form_of_the_report(folder: Path, text: str, tmp_path: Path) -> None:
    second = write_result(tmp_path / "second", made_up())
    earnest_cli("compare", folder, second, "--output", tmp_path / "compare.html", "-q")
    other = (tmp_path / "compare.html").read_text(encoding="utf-8")
    for page in (text, other, (folder / "report" / "report.md").read_text(encoding="utf-8")):
        assert page.count(SCORES_IN_WORDS) == 1


def test_published_numbers_stand_beside_ours(text: str) -> None:
    assert "Whisper-large-v3, frozen [EmoBox, table 4]" in text
    assert "not measured here" in text


def test_the_page_asks_nobody_for_anything(text: str) -> None:
    page = Page(text)
    sources = [tag.get("src", "") for tag in page.of("img", "audio", "source", "script", "iframe")]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert all(tag["href"].startswith(("#", "data:,")) for tag in page.of("a", "link"))
    policy = next(tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in page.tags if "style" in attributes]


def test_every_picture_has_words_and_follows_light_and_dark(text: str) -> None:
    images = Page(text).of("img")
    assert len(images) >= 6
    for image in images:
        assert len(image["alt"]) > 20
        svg = base64.b64decode(image["src"].partition(",")[2]).decode()
        assert "prefers-color-scheme:dark" in svg
        assert "var(--c1a1a1a)" in svg


def test_pictures_json_and_markdown_lie_beside_the_page(folder: Path) -> None:
    names = {path.stem for path in (folder / "report").glob("*.svg")}
    expected = {"confusion-by-true", "confusion-by-predicted", "classes", "reliability", "risk-coverage", "history-f1"}
    assert expected <= names
    assert names == {path.stem for path in (folder / "report").glob("*.png")}
    document = json.loads((folder / "report" / "report.json").read_text())
    (result,) = document["results"]
    assert result["wa"] == read_result(folder).scores.wa
    assert [line["speakers"] for line in document["headline"]] == ["speaker-independent"]
    assert document["published"][0]["ua_percent"] == {"mean": 75.3, "sd": None}
    lines = (folder / "report" / "report.md").read_text().splitlines()
    assert any(line.startswith("| made | ravdess-6fold | speaker-independent |") for line in lines)


def numbers_as_text(value: Any, where: str = "") -> list[str]:
    """Return where in JSON a text is a number, or a number with its unit."""
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in numbers_as_text(item, f"{where}/{name}")]
    if isinstance(value, list):
        return [found for item in value for found in numbers_as_text(item, where)]
    is_number = isinstance(value, str) and re.fullmatch(r"[–<]|[-−+<> ]*\d[\d., ]*( ?(%|±|s|\(|to|of|–).*)?", value)
    return [f"{where}: {value}"] if is_number else []


def test_json_holds_numbers_where_the_page_shows_them(folder: Path) -> None:
    document = json.loads((folder / "report" / "report.json").read_text())
    assert numbers_as_text(document) == []
    (line,), scores = document["headline"], read_result(folder).scores
    assert line["wa_percent"]["mean"] == pytest.approx(100 * scores.over_folds["wa"].mean)
    assert line["pooled_ua_percent"]["low"] == pytest.approx(100 * scores.intervals["ua"].low)
    parts = {section["name"]: section["tables"] for section in document["results"][0]["sections"]}
    confusion = next(iter(parts["confusion"].values()))
    assert [[row[name] for name in scores.classes] for row in confusion] == [list(row) for row in scores.confusion]
    assert {row["class"]: row["n"] for row in next(iter(parts["classes"].values()))} == {
        name: one.n for name, one in scores.per_class.items()
    }


def test_strings_from_files_are_escaped(tmp_path: Path) -> None:
    folder = write_result(
        tmp_path / "a&b<i>",
        made_up(names={"ann": EVIL, "ben": '"onerror="x'}),
        title=EVIL,
        command=EVIL,
        leakage=[{"sets": ["train", EVIL], "shared": {EVIL: 1}}],
    )
    text = written(folder)
    page = Page(text)
    assert not page.of("script", "i")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert text.count(html.escape(EVIL)) > 4
    assert EVIL not in (folder / "report" / "report.md").read_text()


def test_results_are_chapters_of_their_own_and_say_how_they_were_chosen(tmp_path: Path) -> None:
    first = write_result(tmp_path / "one")
    second = write_result(tmp_path / "two", made_up(seed=1), speaker_independent=False, selected_on="test")
    page = tmp_path / "out" / "both.html"
    answer = json.loads(earnest_cli("report", first, second, "--output", page, "--examples", 0, "--json"))
    assert (answer["page"], answer["folder"]) == (str(page), str(page.with_suffix("")))
    text = page.read_text(encoding="utf-8")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {"r1", "r2"} <= set(ids)
    assert {"1-classes.svg", "2-classes.svg"} <= {path.name for path in (page.parent / "both").iterdir()}
    assert text.count("SI · speaker-independent") == text.count("SD · speaker-dependent") == 1
    assert text.count("epoch chosen on TEST") >= 2  # badge and table
    assert "too good" in text


def test_a_file_without_probabilities_speakers_or_folds_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("utterance_id,emotion,predicted\na,happy,happy\nb,sad,\nc,sad,happy\n")
    page = tmp_path / "page.html"
    earnest_cli("report", path, "--output", page)
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert "speakers unknown" in text
    assert "The predictions have no probabilities." in text
    assert "The predictions name neither gender nor speaker." in text
    assert "no answer" in text


def test_a_corpus_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        recordings_of(["made-up"], {"made-up": tmp_path / "nowhere"})


@pytest.mark.parametrize(("module", "what"), [("matplotlib.figure", "drawing"), ("jinja2", "Writing a page")])
def test_a_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, what: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=what):
        written(folder) if module != "jinja2" else render("report.html")
