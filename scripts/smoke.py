"""Try an installed earnest: files, a timeline, a stream, and the server where it is installed.

Run by the Python whose environment is tried, from anywhere; for `make floors` and `make release`. Ends with 1 and the
reason where something doesn't work.
"""

import importlib.util
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

import earnest

DEMO = Path(earnest.__file__).parent / "demo"
SAID = {"lively.flac": None, "whispered.flac": "angry"}  # what the README shows; None: unsure
START_S = 120.0


def has(*modules: str) -> bool:
    """Whether all of these are installed."""
    return all(importlib.util.find_spec(module) for module in modules)


def command(*words: str) -> str:
    """Run ``earnest`` with these words."""
    done = subprocess.run([sys.executable, "-m", "earnest", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"earnest {' '.join(words)}: {done.stderr[-2000:]}"
    return done.stdout


def predicts_files(folder: Path) -> None:
    """Hear the demo recordings, at another rate and as mp4 too."""
    files = [str(DEMO / name) for name in SAID]
    sound, rate_hz = soundfile.read(files[0], dtype="float32")
    soundfile.write(folder / "half.wav", sound[::2], rate_hz // 2)
    rows = [json.loads(line) for line in command("predict", *files, str(folder / "half.wav"), "--json").splitlines()]
    assert [row["emotion"] for row in rows[:2]] == list(SAID.values()), rows
    assert rows[2]["probabilities"] and not rows[2]["error"], rows[2]
    if has("av"):
        (row,) = (
            json.loads(line) for line in command("predict", str(mp4(sound, rate_hz, folder)), "--json").splitlines()
        )
        assert row["probabilities"], row


def mp4(sound: np.ndarray, rate_hz: int, folder: Path) -> Path:
    """Write a mono sound as AAC in MPEG-4."""
    import av

    path = folder / "clip.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(sound[None].copy(), format="fltp", layout="mono")
        frame.rate = rate_hz
        for piece in (frame, None):
            container.mux(stream.encode(piece))
    return path


def follows_a_stream() -> None:
    """Hear a recording in pieces and as a timeline."""
    sound, rate_hz = soundfile.read(DEMO / "lively.flac", dtype="float32")
    with earnest.load().stream(sample_rate_hz=rate_hz) as stream:
        events = [
            event
            for start in range(0, len(sound), 1000)
            for event in stream.accept_waveform(sound[start : start + 1000])
        ]
        events += stream.finish()
    assert events
    assert "-->" in command("timeline", str(DEMO / "lively.flac"), "--format", "srt")


@contextmanager
def serving() -> Iterator[str]:
    """Give the address of a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = ("serve", "--port", str(port), "--quiet")
    process = subprocess.Popen([sys.executable, "-m", "earnest", *words], env=os.environ | {"OMP_NUM_THREADS": "1"})
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/readyz", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, "The server doesn't start."
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def serves() -> None:
    """Ask a server over HTTP and, where the client is installed, over WebSocket."""
    name = "whispered.flac"
    sound = (DEMO / name).read_bytes()
    with serving() as address:
        request = urllib.request.Request(f"{address}/v1/predict", sound, {"Content-Type": "audio/flac"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["emotion"] == SAID[name]
        request = urllib.request.Request(f"{address}/v1/predict", b"no sound", {"Content-Type": "audio/wav"})
        try:
            urllib.request.urlopen(request, timeout=60).close()
            raise AssertionError("what is no sound was taken for a recording")
        except urllib.error.HTTPError as error:
            assert error.code == 422, error
        if has("httpx2", "websockets"):
            from earnest.client import Client

            samples, rate_hz = soundfile.read(io.BytesIO(sound), dtype="float32")
            with Client(address) as client, client.stream(sample_rate_hz=rate_hz) as stream:
                assert [*stream.accept_waveform(samples), *stream.finish()]


def main() -> None:
    """Try what is installed."""
    with tempfile.TemporaryDirectory() as folder:
        predicts_files(Path(folder))
    follows_a_stream()
    tried = ["files", "stream", "timeline"]
    if has("fastapi", "uvicorn", "websockets"):
        serves()
        tried.append("server")
    sys.stdout.write(f"Works: {', '.join(tried)}.\n")


if __name__ == "__main__":
    main()
