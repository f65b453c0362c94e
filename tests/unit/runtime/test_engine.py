"""A graph that doesn't ship has a bound of memory; where runs of it want too much together, each has it alone."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from memory_in_use import IS_TOLD, kept_by_each

from attacks.readers import constants_doubled, doubling
from earnest.audio.deadline import Deadline
from earnest.errors import EarnestError, TooLateError
from earnest.runtime import engine
from earnest.runtime.engine import MIB, OnnxRuntime, Turns, most_of_one

FEEDS = {"waveform": np.zeros((1, 48_000), np.float32), "lengths": np.array([48_000])}  # a row of 0.18 MiB
SIX_TIMES = doubling(6)  # to 12 MiB; rows before it are there, too, and holes between them


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs get 96 MiB while they run."""
    monkeypatch.setattr(engine, "MOST_OF_ONE", 96 * MIB)
    monkeypatch.setattr(engine, "A_CORE", 0)


def test_where_onnxruntime_is_not_installed_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EarnestError, match=r"pip install onnxruntime\. Or use backend openvino"):
        OnnxRuntime()


def test_a_graph_that_wants_too_much_fails_and_one_that_does_not_runs(little: None) -> None:
    runner = OnnxRuntime()
    assert len(runner.open(SIX_TIMES).run(FEEDS, ["probabilities"])) == 1
    too_much = runner.open(doubling(40))
    with pytest.raises(runner.errors(), match="more than 96 MiB"):
        too_much.run(FEEDS, ["probabilities"])


def test_a_graph_has_its_bound_whatever_was_opened_before_and_after(little: None) -> None:
    runner = OnnxRuntime()
    ours, theirs = OnnxRuntime(is_ours=True).open(doubling(8)), runner.open(doubling(8))
    again = OnnxRuntime(is_ours=True).open(doubling(8))
    for session in (ours, again):
        assert session.run(FEEDS, ["probabilities"])
    with pytest.raises(runner.errors()):
        theirs.run(FEEDS, ["probabilities"])


def test_runs_that_want_too_much_together_are_answered_all_the_same(little: None) -> None:
    session = OnnxRuntime().open(SIX_TIMES)
    with ThreadPoolExecutor(6) as threads:
        sizes = list(threads.map(lambda _: session.run(FEEDS, ["probabilities"])[0].size, range(24)))
    assert sizes == [64 * 48_000] * 24


PREPARED = """
import resource, sys
from pathlib import Path
from earnest.runtime.engine import OnnxRuntime

before, runner = resource.getrlimit(resource.RLIMIT_AS), OnnxRuntime()
try:
    runner.open(Path(sys.argv[1]).read_bytes())
except runner.errors():
    print("refused", resource.getrlimit(resource.RLIMIT_AS) == before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="addresses are counted on Linux alone")
def test_what_follows_from_constants_is_bounded_while_a_graph_is_prepared_and_nothing_is_after_it(
    tmp_path: Path,
) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(constants_doubled())
    # A process of its own: one that has run many tests has free memory already, which is not counted.
    ended = subprocess.run([sys.executable, "-c", PREPARED, graph], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["refused", "True"]
    assert most_of_one(10 * MIB) == most_of_one(0) + 160 * MIB


def test_who_runs_alone_has_nobody_beside() -> None:
    turns, inside, seen = Turns(), set[int](), list[int]()

    def run(number: int) -> None:
        with turns.alone() if number % 5 == 0 else turns.among_others():
            inside.add(number)
            if number % 5 == 0:
                seen.append(len(inside))
            threading.Event().wait(0.001)
            inside.discard(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(run, range(60)))
    assert seen == [1] * 12


def test_one_waits_for_its_turn_no_longer_than_its_time() -> None:
    turns = Turns()
    with turns.among_others(), turns.among_others(), Deadline(0.05), pytest.raises(TooLateError), turns.alone():
        pass
    with turns.alone():
        pass


def test_an_arena_in_small_pieces_still_has_room_for_a_large_one(little: None) -> None:
    session = OnnxRuntime().open(doubling(6))
    for n_samples in (8_000, 16_000, 30_000, 44_000, 60_000, 8_000, 60_000):
        feeds = {"waveform": np.zeros((1, n_samples), np.float32), "lengths": np.array([n_samples])}
        assert session.run(feeds, ["probabilities"])[0].shape == (1, 64 * n_samples)


@pytest.mark.skipif(not IS_TOLD, reason="glibc alone tells what is in use")
def test_a_graph_keeps_nothing_for_each_length_that_it_heard() -> None:
    session = OnnxRuntime(is_ours=True).open(doubling(6))

    def hear(length: int) -> None:
        feeds = {"waveform": np.zeros((1, length), np.float32), "lengths": np.array([length])}
        session.run(feeds, ["probabilities"])

    hear(6_000)  # the arena grows for the longest
    tries = (range(start, start + 200) for start in (1_000, 2_000, 3_000))
    assert kept_by_each(hear, tries) < 40  # a plan of this graph's memory has 360 bytes, one of `small` 6,500
