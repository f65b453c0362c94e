"""The snippets of docs/how-to/other-languages.md, where their language is at hand."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import harness
import numpy as np
import onnxruntime
import pytest
import soundfile
from stand_in import CLASSES, stand_in_model

from earnest.audio.activity import FRAME_SAMPLES, segments_in
from earnest.audio.waveform import Waveform
from earnest.bundle import load_bundle
from earnest.runtime.engine import OnnxRuntimeSession
from earnest.runtime.graph import Graph
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "other-languages.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"```(js|cpp|csharp|java|rust)\n(.*?)```", PAGE, re.DOTALL))
DEMO = ROOT / "earnest" / "demo"
HEADER = "onnxruntime_cxx_api.h"
DEBIANS_HEADERS = "/usr/include/onnxruntime"


def test_each_language_has_a_snippet() -> None:
    assert set(SNIPPETS) == {"js", "cpp", "csharp", "java", "rust"}


@pytest.fixture
def model(tmp_path: Path) -> np.ndarray:
    """Write model.onnx and samples.f32 and return Python's probabilities."""
    data, samples = stand_in_model().SerializeToString(), voice(1.3)
    (tmp_path / "model.onnx").write_bytes(data)
    (tmp_path / "samples.f32").write_bytes(samples.astype("<f4").tobytes())
    session = OnnxRuntimeSession(onnxruntime.InferenceSession(data))
    feeds = {"waveform": samples[None], "lengths": np.array([len(samples)])}
    return np.asarray(session.run(feeds, ["probabilities"])[0][0])


