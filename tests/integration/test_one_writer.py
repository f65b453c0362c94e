"""Two at once on one target, workers of a killed command, and disks that refuse: words, and nothing is lost."""

import ctypes
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import pytest
from command_line import earnest_cli, forked
from csv_tables import rows_of
from made_up_corpus import Trained, recipe_text
from patience import wait_for
from stand_in import write_bundle

from attacks.run_files import ODD_NAMES, processes_with
from earnest.errors import EarnestError
from earnest.export.onnx import traced
from earnest.testing.sounds import write_voice
from earnest.training.run import load_run

PROGRAM = (sys.executable, "-m", "earnest")
ROOT = Path(__file__).parents[2]
TABLE = "[tune]\ntrials = 2\n[tune.ranges]\ntraining.learning_rate = { low = 1e-3, high = 1e-2 }\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int | None
    stderr: str
    stdout: str


def run(root: Path, *words: str, drop_rights: bool = False, most_bytes: int | None = None) -> Done:
    """Run ``earnest`` in a fresh process, as an ordinary user or with a limit of the size of files.

    The process is forked from one that has loaded PyTorch once.
    """
    with TemporaryDirectory() as said:
        process = forked(_become, root, words, said, drop_rights, most_bytes)
        process.start()
        process.join(300)
        texts = [(Path(said) / name).read_text("utf-8") for name in ("out", "err")]
    return Done(process.exitcode, texts[1], texts[0])


def _become(root: Path, words: Sequence[str], said: str, drop_rights: bool, most_bytes: int | None) -> None:
    os.chdir(root)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(said) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    if drop_rights and os.geteuid() == 0:  # a superuser without capabilities is a user like others
        version, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(version, none) == 0
    sys.argv = ["earnest", *words]
    if words[0] == "export":  # whose files are looked at here
        import onnx

        from earnest.export import bundle

        bundle.traced = lambda _: onnx.load(Path(words[1]).with_name(GRAPH))
    from earnest.apps.cli.main import main

    main()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("one-writer")
    write_bundle(root / "bundle")
    (root / "clips").mkdir()
    for number in range(3):
        write_voice(root / "clips" / f"{number}.wav", 0.5, seed=number)
        os.utime(root / "clips" / f"{number}.wav", (0, 0))  # long since written: --watch begins with these
    return root


# --- two at once ------------------------------------------------------------------------------------------------------


@contextmanager
def watching(root: Path, output: str) -> Iterator["subprocess.Popen[bytes]"]:
    words = ("predict", "clips", "--watch", "-q", "--model", "bundle", "--output", output)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*PROGRAM, *words], cwd=root, env=environment)
    try:
        wait_for((root / output).exists)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_a_second_predict_into_one_file_is_refused_in_words(root: Path, suffix: str, how: str) -> None:
    output = root / f"both{how}.{suffix}"
    with watching(root, output.name) as first:
        done = run(root, "predict", "clips", "--model", "bundle", "--output", output.name, how)
        assert done.returncode == 1
        assert f"is being written by process {first.pid} on " in done.stderr
        assert f"(earnest predict clips --watch -q --model bundle --output {output.name})" in done.stderr
        assert "Traceback" not in done.stderr
    done = run(root, "predict", "clips", "--model", "bundle", "--output", output.name, "--resume")
    assert done.returncode == 0, done.stderr  # the first one is dead: its lock is taken over, its rows are kept
    assert "0 answered, 0 failed, 3 were there already" in done.stderr


def test_a_second_training_into_one_folder_is_refused_in_words(made_up: Path, tmp_path: Path) -> None:
    from earnest.files.writing import held_folder

    (tmp_path / "recipe.toml").write_text(recipe_text(1) + TABLE, encoding="utf-8")
    data = ("--data", f"made-up={made_up}")
    with held_folder(tmp_path / "run"):  # by this process
        done = run(tmp_path, "train", "recipe.toml", *data, "--output", "run")
    assert done.returncode == 1
    assert f"is being written by process {os.getpid()} on" in done.stderr
    assert list((tmp_path / "run").iterdir()) == []


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_recordings_of_any_name_are_one_row_each_and_are_found_again(root: Path, suffix: str, tmp_path: Path) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    (tmp_path / "clips").mkdir()
    for name in ODD_NAMES:
        try:
            os.link(root / "clips" / "0.wav", os.fsencode(tmp_path / "clips") + b"/" + name)
        except OSError as error:  # a file system that has no such names
            pytest.skip(str(error))
    words = ("predict", "clips", "--model", str(root / "bundle"), "--output", f"rows.{suffix}")
    assert run(tmp_path, *words).returncode == 0
    if suffix == "csv":
        rows = rows_of(tmp_path / "rows.csv")
        assert (len(rows), {row["status"] for row in rows}) == (len(ODD_NAMES), {"ok"})
    done = run(tmp_path, *words, "--resume")
    assert f"0 answered, 0 failed, {len(ODD_NAMES)} were there already" in done.stderr
    # In the folder itself, names begin rows: the cells that spreadsheets would compute.
    done = run(tmp_path / "clips", "predict", "=1+1.wav", "@SUM(A1).wav", "--format", "csv", *words[2:4])
    assert [line.partition(",")[0] for line in done.stdout.splitlines()[1:]] == ["'=1+1.wav", "'@SUM(A1).wav"]


