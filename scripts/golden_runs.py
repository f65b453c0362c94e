"""Golden runs: what the product wrote at one commit, compared byte for byte with what it writes now.

    python scripts/golden_runs.py freeze DIR [--tree FOLDER]   # keep what FOLDER's earnest writes (default: this one's)
    python scripts/golden_runs.py compare DIR [--only NAME …]  # run again, print each file that differs; exit code 1
    python scripts/golden_runs.py since REV                    # both, REV in a git worktree of its own; make golden

Each run is `python -m earnest …` in a process of its own, on made-up recordings; DIR keeps these inputs too, so that a
later change of the recordings changes nothing. What is compared, and the few words that are neutralised, is in
`golden_compare.py`; what was renamed on purpose is in `golden/mapping.toml`.

Covered: `train`, `evaluate`, `tune`, `export`, `predict` and their files for a closed-form head on a frozen encoder
("base"), one on a fine-tuned student ("small"), one with means of each speaker, a network by gradient descent ("cabg")
and one with gender and affect ("multitask"); every way of `evaluate` to answer again (adapted, averaged over variants,
noisy, less data, repeats, chosen settings), `stress`, `report`, `score`, `compare`, `split`,
`parity`; bundles as onnx and int8; `predict`, `timeline`, `spectrogram`, `listen`,
`edge` with the shipped bundles, `models`, `corpus`.
Not covered: servers, the page, `desktop`, `bench`; other forms of bundles (openvino, fp16, web, Moody's); real corpora
and their readers; quality (a network that hears 20 recordings for two epochs learns nothing); `distil` and `finetune`
as commands; several processes at a time (``--jobs``); killed and resumed runs; what a terminal shows (colours,
progress, help, warnings); TensorBoard's events.

Numbers are the same for one machine and its packages, not for another: freeze where you compare.
"""

import argparse
import atexit
import csv
import importlib
import json
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent)]
import golden_compare  # noqa: E402

RECIPES = Path(__file__).parent / "golden"
PACKAGES = ("numpy", "scipy", "torch", "lightning", "onnx", "onnxruntime", "openvino", "optuna", "matplotlib")
# Loading these takes most of a short run; they are loaded once, and each run that trains is forked from there.
PRELOADED = (
    "torch",
    "torch.fx.experimental.symbolic_shapes",
    "torch.onnx",
    "torch.export",
    "torch.utils.tensorboard",
    "lightning",
    "onnx",
    "onnxscript",
    "matplotlib.figure",
    "pytorch_optimizer",
    "optuna",
    "scipy.signal",
    "scipy.stats",
)
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "PASSIVE",
    "COLUMNS": "160",
    "NO_COLOR": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "EARNEST_DATA": "inputs/data",
    "EARNEST_MODELS": "inputs/models",
    "EARNEST_CACHE": "cache",
    "EARNEST_CACHE_GB": "0",
    "CUDA_VISIBLE_DEVICES": "",
}


@dataclass(frozen=True)
class Run:
    """One command line, which writes into the folder of its name.

    Attributes
    ----------
    name : folder of what it writes, and of ``said.txt``, its standard output
    words : what is typed behind ``earnest``, split at spaces; "@" is the folder of its name
    exit_code : what it ends with
    heavy : whether it loads PyTorch
    needs : a package without which the run is left out
    """

    name: str
    words: str
    exit_code: int = 0
    heavy: bool = True
    needs: str = "earnest"

    def typed(self, renamed: Mapping[str, str]) -> list[str]:
        """Return the words, with those that were renamed on purpose as they are now."""
        return [renamed.get(word, word).replace("@", self.name) for word in self.words.split()]

    def uses(self, names: Sequence[str]) -> list[str]:
        """Return which of the runs ``names`` this one reads."""
        return [name for name in names if name != self.name and f" {name}/" in f" {self.words}"]


