"""What a decoder process of its own costs a clip, against decoding in the thread that asks: both in one run.

    python benchmarks/decoder_cost.py            # half a minute

Prints, for each form of a 3-s clip, the median and the 95th percentile in ms of both ways, taken in turn, their
difference and their ratio. A whole prediction follows, with `small`. The bound is 2 ms a clip.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from earnest.audio.io import open_audio
from earnest.runtime.decoder_pool import DecoderPool
from earnest.runtime.decoders import InProcess
from earnest.runtime.predictor import Predictor

DEMO = Path(__file__).parents[1] / "earnest/demo"
SECONDS = 3.0
FORMS = (
    (16_000, "WAV", "PCM_16"),
    (44_100, "WAV", "PCM_16"),
    (48_000, "FLAC", "PCM_16"),
    (48_000, "MP3", "MPEG_LAYER_III"),
    (48_000, "OGG", "OPUS"),
)


def main() -> None:
    """Measure it all."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=200)
    asked.add_argument("--model", default="small")
    given = asked.parse_args()
    show("what", "here", "95 %", "child", "95 %", "difference", "ratio")
    with DecoderPool(1) as pool:
        for rate_hz, container, coding in FORMS:
            clip = clip_as(rate_hz, container, coding)
            ways = [decoding(opener, clip) for opener in (open_audio, pool.open_audio)]
            compare(f"{container} {coding} {rate_hz} Hz", ways, given.rounds)
        predictor = Predictor.load(given.model)
        clip = clip_as(16_000, "WAV", "PCM_16")

        def predicting(decoders: InProcess | DecoderPool) -> Callable[[], object]:
            def predict() -> object:
                predictor.decoders = decoders
                return predictor.predict(clip)

            return predict

        compare(f"prediction, {given.model}", [predicting(InProcess()), predicting(pool)], given.rounds)


def clip_as(rate_hz: int, container: str, coding: str) -> bytes:
    """Return three seconds of the first demonstration clip in this form."""
    import soxr

    sound, own_hz = soundfile.read(min(DEMO.glob("*.flac")), dtype="float32", always_2d=True)
    sound = np.resize(soxr.resample(sound[:, 0], own_hz, rate_hz), round(SECONDS * rate_hz))
    file = io.BytesIO()
    soundfile.write(file, sound, rate_hz, format=container, subtype=coding)
    return file.getvalue()


def decoding(opener: Callable[..., object], clip: bytes) -> Callable[[], object]:
    """Return what decodes a clip."""

    def decode() -> object:
        with opener(clip, 600.0) as stream:  # type: ignore[attr-defined]
            return np.concatenate(list(stream.blocks))

    return decode


def compare(name: str, ways: list[Callable[[], object]], rounds: int) -> None:
    """Time both ways in turn, and print one row."""
    seconds = np.empty((rounds, 2))
    for way in ways:
        way()
    for number in range(rounds):
        for place, way in enumerate(ways):
            started = time.perf_counter()
            way()
            seconds[number, place] = time.perf_counter() - started
    middle, high = 1000 * np.median(seconds, axis=0), 1000 * np.quantile(seconds, 0.95, axis=0)
    numbers = (middle[0], high[0], middle[1], high[1], middle[1] - middle[0])
    show(name, *(f"{value:.2f}" for value in numbers), f"{middle[1] / middle[0]:.2f}")


def show(*words: str) -> None:
    """Print one row."""
    sys.stdout.write("\t".join(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
