"""The exceptions of the package: their families, their copies, their pickles."""

import concurrent.futures.process
import pickle

import pytest

import loky
from loky import _exceptions, process_executor

FACTS = {"cause": "exit", "exitcode": 1, "pid": 7, "worker": 0, "attempt": 1, "started": True}


def made_by_hand():
    return [
        _exceptions.BrokenProcessPool("broken"),
        _exceptions.ShutdownExecutorError("shut"),
        _exceptions.LokyRecursionError("deep"),
        _exceptions.TerminatedWorkerError("dead"),
    ]


def test_the_families():
    assert issubclass(loky.BrokenProcessPool, concurrent.futures.process.BrokenProcessPool)
    assert issubclass(loky.TerminatedWorkerError, loky.BrokenProcessPool)
    assert issubclass(loky.ShutdownExecutorError, RuntimeError)
    assert not issubclass(loky.ShutdownExecutorError, concurrent.futures.BrokenExecutor)
    assert issubclass(loky.LokyRecursionError, RuntimeError)


@pytest.mark.parametrize("error", made_by_hand(), ids=lambda error: type(error).__name__)
def test_each_is_found_and_pickled_under_the_name_users_know(error):
    assert getattr(process_executor, type(error).__name__) is type(error)
    assert type(error).__module__ == "loky.process_executor"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args) == (type(error), error.args)


def test_a_report_survives_pickling():
    error = _exceptions.terminated(FACTS, "f")
    copy = pickle.loads(pickle.dumps(error))
    assert copy.report == error.report
    assert str(copy) == str(error)


def test_an_error_made_by_hand_has_no_report():
    assert loky.TerminatedWorkerError("dead").report is None


def test_a_fresh_copy_shares_nothing_that_raising_changes():
    error = _exceptions.with_cause(_exceptions.terminated(FACTS, "f"), "the text")
    copy = _exceptions.fresh_copy(error)
    with pytest.raises(loky.TerminatedWorkerError):
        raise copy
    assert copy is not error
    assert error.__traceback__ is None
    assert (copy.args, copy.report, copy.__cause__) == (error.args, error.report, error.__cause__)


def test_the_text_of_a_remote_traceback():
    remote = process_executor._RemoteTraceback("line\n")  # noqa: SLF001  # suites reach for this name
    assert str(remote) == remote.tb == '\n"""\nline\n"""'
    twice = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(remote))))
    assert twice.tb == remote.tb


def test_an_exception_with_traceback_comes_back_with_its_cause():
    wrap = process_executor._ExceptionWithTraceback  # noqa: SLF001  # joblib uses this name
    try:
        raise ValueError("here")
    except ValueError as error:
        wrapped = wrap(error)
    rebuild, arguments = wrapped.__reduce__()
    for copy in (rebuild(*arguments), pickle.loads(pickle.dumps(wrapped))):
        assert repr(copy) == "ValueError('here')"
        assert 'raise ValueError("here")' in str(copy.__cause__)


@pytest.mark.parametrize("name", loky.__all__)
def test_each_public_name_is_there(name):
    assert getattr(loky, name) is not None
    assert name in dir(loky)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        loky.nothing  # noqa: B018  # reading it is the test
    assert isinstance(loky.__version__, str)


def test_names_of_the_standard_library_are_the_same_objects():
    for name in ("wait", "as_completed", "Executor", "CancelledError", "TimeoutError", "ALL_COMPLETED"):
        assert getattr(loky, name) is getattr(concurrent.futures, name)
