import pytest
from rich import progress as bars

from earnest.progress import SILENT, Progress, _rate


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


def test_items_are_passed_on_and_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(SILENT.counted("Predicting", "abc", 3)) == list("abc")
    assert "".join(capsys.readouterr()) == ""
    assert list(Progress(visible=True).counted("Predicting", "abc", 3)) == list("abc")
    written = capsys.readouterr()
    assert "Predicting" in written.err and "3/3" in written.err
    assert written.out == ""


def test_work_may_say_itself_how_much_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Progress(visible=True).amount("connecting", in_bytes=True) as show:
        show(500, 1000, "speech.zip")
    written = capsys.readouterr().err
    assert "speech.zip" in written and "0.5/1.0 kB" in written
    with Progress(visible=True).amount("decoding") as show:
        show(3, 4)
    written = capsys.readouterr().err
    assert "decoding" in written and "3/4" in written
    with SILENT.amount("decoding") as show:
        show(3, 4)
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.parametrize(
    ("speed", "told"), [(None, "–/s"), (0.05, "3/min"), (0.9, "54/min"), (1.0, "1/s"), (127.3, "127/s")]
)
def test_slow_work_has_a_rate_that_is_not_nought(
    speed: float | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars.Task, "speed", speed)
    task = bars.Task(bars.TaskID(0), "", None, 0, _get_time=lambda: 0.0)
    assert str(_rate().render(task)) == told
