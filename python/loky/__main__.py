"""The command line: `python -m loky doctor`."""

import argparse
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Carry out a command line; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m loky", description="A process pool that survives its tasks."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor",
        help="say what this machine offers to a pool, and try it",
        description=(
            "Says what this machine offers to a pool, then tries one: kills a worker, fills the memory of "
            "another one under a limit, lets a task run out of time, and looks for what is left. "
            "Exit status: 0 if all is well, 1 if a trial failed, 2 for a wrong command line."
        ),
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    doctor.add_argument("--no-self-test", action="store_true", help="look only, start nothing")
    options = parser.parse_args(arguments)

    from . import _doctor

    return _doctor.run(as_json=options.json, self_test=not options.no_self_test)


if __name__ == "__main__":
    sys.exit(main())
