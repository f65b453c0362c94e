"""Draw docs/desktop/*.png: the window as it looks, from the bundled recordings of synthetic speech alone.

    python scripts/desktop_pictures.py

Each picture is drawn in a process of its own, without a screen (QT_QPA_PLATFORM=offscreen), in 256 colours.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "desktop"
CLIPS = sorted((ROOT / "earnest" / "demo").glob("*.flac"))
SIZE = 1180, 760


def main() -> None:
    """Draw one picture, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=PICTURES)
    name = parser.parse_args().name
    if name is None:
        PAGE.mkdir(exist_ok=True)
        for one in PICTURES:
            scale = {"QT_SCALE_FACTOR": "1.25"} if one == "scaled" else {}
            environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", **scale}
            subprocess.run([sys.executable, __file__, one], env=environment, check=True)
        return
    with tempfile.TemporaryDirectory(prefix="recordings-") as folder:
        PICTURES[name](name, Path(folder))


class Scene:
    """A window on made-up work."""

    def __init__(self, name: str, folder: Path, *paths: Path, language: str = "en", scheme: str = "light") -> None:
        from earnest.apps.desktop.preferences import set_scheme
        from earnest.apps.desktop.start import open_window

        self.name = name
        self.window: Any = open_window([str(path) for path in paths], folder / "kept", "base", language)
        set_scheme(scheme)
        self.window.recording.views.repaint_theme()
        self.window.resize(*SIZE)
        self.window.split.setSizes([420, 760])
        self.window.right.setSizes([400, 330])
        self.until(lambda: self.window._listening)
        if paths:
            self.until(lambda: self.window.is_settled)

    def until(self, holds: Callable[[], object], seconds: float = 120) -> None:
        """Let the window work until something holds."""
        from earnest.apps.desktop.start import application

        end = time.monotonic() + seconds
        while not holds() and time.monotonic() < end:
            application().processEvents()
            time.sleep(0.01)

    def draw(self, settling_s: float = 0.7) -> None:
        """Write the picture, and close the window."""
        from PIL import Image

        self.until(lambda: False, settling_s)
        path = PAGE / f"{self.name}.png"
        self.window.grab().save(str(path))
        with Image.open(path) as picture:
            colours = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        colours.save(path, optimize=True)
        self.window.close()


def copied(folder: Path) -> list[Path]:
    """Copy the recordings, so that the pictures name no folder of this computer."""
    return [Path(shutil.copy(clip, folder)) for clip in CLIPS]


def empty(name: str, folder: Path) -> None:
    """Draw the window at its first start."""
    Scene(name, folder).draw()


def one_file(name: str, folder: Path, **look: str) -> None:
    """Draw one recording with a selection."""
    scene = Scene(name, folder, *copied(folder), **look)
    scene.window.files.choose(str(folder / "whispered.flac"))
    scene.until(lambda: scene.window.recording.samples)
    scene.until(lambda: False, 0.4)
    scene.draw()


def conversation(name: str, folder: Path) -> None:
    """Draw five recordings in a row, as two speakers, with a correction by hand."""
    import numpy as np
    import soundfile

    from earnest.audio.io import load_waveform

    gap, parts, lines, start_s = np.zeros(14_400, np.float32), [], [], 0.0
    for number, clip in enumerate(CLIPS * 2):
        wave = load_waveform(clip, 16_000)
        lines.append(
            f"SPEAKER talk 1 {start_s:.2f} {len(wave) / 16_000:.2f} <NA> <NA> {('Anna', 'Ben')[number % 2]} <NA>"
        )
        parts += [wave, gap]
        start_s += (len(wave) + len(gap)) / 16_000
    soundfile.write(folder / "conversation.wav", np.concatenate(parts), 16_000)
    (folder / "conversation.rttm").write_text("\n".join(lines))
    scene = Scene(name, folder, folder / "conversation.wav")
    window = scene.window
    window.open_rttm(str(folder / "conversation.rttm"))
    window.tabs.setCurrentWidget(window.parts)
    scene.until(lambda: window.recording.samples and any(part.speaker for part in window.parts.model.parts))
    window.parts.choose(1)
    window.parts.relabel("happy")
    window.recording.views.select(8, 12.5)
    scene.draw()


def batch(name: str, folder: Path) -> None:
    """Draw three hundred files, halfway."""
    for number in range(300):
        place = folder / f"interview-{number:03d}.flac"
        if number % 40 == 7:
            place.write_bytes(b"no sound")
        else:
            shutil.copy(CLIPS[number % len(CLIPS)], place)
    scene = Scene(name, folder)
    scene.window.open_paths([str(folder)])
    scene.until(lambda: scene.window.files.model.entries and scene.window.files.analysis.n_waiting < 200)
    scene.until(lambda: False, 0.3)
    scene.draw()


def recording(name: str, folder: Path) -> None:
    """Draw the microphone at work; what it hears is a recording."""
    import numpy as np

    from earnest.audio.io import load_waveform

    sys.path.insert(0, str(ROOT / "tests"))
    from desktop_sound_card import sound_card

    sound = np.concatenate([load_waveform(clip, 16_000) for clip in CLIPS])
    sys.modules["sounddevice"] = sound_card(np.tile(sound, 6), blocks_per_s=20)
    scene = Scene(name, folder)
    window = scene.window
    window.toggle_recording()
    scene.until(lambda: window.record.spans.count() > 2)
    shares = window.record._bars
    scene.until(lambda: window.record.level.value() > -35 and any(bar.value() > 600 for bar, _ in shares.values()))
    scene.draw(settling_s=0)


def error(name: str, folder: Path) -> None:
    """Draw a file that can't be read, and a message."""
    clips = copied(folder)
    (folder / "broken.wav").write_bytes(b"RIFF and no sound")
    scene = Scene(name, folder, folder / "broken.wav", *clips)
    scene.window.files.choose(str(folder / "broken.wav"))
    scene.window.export_rows("/proc/no-such-place/emotions.csv")
    scene.until(lambda: not scene.window.notice.isHidden())
    scene.draw()


PICTURES: dict[str, Callable[[str, Path], None]] = {
    "empty": empty,
    "one-file": one_file,
    "conversation": conversation,
    "batch": batch,
    "recording": recording,
    "error": error,
    "dark": lambda name, folder: one_file(name, folder, scheme="dark"),
    "scaled": one_file,
    "german": lambda name, folder: one_file(name, folder, language="de"),
}

if __name__ == "__main__":
    main()
