"""What a decoder process of its own costs a clip, against decoding in the thread that asks: both in one run.

    python benchmarks/decoder_cost.py            # a minute and a half

Prints, for each form of a 3-s clip, the median and the 95th percentile in ms of both ways, taken in turn, their
difference and their ratio. A whole prediction follows, with `small`. The bound is 2 ms a clip. Then two servers, one of
each kind, are asked in turn by 8 clients: clips a second, and the ratio, whose bound is 0.9.
"""

import argparse
import http.client
import io
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from earnest.audio.io import open_audio
from earnest.runtime.decoders import DecoderPool, InProcess
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
    asked.add_argument("--turns", type=int, default=6, help="of each server")
    asked.add_argument("--seconds", type=float, default=5.0, help="for each turn")
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
    with serving(given.model, False) as here, serving(given.model, True) as child:
        compare_servers([here, child], clip, given.turns, given.seconds)


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


SERVER = """
import sys
from earnest.apps.server.process import Address, serve
from earnest.apps.server.settings import Limits, Settings
model, isolate, port = sys.argv[1:]
settings = Settings(models=(model,), isolate=isolate == "True", limits=Limits(client_requests=64))
serve(settings, Address("127.0.0.1", int(port)), log_level="warning")
"""


@contextmanager
def serving(model: str, isolate: bool) -> Iterator[int]:
    """Give the port of a server that answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", SERVER, model, str(isolate), str(port)])
    try:
        while process.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def compare_servers(ports: list[int], clip: bytes, turns: int, seconds: float) -> None:
    """Ask both in turn, and print one row."""
    rates = np.array([[rate(port, clip, seconds) for port in ports] for _ in range(turns + 1)])[1:]  # the first: warm
    middle = np.median(rates, axis=0)
    ratio = float(np.median(rates[:, 1] / rates[:, 0]))
    show("clips a second, 8 clients", f"{middle[0]:.1f}", "", f"{middle[1]:.1f}", "", "", f"{ratio:.2f}")


def rate(port: int, clip: bytes, seconds: float) -> float:
    """Return how many clips a second 8 clients get answered."""
    started = time.perf_counter()

    def ask(_: int) -> int:
        connection, n_answered = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0
        while time.perf_counter() - started < seconds:
            connection.request("POST", "/v1/predict", clip, {"Content-Type": "audio/wav"})
            answer = connection.getresponse()
            answer.read()
            n_answered += answer.status == 200
        return n_answered

    with ThreadPoolExecutor(8) as clients:
        n_answered = sum(clients.map(ask, range(8)))
    return n_answered / (time.perf_counter() - started)


def show(*words: str) -> None:
    """Print one row."""
    sys.stdout.write("\t".join(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
