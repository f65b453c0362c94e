"""OpenVINO as a backend: the same answers, from ONNX and from its own files, and the edge runner on it alone."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from command_line import earnest_cli
from memory_in_use import IS_TOLD, kept_by_each
from stand_in import CLASSES, CUTTABLE_FRONT_END, cuttable_model, write_bundle

import earnest
from attacks.readers import doubling
from earnest.apps.cli.main import cli
from earnest.audio.io import load_waveform
from earnest.bundle import classes_text, load_bundle
from earnest.errors import BundleError, EarnestError, MissingExtraError
from earnest.export.bundle import to_ir
from earnest.export.onnx import finished
from earnest.runtime.graph import Graph, engine_for
from earnest.runtime.openvino_engine import OpenVinoEngine, most_alive
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice, write_voice

pytestmark = pytest.mark.long

openvino = pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'earnest[openvino]'")
DEMO = Path(earnest.__file__).parent / "demo"
CLIPS = [voice(seconds, seed=number) for number, seconds in enumerate((0.3, 1.7, 0.9))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("model"), cuttable_model(), front_end=CUTTABLE_FRONT_END)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of OpenVINO's files alone."""
    folder = tmp_path_factory.mktemp("own")
    model = openvino.Core().read_model(cuttable_model().SerializeToString())
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    files = {name: (folder / name).read_bytes() for name in ("model.xml", "model.bin")}
    write_bundle(folder, more_files=files, front_end=CUTTABLE_FRONT_END)
    (folder / "model.onnx").unlink()
    values = json.loads((folder / "bundle.json").read_text())
    del values["files"]["model.onnx"]
    (folder / "bundle.json").write_text(json.dumps(values))
    return folder


def graph_of(folder: Path, backend: str) -> Graph:
    bundle = load_bundle(folder)
    return Graph(bundle, engine_for(bundle, backend=backend))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["folder", "own"])
def test_openvino_answers_as_onnxruntime_does(name: str, folder: Path, request: pytest.FixtureRequest) -> None:
    reference, found = graph_of(folder, "onnxruntime"), graph_of(request.getfixturevalue(name), "openvino")
    assert (set(found.outputs), found.predicted) == (set(reference.outputs), reference.predicted)
    for batch in ([CLIPS[0]], [CLIPS[1]], CLIPS[2:] * 3):
        expected = reference.run(batch, ("logits", "probabilities", "embedding"))
        for output, values in found.run(batch, ("logits", "probabilities", "embedding")).items():
            np.testing.assert_allclose(values, expected[output], atol=1e-4, err_msg=output)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_labels_or_a_rate_that_somebody_changed_are_refused(tmp_path: Path, form: str) -> None:
    facts = {"classes": classes_text(CLASSES), "sample_rate_hz": "16000"}
    if form == "onnx":
        folder = write_bundle(tmp_path / "bundle", finished(cuttable_model(), facts), front_end=CUTTABLE_FRONT_END)
    else:
        folder = write_bundle(tmp_path / "bundle", more_files=to_ir(cuttable_model(), False, facts))
        (folder / "model.onnx").unlink()
    values = json.loads((folder / "bundle.json").read_text())
    values["files"] = {name: told for name, told in values["files"].items() if (folder / name).exists()}
    (folder / "bundle.json").write_text(json.dumps(values))
    assert graph_of(folder, "openvino").run([CLIPS[0]])["probabilities"].shape == (1, len(CLASSES))
    merry = ["merry" if name == "happy" else name for name in values["classes"]]
    changes = (
        ({"classes": merry}, r"its classes are .*happy.* and those of bundle\.json are .*merry"),
        ({"sample_rate_hz": 8_000}, r"its sample rate is 16000 Hz, and that of bundle\.json 8000 Hz"),
    )
    for change, told in changes:
        (folder / "bundle.json").write_text(json.dumps(values | change))
        with pytest.raises(BundleError, match=told):
            graph_of(folder, "openvino")


@pytest.mark.parametrize("name", ["folder", "own"])
def test_both_cut_at_the_same_place(name: str, folder: Path, request: pytest.FixtureRequest) -> None:
    reference, found = graph_of(folder, "onnxruntime"), graph_of(request.getfixturevalue(name), "openvino")
    log_mel = reference.log_mel(CLIPS[1])
    np.testing.assert_allclose(found.log_mel(CLIPS[1]), log_mel, atol=0.02)  # the deepest nulls lie 120 dB down
    expected = reference.run_log_mel(log_mel)["probabilities"]
    np.testing.assert_allclose(found.run_log_mel(log_mel)["probabilities"], expected, atol=1e-4)
    np.testing.assert_allclose(found.run([CLIPS[1]])["probabilities"], expected, atol=1e-4)


@pytest.mark.skipif(not IS_TOLD, reason="glibc alone tells what is in use")
def test_only_few_lengths_are_remembered(folder: Path) -> None:
    graph = graph_of(folder, "openvino")
    sound = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
    lengths = np.random.default_rng(0).permutation(np.arange(2_000, 8_000))

    def hear(number: int) -> None:
        graph.run([sound[: lengths[number]]])

    hear(0)
    # It comes to rest after some 500; without a bound each length keeps 40,000 bytes and more.
    assert any(kept_by_each(hear, [range(start, start + 100)]) < 4_000 for start in range(1, 1_001, 100))


