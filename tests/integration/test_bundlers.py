"""The packed npm package in pages that Vite, webpack and esbuild build: in Chromium they give Python's answer."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest

from earnest.audio.activity import NETWORK
from earnest.bundle import SHIPPED
from earnest.runtime.predictor import Predictor

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[1] / "bundlers"
DIST = Path("node_modules/@earnest/browser/dist")
BESIDE = ("earnest.worker.js", "earnest.worklet.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
RESAMPLED = 5e-3  # another resampler than soxr, as in test_web.py
CLIP = SHIPPED.parent / "demo" / "lively.flac"


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page's folder with the packed package and the bundlers installed."""
    if missing := harness.missing_tools("node", "npm"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    folder = tmp_path_factory.mktemp("page")
    harness.build()
    packed = json.loads(harness.npm("pack", "--json", "--ignore-scripts", "--pack-destination", str(folder)))
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    archive = packed[0]["filename"].removeprefix("@").replace("/", "-")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock")
    installed = subprocess.run(
        ["npm", "install", *options, f"./{archive}"], cwd=folder, capture_output=True, text=True, check=False
    )
    if installed.returncode and "network" in installed.stderr:
        pytest.skip("the npm registry can't be reached")
    assert installed.returncode == 0, installed.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    if missing := harness.missing_tools("chromium", "chromedriver"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    with harness.chromium() as driver:
        yield driver


def vite(project: Path) -> Path:
    run(project, "npx", "vite", "build")
    return project / "vite"


def webpack(project: Path) -> Path:
    said = run(project, "npx", "webpack", "--no-color")
    assert "ERROR" not in said
    (project / "webpack" / "index.html").write_text('<script src="main.js"></script>', encoding="utf-8")
    return project / "webpack"


def esbuild(project: Path) -> Path:
    """Esbuild leaves `new URL` alone: the files are copied beside the page's script, as the README says."""
    run(project, "npx", "esbuild", "main.js", "--bundle", "--format=esm", "--minify", "--outdir=esbuild")
    for name in BESIDE:
        shutil.copy(project / DIST / name, project / "esbuild")
    shutil.copy(project / "index.html", project / "esbuild")
    return project / "esbuild"


@pytest.mark.parametrize("bundle", [vite, webpack, esbuild], ids=lambda one: one.__name__)
def test_a_bundled_page_gives_pythons_answer(bundle, project: Path, chromium) -> None:
    page = bundle(project)
    expected = Predictor.load("small").predict(CLIP)
    assert expected.probabilities
    with harness.served(page=page, models=SHIPPED, clips=CLIP.parent, audio=NETWORK.parent) as address:
        chromium.get(f"{address}/page/index.html")
        harness.wait_for(chromium, "Boolean(globalThis.heard)")
        options = {"voiceActivityUrl": f"{address}/audio/{NETWORK.name}"}
        asked = (f"{address}/models/small/", f"{address}/clips/{CLIP.name}", options)
        answer = harness.awaited(chromium, "globalThis.heard(a, b, c)", *asked)
        assert [line for line in harness.complaints(chromium) if "favicon" not in line] == []
    assert answer["status"] == expected.status
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=RESAMPLED)


def test_vite_leaves_the_worklet_a_file_for_pages_whose_policy_refuses_data(project: Path) -> None:
    assert [*(vite(project) / "assets").glob("earnest.worklet-*.js")]


def test_worker_and_runtime_can_lie_elsewhere(project: Path, chromium) -> None:
    page = esbuild(project)
    runtime = project / "elsewhere"
    runtime.mkdir(exist_ok=True)
    for name in BESIDE:
        (page / name).replace(runtime / name)
    with harness.served(page=page, files=runtime, models=SHIPPED, clips=CLIP.parent) as address:
        chromium.get(f"{address}/page/index.html")
        harness.wait_for(chromium, "Boolean(globalThis.heard)")
        options = {"workerUrl": f"{address}/files/earnest.worker.js", "runtimeUrl": f"{address}/files"}
        for given in (options, {"workerUrl": options["workerUrl"]}):
            words = (f"{address}/models/small/", f"{address}/clips/{CLIP.name}", given)
            assert harness.awaited(chromium, "globalThis.heard(a, b, c)", *words)["probabilities"]


def test_the_types_compile_under_strict_with_the_packages_own_checked(project: Path) -> None:
    run(project, "npx", "tsc", "-p", ".")


def test_tools_that_look_for_no_exports_find_the_package(project: Path) -> None:
    (project / "plain.ts").write_text('import { load } from "@earnest/browser";\nload("models/small/");\n', "utf-8")
    compiler = ("npx", "tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "es2022", "--skipLibCheck")
    run(project, *compiler, "--moduleResolution", "node10", "plain.ts")


def test_the_archive_holds_what_runs_its_types_and_the_licences_and_no_more(project: Path) -> None:
    folder = project / "node_modules/@earnest/browser"
    assert {path.name for path in folder.iterdir() if path.name != "node_modules"} == {
        "README.md",
        "dist",
        "package.json",
    }
    assert {*BESIDE, "earnest.js", "earnest.core.js", "types", "licences.txt"} <= {
        path.name for path in (project / DIST).iterdir()
    }
    licences = (project / DIST / "licences.txt").read_text(encoding="utf-8")
    assert "Apache License" in licences
    assert "onnxruntime-web 1.30.0, MIT" in licences
    assert (project / "node_modules/onnxruntime-common/package.json").exists()
