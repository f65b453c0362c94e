"""Annotate → learn → better? In the window, on real recordings of a speaker whom the model never heard.

    python scripts/desktop_learns.py ~/ravdess --speakers 3      # prints a Markdown table

Each speaker's recordings of the model's six emotions are opened in a window without a screen. Every other recording is
corrected by hand (the file's own label), "learn from my corrections" is chosen, and the other half is answered by the
model before and by the new one, unsure answers told too. WA: share of recordings that are right.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from earnest.apps.desktop.start import application, open_window
from earnest.apps.desktop.window import DesktopWindow
from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance

KNOWN = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--speakers", type=int, default=3)
    options = parser.parse_args()
    rows = [row for row in CORPORA.get(options.corpus)().read(options.folder) if row.emotion in KNOWN]
    speakers = sorted({row.speaker for row in rows})
    chosen = speakers[:: len(speakers) // options.speakers][: options.speakers]
    print("| speaker | corrected | answered | WA before | WA after | seconds of learning |")  # noqa: T201
    print("|---|---:|---:|---:|---:|---:|")  # noqa: T201
    for speaker in chosen:
        print(measured(speaker, [row for row in rows if row.speaker == speaker]), flush=True)  # noqa: T201


def measured(speaker: str, rows: list[Utterance]) -> str:
    """Return a row of the table."""
    corrected, others = rows[::2], {str(row.path): row.emotion for row in rows[1::2]}
    with tempfile.TemporaryDirectory() as folder:
        window = open_window([str(row.path) for row in rows], Path(folder), "base", "en")
        wait(lambda: window.is_settled)
        window.models.tells.click()
        wait(
            lambda: window.is_settled and window._listening is not None and window._listening.options.abstain_below == 0
        )
        before = share_right(window, others)
        for row in corrected:
            window.files.choose(str(row.path))
            window.parts.table.selectAll()
            window.parts.relabel(row.emotion)
        begun = time.monotonic()
        window.learn()
        wait(lambda: not window.learning.is_on)
        seconds = time.monotonic() - begun
        assert "my-model" in window.models.choice.model, window.notice.text()
        window.notice.hide()
        wait(lambda: window._listening is not None and window._listening.predictor.info.name.startswith("my-model"))
        wait(lambda: window.is_settled)
        after = share_right(window, others)
        window.close()
    return f"| {speaker} | {len(corrected)} | {len(others)} | {before:.1%} | {after:.1%} | {seconds:.0f} |"


def share_right(window: DesktopWindow, labels: dict[str, str]) -> float:
    """Return the share of files whose answer is their label."""
    found = {entry.path: entry.prediction for entry in window.files.model.entries}
    right = [answer is not None and answer.emotion == labels[path] for path, answer in found.items() if path in labels]
    return sum(right) / len(right)


def wait(holds: Callable[[], object], seconds: float = 300) -> None:
    """Let the window work until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        application().processEvents()
        time.sleep(0.01)
        assert time.monotonic() < end, "it takes too long"


if __name__ == "__main__":
    main()
