"""Golden runs: what is neutralised, what counts as a difference, and what a mapping excuses."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"
METRICS = {"ua": 0.5, "recipe": {"network": {"steps_a_token": 4}, "training": {"changes": "one", "gone": 1}}}
RENAMED = {"ua": 0.5, "recipe": {"training": {"augmentations": "one"}, "network": {"tokens_per_step": 4}}}


@pytest.fixture
def golden() -> ModuleType:
    import golden_compare

    return golden_compare


def kept(golden: ModuleType, folder: Path, files: dict[str, bytes]) -> Path:
    """Write what a run "one" left behind in ``folder/work``, and return the folder with what is kept of it."""
    for name, content in files.items():
        path = folder / "work" / "one" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    golden.keep(folder / "work", folder / "kept", ["one"], {str(folder / "work"): "<work>"})
    return folder / "kept"


def found(
    golden: ModuleType, tmp_path: Path, was: dict[str, bytes], now: dict[str, bytes], **mapping: Any
) -> list[str]:
    before, after = (kept(golden, tmp_path / name, files) for name, files in (("was", was), ("now", now)))
    return list(golden.differences(before, after, ["one"], golden.Mapping(**mapping)))


def test_the_same_files_in_another_folder_are_no_difference(golden: ModuleType, tmp_path: Path) -> None:
    def files(name: str, digest: str) -> dict[str, bytes]:
        return {
            "metrics.json": json.dumps({"run": str(tmp_path / name / "work" / "one")}).encode(),
            "SHA256SUMS": f"{digest * 64}  run.json\n".encode(),
            "run.json": f'{{"code": "{digest * 64}", "model": "cabg"}}'.encode(),
            "history.csv": f"epoch,lr,seconds\r\n1,0.5,0.{ord(digest)}\r\n".encode(),
            "said.stderr": name.encode(),
            "tensorboard/events.1": name.encode(),
        }

    assert found(golden, tmp_path, files("was", "a"), files("now", "b")) == []
    assert sorted(path.name for path in (tmp_path / "was" / "kept").rglob("*.*")) == [
        "history.csv",
        "metrics.json",
        "run.json",
    ]


def test_seconds_are_no_difference_wherever_their_column_stands_but_its_neighbours_are(
    golden: ModuleType, tmp_path: Path
) -> None:
    def files(seconds: str, right: str) -> dict[str, bytes]:
        return {"history.csv": f"epoch,seconds,valid_gender_wa\r\n1,{seconds},{right}\r\n".encode()}

    assert found(golden, tmp_path / "time", files("0.25", "0.5"), files("1.5", "0.5")) == []
    (line,) = found(golden, tmp_path / "score", files("0.25", "0.5"), files("0.25", "0.75"))
    assert "history.csv" in line


def test_one_other_digit_is_a_line_with_the_file_and_the_place(golden: ModuleType, tmp_path: Path) -> None:
    lines = found(golden, tmp_path, {"out/p.csv": b"a,b\n1,0.25\n"}, {"out/p.csv": b"a,b\n1,0.26\n"})
    assert lines == [r"one/out/p.csv: line 2: '1,0.25\n' is now '1,0.26\n'"]


def test_other_bytes_missing_files_and_new_ones_are_differences(golden: ModuleType, tmp_path: Path) -> None:
    was, now = (
        {"w.png": b"abcd", "gone.csv": b"", "same.npz": b"x"},
        {"w.png": b"abXd", "new.csv": b"", "same.npz": b"x"},
    )
    lines = found(golden, tmp_path, was, now)
    assert lines == ["one/gone.csv: missing", "one/new.csv: new", "one/w.png: byte 2; 4 bytes were 4"]


def test_a_large_file_is_kept_as_a_digest_that_still_tells(golden: ModuleType, tmp_path: Path) -> None:
    large = bytes(golden.MOST_BYTES + 1)
    lines = found(golden, tmp_path, {"model.onnx": large}, {"model.onnx": large[:-1] + b"\1"})
    assert len(lines) == 1 and lines[0].startswith(f"one/model.onnx{golden.DIGEST}: ")
    assert (tmp_path / "was" / "kept" / "one" / f"model.onnx{golden.DIGEST}").stat().st_size < 200


def test_keys_words_and_files_that_a_mapping_names_are_excused_and_nothing_else(
    golden: ModuleType, tmp_path: Path
) -> None:
    was = {
        "old.json": json.dumps(METRICS).encode(),
        "t.csv": b"steps_a_token,x\n1,2\n",
        "card.md": b"four steps a token",
    }
    now = {"new.json": json.dumps(RENAMED).encode(), "t.csv": b"tokens_per_step,x\n1,2\n", "card.md": b"four per step"}
    mapping: dict[str, Any] = {
        "files": {"one/old.json": "one/new.json"},
        "keys": {"steps_a_token": "tokens_per_step", "training.changes": "augmentations"},
        "text": {"steps a token": "per step"},
        "gone": ["training.gone"],
    }
    assert found(golden, tmp_path / "mapped", was, now, **mapping) == []
    other = now | {"new.json": json.dumps(RENAMED | {"ua": 0.75}).encode()}
    lines = found(golden, tmp_path / "other", was, other, **mapping)
    assert len(lines) == 1 and "0.5" in lines[0] and "0.75" in lines[0]
    assert len(found(golden, tmp_path / "unmapped", was, now)) == 4


def test_each_run_reads_only_what_stands_before_it(golden: ModuleType) -> None:
    import golden_runs

    names = [run.name for run in golden_runs.RUNS]
    assert len(set(names)) == len(names)
    for position, run in enumerate(golden_runs.RUNS):
        assert all(names.index(name) < position for name in run.uses(names)), run.name
    assert golden_runs.Run("x", "train a.toml --output @/run").typed({"train": "fit"})[0] == "fit"


def test_the_mapping_in_the_repository_can_be_read(golden: ModuleType) -> None:
    golden.Mapping.read(SCRIPTS / "golden" / "mapping.toml")
