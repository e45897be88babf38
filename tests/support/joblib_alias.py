"""A plug-in for running joblib's own tests: they must be on this package, and pass."""

from pathlib import Path

import pytest

_EXPECTED = Path(__file__).resolve().parents[2] / "ci" / "joblib-expected-failures.txt"


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run in which joblib has its own copy of loky."""
    import joblib

    import loky

    place = joblib.executor._ReusablePoolExecutor.__module__  # noqa: SLF001
    if place != "loky.reusable_executor" or joblib.parallel.loky is not loky:
        raise pytest.UsageError(f"joblib {joblib.__version__} runs on {place}, not on this package")


def pytest_report_header(config: pytest.Config) -> str:
    """Say what stands on what."""
    import joblib

    import loky

    return f"joblib {joblib.__version__} on {loky.IMPLEMENTATION} {loky.__version__} of {loky.__file__}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the listed failures, and no others."""
    expected = dict(_lines())
    for item in items:
        reason = expected.pop(item.nodeid.rpartition("::")[2], None)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _lines() -> "list[tuple[str, str]]":
    lines = _EXPECTED.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("\t") for line in lines if line and not line.startswith("#")]
    return [(name, reason) for name, _, reason in pairs]
