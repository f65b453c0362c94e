"""Load for `earnest serve`, by Locust (which has an environment of its own: it patches sockets).

    python -m venv /tmp/locust && /tmp/locust/bin/pip install locust websocket-client
    python benchmarks/serve_measure.py --locust /tmp/locust/bin/locust      # all that docs/server.md tells of load

or one of them alone, with a server that runs already (SERVER_PID is its process):

    CLIP=clip-of-3-s.wav /tmp/locust/bin/locust --locustfile benchmarks/serve_load.py Clips \\
        --headless --host http://127.0.0.1:8000 --users 8 --spawn-rate 64 --run-time 30s --reset-stats --csv clips-8
    CLIP=talk.wav /tmp/locust/bin/locust --locustfile benchmarks/serve_load.py Streams \\
        --headless --host http://127.0.0.1:8000 --users 100 --spawn-rate 10 --run-time 10m --csv streams-100

``Clips`` asks again as soon as there is an answer: requests/s, p50 and p99 are Locust's, a line for each status; 429
and 503 are what a server with too much to do should say, all else but 200 is a failure. ``Streams`` sends 100 ms every
100 ms; "window" is how long after its last sample was sent a window's answer came, in ms; one that is more than
``LATE_S`` late is a failure. Both want a 16-bit WAV file; streams play it again and again. "memory" is what the
server's processes hold, in MB. ``Tiny`` sends requests of one byte, as an enemy would.
"""

import contextlib
import json
import os
import time
import wave
from pathlib import Path

import gevent
import psutil
import websocket
from locust import HttpUser, User, constant, events, task

CLIP = Path(os.environ["CLIP"])
CHUNK_S = 0.1
LATE_S = 1.0  # one hop: the next window's answer is due
KEY = os.environ.get("EARNEST_API_KEY")
MEMORY_EVERY_S = 2.0
HEADERS = {"Authorization": f"Bearer {KEY}"} if KEY else {}
WAV = {"Content-Type": "audio/wav", **HEADERS}


def memory_mb(server: psutil.Process) -> float:
    """Return what a process and its children hold."""
    return float(sum(process.memory_info().rss for process in (server, *server.children())) / 2**20)


@events.test_start.add_listener
def watch_memory(**_: object) -> None:
    """Note the server's memory until the run ends."""

    def watch() -> None:
        server = psutil.Process(int(os.environ["SERVER_PID"]))
        while True:
            events.request.fire(request_type="RSS", name="memory", response_time=memory_mb(server), response_length=0)
            gevent.sleep(MEMORY_EVERY_S)

    if "SERVER_PID" in os.environ:
        gevent.spawn(watch)


class Clips(HttpUser):
    """Sends the clip, waits for the answer, sends it again."""

    wait_time = constant(0)

    @task
    def predict(self) -> None:
        """Send the clip once."""
        with self.client.post("/v1/predict", data=CLIP.read_bytes(), headers=WAV, catch_response=True) as answer:
            answer.request_meta["name"] = f"predict {answer.status_code}"
            if answer.status_code in (200, 429, 503):
                answer.success()


class Tiny(HttpUser):
    """Sends one byte, which is no recording, as fast as it can."""

    wait_time = constant(0)

    @task
    def predict(self) -> None:
        """Send the byte."""
        with self.client.post("/v1/predict", data=b"x", headers=WAV, catch_response=True) as no:
            no.request_meta["name"] = f"tiny {no.status_code}"
            if no.status_code in (422, 429, 503):
                no.success()


class Streams(User):
    """Speaks in real time and notes when each window's answer came."""

    @task
    def listen(self) -> None:
        """Hold one stream until the run ends."""
        with wave.open(str(CLIP)) as file:
            rate, channels, sound = file.getframerate(), file.getnchannels(), file.readframes(file.getnframes())
        n_chunk = round(CHUNK_S * rate) * 2 * channels
        query = f"sample_rate_hz={rate}&channels={channels}"
        address = f"{self.host.replace('http', 'ws', 1)}/v1/stream?{query}"
        self.socket = websocket.create_connection(
            address, header=[f"{name}: {value}" for name, value in HEADERS.items()]
        )
        self.socket.settimeout(0.001)
        self.started, n_sent = time.monotonic(), 0
        while True:
            start = n_sent * n_chunk % max(len(sound) - n_chunk, 1) // (2 * channels) * 2 * channels
            self.socket.send_binary(sound[start : start + n_chunk])
            n_sent += 1
            due = self.started + n_sent * CHUNK_S
            while (left_s := due - time.monotonic()) > 0:
                self.socket.settimeout(left_s)
                with contextlib.suppress(websocket.WebSocketTimeoutException):
                    self.note(json.loads(self.socket.recv()))

    def note(self, event: dict[str, object]) -> None:
        """Take down one event."""
        if event["event"] == "error":
            raise RuntimeError(event["detail"])
        if event["event"] != "window":
            return
        late_s = time.monotonic() - self.started - float(str(event["end_s"]))
        failure = RuntimeError(f"more than {LATE_S} s late") if late_s > LATE_S else None
        events.request.fire(
            request_type="WS", name="window", response_time=1000 * late_s, response_length=0, exception=failure
        )

    def on_stop(self) -> None:
        """Leave."""
        self.socket.close()
