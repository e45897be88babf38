"""`python -m benches.report`: put the newest result into README.md, between its two marks.

No number in the README is typed by hand: what stands between the marks is this output, and a test
compares it with the result file.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benches.table import table
from tools import pages

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NOT_YET = "No result is in `benches/results/` yet; `make bench` writes one and fills this place."


def newest(folder: Path) -> Path | None:
    """Find the last result by the date in its name."""
    return max(folder.glob("*.json"), default=None)


def section(path: Path | None) -> str:
    """Write what belongs between the marks."""
    if path is None:
        return NOT_YET
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    about = result["about"]
    note = (
        f"Medians of {result['rounds']} rounds on {about['date']}: {about['machine']}, "
        f"{about['system']}, Python {about['python']}, loky {about['loky']}, two workers. "
        f"`cf` is `concurrent.futures`, `mp-pool` is `multiprocessing.Pool`; `hang` means that no "
        f"answer ever came. Spread and method: [{path.stem}](benches/results/{path.stem}.md), "
        f"[benches](benches/README.md)."
    )
    return "\n".join([*table(result), "", note])


def renewed(text: str, content: str) -> str:
    """Replace what stands between the marks."""
    return pages.between(text, BEGIN, END, content)


def main() -> None:
    """Renew the README."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    path = newest(ROOT / "benches" / "results")
    readme.write_text(renewed(text, section(path)), encoding="utf-8")
    sys.stdout.write(f"README.md: {path.name if path else 'no result yet'}\n")


if __name__ == "__main__":
    main()
