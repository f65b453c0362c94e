"""A server for trials answers, or says that it doesn't."""

from pathlib import Path

import pytest
from stand_in import write_bundle

from earnest.errors import EarnestError

pytestmark = pytest.mark.long


def test_a_server_is_ready_inside_the_block_and_gone_behind_it(tmp_path: Path) -> None:
    from trial_server import server_process

    with server_process("--model", str(write_bundle(tmp_path / "bundle")), "--quiet") as server:
        assert server.is_ready()
    assert not server.is_ready()
    assert server.process.returncode is not None


def test_one_that_does_not_start_is_an_error() -> None:
    from trial_server import server_process

    with pytest.raises(EarnestError, match="doesn't answer"), server_process("--model", "there-is-none"):
        pass
