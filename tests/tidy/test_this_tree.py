"""The tree itself obeys the house rules."""

from pathlib import Path

from tools.tidy.rules import findings
from tools.tidy.tree import from_disk


def test_this_tree_is_tidy():
    found = findings(from_disk(Path(__file__).resolve().parents[2]))
    assert not found, "\n" + "\n".join(map(str, found))
