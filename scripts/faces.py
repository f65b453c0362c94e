"""The faces of one model, each asked about the same recordings: shared by scripts/one_answer.py and no_emotion.py.

The faces are `Predictor.predict`, a folder (`predict_many`), `timeline`, a stream in pieces of random length, ``POST
/v1/predict`` and a WebSocket of a server that `earnest serve` starts on a free port of this machine, and the browser
package in headless Chromium: "browser" hears the samples that Python decoded, "browser-file" decodes the file itself,
as the page does, Opus and MP3 at 48 kHz. "longest" is no face of its own: it is the emotion that fills most of a
timeline's spans.

The browser needs Node, Chromium and selenium.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shutil import copyfile
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from trial_server import ServerProcess, server_process

from earnest.audio.activity import NETWORK
from earnest.audio.io import decode
from earnest.audio.waveform import Waveform
from earnest.bundle import load_bundle
from earnest.client import Client
from earnest.errors import AudioError
from earnest.runtime.prediction import Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline

SEED = 0
LONGEST_PIECE = 8_000
AT_ONCE = 40  # recordings whose samples lie on the disk for the page at a time
BOUNDS = ("stream_speed=10000", "stream_burst_s=3600")  # what is measured are answers, not a server's patience
ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "web" / "bench"))  # harness.py, which only the browser needs


ANSWER_FILES = """{
    const model = await earnest.load(a, { voiceActivityUrl: b });
    const answers = [];
    for (const name of c) {
        try {
            const file = await earnest.decode(await (await fetch(`/tasks/${name}`)).arrayBuffer(), name);
            answers.push(await model.predict(file.waveform, file.sampleRateHz));
        } catch (error) {
            answers.push({ failure: `${error.name}: ${error.message}` });
        }
    }
    model.close();
    return answers;
}"""
Put: TypeAlias = Callable[[Any, Sequence[Path]], list[Any]]
"""Lays recordings out for the page (`harness.Tasks`) and returns further arguments of what answers them."""


class Stream(Protocol):
    """A stream of pieces: the model's or a server's."""

    def accept_waveform(self, waveform: npt.ArrayLike) -> Any: ...
    def finish(self) -> Any: ...
    def prediction(self) -> Prediction: ...


@dataclass
class Faces:
    """Every way to ask one model, a shipped bundle's name or a bundle's folder."""

    model: str

    @cached_property
    def predictor(self) -> Predictor:
        """The model in this process."""
        return Predictor.load(self.model)

    def ask(self, face: str, paths: Sequence[Path]) -> list[Prediction]:
        """Return a face's answers, in order; what it can't read has the status "error"."""
        answers = dict(self._faces())[face](paths)
        return [replace(answer, path=str(path)) for answer, path in zip(answers, paths, strict=True)]

    def names(self) -> list[str]:
        """All faces."""
        return [name for name, _ in self._faces()]

    def _faces(self) -> Iterator[tuple[str, Callable[[Sequence[Path]], list[Prediction]]]]:
        yield "predict", lambda paths: [answered(self.predictor.predict, path) for path in paths]
        yield "folder", lambda paths: list(self.predictor.predict_many(paths))
        yield "timeline", lambda paths: [answered(self._timeline, path) for path in paths]
        yield "longest", lambda paths: [answered(self._longest, path) for path in paths]
        yield "stream", self._by_stream
        yield "http", self._by_http
        yield "websocket", self._by_websocket
        yield "browser", lambda paths: self._by_browser(paths, write_tasks, "window.answers(a, b)")
        yield "browser-file", lambda paths: self._by_browser(paths, copy_files, ANSWER_FILES)

    def _timeline(self, path: Path) -> Prediction:
        return self.predictor.timeline(path).prediction

    def _longest(self, path: Path) -> Prediction:
        return longest(self.predictor.timeline(path))

    def _by_stream(self, paths: Sequence[Path]) -> list[Prediction]:
        rng = np.random.default_rng(SEED)

        def hear(path: Path) -> Prediction:
            recording = decode(path)
            with self.predictor.stream(recording.sample_rate_hz) as stream:
                return heard(stream, recording.waveform, rng)

        return [answered(hear, path) for path in paths]

    def _server(self) -> AbstractContextManager[ServerProcess]:
        bounds = [word for bound in BOUNDS for word in ("--limit", bound)]
        return server_process("--model", self.model, "--jobs", "1", "--quiet", *bounds)

    def _by_http(self, paths: Sequence[Path]) -> list[Prediction]:
        with self._server() as server, Client(server.address) as client:
            return [answered(client.predict, path) for path in paths]

    def _by_websocket(self, paths: Sequence[Path]) -> list[Prediction]:
        rng = np.random.default_rng(SEED)
        with self._server() as server, Client(server.address) as client:

            def hear(path: Path) -> Prediction:
                recording = decode(path)
                with client.stream(recording.sample_rate_hz) as stream:
                    return heard(stream, recording.waveform, rng)

            return [answered(hear, path) for path in paths]

    def _by_browser(self, paths: Sequence[Path], put: Put, expression: str) -> list[Prediction]:
        import harness

        harness.build()
        bundle = load_bundle(self.model).folder
        found: list[Prediction] = []
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            mounts = {"web": harness.WEB, "models": bundle.parent, "tasks": Path(name), "activity": NETWORK.parent}
            address, driver = stack.enter_context(harness.served(**mounts)), stack.enter_context(harness.chromium())
            driver.set_script_timeout(1_200)
            driver.get(f"{address}/web/bench/page.html")
            harness.wait_for(driver, "window.ready")
            places = f"{address}/models/{bundle.name}", f"{address}/activity/{NETWORK.name}"
            for start in range(0, len(paths), AT_ONCE):
                for old in Path(name).iterdir():
                    old.unlink()
                more = put(harness.Tasks(Path(name)), paths[start : start + AT_ONCE])
                found += map(told, harness.awaited(driver, expression, *places, *more))
        return found


def answered(ask: Callable[[Path], Prediction], path: Path) -> Prediction:
    """Return an answer, or why the recording has none."""
    try:
        return ask(path)
    except AudioError as error:
        return Prediction(str(path), "error", error=str(error))


def heard(stream: Stream, waveform: Waveform, rng: np.random.Generator) -> Prediction:
    """Hand a recording over in pieces of random length."""
    start = 0
    while start < len(waveform):
        end = start + int(rng.integers(1, LONGEST_PIECE + 1))
        stream.accept_waveform(waveform[start:end])
        start = end
    stream.finish()
    return stream.prediction()


def longest(timeline: Timeline) -> Prediction:
    """Return the timeline's answer with the label that fills most of its spans in place of its own."""
    label = next(iter(timeline.seconds_by_emotion()), None)
    if label is None:
        return timeline.prediction
    if label == "unsure":
        return replace(timeline.prediction, status="unsure", emotion=None)
    return replace(timeline.prediction, status="ok", emotion=label)


