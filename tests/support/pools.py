"""Pools for tests: made by a fixture that ends them, on the launcher that was asked for."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loky import ProcessPoolExecutor
from tests.support.gates import Gate

Make = Callable[..., ProcessPoolExecutor]


def add_launcher_option(parser: pytest.Parser) -> None:
    """Have `pytest --launcher exec` run everything with freshly executed workers, and so for transports."""
    parser.addoption("--launcher", choices=("zygote", "exec"), help="how the tests' pools start workers")
    parser.addoption("--transport", choices=("ring", "socket"), help="how the tests' pools move small frames")


def choose_launcher(config: pytest.Config) -> None:
    """Make what was chosen the default of every pool of this run, in sub-processes too."""
    for option, variable in (("--launcher", "LOKY_LAUNCHER"), ("--transport", "LOKY_TRANSPORT")):
        chosen = config.getoption(option)
        if chosen is not None:
            os.environ[variable] = chosen


@pytest.fixture
def launcher() -> str:
    """The launcher that pools of this run have by default."""
    return os.environ.get("LOKY_LAUNCHER") or "zygote"


@pytest.fixture
def pool() -> Iterator[Make]:
    """A maker of pools that are kept until the end of the test and then killed."""
    made: list[ProcessPoolExecutor] = []

    def make(max_workers: int = 2, **options: Any) -> ProcessPoolExecutor:
        executor = ProcessPoolExecutor(max_workers, **options)
        made.append(executor)
        return executor

    yield make
    while made:
        made.pop().shutdown(wait=True, kill_workers=True)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate at which tasks wait."""
    made = Gate(tmp_path / "gate")
    yield made
    made.close()
