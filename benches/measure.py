"""`python -m benches.measure SCENARIO CONTENDER`: one measurement, told in its last line."""

import json
import os
import sys
from collections.abc import Mapping

MARK = "numbers: "


def tell(numbers: Mapping[str, float | str]) -> None:
    """Print the numbers where the driver looks for them."""
    sys.stdout.write(f"\n{MARK}{json.dumps(numbers)}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure once."""
    from benches.scenarios import SCENARIOS

    scenario, contender = sys.argv[1:]
    tell(SCENARIOS[scenario](contender))
    # How long the interpreter takes to end is no part of any scenario.
    os._exit(0)


if __name__ == "__main__":
    main()
