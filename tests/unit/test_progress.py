import pytest
from rich import progress as bars

from earnest.progress import SILENT, Progress


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with SILENT.bar("decoding", 2) as advance:
        advance()
    assert "".join(capsys.readouterr()) == ""


def test_a_bar_goes_forward_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # or nothing but a terminal gets a bar
    steps: list[float] = []
    monkeypatch.setattr(bars.Progress, "advance", lambda self, task: steps.append(task))
    with Progress(visible=True).bar("decoding", 2) as advance:
        advance()
        advance()
    assert len(steps) == 2
    written = capsys.readouterr()
    assert "decoding" in written.err
    assert written.out == ""
