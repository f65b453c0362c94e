"""Measure delays of the window's loop: a timer beats every 5 ms while each hard thing happens.

    python scripts/desktop_delays.py                 # prints a Markdown table; minutes
    python scripts/desktop_delays.py --only long     # one of them

A delay is the time between two beats less 5 ms: for so long no click would have been answered. "own" is the part in
which the window's thread itself computed (`time.thread_time`); the rest it waited for a processor or for Python. The
recordings are made-up voices (seed 0 to 1,999), the model is the default one, there is no screen.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import soundfile
from PySide6.QtCore import Qt, QTimer

from earnest.apps.desktop.start import application, open_window
from earnest.testing.sounds import voice

EVERY_MS, LIMIT_MS = 5, 100
N_FILES, HOURS, IDLE_S = 2_000, 3, 60


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SCENES)
    only = parser.parse_args().only
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before\n")  # noqa: T201
    print("| what | seconds | worst delay, ms | own, ms | beats | above 100 ms | what it says |")  # noqa: T201
    print("|---|---:|---:|---:|---:|---:|---|")  # noqa: T201
    for name, scene in SCENES.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory(prefix="delays-") as folder:
                print(scene(Path(folder)), flush=True)  # noqa: T201


class Beats:
    """A heart in the window's loop."""

    def __init__(self) -> None:
        self.delays: list[tuple[float, float]] = []  # milliseconds by the wall, and of our own
        self._timer = QTimer(interval=EVERY_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.delays.append((1000 * (now[0] - self._last[0]) - EVERY_MS, 1000 * (now[1] - self._last[1])))
        self._last = now

    def stop(self) -> None:
        """Beat no more."""
        self._timer.stop()


def watched(what: str, folder: Path, act: Callable[[Any], object], done: Callable[[Any], object]) -> str:
    """Open a window, do something in it, wait until it is done; return a row of the table."""
    window: Any = open_window([], folder / "kept", "base", "en")
    wait(lambda: window._listening)
    wait(lambda: False, 1)
    begun, beats = time.perf_counter(), Beats()
    act(window)
    wait(lambda: done(window), 1_200)
    seconds = time.perf_counter() - begun
    wait(lambda: False, 0.5)
    beats.stop()
    said = window.notice.text() or window.files.state.text()
    window.close()
    window.deleteLater()
    walls, own = np.array(beats.delays).T
    counts = f"{len(walls):,} | {int((walls > LIMIT_MS).sum())}"
    said = said.replace(str(folder), "…")
    return f"| {what} | {seconds:.1f} | {walls.max():.0f} | {own.max():.0f} | {counts} | {said} |"


def wait(holds: Callable[[], object], seconds: float = 60) -> None:
    """Let the window work until something holds."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        application().processEvents()
        time.sleep(0.001)


def answered(window: Any) -> bool:
    """Return whether all files have their answer."""
    return bool(window.files.model.entries) and not window.files.analysis.is_busy


def idle(folder: Path) -> str:
    """Do nothing for as long as a long recording takes: what other programs of this computer cost alone."""
    end = time.monotonic() + IDLE_S
    return watched("nothing at all", folder, lambda _: None, lambda _: time.monotonic() > end)


def many(folder: Path) -> str:
    """Open a folder of two thousand files."""
    place = folder / "many"
    place.mkdir()
    for number in range(N_FILES):
        soundfile.write(place / f"voice-{number:04d}.wav", voice(1 + number % 5 / 4, seed=number), 16_000)
    everything = lambda window: len(window.files.model.entries) == N_FILES and answered(window)  # noqa: E731
    return watched(f"{N_FILES:,} files", folder, lambda window: window.open_paths([str(place)]), everything)


def long(folder: Path) -> str:
    """Open a recording of three hours, and zoom into it when it is there."""
    place, speech = folder / "long.wav", voice(50, seed=1)
    with soundfile.SoundFile(place, "w", 16_000, 1) as file:
        for minute in range(60 * HOURS):
            file.write(np.append(speech * (0.2 + 0.4 * (minute % 3)), np.zeros(160_000, np.float32)))

    def zoomed(window: Any) -> bool:
        if not (answered(window) and window.recording.samples):
            return False
        for _ in range(12):
            window.recording.views.zoom(0.5)
            wait(lambda: False, 0.1)
        return True

    return watched(f"a recording of {HOURS} hours", folder, lambda window: window.open_paths([str(place)]), zoomed)


def broken(folder: Path) -> str:
    """Open a file that is no sound."""
    (folder / "broken.wav").write_bytes(b"RIFF and no sound")
    return watched("a broken file", folder, lambda window: window.open_paths([str(folder / "broken.wav")]), answered)


def bundle(folder: Path) -> str:
    """Choose a bundle that can't be loaded."""
    (folder / "bundle").mkdir()
    (folder / "bundle" / "bundle.json").write_text("{}")
    return watched(
        "a bundle that fails", folder, lambda window: window.models.choose_bundle(str(folder / "bundle")), told
    )


def microphone(folder: Path) -> str:
    """Record where there is no microphone."""
    return watched("no microphone", folder, lambda window: window.toggle_recording(), told)


def full(folder: Path) -> str:
    """Export where no byte fits: the kernel's limit on the size of files is set to nothing."""
    clips = sorted((Path(__file__).parents[1] / "earnest" / "demo").glob("*.flac"))

    def export(window: Any) -> None:
        window.open_paths([str(clip) for clip in clips])
        wait(lambda: answered(window))
        sys.stdout.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        window.export_rows(str(folder / "rows.csv"))

    def said(window: Any) -> bool:
        if not told(window):
            return False
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return True

    return watched("disk full on export", folder, export, said)


def told(window: Any) -> bool:
    """Return whether the window says that something is wrong."""
    return not window.notice.isHidden()


SCENES: dict[str, Callable[[Path], str]] = {
    "idle": idle,
    "broken": broken,
    "bundle": bundle,
    "microphone": microphone,
    "full": full,
    "many": many,
    "long": long,
}

if __name__ == "__main__":
    main()
