"""`earnest models` with names: these bundles alone."""

import json
from pathlib import Path

import pytest
from command_line import earnest_cli
from stand_in import write_bundle

from earnest.errors import BundleError


def test_named_bundles_are_listed_alone_an_own_one_too(tmp_path: Path) -> None:
    own = write_bundle(tmp_path / "mine")
    text = earnest_cli("models", "small", own)
    heads = [line.partition(" ")[0] for line in text.splitlines() if line and not line.startswith(" ")]
    assert heads[0] == "small"
    assert len(heads) == 2
    told = json.loads(earnest_cli("models", "small", "--json"))
    assert [bundle["name"] for bundle in told["bundles"]] == ["small"]
    assert told["networks"] == told["architectures"] == []


def test_a_name_that_is_none_is_told_the_nearest() -> None:
    with pytest.raises(BundleError, match="Did you mean 'small'"):
        earnest_cli("models", "smal")
