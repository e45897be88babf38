"""`python -m tools.tidy`: print each finding, end with 1 if there is one."""

import sys
from pathlib import Path

from tools.tidy.rules import findings
from tools.tidy.tree import from_disk


def main() -> int:
    """Judge the tree this file lies in."""
    found = findings(from_disk(Path(__file__).resolve().parents[2]))
    for finding in found:
        print(finding)
    print(f"tidy: {len(found)} findings" if found else "tidy: nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
