"""The page on failures says what the rows play."""

from tests.faults.failures import FAILURES
from tests.faults.rows import ROWS
from tools import failure_table


def test_the_page_is_up_to_date():
    page = failure_table.PAGE.read_text(encoding="utf-8")
    assert failure_table.renewed(page) == page, "run `python -m tools.failure_table`"


def test_each_line_of_the_page_is_played():
    played = {row.failure.what for row in ROWS}
    assert played == {failure.what for failure in FAILURES}
