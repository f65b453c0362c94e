"""The page docs/how-to/python.md: its code runs, what it says of widths is so."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import earnest
from earnest.bundle import load_bundle, shipped_bundles
from earnest.onnx.check import output_widths

ROOT = Path(earnest.__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
GRADIO, WORKERS = "# needs gradio\n", "# embedded.py\n"
CLIPS = sorted((ROOT / "earnest" / "demo").glob("*.flac"))

pytestmark = pytest.mark.long


def needed(*packages: str) -> None:
    if missing := [package for package in packages if not find_spec(package)]:
        pytest.skip(f"needs {' and '.join(missing)}")


def run(folder: Path, text: str, *words: object) -> str:
    (folder / "page.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py", *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def block(begin: str) -> str:
    return next(text for text in BLOCKS if text.startswith(begin))


def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    needed("pandas", "polars", "sklearn")
    told = run(tmp_path, "\n".join(text for text in BLOCKS if not text.startswith((GRADIO, WORKERS))))
    assert "<Predictor 'small'" in told
    assert "error none.wav: no such file. Check the path." in told
    assert "<Embeddings 5 × 768 of 'small', 0 without>" in told


def test_the_workers_of_a_data_loader_take_the_model(tmp_path: Path) -> None:
    needed("torch")
    told = run(tmp_path, block(WORKERS), *CLIPS)
    assert told.split("\n")[0] == "torch.Size([5, 768])"


def test_the_page_of_gradio_answers() -> None:
    needed("gradio")
    space = {"model": earnest.load("small")}
    exec(block(GRADIO), space)
    found = space["answer"](str(CLIPS[0]))  # type: ignore[operator]
    assert sum(found.values()) == pytest.approx(1, abs=1e-3)


def test_the_widths_are_those_of_the_bundles() -> None:
    told = re.findall(r"^\| ([\w, -]+) \| (\d+) \|$", PAGE, re.MULTILINE)
    widths = {name: int(width) for names, width in told for name in names.split(", ")}
    assert widths == {name: output_widths(load_bundle(name).model_bytes())["embedding"] for name in shipped_bundles()}


def test_an_audio_column_of_datasets_is_predicted() -> None:
    needed("datasets")
    from datasets import Audio, Dataset

    names = [str(path) for path in CLIPS]
    column = Dataset.from_dict({"audio": names}).cast_column("audio", Audio(decode=False))["audio"]
    model = earnest.load("small")
    assert list(model.predict_many(column)) == list(model.predict_many(names))