def write_tasks(tasks: Any, paths: Sequence[Path]) -> list[Any]:
    """Write decoded recordings for the page, as `harness.Tasks` holds them."""
    for path in paths:
        recording = decode(path)
        tasks.add("predict", recording.waveform, recording.sample_rate_hz)
    tasks.save()
    return []


def copy_files(tasks: Any, paths: Sequence[Path]) -> list[Any]:
    """Copy recordings to where the page finds them; return their new names."""
    names = [f"{number}{path.suffix}" for number, path in enumerate(paths)]
    for name, path in zip(names, paths, strict=True):
        copyfile(path, tasks.folder / name)
    return [names]


def told(values: dict[str, Any]) -> Prediction:
    """Return the page's answer."""
    if "failure" in values:
        return Prediction("array", "error", error=str(values["failure"]))
    return Prediction.from_dict(values)


def same_answer(one: Prediction, other: Prediction) -> bool:
    """Whether two faces say the same: status and emotion."""
    return (one.status, one.emotion) == (other.status, other.emotion)


def apart(one: Prediction, other: Prediction) -> float:
    """Return the largest difference of a class' probability; a class without one counts as 0."""
    names = {*one.probabilities, *other.probabilities}
    return max(
        (abs(one.probabilities.get(name, 0.0) - other.probabilities.get(name, 0.0)) for name in names), default=0
    )


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
