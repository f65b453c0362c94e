"""Make the bundled demo recordings with espeak-ng: synthetic speech in different manners, no person's voice.

python scripts/make_demo_clips.py [FOLDER]
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import soundfile

from earnest.audio.io import load_waveform

FOLDER = Path(__file__).resolve().parent.parent / "earnest" / "demo"
SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class Clip:
    """Text and manner of a recording: espeak-ng's voice, pitch (0–99), speed (words a minute), loudness (0–200)."""

    name: str
    text: str
    voice: str
    pitch: int
    speed: int
    loudness: int
    pitch_range: str


CLIPS = (
    Clip("plain", "The train to the city leaves at a quarter past nine.", "en-gb", 45, 165, 90, "medium"),
    Clip("lively", "You will not believe it, we won the whole thing!", "en-us+f2", 80, 200, 110, "x-high"),
    Clip("slow-and-low", "Nobody called today, and nobody called yesterday.", "en-gb+m3", 20, 115, 50, "x-low"),
    Clip("loud-and-fast", "I told you three times, do not touch that door!", "en-us+m7", 55, 235, 100, "high"),
    Clip("whispered", "Wait, I think that somebody is in the house.", "en-us+whisper", 60, 150, 70, "medium"),
)


def main() -> None:
    """Write the recordings as 16 kHz FLAC."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for clip in CLIPS:
        waveform = load_waveform(spoken(clip), SAMPLE_RATE_HZ)
        soundfile.write(folder / f"{clip.name}.flac", waveform, SAMPLE_RATE_HZ, subtype="PCM_16")


def spoken(clip: Clip) -> bytes:
    """Return espeak-ng's WAV."""
    marked_up = f'<speak><prosody range="{clip.pitch_range}">{clip.text}</prosody></speak>'
    manner = ["-v", clip.voice, "-p", str(clip.pitch), "-s", str(clip.speed), "-a", str(clip.loudness)]
    return subprocess.run(["espeak-ng", "-m", *manner, "--stdout", marked_up], capture_output=True, check=True).stdout


if __name__ == "__main__":
    main()
