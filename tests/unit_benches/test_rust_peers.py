"""What criterion prints is read, with names on the line of their times and on one of their own."""

import pytest

from benches import rust_peers

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


def test_a_table_has_medians_and_spreads():
    rounds = [{"round_trip/loky": seconds} for seconds in (3e-6, 1e-6, 2.5e-6)]
    assert "| loky | 2.5 µs | 1 µs … 3 µs |" in rust_peers.table(rounds)
