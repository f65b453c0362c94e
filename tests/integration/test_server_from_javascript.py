"""The lines of docs/server.md for JavaScript, run by Node against a server that asks for a key."""

import json
import re
import subprocess
from pathlib import Path

import harness
import pytest
from server_process import CLIP, serving
from stand_in import write_bundle

from earnest.client import Client
from earnest.testing.sounds import voice

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"
KEY = "a-key-of-this-test-alone"
RATE_HZ = 16_000
PIECE_BY_PIECE = "for (let at = 0; at < samples.length; at += 1600) socket.send(samples.subarray(at, at + 1600))"


def test_the_lines_for_javascript_give_the_clients_answers(tmp_path: Path) -> None:
    if missing := harness.missing_tools("node"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    (tmp_path / "keys").write_text(KEY + "\n", encoding="utf-8")
    (tmp_path / "talk.wav").write_bytes(CLIP)
    samples = voice(9.0)
    (tmp_path / "samples.f32").write_bytes(samples.astype("<f4").tobytes())
    (lines,) = re.findall(r"```js\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    with serving(write_bundle(tmp_path / "bundle"), "--api-keys", str(tmp_path / "keys")) as (address, _):
        told = ran(tmp_path, lines.replace("http://127.0.0.1:8000", address).replace("KEY", KEY))
        with Client(address, api_key=KEY) as client:
            prediction = client.predict(tmp_path / "talk.wav")
            with client.stream(sample_rate_hz=RATE_HZ) as stream:
                events = [*stream.accept_waveform(samples), *stream.finish()]
    assert told["answer"] == [prediction.status, prediction.emotion, prediction.confidence]
    assert [event.to_dict()["event"] for event in events] == told["events"][1:-1]
    assert (told["events"][0], told["events"][-1], told["code"]) == ("ready", "end", 1000)


def ran(folder: Path, lines: str) -> dict[str, list[object]]:
    """Return what Node says when it runs lines that know ``file`` and ``samples``."""
    noting = {
        "socket.send(samples)": PIECE_BY_PIECE,
        "console.log(event.event, event.emotion)": "events.push(event.event)",
        "console.log(code)": "console.log(JSON.stringify({ answer: [status, emotion, confidence], events, code }))",
    }
    for line, instead in noting.items():
        assert line in lines
        lines = lines.replace(line, instead)
    program = f"""
        import {{ readFileSync }} from "node:fs";
        const file = new Blob([readFileSync("talk.wav")]);
        const samples = new Float32Array(new Uint8Array(readFileSync("samples.f32")).buffer);
        const events = [];
        {lines}
    """
    (folder / "program.mjs").write_text(program, encoding="utf-8")
    command = ["node", "--experimental-websocket", "program.mjs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[object]] = json.loads(done.stdout)
    return told
