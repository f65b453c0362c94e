"""The report of a real training, with recordings, opened in a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import the_page
from command_line import earnest_cli
from made_up_corpus import Trained

from earnest.corpora.load import load_corpus
from earnest.evaluation.predictions import write_predictions
from earnest.testing.corpora import build_example
from tests.prediction_rows import PredictionRow, predictions_of


@pytest.fixture(scope="module")
def page(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a training and on predictions of a corpus whose licence allows players."""
    folder = tmp_path_factory.mktemp("report")
    build_example("ravdess", folder / "ravdess")
    rows = [
        PredictionRow(row.utterance_id, "ravdess", row.speaker, "", "", row.emotion, "happy", {})
        for row in load_corpus("ravdess", folder / "ravdess")
    ]
    write_predictions(predictions_of(rows, sorted({row.emotion for row in rows} | {"happy"})), folder / "p.csv")
    data = ("--data", trained.data, "--data", f"ravdess={folder / 'ravdess'}")
    earnest_cli("report", trained.run, folder / "p.csv", *data, "--output", folder / "report.html")
    return folder / "report.html"


def test_what_happens_inside_the_network_is_shown(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "with a bar of attention weight under each time step" in text
    assert "laid out by t-SNE" in text
    assert {"1-attention.png", "1-embeddings.png", "1-history-f1.png"} <= {
        path.name for path in page.with_suffix("").iterdir()
    }
    assert "no players for made-up, whose licence is not known" in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("selenium")
    if missing := harness.missing_tools("chromium", "chromedriver"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    with harness.chromium() as driver:
        yield driver


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_all_and_asks_nobody(browser: Any, page: Path, width: int, scheme: str) -> None:
    harness.requested(browser)  # forget what the browser did before
    the_page.resize(browser, width, 900, scheme)
    browser.get(page.resolve().as_uri())
    broken = "return [...document.images].filter(one => !(one.complete && one.naturalWidth)).map(one => one.alt)"
    assert browser.execute_script(broken) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    asked = {url for url in harness.requested(browser) if not url.startswith("data:")}
    assert asked == {page.resolve().as_uri()}
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}[scheme]


def test_recordings_play(browser: Any, page: Path) -> None:
    browser.get(page.resolve().as_uri())
    seconds = browser.execute_async_script("""
        const done = arguments[0], player = document.querySelector("audio");
        player.onloadedmetadata = () => done(player.duration);
        player.onerror = () => done(player.error.message);
        player.load();
    """)
    assert seconds == pytest.approx(0.25, abs=0.01)
