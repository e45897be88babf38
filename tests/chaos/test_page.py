"""The page on reliability says what was measured."""

from tests.chaos import page
from tests.chaos.peers import PEERS


def test_the_page_is_up_to_date():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.renewed(text) == text, "run `python -m tests.chaos.page`"


def test_runs_are_added_up():
    total = {}
    page.add_up(total, {"tasks": 2, "ends": {"value": 1}, "seeds": [[1, 2]]})
    page.add_up(total, {"tasks": 3, "ends": {"value": 1, "died": 1}, "seeds": [[5, 5]]})
    assert total == {"tasks": 5, "ends": {"value": 2, "died": 1}, "seeds": [[1, 2], [5, 5]]}


def test_every_contender_has_a_column():
    assert all(name in page.peers_table() for name in PEERS)
