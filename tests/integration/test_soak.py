"""The soak in short: good and bad clients at once for half a minute; nothing piles up, and nobody is surprised."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_in import write_bundle

SCRIPTS = Path(__file__).parents[2] / "scripts"
WARM_UP_S, MOST_MIB, MOST_DESCRIPTORS = (
    8.0,
    150.0,
    25,
)  # malloc may keep much in so short a time; connections come and go


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in ("soak", "soak_traffic", "soak_watch"):
        sys.modules.pop(name, None)


def test_half_a_minute_of_good_and_bad_clients_leaves_the_server_as_it_was(tmp_path: Path) -> None:
    from soak import ENDS, soak

    outcome = soak(str(write_bundle(tmp_path / "bundle")), seconds=24, every_s=1.0, haste=3.0)
    assert outcome.exit_code in ENDS
    assert outcome.n_surprises <= outcome.n_killed, outcome.surprises()
    for name, words in outcome.ended.items():
        assert words or name in ("timeline", "killer of decoders"), name
    warm = [sample for sample in outcome.samples if sample.t_s >= WARM_UP_S]
    first, last = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    assert min(one.threads for one in last) <= max(one.threads for one in first)
    assert min(one.descriptors for one in last) <= max(one.descriptors for one in first)
    assert max(one.descriptors for one in warm) - min(one.descriptors for one in warm) <= MOST_DESCRIPTORS
    assert max(one.rss_mib for one in last) < first[0].rss_mib + MOST_MIB


def test_a_slope_is_told_from_scatter() -> None:
    from soak_watch import FLAT, RISES, Sample, slope_of

    def samples(rise_per_hour: float) -> list[Sample]:
        scatter = (3.0, -3.0, 1.0, -1.0)
        at = [(10.0 * n, 100 + rise_per_hour * n / 360 + scatter[n % 4]) for n in range(360)]
        return [Sample(t_s, value, value, 1, 10, 5, 0, float("nan"), float("nan")) for t_s, value in at]

    flat, rising = (slope_of(samples(rise), "rss_mib", from_s=600) for rise in (0.0, 60.0))
    assert flat.verdict(most_per_hour=2.0) == FLAT and abs(flat.per_hour) < 1.0
    assert rising.per_hour == pytest.approx(60.0, abs=1.0)
    assert rising.verdict(most_per_hour=8.0) == RISES


def test_a_step_is_no_leak_but_a_large_one_has_grown() -> None:
    from soak import verdicts
    from soak_watch import FLAT, Sample

    def samples(step: float) -> list[Sample]:
        at = [(10.0 * n, 100 + step * (n > 200) + (n % 4)) for n in range(1, 361)]
        return [Sample(t_s, value, value, 1, 10, 5, 0, 1.0, 1.0) for t_s, value in at]

    small, large = (verdicts(samples(step)) for step in (12.0, 30.0))
    assert set(small.values()) == {FLAT}
    assert large["server_mib"] == "**has grown**"


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    from soak_watch import Sample, slope_of

    def error(of_block: int) -> float:
        values = [100.0 + (3.0 if n // of_block % 2 else -3.0) for n in range(360)]
        samples = [Sample(10.0 * n, value, value, 1, 1, 1, 0, 1.0, 1.0) for n, value in enumerate(values)]
        return slope_of(samples, "rss_mib", from_s=0).error

    assert error(of_block=6) > 1.5 * error(of_block=1)


def test_decoders_are_the_children_of_those_that_answer() -> None:
    import subprocess

    from soak_watch import children_of, decoders_of

    code = "import subprocess; subprocess.run(['sh', '-c', 'echo up; read _; exit'], check=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        assert len(decoders_of(server.pid)) == 1
        assert decoders_of(server.pid) == children_of(server.pid)
