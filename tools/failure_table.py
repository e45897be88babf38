"""Writes the table of `docs/failures.md` from the rows that the tests play, so that it says what is true.

Usage: `python -m tools.failure_table` renews the page; `--check` only compares.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.failures import FAILURES
from tests.faults.rows import ROWS
from tests.faults.table import Failure
from tools import pages

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "failures.md"
BEGIN = "<!-- the table is made by tools/failure_table.py -->"
END = "<!-- end of the table -->"
_HEAD = ("what happens", "what its future gets", "others, `recover`", "others, `break`", "played by")


def table(failures: Sequence[Failure] = FAILURES) -> str:
    """Render the lines, each with the number of rows that play it."""
    lines = [_HEAD, ("---",) * len(_HEAD)]
    for failure in failures:
        count = sum(row.failure is failure for row in ROWS)
        others = (failure.recover.value, failure.breaks.value)
        lines.append((failure.what, failure.future, *others, f"{count} row{'s' if count > 1 else ''}"))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def renewed(page: str) -> str:
    """Put the table between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    return pages.between(page, BEGIN, END, table())


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew or compare; 1 where the page is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args(arguments)
    return pages.renew_or_check(PAGE, renewed(PAGE.read_text(encoding="utf-8")), options)


if __name__ == "__main__":
    sys.exit(main())
