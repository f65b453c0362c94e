"""Which folder a bundle's name means."""

from pathlib import Path

import pytest
from stand_in import write_bundle

from earnest import bundle
from earnest.bundle import BundleInfo, ProtocolResult, find_bundle, load_bundle
from earnest.errors import BundleError
from earnest.export.card import model_card


def test_a_folder_that_is_called_like_a_shipped_bundle_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "shipped" / "base")
    (tmp_path / "here" / "base").mkdir(parents=True)
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path / "here")
    assert find_bundle("base") == tmp_path / "shipped" / "base"
    assert find_bundle("./base/") == Path("base")
    assert find_bundle(tmp_path / "shipped" / "base" / "bundle.json") == tmp_path / "shipped" / "base"


def test_a_run_that_was_not_exported_is_told_how_it_becomes_a_bundle(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    with pytest.raises(BundleError) as refused:
        load_bundle(run)
    assert str(refused.value).endswith(f"make a bundle of it: earnest export '{run}' --output 'bundles/my run'")


def test_a_single_fold_has_no_deviation_in_the_card() -> None:
    result = ProtocolResult("speaker-holdout", True, 0.5, None, 0.25, None, 8, "earnest evaluate …")
    info = BundleInfo("b", "1", ("happy", "sad"), 16_000, "CC0-1.0", {}, results=(result,))
    assert "| speaker-holdout | speaker-independent | 50.0 | 25.0 | 8 |" in model_card(info)
