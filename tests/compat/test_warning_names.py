"""The modules that warnings are issued from: programs filter them by the names that loky gives these."""

import warnings

import pytest

import loky
from loky import _alias, _warnings
from loky.backend import context
from tests.support import programs

NOT_FOUND = "not found", ValueError("no list of processors")


@pytest.fixture
def uncountable(monkeypatch):
    monkeypatch.setattr(context, "_count_physical_cores", lambda cpu_set=None: NOT_FOUND)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)


@pytest.mark.usefixtures("uncountable")
@pytest.mark.parametrize("pattern", [r"loky\.backend\.context", r".*backend\.context$"])
def test_a_filter_by_the_modules_name(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=pattern)
        assert loky.cpu_count(only_physical_cores=True) >= 1


@pytest.mark.usefixtures("uncountable")
def test_a_filter_by_an_alias(monkeypatch):
    name = r"joblib\.externals\.loky\.backend\.context"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=name)
        with pytest.raises(UserWarning, match="Could not find the number of physical cores"):
            loky.cpu_count(only_physical_cores=True)
        monkeypatch.setitem(_alias._placed, "joblib.externals.loky", "loky")
        assert loky.cpu_count(only_physical_cores=True) >= 1


def test_a_filter_for_another_part_lets_a_warning_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=r"loky\.process_executor")
        _warnings.warn("from elsewhere", "loky.backend.context")
        with pytest.raises(UserWarning, match="from there"):
            _warnings.warn("from there", "loky.process_executor")


def test_the_file_is_the_modules():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _warnings.warn("text", "loky.backend.context")
    assert [warning.filename for warning in caught] == [context.__file__]


WORKERS_THAT_LEAVE = """
    import sys, time, warnings
    import loky
    class Slow:
        def __reduce__(self):
            time.sleep(0.05)
            return int, (1,)
    if {hidden}:
        warnings.filterwarnings("ignore", module=r"loky\\.process_executor")
    with loky.ProcessPoolExecutor(2, timeout=0.001) as executor:
        print(sum(future.result() for future in [executor.submit(abs, Slow()) for _ in range(15)]))
    """


@pytest.mark.parametrize("hidden", [False, True])
def test_workers_that_leave_are_told_of_once_unless_that_is_filtered(tmp_path, hidden):
    program = programs.write(tmp_path / "program.py", WORKERS_THAT_LEAVE.format(hidden=hidden))
    finished = programs.run(program)
    assert finished.output == "15\n"
    assert finished.errors.count("A worker stopped while some jobs were given") == (not hidden)
