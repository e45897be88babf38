"""What criterion prints is read, with names on the line of their times and on one of their own."""

import subprocess

import pytest

from benches import rust_peers
from tests.support.waiting import has_ended

PRINTED = """\
round_trip/loky         time:   [103.80 µs 113.74 µs 126.83 µs]
                        change: [-1.0% +2.0% +3.0%] (p = 0.50 > 0.05)
round_trip/floor: a socket and a process
                        time:   [38.596 µs 41.513 µs 42.752 µs]
Found 2 outliers among 10 measurements (20.00%)
throughput/loky, map ahead by/64
                        time:   [575.85 ms 667.82 ms 764.94 ms]
                        thrpt:  [26.146 Kelem/s 29.948 Kelem/s 34.731 Kelem/s]
"""


def test_the_times_are_read():
    assert rust_peers.parsed(PRINTED) == {
        "round_trip/loky": pytest.approx(113.74e-6),
        "round_trip/floor: a socket and a process": pytest.approx(41.513e-6),
        "throughput/loky, map ahead by/64": pytest.approx(667.82e-3),
    }


def test_goals_compare_what_one_round_has_measured():
    rounds = [
        {rust_peers.ROUND_TRIP: trip, rust_peers.SLEEPING: floor, rust_peers.ROWS[0]: row}
        for trip, floor, row in ((3e-6, 2e-6, 0.05), (1e-6, 2e-6, 0.1), (2e-6, 2e-6, 0.02))
    ]
    text = rust_peers.goals(rounds)
    assert "| 1 (0.5 … 1.5) |" in text
    assert "| 400,000 (200,000 … 1,000,000) |" in text
    assert "| not measured |" in text


def test_what_hangs_is_ended_with_all_that_it_has_started(tmp_path):
    started = tmp_path / "started"
    program = f"sleep 600 & echo $! >{started}; wait"
    assert rust_peers.run_alone(["sh", "-c", program], limit_s=2) is None
    assert has_ended(int(started.read_text()))


def test_a_contender_that_fails_is_no_result():
    with pytest.raises(subprocess.CalledProcessError):
        rust_peers.run_alone(["sh", "-c", "exit 3"])


def test_a_table_has_medians_and_spreads():
    rounds = [{"round_trip/loky": seconds} for seconds in (3e-6, 1e-6, 2.5e-6)]
    assert "| loky | 2.5 µs | 1 µs … 3 µs |" in rust_peers.table(rounds)
