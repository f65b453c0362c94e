"""The fuzzer's targets start, reach their readers and find nothing in two seconds; more: ``make fuzz SECONDS=60``."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz import campaign, page
from fuzz.readers import readers

# One of each group in every run; the others when minutes don't matter.
GROUPS = {reader.partition(":")[0]: reader for reader in reversed(list(readers()))}
TARGETS = [name if name in GROUPS.values() else pytest.param(name, marks=pytest.mark.slow) for name in readers()]


@pytest.mark.skipif(not find_spec("atheris"), reason="atheris has no build for this system or Python")
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzzer_finds_nothing_in_two_seconds(name: str, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    turn = campaign.fuzz_once(name, 2.0, tmp_path, tmp_path / "corpus")
    assert not turn.crashes
    assert turn.executions > 0


def test_one_target_that_crashes_and_one_that_does_not_end_lose_no_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counts, asked = tmp_path / "fuzz.json", list[str]()
    counts.write_text('{"table: renamed since": {"executions": 5}, "table: manifest": {"executions": 5}}')
    turns = {
        "table: manifest": [campaign.Turn(10, ["KeyError at a.py:1"])],
        "table: speaker turns.rttm": [campaign.Turn(3, ["ValueError at b.py:1"], late=True), campaign.Turn(20, [])],
        "table: own list": [campaign.Turn(0, [], late=True), campaign.Turn(1, [], late=True)],
        "table: split.csv": [campaign.Turn(30, [])],
    }

    def turn(name: str, *_: object) -> campaign.Turn:
        asked.append(name)
        return turns[name].pop(0)

    monkeypatch.setattr(campaign, "COUNTS", counts)
    monkeypatch.setattr(campaign, "CORPORA", tmp_path)
    monkeypatch.setattr(campaign, "fuzz_once", turn)
    assert campaign.run(60.0, list(turns)) == ["table: own list"]
    assert asked == [*turns, "table: speaker turns.rttm", "table: own list"]  # who was late comes again at the end
    found = campaign.read_counts()
    assert {name: count.executions for name, count in found.items()} == {
        "table: speaker turns.rttm": 23, "table: manifest": 15, "table: own list": 1, "table: split.csv": 30,
    }  # fmt: skip
    assert found["table: manifest"].open == ["KeyError at a.py:1"]
    assert found["table: speaker turns.rttm"].found == ["ValueError at b.py:1"]


def test_a_target_that_does_not_end_is_stopped_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(campaign, "GRACE_S", 0.0)
    assert campaign.fuzz_once("table: manifest", 0.0, tmp_path, tmp_path) == campaign.Turn(0, [], late=True)


def test_shares_are_all_targets_each_once() -> None:
    halves = campaign.share_of(1, 2), campaign.share_of(2, 2)
    assert sorted(halves[0] + halves[1]) == sorted(readers())
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    with pytest.raises(ValueError, match="1/2 to 2/2"):
        campaign.share_of(3, 2)


def test_the_page_tells_what_was_counted() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()
    assert not [name for name, count in page.read_counts().items() if count.open]