def test_javascripts_lines_give_pythons_probabilities(tmp_path: Path, model: np.ndarray) -> None:
    if missing := harness.missing_tools("node", "npm"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    harness.build()
    lines = SNIPPETS["js"].replace(
        'create("model.onnx")', 'create(readFileSync("model.onnx"))'
    )  # a page would fetch it
    assert "readFileSync" in lines
    program = f"""
        import {{ readFileSync }} from "node:fs";
        import * as ort from "{(harness.WEB / "dist" / "ort.wasm.min.mjs").as_uri()}";
        ort.env.wasm.numThreads = 1;
        const samples = new Float32Array(new Uint8Array(readFileSync("samples.f32")).buffer);
        {lines}
        console.log(JSON.stringify([...probabilities.data]));
    """
    (tmp_path / "snippet.mjs").write_text(program, encoding="utf-8")
    done = subprocess.run(["node", "snippet.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(model) == len(CLASSES)
    assert json.loads(done.stdout) == pytest.approx(model.tolist(), abs=1e-5)


def test_cpps_lines_give_pythons_probabilities(tmp_path: Path, model: np.ndarray) -> None:
    """Needs the headers alone: the library is the Python package's own."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ not installed")
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    if library is None:
        pytest.skip("this onnxruntime has no library of its own to link with")
    look = [compiler, "-I", DEBIANS_HEADERS, "-E", "-x", "c++", "-"]
    probe = subprocess.run(look, input=f"#include <{HEADER}>", capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"{HEADER} not found: libonnxruntime-dev has it (Debian 13), or set CPATH to a folder that does")
    program = f"""
        #include <{HEADER}>
        #include <array>
        #include <cstdio>
        #include <fstream>
        #include <iterator>
        #include <vector>
        int main() {{
            std::ifstream file("samples.f32", std::ios::binary);
            std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {{}});
            auto start = reinterpret_cast<const float *>(bytes.data());
            std::vector<float> samples(start, start + bytes.size() / 4);
            {SNIPPETS["cpp"]}
            for (int i = 0; i < {len(CLASSES)}; i++) std::printf("%.7f\\n", probabilities[i]);
        }}
    """
    (tmp_path / "snippet.cpp").write_text(program, encoding="utf-8")
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)  # the name by which programs look for it
    command = [compiler, "-std=c++17", "-I", DEBIANS_HEADERS, "snippet.cpp", "-L.", "-l:libonnxruntime.so.1"]
    command += [f"-Wl,-rpath,{tmp_path}", "-o", "snippet"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "snippet"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [float(line) for line in done.stdout.split()] == pytest.approx(model.tolist(), abs=1e-5)


def test_javas_lines_are_java(tmp_path: Path) -> None:
    """Parsed by the compiler; running them needs onnxruntime's jar."""
    if shutil.which("javac") is None:
        pytest.skip("javac not installed")
    (tmp_path / "Snippet.java").write_text(f"class Snippet {{ void run() {{ {SNIPPETS['java']} }} }}", encoding="utf-8")
    done = subprocess.run(
        ["javac", "-proc:none", "Snippet.java"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    errors = re.findall(r"error: (.*)", done.stderr)
    assert errors and set(errors) == {"cannot find symbol"}  # classes of the jar and `samples`, and nothing else


@pytest.mark.parametrize("name", ["base", "small"])
def test_the_pages_rules_for_one_call_give_what_predict_says(name: str) -> None:
    """Up to 4 s; the limits are where the page says, and silence is told by the output ``sound``."""
    predictor, bundle = Predictor.load(name), load_bundle(name)
    said = json.loads((bundle.folder / "bundle.json").read_text(encoding="utf-8"))
    rate = said["sample_rate_hz"]
    sounds = [demo("plain"), demo("lively"), demo("whispered")[: 2 * rate], np.zeros(rate, np.float32)]
    for samples in (sound[: 4 * rate] for sound in sounds):
        outputs = Graph(bundle).run([samples])
        shares, p_speech = outputs["probabilities"][0], outputs["sound"][0][said["sounds"].index("speech")]
        told = predictor.predict((samples, rate))
        if p_speech < 0.5:
            assert (told.status, samples.any()) == ("no-speech", False)
        else:
            assert list(told.probabilities.values()) == pytest.approx(shares.tolist(), abs=1e-6)
            assert told.status == ("ok" if shares.max() >= said["abstain_below"] else "unsure")
            assert ("out-of-domain" in told.quality) == (outputs["distance"][0] > said["out_of_domain_from"])


@pytest.mark.parametrize("name", ["base", "small"])
def test_the_pages_mean_over_windows_is_predicts(name: str) -> None:
    predictor, graph = Predictor.load(name), Graph(load_bundle(name))
    pause = np.zeros(16_000, np.float32)
    samples = np.concatenate([demo("lively"), demo("plain"), pause, pause, demo("slow-and-low")])

    def ask(heard: Waveform) -> tuple[np.ndarray, float]:
        outputs = graph.run([heard])
        return outputs["probabilities"][0], float(outputs["sound"][0][0])

    segments = segments_of(samples)
    assert len(segments) > 1
    mean = the_pages("mean_over_windows")(samples, segments, 16_000, ask)
    told = list(predictor.predict((samples, 16_000)).probabilities.values())
    assert told == pytest.approx(mean.tolist(), abs=1e-5)
    assert told != pytest.approx(ask(samples)[0].tolist(), abs=1e-2)


@pytest.mark.parametrize("name", ["base", "small"])
def test_the_pages_adaptation_is_predicts(name: str) -> None:
    predictor, bundle = Predictor.load(name), load_bundle(name)
    paths = [DEMO / f"{clip}.flac" for clip in ("lively", "loud-and-fast", "plain", "whispered")]
    plain = np.concatenate([Graph(bundle).run([demo(path.stem)])["probabilities"] for path in paths])
    network = onnxruntime.InferenceSession(bundle.folder / "adaptation.onnx")
    adapted = the_pages("adapted")(plain, network)
    told = [list(row.probabilities.values()) for row in predictor.predict_many(paths, speakers="one")]
    assert adapted == pytest.approx(np.array(told), abs=1e-5)
    assert adapted != pytest.approx(plain, abs=1e-2)


def the_pages(function: str) -> Callable[..., np.ndarray]:
    found: dict[str, Any] = {"np": np}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, found)
    return cast(Callable[..., np.ndarray], found[function])


def demo(name: str) -> Waveform:
    return np.asarray(soundfile.read(DEMO / f"{name}.flac", dtype="float32")[0])


def segments_of(samples: Waveform) -> list[tuple[int, int]]:
    """Speech as `earnest predict` finds it, in samples at 16 kHz."""
    n_missing = -len(samples) % FRAME_SAMPLES
    found = segments_in(np.append(samples, np.zeros(n_missing, np.float32)).reshape(-1, FRAME_SAMPLES), judged=True)
    return [(start * FRAME_SAMPLES, min(end * FRAME_SAMPLES, len(samples))) for start, end in found]