DATA = "--data made-up=inputs/corpus/manifest.csv"
THREE = f"--protocol speaker-3fold {DATA} --output @/out --json"
SIX = f"--protocol speaker-6fold {DATA} --output @/out --json"
NOISE = "--noise inputs/data/noise-esc10 --noise-names sea-waves"
RUNS = (
    *(
        Run(f"train-{name}", f"train inputs/{name}.toml {DATA} --output @/run")
        for name in ("cabg", "base", "small", "multitask")
    ),
    Run(
        "train-all", f"train inputs/base.toml {DATA} --all-data --set network.pooled_blocks=[1,3] --output @/run --json"
    ),
    Run("evaluate-cabg", f"evaluate inputs/cabg.toml {THREE}"),
    Run("evaluate-repeats", f"evaluate inputs/cabg.toml {THREE} --repeats 2 --folds f2"),
    Run("evaluate-select", f"evaluate inputs/cabg.toml {THREE} --folds f1 --select"),
    Run(
        "evaluate-base",
        f"evaluate inputs/base.toml {SIX} --folds f1,f2 --adapt causal --adapt ten --adapt all --adapt one-emotion "
        f"--tta gain --tta speed {NOISE} --snr-db 0,20 --train-share 0.5",
    ),
    Run("evaluate-small", f"evaluate inputs/small.toml {SIX} --folds f3 --adapt causal --tta gain-and-speed"),
    Run("evaluate-multitask", f"evaluate inputs/multitask.toml {THREE} --folds f1,f3 {NOISE} --train-share 0.6"),
    Run(
        "evaluate-known",
        f"evaluate inputs/known-speakers.toml --protocol stratified-3fold {DATA} --folds f1 --output @/out --json",
    ),
    Run("tune", f"tune inputs/cabg.toml --protocol speaker-3fold --fold f2 {DATA} --trials 2 --output @/out --json"),
    Run("stress", f"stress evaluate-base/out {DATA} {NOISE} --folds f1 --clips 4 --predictions --output @/out --json"),
    Run("split", f"split --protocol speaker-3fold {DATA} --hash --output @/out"),
    Run("report", f"report evaluate-base/out evaluate-cabg/out {DATA} --examples 4 --output @/report.html"),
    Run("report-multitask", f"report train-multitask/run {DATA} --examples 2 --output @/report.html"),
    Run("score", "score evaluate-base/out/predictions.csv --output @/out --json", heavy=False),
    Run("compare", "compare evaluate-base/out evaluate-known/out --output @/compare.html --json", heavy=False),
    *(
        Run(f"export-{name}", f"export train-{name}/run --output @/bundle --name {name} --licence CC0-1.0 --json")
        for name in ("base", "small", "multitask")
    ),
    Run("export-cabg", "export evaluate-cabg/out/f1 --results evaluate-cabg/out --output @/bundle --name cabg --json"),
    Run("export-onnx-int8", f"export train-cabg/run --output @/bundle --name cabg --format onnx-int8 {DATA} --json"),
    Run("parity", "parity evaluate-cabg/out/f1 export-cabg/bundle inputs/corpus --limit 6"),
    *(
        Run(f"predict-{name}", f"predict inputs/corpus --model export-{name}/bundle --no-abstain --json", heavy=False)
        for name in ("cabg", "base", "small", "multitask", "onnx-int8")
    ),
    Run("demo-base", "predict inputs/demo inputs/broken.wav --json", exit_code=3, heavy=False),
    Run("demo-small", "predict inputs/demo --model small --format csv", heavy=False),
    Run("demo-table", "predict inputs/demo --vocal-bursts --classes angry,happy,neutral,sad --no-abstain", heavy=False),
    Run("demo-adapted", "predict inputs/demo --adapt auto --output @/rows.csv", heavy=False),
    Run(
        "demo-averaged", "predict inputs/demo --model base --model small --tta gain --output @/rows.jsonl", heavy=False
    ),
    Run("demo-isolated", "predict inputs/demo --isolate --timeout 60 --jobs 1 --json", heavy=False),
    *(
        Run(f"timeline-{form}", f"timeline inputs/demo/lively.flac --format {form}", heavy=False)
        for form in ("table", "csv", "jsonl", "srt", "vtt", "textgrid", "eaf", "rttm", "audacity")
    ),
    Run("timeline-base", "timeline inputs/long.wav --json --plot @/plot.png", heavy=False),
    Run("timeline-small", "timeline inputs/long.wav --model small --adapt auto --activity energy --json", heavy=False),
    Run("spectrogram", "spectrogram inputs/demo/plain.flac --output @/plain.png", heavy=False),
    Run("predict-picture", "predict spectrogram/plain.png --json", heavy=False),
    Run("listen", "listen - --json", heavy=False),
    Run("edge", "edge inputs/demo/plain.flac --json", heavy=False, needs="openvino"),
    Run("models", "models --json -q", heavy=False),
    Run("corpus-list", "corpus list --json", heavy=False),
    Run("corpus-info", "corpus info crema-d --json", heavy=False),
)
STANDARD_INPUT = {"listen": "inputs/long.wav"}


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    freeze_parser = commands.add_parser("freeze", help="keep what this tree's runs write")
    compare_parser = commands.add_parser("compare", help="run again, and compare with what was kept")
    for one in (freeze_parser, compare_parser):
        one.add_argument("folder", type=Path, metavar="DIR")
        one.add_argument("--tree", type=Path, default=ROOT, help="the folder that holds the package earnest")
    compare_parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="these runs, and what they read")
    compare_parser.add_argument("--keep", type=Path, metavar="DIR", help="where what was written now is left")
    since_parser = commands.add_parser("since", help="compare this tree with a revision")
    since_parser.add_argument("revision", metavar="REV")
    asked = parser.parse_args(words)
    if asked.command == "freeze":
        return freeze(asked.folder, asked.tree)
    if asked.command == "compare":
        return compare(asked.folder, asked.tree, asked.only, asked.keep)
    return since(asked.revision)


