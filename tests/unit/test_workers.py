"""What is told where Ray can't be joined or started."""

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from earnest.errors import EarnestError
from earnest.workers import ray_cluster


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (None, r"Ray at this machine: no room\. Leave out --engine ray"),
        ("auto", r"Ray at auto: no room\. Check --address\."),
        ("127.0.0.1:17", r"Ray at 127\.0\.0\.1:17: .*\. Check --address\."),
    ],
)
def test_what_to_do_fits_whether_an_address_was_given(
    monkeypatch: pytest.MonkeyPatch, address: str | None, told: str
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=Mock(side_effect=RuntimeError("no room\nmore"))))
    with pytest.raises(EarnestError, match=told), ray_cluster(1, address):
        pass