def test_threads_do_not_share_answers(own: Path) -> None:
    graph = graph_of(own, "openvino")
    alone = [graph.run([clip])["probabilities"] for clip in CLIPS]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda number: graph.run([CLIPS[number % 3]])["probabilities"], range(60)))
    for number, values in enumerate(together):
        np.testing.assert_array_equal(values, alone[number % 3])


def test_a_bundle_for_openvino_runs_there_without_being_asked_and_nowhere_else(own: Path, folder: Path) -> None:
    expected = Predictor.load(folder).predict((CLIPS[1], 16_000))
    found = Predictor.load(own).predict((CLIPS[1], 16_000))
    assert dict(found.probabilities) == pytest.approx(dict(expected.probabilities), abs=1e-4)
    with pytest.raises(BundleError, match="exported for OpenVINO"):
        Predictor.load(own, backend="onnxruntime")


@pytest.mark.parametrize(
    ("backend", "provider", "message"),
    [
        ("onnxruntime", "gpu", "onnxruntime has no provider gpu"),
        ("auto", "auto", "onnxruntime has no provider auto"),
        ("openvino", "cuda", "OpenVINO has no provider cuda"),
        ("auto", "tpu", "provider: expected one of cpu, cuda, gpu, auto, got 'tpu'"),
        ("tpu", "cpu", "backend: expected one of auto, onnxruntime, openvino, got 'tpu'"),
    ],
)
def test_each_backend_has_providers_of_its_own(folder: Path, backend: str, provider: str, message: str) -> None:
    with pytest.raises(EarnestError, match=message):
        Predictor.load(folder, provider=provider, backend=backend)  # type: ignore[arg-type]


def test_a_model_is_loaded_on_the_backend_that_is_named(folder: Path) -> None:
    model = earnest.load(folder, backend="openvino", provider="auto")
    assert isinstance(model.graph, Graph)
    assert isinstance(model.graph._engine, OpenVinoEngine)
    with pytest.raises(EarnestError, match="onnxruntime has no provider gpu"):
        earnest.load(folder, provider="gpu")


def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(folder: Path) -> None:
    if any(name.startswith("GPU") for name in openvino.Core().available_devices):
        pytest.skip("there is a GPU here")
    with pytest.raises(EarnestError, match=r"no device GPU here, only .*CPU"):
        Predictor.load(folder, provider="gpu", backend="openvino")


def test_without_openvino_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"earnest\[openvino\]"):
        Predictor.load(folder, backend="openvino")


@pytest.fixture
def kept_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the environment says that compiled models are kept."""
    monkeypatch.setenv("EARNEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EARNEST_CACHE_GB", "1")
    return tmp_path / "cache"


@pytest.mark.usefixtures("kept_in")
def test_compiled_models_are_kept_where_the_environment_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = graph_of(folder, "openvino").run([CLIPS[0]])["probabilities"]
    monkeypatch.setattr(openvino.Core, "compile_model", lambda *_: pytest.fail("compiled again"))
    np.testing.assert_array_equal(graph_of(folder, "openvino").run([CLIPS[0]])["probabilities"], first)


def test_what_openvino_compiled_for_a_device_of_its_choice_answers_and_is_not_kept(folder: Path, kept_in: Path) -> None:
    model = Predictor.load(folder, provider="auto", backend="openvino")
    assert model.graph.run([CLIPS[0]])["probabilities"].shape == (1, len(CLASSES))
    assert not [*kept_in.glob("features/*/*")]


def test_a_compiled_model_that_was_damaged_on_disk_answers_nothing(folder: Path, kept_in: Path) -> None:
    first = graph_of(folder, "openvino").run([CLIPS[0]])["probabilities"]
    (kept,) = kept_in.glob("features/*/*")
    whole = kept.read_bytes()
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 999]) + whole[middle + 999 :]
    kept.write_bytes(damaged)
    np.testing.assert_array_equal(graph_of(folder, "openvino").run([CLIPS[0]])["probabilities"], first)
    assert kept.read_bytes() != damaged


def test_where_nothing_can_be_kept_the_answer_is_there_all_the_same(
    folder: Path, kept_in: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept_in.touch()
    assert graph_of(folder, "openvino").run([CLIPS[0]])["probabilities"].shape == (1, len(CLASSES))
    assert "nothing can be kept there" in caplog.text


def test_a_damaged_file_is_one_line(own: Path, tmp_path: Path) -> None:
    broken = write_bundle(tmp_path / "broken", more_files={"model.xml": b"<net", "model.bin": b""})
    with pytest.raises(BundleError, match=r"model\.xml: OpenVINO refuses it") as caught:
        Predictor.load(broken, backend="openvino")
    assert "\n" not in str(caught.value)


EDGE = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("onnxruntime", "torch", "onnx", "scipy", "pandas"):
            raise ModuleNotFoundError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
from earnest.apps.cli.main import cli
cli(["edge", *sys.argv[1:]], standalone_mode=False)
"""


