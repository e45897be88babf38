"""What the helper process does once for all workers that are to have the same surroundings."""

import os
import pickle
from typing import Any

import pytest

from loky import _child


class _Seed:
    """A worker to be, of which only the setup counts. The real one comes from the engine alone."""

    def __init__(self, environment: dict[str, str] | None = None, error: Exception | None = None) -> None:
        self._environment = environment
        self._error = error

    def setup(self) -> bytes:
        if self._error is not None:
            raise self._error
        return pickle.dumps({"environment": self._environment})


def _seed(environment: dict[str, str] | None = None, error: Exception | None = None) -> Any:
    return _Seed(environment, error)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Put back at the end, whatever the helper makes of it.
    for name, value in os.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_child.gc, "freeze", lambda: None)


def test_workers_of_the_same_surroundings_share_one_setup() -> None:
    setups = _child.Setups()
    first = setups.of(_seed({"HOME": "/"}))
    assert first == {"environment": {"HOME": "/"}}
    assert setups.of(_seed({"HOME": "/"})) is first


def test_the_environment_is_entered_before_the_fork() -> None:
    setups = _child.Setups()
    os.environ["GONE"] = "1"
    setups.of(_seed({"HOME": "/", "NEW": "2"}))
    assert (os.environ.get("GONE"), os.environ["NEW"]) == (None, "2")


def test_other_surroundings_are_decoded_again_also_if_they_were_there_before() -> None:
    setups = _child.Setups()
    for home in ("/", "/tmp", "/"):
        setup = setups.of(_seed({"HOME": home}))
        assert setup == {"environment": {"HOME": home}}
        assert os.environ["HOME"] == home


@pytest.mark.parametrize("error", [OSError(24, "no descriptors"), MemoryError()])
def test_what_the_helper_lacks_is_left_to_the_worker(error: Exception) -> None:
    setups = _child.Setups()
    setups.of(_seed({"HOME": "/"}))
    assert setups.of(_seed(error=error)) is None
    assert setups.of(_seed({"HOME": "/usr"})) == {"environment": {"HOME": "/usr"}}
