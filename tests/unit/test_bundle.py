"""Which folder a bundle's name means."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from stand_in import write_bundle

import earnest
from earnest import bundle
from earnest.bundle import ADAPTATION, FORMATS, SCHEMA, SOUNDS, BundleInfo, ProtocolResult, find_bundle, load_bundle
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


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("bundels/base/", "base"),
        ("my own/mien", "my own/mine"),
        ("my own/bsae", "base"),
        ("my own/smal", "my own/small"),
        ("{}/my own/mien", "{}/my own/mine"),
        ("heer", "here"),
        ("lareg", "./large"),
    ],
)
def test_of_a_path_with_a_slip_the_nearest_one_is_told_as_it_is_typed(
    tmp_path: Path, wrong: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("my own/mine", "my own/small", "here", "large"):
        write_bundle(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError) as refused:
        find_bundle(wrong.format(tmp_path))
    told = str(refused.value)
    assert told.endswith(f"Did you mean '{right.format(tmp_path)}'?")
    assert find_bundle(told.split("'")[-2]).is_dir()


def test_a_path_like_none_is_told_all_as_they_are_typed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "mine")
    with pytest.raises(BundleError, match=rf"Choose one of: base, .*{tmp_path}/mine, .*small\."):
        find_bundle(tmp_path / "zzzzzzz")


def test_a_run_that_was_not_exported_is_told_how_it_becomes_a_bundle(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    with pytest.raises(BundleError) as refused:
        load_bundle(run)
    assert str(refused.value).endswith(f"make a bundle of it: earnest export '{run}' --output 'bundles/my run'")


# Who adds a key, a format or a sound raises SCHEMA (here and in web/src/bundle.ts), reads the ones before too, and adds
# a line; no line is changed.
SCHEMAS = {1: "98462fdc3bc5"}


def keys_of(kind: Any) -> Iterator[str]:
    """Yield the keys of a dataclass and of those in it."""
    for field in fields(kind):
        yield f"{kind.__name__}.{field.name}"
        hint = get_type_hints(kind)[field.name]
        inside = [one for part in (hint, *get_args(hint)) for one in (part, *get_args(part))]
        yield from (key for one in dict.fromkeys(inside) if is_dataclass(one) for key in keys_of(one))


def test_what_earlier_versions_would_refuse_has_another_schema() -> None:
    told = [*sorted(keys_of(BundleInfo)), *FORMATS, *SOUNDS, ADAPTATION]
    assert {"BundleInfo.sounds", "AdaptationEntry.folders", "ProtocolResult.class_subsets"} <= {*told}
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
    assert SCHEMAS.get(SCHEMA) == digest, f"raise SCHEMA, and add a line: {SCHEMA + 1}: {digest!r}"


@pytest.mark.parametrize("changes", [{}, {"recording_rate": 3}, {"format": "onnx-int4"}])
def test_a_bundle_of_a_newer_version_says_that(changes: dict[str, Any], tmp_path: Path) -> None:
    path = write_bundle(tmp_path) / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": SCHEMA + 1} | changes))
    with pytest.raises(BundleError) as refused:
        load_bundle(tmp_path)
    told = f"made by a newer earnest (schema {SCHEMA + 1}; this one, {earnest.__version__}, reads {SCHEMA})"
    assert str(refused.value) == f"{path}: {told}. Upgrade earnest."


def test_a_single_fold_has_no_deviation_in_the_card() -> None:
    result = ProtocolResult("speaker-holdout", True, 0.5, None, 0.25, None, 8, "earnest evaluate …")
    info = BundleInfo("b", "1", ("happy", "sad"), 16_000, "CC0-1.0", {}, results=(result,))
    assert "| speaker-holdout | speaker-independent | 50.0 | 25.0 | 8 |" in model_card(info)
