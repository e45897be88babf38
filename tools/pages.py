"""Pages parts of which are made by programs: what stands between two marks, and nothing else, is renewed."""

import argparse
from pathlib import Path


def between(page: str, begin: str, end: str, content: str) -> str:
    """Replace what stands between two marks.

    Raises:
        ValueError: the page lacks a mark.
    """
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page lacks {end if found else begin}: {begin} and {end} must both be there")
    return f"{before}{begin}\n{content}\n{end}{after}"


def renew_or_check(path: Path, wanted: str, options: argparse.Namespace) -> int:
    """Write a page, or with `--check` only say whether it is up to date; 1 where it is not."""
    if options.check:
        return int(path.read_text(encoding="utf-8") != wanted)
    path.write_text(wanted, encoding="utf-8")
    return 0
