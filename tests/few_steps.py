"""Adaptation learnt in few steps, for tests that train in closed form and don't ask how well it is learnt."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def adaptation_is_learnt_in_few_steps() -> Iterator[None]:
    """Take one step a clip instead of four; how well it is learnt, `test_runtime_statistics.py` asks."""
    from earnest.training import runtime_statistics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_statistics, "STEPS_PER_CLIP", 1)
        yield
