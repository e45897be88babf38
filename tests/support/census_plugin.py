"""The census around every test, as hooks and one fixture that `conftest.py` takes over.

It cannot be skipped in silence: a run in which a test went by without account fails.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator

import pytest

from tests.support import census

SETTLE_LIMIT_S = 10.0
# By node id: the tests whose books were balanced, and those that ran.
_ACCOUNTED = pytest.StashKey[set[str]]()
_RAN = pytest.StashKey[set[str]]()
_FOLDER = pytest.StashKey[str]()
_FAILED = pytest.StashKey[bool]()
_ORIGINAL = pytest.StashKey[dict[str, str | None]]()


def pytest_configure(config: pytest.Config) -> None:
    """Mark the family, and give it a folder for temporary files that nobody else writes to."""
    census.adopt_marks()
    config.stash[_ORIGINAL] = {name: os.environ.get(name) for name in ("TMPDIR", "PYTEST_DEBUG_TEMPROOT")}
    # What pytest itself keeps for later inspection stays where it always is.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    config.stash[_FOLDER] = tempfile.mkdtemp(prefix="loky-tests-")
    os.environ["TMPDIR"] = config.stash[_FOLDER]
    tempfile.tempdir = None
    config.stash[_ACCOUNTED] = set()
    config.stash[_RAN] = set()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put the environment back and remove the folder."""
    for name, value in config.stash[_ORIGINAL].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    tempfile.tempdir = None
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests ran and which failed."""
    report = yield
    if call.when == "call":
        item.config.stash[_RAN].add(item.nodeid)
        item.stash[_FAILED] = report.failed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test went by without account."""
    stash = session.config.stash
    accounted: set[str] = stash[_ACCOUNTED]
    missing = stash[_RAN] - accounted
    if missing:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for nodeid in sorted(missing):
            sys.stderr.write(f"\nno census was taken for {nodeid}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say for how many tests the books were balanced."""
    terminalreporter.write_line(f"census: {len(config.stash[_ACCOUNTED])} tests accounted for")


@pytest.fixture(autouse=True)
def account(request: pytest.FixtureRequest) -> Iterator[None]:
    """Demand that a test leaves nothing: no process, descriptor, shared memory or file."""
    before = census.take()
    yield
    _end_reusable_pool()
    lines = census.settle(before, SETTLE_LIMIT_S)
    if request.node.stash.get(_FAILED, False):
        # The traceback of a failed test keeps its variables alive, and they what they hold.
        lines = [line for line in lines if line.startswith("process")]
    request.config.stash[_ACCOUNTED].add(request.node.nodeid)
    if lines:
        pytest.fail("the test left behind:\n  " + "\n  ".join(lines), pytrace=False)


def _end_reusable_pool() -> None:
    """End the pool that this thread keeps for reuse: to outlive a call is what it is for."""
    module = sys.modules.get("loky.reusable_executor")
    executor = getattr(module, "_executor", None) if module else None
    if executor is not None:
        executor.shutdown(wait=True, kill_workers=True)