def test_edge_needs_no_onnxruntime_for_recordings_and_pictures(folder: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    write_voice(clip)
    earnest_cli("spectrogram", clip, "-o", tmp_path / "clip.png", "--model", folder)
    words = [str(clip), str(tmp_path / "clip.png"), "--model", str(folder), "-q"]
    done = subprocess.run([sys.executable, "-c", EDGE, *words], capture_output=True, text=True, check=True)
    emotion = Predictor.load(folder).predict(clip).emotion
    assert emotion is not None
    assert done.stdout.split() == [emotion, emotion]


def test_edge_finds_speech_and_cuts_windows_as_everything_else_does(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    plain, lively = (load_waveform(str(DEMO / f"{name}.flac"), 16_000) for name in ("plain", "lively"))
    talk = np.concatenate([plain, np.zeros(16_000), lively])
    soundfile.write(tmp_path / "talk.wav", talk, 16_000)
    words = [str(tmp_path / "talk.wav"), "--model", str(folder), "--json", "--classes", "sad,angry", "--no-abstain"]
    done = subprocess.run([sys.executable, "-c", EDGE, *words], capture_output=True, text=True, check=True)
    expected = Predictor.load(folder).timeline(tmp_path / "talk.wav", classes=["sad", "angry"], abstain_below=0.0)
    assert expected.activity == "silero"
    row, same = json.loads(done.stdout), expected.prediction.to_dict()
    assert (row["status"], row["emotion"], row["speech_s"]) == (same["status"], same["emotion"], same["speech_s"])
    assert row["probabilities"] == pytest.approx(same["probabilities"], abs=1e-4)
    assert row["shares"] == pytest.approx(same["shares"])
    assert list(row["probabilities"]) == ["sad", "angry"]


def test_edge_says_what_an_unsure_answer_leans_to(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    write_voice(tmp_path / "clip.wav")
    words = ("edge", tmp_path / "clip.wav", "--model", folder, "--abstain-below", "1")
    assert re.fullmatch(r".*clip\.wav: unsure \(\w+ \d+%, \w+ \d+%\)\n", earnest_cli(*words))
    assert earnest_cli(*words, "-q") == "unsure\n"


def test_edge_tells_what_it_could_not_read_and_says_so_in_the_exit_code(folder: Path, tmp_path: Path) -> None:
    write_voice(tmp_path / "clip.wav")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    words = ("edge", tmp_path / "clip.wav", tmp_path / "bad.png", "--model", folder)
    told = earnest_cli(*words, exit_code=3).splitlines()
    assert told[0].startswith(str(tmp_path / "clip.wav: "))
    assert "not a readable spectrogram" in told[1]
    rows = [json.loads(line) for line in earnest_cli(*words, "--json", "--device", "auto", exit_code=3).splitlines()]
    assert [row["status"] for row in rows] == ["ok", "error"]


def test_edge_takes_its_threads_from_the_environment_as_other_commands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_THREADS", "many")
    told = CliRunner().invoke(cli, ["edge", "clip.wav"]).output
    assert "'many' is not a valid integer range" in " ".join(told.split())


@pytest.mark.parametrize("words", [(), ("clip.wav", "--microphone")])
def test_edge_takes_paths_or_the_microphone(words: tuple[str, ...]) -> None:
    earnest_cli("edge", *words, exit_code=2)


def test_predict_takes_the_backend_by_name(folder: Path, tmp_path: Path) -> None:
    write_voice(tmp_path / "clip.wav")
    rows = [
        json.loads(earnest_cli("predict", tmp_path / "clip.wav", "--model", folder, "--json", "--backend", backend))
        for backend in ("onnxruntime", "openvino")
    ]
    assert rows[1]["probabilities"] == pytest.approx(rows[0]["probabilities"], abs=1e-4)


def test_values_are_alive_from_where_they_are_computed_to_where_they_are_read_last() -> None:
    ops = openvino.opset13
    sound = ops.parameter([1, 1000], np.float32)  # 4,000 bytes
    loud = ops.multiply(sound, ops.constant(np.float32(2)))  # with `sound`: 8,000, a constant is no value
    twice = ops.concat([loud, loud], 1)  # 8,000; with `loud`: 12,000
    first = ops.slice(twice, *(ops.constant(np.array([number])) for number in (0, 10, 1, 1)))
    assert most_alive(openvino.Model([ops.result(first)], [sound])) == 12_000
    assert most_alive(openvino.Model([ops.result(ops.concat([first, sound], 1))], [sound])) == 4_000 + 12_000


@pytest.mark.parametrize("times", [12, 40, 45])
def test_a_graph_that_would_want_too_much_is_not_prepared(times: int, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, doubling(times))
    with pytest.raises(BundleError, match=r"OpenVINO refuses it \(one run wants more than \d+ MiB of memory\)"):
        graph_of(folder, "openvino")
