"""`earnest embed`: files, resuming, exit codes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import earnest_cli
from stand_in import write_bundle

import earnest
from earnest.apps.cli.embed import EmbeddingFile, arrays, journal_line
from earnest.apps.cli.main import cli
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, MissingExtraError
from earnest.runtime.formats import EmbeddedRecording, Embeddings
from earnest.testing.sounds import write_voice

suffixes = pytest.mark.parametrize("suffix", ["npz", "parquet"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    for seed in range(3):
        write_voice(tmp_path / "clips" / f"{seed}.wav", 1.0, seed=seed)
    return tmp_path / "clips"


def needed(suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")


def vectors_of(path: Path) -> tuple[list[str], list[list[float] | None]]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            rows = [None if np.isnan(row).any() else row.tolist() for row in file["embedding"]]
            return file["path"].tolist(), rows
    from pyarrow import parquet

    table = parquet.read_table(path)
    return table["path"].to_pylist(), table["embedding"].to_pylist()


@suffixes
def test_a_file_holds_what_python_gives(suffix: str, bundle: Path, folder: Path, tmp_path: Path) -> None:
    needed(suffix)
    output = tmp_path / f"found.{suffix}"
    (folder / "x.wav").write_bytes(b"no sound")
    told = json.loads(earnest_cli("embed", folder, "--model", bundle, "-o", output, "--json", exit_code=3))
    assert {name: told[name] for name in ("width", "embedded", "failed", "held")} == {
        "width": 3, "embedded": 3, "failed": 1, "held": 0,
    }  # fmt: skip
    names, rows = vectors_of(output)
    found = earnest.load(bundle).embed(names)
    assert tuple(names) == found.names
    assert rows == [*found.vectors[:3].tolist(), None]
    assert (tmp_path / f"found.{suffix}.sha256").exists()
    again = CliRunner().invoke(cli, ["embed", str(folder), "--model", str(bundle), "-o", str(output), "--overwrite"])
    assert again.stderr == f"3 embedded, 1 failed: {output}, whose column 'error' says why\n"
    assert not (tmp_path / f"found.{suffix}.partial").exists()


@suffixes
def test_a_file_is_not_replaced_but_gone_on_with(suffix: str, bundle: Path, folder: Path, tmp_path: Path) -> None:
    needed(suffix)
    output = tmp_path / f"found.{suffix}"
    words = ("embed", folder, "--model", bundle, "-o", output)
    earnest_cli(*words)
    before = vectors_of(output)
    with pytest.raises(EarnestError, match=r"already exists\. Continue it with --resume"):
        earnest_cli(*words)
    write_voice(folder / "new.wav", 1.0, seed=9)
    told = json.loads(earnest_cli(*words, "--resume", "--json"))
    assert (told["embedded"], told["held"]) == (1, 3)
    names, rows = vectors_of(output)
    assert (names[:3], rows[:3]) == before
    assert names[3].endswith("new.wav")
    assert json.loads(earnest_cli(*words, "--overwrite", "--json"))["embedded"] == 4


@suffixes
def test_a_killed_run_is_gone_on_with(suffix: str, bundle: Path, folder: Path, tmp_path: Path) -> None:
    needed(suffix)
    output = tmp_path / f"found.{suffix}"
    found = earnest.load(bundle).embed([folder / "0.wav", folder / "1.wav"])
    lines = "".join(f"{journal_line(row)}\n" for row in found.rows)
    (tmp_path / f"found.{suffix}.partial").write_text(lines + '{"path": "cut of')
    with pytest.raises(EarnestError, match="That run did not end"):
        earnest_cli("embed", folder, "--model", bundle, "-o", output)
    told = json.loads(earnest_cli("embed", folder, "--model", bundle, "-o", output, "--resume", "--json"))
    assert (told["embedded"], told["held"]) == (1, 2)
    assert vectors_of(output)[1] == earnest.load(bundle).embed(sorted(folder.iterdir())).vectors.tolist()


@suffixes
def test_a_file_of_another_model_is_left_as_it_is(suffix: str, bundle: Path, folder: Path, tmp_path: Path) -> None:
    needed(suffix)
    output, other = tmp_path / f"found.{suffix}", write_bundle(tmp_path / "other", name="other")
    earnest_cli("embed", folder, "--model", bundle, "-o", output)
    data = output.read_bytes()
    with pytest.raises(EarnestError, match=r"holds embeddings of the model 'stand-in'\. Name another file"):
        earnest_cli("embed", folder, "--model", other, "-o", output, "--resume")
    assert output.read_bytes() == data
    assert not (tmp_path / f"found.{suffix}.partial").exists()


INFO = BundleInfo("m", "1", ("happy", "sad"), 16_000, "CC0-1.0", {"model.onnx": "a" * 64})
ROW = EmbeddedRecording("a.wav", "ok", 1.0, 0.5, np.ones(3, np.float32), "m")


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace('"a.wav"', "7"),
        lambda line: line.replace('"AACAPwAAgD8AAIA/"', '"AACAPwAA"'),
        lambda line: line.replace('"AACAPwAAgD8AAIA/"', '"AADAfwAAgD8AAIA/"'),  # NaN
        lambda line: line.replace('"AACAPwAAgD8AAIA/"', "null"),
        lambda line: line.replace("1.0", "-1"),
        lambda line: line.replace("1.0", "9" * 400),
        lambda line: line.replace("1.0", "NaN"),
        lambda line: "[1]",
        lambda line: "{}",
        lambda line: "[" * 100_000,
    ],
)
def test_a_journal_of_something_else_is_told(change: Callable[[str], str], tmp_path: Path) -> None:
    assert "AACAPwAAgD8AAIA/" in journal_line(ROW)
    (tmp_path / "a.npz.partial").write_text(change(journal_line(ROW)) + "\n")
    with pytest.raises(EarnestError, match="not written by `earnest embed`, or damaged"):
        EmbeddingFile(tmp_path / "a.npz", "npz", INFO, 3, "resume")


@pytest.mark.parametrize("form", ["npz", "parquet"])
@pytest.mark.parametrize("is_finished", [True, False])
def test_embeddings_of_an_earlier_network_are_not_mixed(form: Any, is_finished: bool, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    path = tmp_path / f"a.{form}"
    with EmbeddingFile(path, form, INFO, 3, "refuse") as file:
        file.write(ROW)
        if is_finished:
            file.close()
    with EmbeddingFile(path, form, replace(INFO, abstain_below=0.6), 3, "resume") as file:  # they have no threshold
        assert file.done.total() == 1
        if is_finished:
            file.close()
    with pytest.raises(EarnestError, match=r"was made by another network \('m 1', \w{12}\)"):
        EmbeddingFile(path, form, replace(INFO, files={"model.onnx": "b" * 64}), 3, "resume")


def test_a_damaged_or_foreign_file_is_told(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez(whole, **arrays(Embeddings.of([ROW], 3)))
    data = whole.read_bytes()
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, **{**arrays(Embeddings.of([ROW], 3)), "path": np.array([{"a": 1}], object)}, allow_pickle=True)
    compressed, array = tmp_path / "compressed.npz", tmp_path / "array.npy"
    np.savez_compressed(compressed, **arrays(Embeddings.of([ROW] * 9, 3)))
    np.save(array, np.zeros(3))
    bent = bytearray(compressed.read_bytes())
    bent[60:90] = bytes(30)
    cases = [
        b"",
        bytes(bent),
        array.read_bytes(),
        b"PK\3\4",
        data[: len(data) // 2],
        pickled.read_bytes(),
        b"\x93NUMPY",
    ]
    for number, content in enumerate(cases):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        with pytest.raises(EarnestError, match="not written by `earnest embed`, or damaged"):
            EmbeddingFile(path, "npz", INFO, 3, "resume")
        assert path.read_bytes() == content


def test_json_lines_have_the_numbers(bundle: Path, folder: Path) -> None:
    lines = earnest_cli("embed", folder / "0.wav", "none.wav", "--model", bundle, "--json", exit_code=3).splitlines()
    rows = [json.loads(line) for line in lines]
    found = earnest.load(bundle).embed([folder / "0.wav", "none.wav"])
    np.testing.assert_array_equal(np.array(rows[0]["embedding"], np.float32), found.vectors[0])
    assert found.to_dict() == {"model": "stand-in", "width": found.width, "rows": rows}
    assert rows[1]["embedding"] is None and "no such file" in rows[1]["error"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Name a file with --output"),
        (("-o", "a.csv"), "the name must end in .npz or .parquet"),
        (("--json", "--resume"), "--resume needs --output"),
        (("-o", "a.npz", "--resume", "--overwrite"), "can't be used together"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], told: str, bundle: Path) -> None:
    from click.testing import CliRunner

    from earnest.apps.cli.main import cli

    outcome = CliRunner().invoke(cli, ["embed", "a.wav", "--model", str(bundle), *words])
    assert outcome.exit_code == 2 and told in outcome.output


def test_parquet_needs_its_package(bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match="parquet"):
        earnest_cli("embed", folder, "--model", bundle, "-o", tmp_path / "a.parquet")
