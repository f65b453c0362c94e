"""Tests of this folder train many times, and most of that time would go into adaptation, which is learnt at the end."""

from collections.abc import Iterator

import pytest
from traced_once import adaptation_networks_are_traced_once

__all__ = ["adaptation_networks_are_traced_once"]


@pytest.fixture(scope="module", autouse=True)
def adaptation_is_learnt_in_few_steps() -> Iterator[None]:
    """How well it is learnt, `test_runtime_statistics.py` asks, with steps of its own."""
    from earnest.training import runtime_statistics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_statistics, "STEPS_PER_CLIP", 1)
        yield