# --- workers ----------------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("moment", ["workers start", "a fold is trained"])
def test_workers_end_with_the_command_whenever_it_is_killed(moment: str, made_up: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(20_000), encoding="utf-8")
    words = ("evaluate", "recipe.toml", "--data", f"made-up={made_up}", "--protocol", "speaker-3fold", "--jobs", "2")
    mark = f"EARNEST_TEST_RUN={os.getpid()}-{tmp_path.name}-"
    name, _, value = mark.partition("=")
    environment = os.environ | {name: value, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*PROGRAM, *words, "--output", "run", "-q"], cwd=tmp_path, env=environment)
    try:
        if moment == "workers start":
            wait_for(lambda: len(list(processes_with(mark))) >= 3)
        else:
            wait_for(lambda: list((tmp_path / "run").glob("*/history.csv")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: not list(processes_with(mark)))
    finally:
        for pid in processes_with(mark):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()


# --- finished results -------------------------------------------------------------------------------------------------


def test_a_result_that_was_changed_since_is_told_by_evaluate_and_stress_and_export(
    made_up: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(1), encoding="utf-8")
    words = ("--data", f"made-up={made_up}", "--protocol", "speaker-3fold", "--folds", "f1", "-q")
    evaluate = ("evaluate", tmp_path / "recipe.toml", *words, "--output", tmp_path / "run")
    earnest_cli(*evaluate)
    for folder in (tmp_path / "run", tmp_path / "run" / "f1"):
        done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
        assert done.returncode == 0
    (tmp_path / "run" / "f1" / ".lock").touch()  # of a command that was killed when the fold was finished
    earnest_cli(*evaluate)
    assert not list((tmp_path / "run").rglob(".lock"))
    rows = (tmp_path / "run" / "f1" / "predictions.csv").read_text("utf-8")
    (tmp_path / "run" / "f1" / "predictions.csv").write_text(rows.replace(",sad,", ",angry,"), encoding="utf-8")
    for command in (
        evaluate,
        ("stress", tmp_path / "run", "--data", f"made-up={made_up}"),
        ("export", tmp_path / "run" / "f1", "--output", tmp_path / "bundle"),
    ):
        with pytest.raises(EarnestError, match=r"f1/predictions\.csv: was changed after it was written"):
            earnest_cli(*command)
    (tmp_path / "run" / "f1" / "predictions.csv").write_text(rows, encoding="utf-8")
    earnest_cli(*evaluate)
    (tmp_path / "other.toml").write_text(recipe_text(1), encoding="utf-8")
    other = ("evaluate", tmp_path / "other.toml", *words[:2], "--protocol", "speaker-4fold", "--output")
    with pytest.raises(EarnestError, match="holds results of the protocol 'speaker-3fold'"):
        earnest_cli(*other, tmp_path / "run")
    with pytest.raises(EarnestError, match=r"holds a run of `earnest train`"):
        earnest_cli(*other, tmp_path / "run" / "f1")
    with pytest.raises(EarnestError, match=r"holds predictions\.csv of something else"):
        earnest_cli("train", tmp_path / "recipe.toml", *words[:2], "--output", tmp_path / "run")


# --- disks that refuse ------------------------------------------------------------------------------------------------


def commands(data: str, trained: Path, bundle: Path, clips: Path) -> dict[str, tuple[str, ...]]:
    """Return name → command that writes to out/NAME."""
    return {
        "predict": ("predict", str(clips), "--model", str(bundle), "--output", "out/predict.csv"),
        "timeline": ("timeline", str(clips / "0.wav"), "--model", str(bundle), "--output", "out/timeline.json"),
        "train": ("train", "recipe.toml", "--data", data, "--output", "out/train"),
        "evaluate": ("evaluate", "recipe.toml", "--data", data, "--protocol", "speaker-3fold", "--output", "out/ev"),
        "tune": ("tune", "tune.toml", "--data", data, "--output", "out/tune"),
        "export": ("export", str(trained), "--output", "out/export"),
    }


GRAPH = "graph.onnx"  # traced once, beside the run
NAMES = ("predict", "timeline", "train", "evaluate", "tune", "export")


@pytest.fixture(scope="module")
def trained_once(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = shutil.copytree(trained.run, tmp_path_factory.mktemp("trained-once") / "run")
    onnx.save(traced(load_run(run)), run.with_name(GRAPH))
    return run


@pytest.fixture
def words_of(root: Path, made_up: Path, trained_once: Path, tmp_path: Path) -> dict[str, tuple[str, ...]]:
    (tmp_path / "recipe.toml").write_text(recipe_text(2), encoding="utf-8")
    (tmp_path / "tune.toml").write_text(recipe_text(1) + TABLE, encoding="utf-8")
    (tmp_path / "out").mkdir()
    return commands(f"made-up={made_up}", trained_once, root / "bundle", root / "clips")


def assert_told(done: Done, *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("earnest: ")
    assert any(word in done.stderr for word in words), done.stderr


@contextmanager
def small_disk(place: Path, n_bytes: int) -> Iterator[None]:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"can't mount: {done.stderr!r}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@needs_root
@linux
@pytest.mark.parametrize(("name", "n_bytes"), [("predict", 4096), *((name, 32_768) for name in NAMES)])
def test_on_a_full_disk_it_is_told_and_goes_on_when_there_is_room(
    name: str, n_bytes: int, words_of: dict[str, Sequence[str]], tmp_path: Path
) -> None:
    more = ("--resume",) if name == "predict" else ()
    with small_disk(tmp_path / "out", n_bytes):
        done = run(tmp_path, *words_of[name], *more)
        if done.returncode == 0:
            pytest.skip("has room enough")
        assert_told(done, "the disk is full", "No space left on device", "disk is full")
        subprocess.run(["mount", "-o", "remount,size=200M", tmp_path / "out"], check=True)
        done = run(tmp_path, *words_of[name], *more)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_no_file_may_grow_and_it_is_told(name: str, words_of: dict[str, Sequence[str]], tmp_path: Path) -> None:
    done = run(tmp_path, *words_of[name], most_bytes=400)
    assert_told(done, "the disk is full, or a quota", os.strerror(errno.EFBIG), "disk is full", "disk I/O error")
    done = run(tmp_path, *words_of[name], *(("--resume",) if name == "predict" else ()))
    assert done.returncode == 0, done.stderr


@needs_root
@linux
@pytest.mark.parametrize("name", NAMES)
def test_on_a_read_only_disk_it_is_told(name: str, words_of: dict[str, Sequence[str]], tmp_path: Path) -> None:
    with small_disk(tmp_path / "out", 1 << 20):
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "out"], check=True)
        assert_told(run(tmp_path, *words_of[name]), "Read-only file system")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_one_may_not_write_is_told(name: str, words_of: dict[str, Sequence[str]], tmp_path: Path) -> None:
    (tmp_path / "out").chmod(0o555)
    assert_told(run(tmp_path, *words_of[name], drop_rights=True), "Permission denied")


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_changes_nothing(root: Path, made_up: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(1), encoding="utf-8")
    words = ("evaluate", tmp_path / "recipe.toml", "--data", f"made-up={made_up}", "--protocol", "speaker-3fold")
    earnest_cli(*words, "--folds", "f1", "--output", tmp_path / "run", "-q")
    predict = ("predict", str(root / "clips"), "--model", str(root / "bundle"), "--output", "rows.csv")
    assert run(tmp_path, *predict).returncode == 0
    before = (tmp_path / "rows.csv").read_bytes(), (tmp_path / "run" / "predictions.csv").read_bytes()
    for path in (*tmp_path.rglob("*"), tmp_path):
        os.utime(path, (4e9, 4e9) if path.suffix == ".csv" else (0, 0))
    lock = {"host": "elsewhere", "pid": 1, "since": "2099-01-01 00:00", "command": "earnest predict"}
    (tmp_path / "rows.csv.lock").write_text(json.dumps(lock))
    assert run(tmp_path, *predict, "--resume").returncode == 0
    earnest_cli(*words, "--folds", "f1", "--output", tmp_path / "run", "-q")
    assert ((tmp_path / "rows.csv").read_bytes(), (tmp_path / "run" / "predictions.csv").read_bytes()) == before
    shutil.rmtree(tmp_path / "run")