def freeze(folder: Path, tree: Path) -> int:
    """Write the inputs and what the runs made of them into ``folder``, which must not exist; return the exit code."""
    if folder.exists():
        sys.exit(f"{folder}: already exists. Name another folder, or remove it.")
    started = time.monotonic()
    with _temporary_folder() as work:
        made = work / "made.txt"
        if _forked(lambda: write_inputs(work / "inputs"), tree, work, made):
            sys.exit(made.with_suffix(".stderr").read_text(encoding="utf-8"))
        failed = [told for told in perform(RUNS, tree, work, {}) if told]
        shutil.copytree(work / "inputs", folder / "inputs")
        golden_compare.keep(work, folder / "outputs", [run.name for run in RUNS], places(work, tree))
    facts = {
        "revision": _revision(tree),
        "packages": _packages(),
        "left_out": [run.name for run in RUNS if not find_spec(run.needs)],
        "seconds": round(time.monotonic() - started),
    }
    (folder / "frozen.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    for line in failed:
        _say(line)
    _say(f"{folder}: {len(RUNS)} runs of {facts['revision']} in {facts['seconds']} s")
    return 1 if failed else 0


def compare(folder: Path, tree: Path, only: Sequence[str] = (), keep: Path | None = None) -> int:
    """Run again on the inputs in ``folder``, print what differs from what it holds; return the exit code."""
    facts = json.loads((folder / "frozen.json").read_text(encoding="utf-8"))
    for package, had in facts["packages"].items():
        if had != _packages()[package]:
            _say(f"Warning: {package} was {had} and is {_packages()[package]}: numbers may differ for that alone.")
    mapping = golden_compare.Mapping.read(RECIPES / "mapping.toml")
    runs = _with_what_they_read(only)
    started = time.monotonic()
    with _temporary_folder() as work:
        shutil.copytree(folder / "inputs", work / "inputs")
        failed = [told for told in perform(runs, tree, work, mapping.words) if told]
        now = keep or work / "outputs"
        golden_compare.keep(work, now, [run.name for run in runs], places(work, tree))
        absent = {run.name for run in runs if not find_spec(run.needs)} | set(facts["left_out"])
        compared = [run.name for run in runs if run.name not in absent]
        found = [*failed, *golden_compare.differences(folder / "outputs", now, compared, mapping)]
    for line in found:
        _say(line)
    if absent:
        _say(f"Not compared, a package is missing here or was when frozen: {', '.join(sorted(absent))}")
    seconds = time.monotonic() - started
    _say(f"{len(compared)} runs compared with {facts['revision']}: {len(found)} differences, {seconds:.0f} s")
    return 1 if found else 0


def since(revision: str) -> int:
    """Freeze ``revision`` from a git worktree of its own, and compare this tree with it."""
    with _temporary_folder() as below:
        tree, folder = below / "tree", below / "golden"
        _git("worktree", "add", "--detach", "--quiet", str(tree), revision)
        try:
            # A process each: a package is loaded once in a process.
            words = [sys.executable, __file__, "freeze", str(folder), "--tree", str(tree)]
            if code := subprocess.run(words, check=False).returncode:
                return code
            return subprocess.run([sys.executable, __file__, "compare", str(folder)], check=False).returncode
        finally:
            _git("worktree", "remove", "--force", str(tree))


def write_inputs(folder: Path) -> None:
    """Write recordings of six made-up speakers with ratings, noises, the demo recordings and the recipes."""
    sys.path.append(str(ROOT / "tests"))
    import numpy as np
    import soundfile
    from made_up_corpus import RATE_HZ, write_corpus

    manifest = write_corpus(folder / "corpus", n_speakers=6, n_takes=2)
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ratings = {"neutral": (3.0, 2.0, 3.0), "happy": (4.5, 4.0, 3.5), "sad": (1.5, 1.5, 2.0), "angry": (1.5, 4.5, 4.5)}
    for position, row in enumerate(rows):
        shift = 0.1 * (position % 5)
        given = (rating + shift for rating in ratings[row["emotion"]])
        row |= dict(zip(("valence", "arousal", "dominance"), map(str, given), strict=True))
        row["text_id"] = row["utterance_id"][-1]
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for seed, kind in enumerate(("rain", "rooster", "sea-waves")):
        path = folder / "data" / "noise-esc10" / kind / "1.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, 3 * RATE_HZ), RATE_HZ)
    for path in RECIPES.glob("*.toml"):
        shutil.copy(path, folder)
    import earnest

    shutil.copytree(Path(str(earnest.__file__)).parent / "demo", folder / "demo")
    clips = [soundfile.read(path, dtype="float32")[0] for path in sorted((folder / "demo").glob("*.flac"))]
    pause = np.zeros(RATE_HZ, np.float32)
    soundfile.write(folder / "long.wav", np.concatenate([part for clip in clips for part in (clip, pause)]), RATE_HZ)
    (folder / "broken.wav").write_bytes(b"RIFF, and then nothing")


def perform(runs: Sequence[Run], tree: Path, work: Path, renamed: Mapping[str, str]) -> Iterator[str]:
    """Run each in ``work``; yield "" or, where one ended with another exit code than it should, why."""
    if any(run.heavy for run in runs):
        os.environ |= ENVIRONMENT
        for name in PRELOADED:
            if find_spec(name.partition(".")[0]):
                importlib.import_module(name)
    (work / "cache").mkdir()
    for run in runs:
        if not find_spec(run.needs):
            continue
        started, used_s = time.monotonic(), _used_s()
        (work / run.name).mkdir()
        said = work / run.name / "said.txt"
        heard = STANDARD_INPUT.get(run.name)
        words = run.typed(renamed)
        code = (
            _forked(partial(_call, words), tree, work, said) if run.heavy else _started(words, tree, work, said, heard)
        )
        _say(f"  {run.name}: {time.monotonic() - started:.1f} s, {_used_s() - used_s:.1f} s of a core", sys.stderr)
        stderr = said.with_suffix(".stderr").read_text(encoding="utf-8", errors="replace").strip()
        said.with_suffix(".stderr").unlink()
        yield "" if code == run.exit_code else f"{run.name}: exit code {code}: {stderr.splitlines()[-1:]}"


def places(work: Path, tree: Path) -> dict[str, str]:
    """Return the folders that may be named in what is written → what stands for each."""
    return {str(work.resolve()): "<work>", str(tree.resolve()): "<tree>", str(Path(sys.prefix)): "<python>"}


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder for a while; `tempfile.TemporaryDirectory` would remove it at the end of the first fork."""
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _with_what_they_read(only: Sequence[str]) -> list[Run]:
    """Return the runs named and those that they read, directly or not; all where none is named."""
    names = [run.name for run in RUNS]
    if unknown := set(only) - set(names):
        sys.exit(f"There is no run '{min(unknown)}'. There are: {', '.join(names)}.")
    wanted = set(only or names)
    for run in reversed(RUNS):  # a run reads only what stands before it
        if run.name in wanted:
            wanted.update(run.uses(names))
    return [run for run in RUNS if run.name in wanted]


def _call(words: Sequence[str]) -> None:
    """Run ``python -m earnest`` in this process."""
    sys.argv = ["earnest", *words]
    runpy.run_module("earnest", run_name="__main__", alter_sys=True)


def _forked(action: Callable[[], object], tree: Path, work: Path, said: Path) -> int:
    """Call ``action`` in a fork of this process, in ``work`` with ``tree``'s package; return the exit code."""
    sys.stdout.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code: object = 0
    try:
        for path, number in ((said, 1), (said.with_suffix(".stderr"), 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(work)
        os.environ |= {**ENVIRONMENT, "PYTHONPATH": str(tree.resolve())}
        sys.path[:1] = [str(tree.resolve())]  # in place of this script's folder
        action()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 70
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
    finally:
        os._exit(code if isinstance(code, int) else 1)


def _started(words: Sequence[str], tree: Path, work: Path, said: Path, heard: str | None) -> int:
    """Start ``python -m earnest`` in ``work`` with ``tree``'s package; return the exit code."""
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(tree.resolve())}
    command = [sys.executable, "-m", "earnest", *words]
    with (
        said.open("wb") as out,
        said.with_suffix(".stderr").open("wb") as err,
        (work / (heard or os.devnull)).open("rb") as into,
    ):
        return subprocess.run(
            command, cwd=work, env=environment, stdin=into, stdout=out, stderr=err, check=False
        ).returncode


def _packages() -> dict[str, str]:
    """Return the versions of what computes, "" where it is not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _revision(tree: Path) -> str:
    """Return the commit of a tree, with "+" where something in it is not committed."""
    commit = _git("-C", str(tree), "rev-parse", "--short", "HEAD")
    return commit + ("+" if _git("-C", str(tree), "status", "--porcelain", "--untracked-files=no") else "")


def _used_s() -> float:
    """Return the seconds of cores that ended processes of this one used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _say(text: str, file: Any = None) -> None:
    (file or sys.stdout).write(text + "\n")
    (file or sys.stdout).flush()


if __name__ == "__main__":
    sys.exit(main())
