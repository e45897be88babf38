"""Results become tables without loss: hangs are shown, better is better, the README is renewed."""

import pytest

from benches import report
from benches.run import collect, summary
from benches.table import gain, number, table


def cell(median):
    return {"median": median}


def test_a_single_hang_among_the_rounds_is_a_hang():
    assert summary([1.0, "hang", 2.0]) == {"median": None, "note": "hang", "rounds": 3}


def test_the_median_is_shown_with_its_range():
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0, "rounds": 3}


def test_a_scenario_that_failed_has_a_note_in_each_of_its_rows():
    rows = collect({("a", "one"): {"x_ms": [1.0], "y_ms": [2.0]}, ("a", "two"): {"": ["hang"]}})
    assert [rows[row]["two"]["note"] for row in ("a · x_ms", "a · y_ms")] == ["hang", "hang"]


@pytest.mark.parametrize(
    ("row", "ours", "loky", "expected"),
    [
        ("round_trip · p50_us", 100.0, 550.0, "5.5 ×"),
        ("throughput · submit_per_s", 8000.0, 4000.0, "2 ×"),
        ("throughput · submit_per_s", 2000.0, 4000.0, "0.5 ×"),
        ("crash_exit · seen_ms", 1.0, None, "-"),
    ],
)
def test_a_gain_above_one_is_always_the_better(row, ours, loky, expected):
    assert gain(row, {"loky-rs": cell(ours), "loky": cell(loky)}) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (12.34, "12.3"), (123.4, "123"), (445752.0, "445,752")]
)
def test_numbers_have_three_digits_that_mean_something(value, text):
    assert number(value) == text


def test_a_table_has_a_column_for_each_contender():
    result = {
        "contenders": ["loky-rs", "loky", "mp-pool"],
        "rows": {
            "crash_kill · seen_ms": {
                "loky-rs": cell(2.0),
                "loky": cell(8.0),
                "mp-pool": {"median": None, "note": "hang"},
            }
        },
    }
    assert table(result)[2] == "| worker killed: error seen, ms | 2 | 8 | hang | 4 × |"


def test_what_stands_between_the_marks_is_replaced_and_nothing_else():
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.renewed(text, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_a_text_without_marks_is_refused():
    with pytest.raises(ValueError, match="must both be there"):
        report.renewed("nothing", "new")


def test_the_readme_shows_the_newest_result():
    readme = (report.ROOT / "README.md").read_text(encoding="utf-8")
    path = report.newest(report.ROOT / "benches" / "results")
    assert report.renewed(readme, report.section(path)) == readme
