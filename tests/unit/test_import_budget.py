"""What starting costs: modules that must not be loaded, in a fresh process; and that nobody is told of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import write_bundle

from earnest.testing.sounds import write_voice

pytestmark = pytest.mark.long

HEAVY = ("torch", "lightning", "librosa", "sklearn", "scipy", "pandas", "matplotlib", "onnx", "av", "tensorboard")
REPORT = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"


def loaded_by(code: str, *arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_import_earnest_loads_the_standard_library_only() -> None:
    bare = loaded_by(REPORT)
    added = loaded_by(f"import earnest; {REPORT}") - bare - set(sys.stdlib_module_names)
    assert added == {"earnest"}


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_predict_loads_nothing_heavy(form: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    write_voice(tmp_path / "clip.wav")
    code = f"""
import sys
from earnest.apps.cli.main import cli
cli(["predict", sys.argv[1], "--model", sys.argv[2], "--format", "{form}"], standalone_mode=False)
{REPORT}"""
    loaded = loaded_by(code, str(tmp_path / "clip.wav"), str(bundle))
    assert not loaded & {*HEAVY, "http"}
    assert {"onnxruntime", "soundfile"} <= loaded
    assert form == "table" or "rich" not in loaded
    assert "soxr" not in loaded  # the clip has the model's rate already


def test_scoring_a_strangers_file_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"a.wav": [{"label": "sad", "score": 1.0}]}')
    (tmp_path / "mine.csv").write_text("utterance_id,path,emotion\na,a.wav,sad\n")
    code = f"""
import sys
from earnest.apps.cli.main import cli
cli(["score", sys.argv[1], "--manifest", sys.argv[2], "--json"], standalone_mode=False)
{REPORT}"""
    loaded = loaded_by(code, str(tmp_path / "answers.jsonl"), str(tmp_path / "mine.csv"))
    assert not loaded & {*HEAVY, "onnxruntime", "rich"}


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in set(sys.argv[3].split(",")):
            raise ModuleNotFoundError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
import earnest
try:
    import torch
except ModuleNotFoundError:
    print(earnest.load(sys.argv[2]).predict(sys.argv[1]).emotion)
"""


def test_prediction_works_where_torch_is_not_installed(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    write_voice(tmp_path / "clip.wav", sample_rate_hz=44_100)
    arguments = [str(tmp_path / "clip.wav"), str(bundle), ",".join(HEAVY)]
    done = subprocess.run([sys.executable, "-c", BLOCKER, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sad"]


TELLS = """
import sys
def heard(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect"):
        print(event, arguments)
sys.addaudithook(heard)
"""
PREDICTS = """
import sys
from earnest.runtime.predictor import Predictor
Predictor.load(sys.argv[2], backend=sys.argv[3]).predict(sys.argv[1])
"""


def tells_nobody(code: str, home: Path, *arguments: str) -> None:
    """Run code as in a fresh account that is no CI's, where onnxruntime and OpenVINO tell nobody by themselves."""
    home.mkdir()
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", TELLS + code, *arguments],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert [path.name for path in home.rglob("*") if path.is_file()] == []  # they would keep a number of the machine


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_prediction_tells_no_makers_and_leaves_nothing_in_the_home_folder(backend: str, tmp_path: Path) -> None:
    pytest.importorskip(backend, reason="needs OpenVINO: pip install 'earnest[openvino]'")
    bundle = write_bundle(tmp_path / "bundle")
    write_voice(tmp_path / "clip.wav")
    tells_nobody(PREDICTS, tmp_path / "home", str(tmp_path / "clip.wav"), str(bundle), backend)


def test_quantising_tells_no_makers(tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="needs NNCF: pip install 'earnest[quantise]'")
    tells_nobody("from earnest.export.bundle import _nncf; _nncf()", tmp_path / "home")


def test_plots_load_matplotlib_only_when_something_is_drawn() -> None:
    assert not loaded_by(f"import earnest.plots; {REPORT}") & {*HEAVY, "onnxruntime"}


def test_who_only_reads_a_trained_network_waits_for_no_training_loop() -> None:
    modules = "earnest.export.bundle, earnest.training.explain, earnest.experiments.conditions, earnest.own.learn"
    loaded = loaded_by(f"import {modules}; {REPORT}")
    assert "torch" in loaded
    assert not loaded & {"lightning", "pytorch_optimizer", "tensorboard"}
