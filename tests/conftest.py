"""Every test of this tree is followed by the census; see `support/census_plugin.py`."""

import signal

import pytest

from tests.support import census_plugin, pools
from tests.support.census_plugin import (
    account,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_unconfigure,
)
from tests.support.pools import gate, launcher, pool

__all__ = [
    "account",
    "gate",
    "launcher",
    "pool",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options of this tree."""
    pools.add_launcher_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the census and the pools, and take interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it puts into the background so, and workers do as their owner does.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    census_plugin.pytest_configure(config)
    pools.choose_launcher(config)
