"""A plug-in for running CPython's own tests of process pools on this package.

Puts this package's executor in the place of the standard library's before those tests are imported,
and leaves out what is not about process pools. Whatever cannot hold is listed, with the reason.
"""

import fnmatch
import gc
import sys
from pathlib import Path

import pytest

_EXPECTED = Path(__file__).resolve().parents[2] / "ci" / "stdlib-expected-failures.txt"


def install() -> None:
    """Have `concurrent.futures` give out this package's executor."""
    import concurrent.futures
    import concurrent.futures.process

    import loky

    concurrent.futures.process.ProcessPoolExecutor = loky.ProcessPoolExecutor  # type: ignore[misc]
    concurrent.futures.ProcessPoolExecutor = loky.ProcessPoolExecutor  # type: ignore[misc]


def pytest_configure(config: pytest.Config) -> None:
    """Take the place before the tests are imported."""
    install()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what stands on what."""
    import loky

    version = sys.version.split(maxsplit=1)[0]
    return f"tests of process pools of Python {version} on {loky.IMPLEMENTATION} {loky.__version__}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of process pools; expect the listed failures, and no others."""
    import loky

    kept, others = [], []
    for item in items:
        kind = getattr(getattr(item, "cls", None), "executor_type", loky.ProcessPoolExecutor)
        (kept if kind is loky.ProcessPoolExecutor else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = kept
    patterns = _patterns()
    for item in kept:
        name = item.nodeid.split("::", 1)[1]
        for pattern, reason in patterns:
            if fnmatch.fnmatchcase(name, pattern):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
                break


def pytest_runtest_teardown() -> None:
    """Let go of what the last error holds: a later test counts semaphores that are left."""
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        sys.__dict__.pop(name, None)
    gc.collect()


def _patterns() -> list[tuple[str, str]]:
    lines = _EXPECTED.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("\t") for line in lines if line and not line.startswith("#")]
    return [(name, reason) for name, _, reason in pairs]
