"""Which folders an export may write into."""

import os
import shutil
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from stand_in import stand_in_model, write_bundle

from earnest.bundle import BundleInfo, load_bundle
from earnest.errors import EarnestError
from earnest.export import card
from earnest.files.writing import held_folder


def write(output: Path, source: Path) -> None:
    """Write the stand-in as an export does."""
    info: BundleInfo = load_bundle(source).info
    card.write_bundle(output, {"model.onnx": stand_in_model().SerializeToString()}, info)


def die_at_the_end(output: Path, source: Path) -> None:
    """Write it, and be killed before the folder is given back."""
    remove = shutil.rmtree

    def deadly(path: Any) -> None:
        remove(path)
        os.kill(os.getpid(), signal.SIGKILL)

    card.shutil.rmtree = deadly  # type: ignore[assignment]
    write(output, source)


def test_a_bundle_is_not_replaced_unasked(tmp_path: Path) -> None:
    source, output = write_bundle(tmp_path / "stand-in"), tmp_path / "bundle"
    write(output, source)
    with pytest.raises(EarnestError, match=r"holds bundle\.json\. Replace it with --overwrite"):
        card.refuse_full(output, overwrite=False)
    card.refuse_full(output, overwrite=True)


def test_an_export_that_was_killed_at_its_very_end_goes_on(tmp_path: Path) -> None:
    source, output = write_bundle(tmp_path / "stand-in"), tmp_path / "bundle"
    child = get_context("spawn").Process(target=die_at_the_end, args=(output, source))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    left = {path.name for path in output.iterdir()}
    assert left == {"model.onnx", "card.md", "bundle.json", ".lock"}
    card.refuse_full(output, overwrite=False)
    write(output, source)
    assert {path.name for path in output.iterdir()} == left - {".lock"}


def test_a_folder_that_another_one_fills_is_refused_by_its_lock(tmp_path: Path) -> None:
    with held_folder(tmp_path):
        (tmp_path / "notes.txt").write_text("of somebody")
        with pytest.raises(EarnestError, match=r"holds notes\.txt"):
            card.refuse_full(tmp_path, overwrite=False)
