"""Plans: each input once, large ones alone and first; the same inputs give the same plan."""

import errno
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.apps.batch.inputs import Input
from earnest.apps.batch.places import LocalPlace, write_summed
from earnest.apps.batch.plan import (
    LARGE_BYTES,
    ArrayPart,
    check_same,
    cut,
    packed,
    read_plan,
    shard_inputs,
    shard_name,
    write_plan,
)
from earnest.apps.batch.run import planned
from earnest.errors import EarnestError

pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
WORDS = {"source": "x", "table": "predictions", "models": ("m 1",), "classes": (), "abstain_below": None, "tta": "none"}


def some(count: int) -> list[Input]:
    return [Input(f"{number:03d}.wav", "file", f"/x/{number:03d}.wav".encode(), 0, 100) for number in range(count)]


@given(count=st.integers(1, 300), size=st.integers(1, 50))
def test_shards_hold_each_input_once(count: int, size: int) -> None:
    shards, n_doubled = cut([*some(count), *some(count // 2)], size)
    assert [one for shard in shards for one in shard] == some(count)
    assert max(map(len, shards)) <= size
    assert n_doubled == count // 2


def test_another_sound_of_the_same_name_has_a_name_of_its_own() -> None:
    rows = [Input("t/x", "row", b"/t", number) for number in range(3)]
    other = Input("t/x (2)", "row", b"/t", 3)
    sides = [rows[0].of_channel(channel) for channel in (1, 2)]
    shards, n_doubled = cut([rows[0], other, *rows, *sides], 10)
    assert [(one.key, one.start) for one in shards[0]] == [
        *(("t/x", 0), ("t/x (2)", 3), ("t/x (3)", 1), ("t/x (4)", 2)),
        *(("t/x#1", 0), ("t/x#2", 0)),
    ]
    assert n_doubled == 1


def test_a_large_file_is_alone_and_first() -> None:
    large = [Input(f"{size}.wav", "file", b"/x", 0, LARGE_BYTES + size) for size in (1, 3, 2)]
    shards, _ = cut([*some(10), *large], 5)
    assert [[one.key for one in shard] for shard in shards[:3]] == [["3.wav"], ["2.wav"], ["1.wav"]]
    assert sum(map(len, shards[3:])) == 10


def test_no_inputs_are_told() -> None:
    with pytest.raises(EarnestError, match="no inputs"):
        cut([])


@given(parts=st.integers(1, 20))
def test_parts_share_the_shards(parts: int) -> None:
    plan = write_plan(Kept(), cut(some(50), 3)[0], WORDS)
    mine = [plan.left(ArrayPart(number, parts), verify=True) for number in range(1, parts + 1)]
    assert sorted(number for some in mine for number in some) == list(range(17))


class Kept:
    """A place in memory."""

    name = "kept"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def names(self, folder: str) -> set[str]:
        return {name.rpartition("/")[2] for name in self.files if name.rpartition("/")[0] == folder}

    def read(self, name: str) -> bytes:
        return self.files[name]

    def open(self, name: str):  # type: ignore[no-untyped-def]
        from io import BytesIO

        return BytesIO(self.files[name])

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data


def test_a_plan_reads_back_shard_by_shard(tmp_path: Path) -> None:
    shards, _ = cut(some(10), 4)
    place = LocalPlace(tmp_path)
    assert read_plan(place) is None
    written = write_plan(place, shards, WORDS)
    plan = read_plan(place)
    assert plan == written
    assert plan is not None
    assert [shard_inputs(place, plan.request, number) for number in range(3)] == shards
    assert plan.sizes() == [4, 4, 2]
    assert packed(shards) == place.read("inputs.parquet")


def test_inputs_that_can_t_be_read_now_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = write_plan(place := Kept(), cut(some(10), 4)[0], WORDS)
    monkeypatch.setattr(place, "open", Mock(side_effect=OSError(errno.EAGAIN, "Resource temporarily unavailable")))
    with pytest.raises(EarnestError, match=r"not readable .*temporarily.* Give the same command again"):
        shard_inputs(place, plan.request, 0)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("classes", ("angry", "sad"), "angry, sad"), ("abstain_below", 0.5, "0.5"), ("channel", 2, "2")],
)
def test_what_a_run_was_not_started_with_is_told_as_the_default(
    tmp_path: Path, name: str, value: object, told: str
) -> None:
    plan = write_plan(LocalPlace(tmp_path), cut(some(1))[0], WORDS)
    with pytest.raises(EarnestError, match=rf"was started with {name} as by default, not {told}\. "):
        check_same(plan, plan.request.words() | {name: value})


@pytest.mark.parametrize(
    ("source", "again"), [("calls", "./calls/"), ("s3://a/calls", "s3://a/calls/"), ("s3://a/calls/", "s3://a/calls")]
)
def test_a_source_is_the_same_with_a_slash_at_its_end(tmp_path: Path, source: str, again: str) -> None:
    plan = write_plan(LocalPlace(tmp_path), cut(some(1))[0], WORDS | {"source": source})
    check_same(plan, plan.request.words() | {"source": again})
    with pytest.raises(EarnestError, match="was started with source"):
        check_same(plan, plan.request.words() | {"source": again + "2"})


def test_a_shard_without_a_checksum_is_not_done(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path)
    plan = write_plan(place, cut(some(10), 4)[0], WORDS)
    place.write(shard_name(0), b"whole, but its checksum was not written")
    write_summed(place, shard_name(1), b"rows")
    write_summed(place, shard_name(2), b"rows")
    place.write(shard_name(2), b"other rows")
    assert plan.done() == {1, 2}
    assert plan.left(ArrayPart(), verify=True) == [0, 2]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"n_inputs": "many"}', "[" * 1000])
def test_what_is_no_plan_is_told(tmp_path: Path, text: str) -> None:
    place = LocalPlace(tmp_path)
    place.write("batch.json", text.encode())
    with pytest.raises(EarnestError, match=r"batch\.json"):
        read_plan(place)


def test_a_recording_of_two_speakers_is_refused_and_not_given_to_the_first() -> None:
    rows = [Input("a.wav", "file", b"/a.wav", speaker=name) for name in ("anna", "anna", "bob")]
    assert cut(rows[:2]) == ([[rows[0]]], 1)
    with pytest.raises(EarnestError, match=r"a\.wav: one row says that 'anna' speaks, another one 'bob'\. Keep one"):
        cut(rows)


def test_a_plan_says_which_other_machines_its_list_names(tmp_path: Path) -> None:
    addresses = ["https://me@a.example:8/x.wav?key=1", "s3://calls/a.wav", "s3://calls/b.wav", "here.wav"]
    told = list[str]()
    for name, lines in (("some", addresses), ("own", ["here.wav"]), ("many", [f"http://{n}/x" for n in range(12)])):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        words = WORDS | {"source": str(tmp_path / f"{name}.txt"), "channel": None}
        planned(LocalPlace(tmp_path / name), words, None, ArrayPart(), told.append)
        planned(
            LocalPlace(tmp_path / name), words, None, ArrayPart(), told.append
        )  # it is there: nothing is told again
    some, many = told
    what = "names 3 recordings elsewhere, which a run fetches with what you may do there"
    assert some == f"{tmp_path}/some.txt {what}: s3://calls (2), https://a.example:8 (1). (--plan fetches none.)"
    assert many.endswith("http://8 (1), http://9 (1) and 2 more. (--plan fetches none.)")
