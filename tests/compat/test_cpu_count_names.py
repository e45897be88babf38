"""The names under which loky counts CPUs: programs replace and call them in `loky.backend.context`."""

import os
import subprocess
import sys
import warnings

import pytest

import loky
from loky.backend import context


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(context, "physical_cores_cache", {})
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)


@pytest.fixture
def eight(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda count: count)


def test_one_function_under_three_names():
    assert loky.cpu_count is context.cpu_count
    assert context.LokyContext.cpu_count is context.cpu_count


@pytest.mark.usefixtures("eight")
def test_each_part_can_be_replaced(monkeypatch):
    assert loky.cpu_count() == 8
    monkeypatch.setattr(context, "_cpu_count_affinity_set", lambda: {0, 1, 2})
    assert loky.cpu_count() == 3
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda count: 2)
    assert loky.cpu_count() == 2


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize("counter", [lambda: (4, None), lambda cpu_set=None: (4, None), lambda: 4])
def test_a_counter_of_cores_with_or_without_an_argument(monkeypatch, counter):
    monkeypatch.setattr(context, "_count_physical_cores", counter)
    assert loky.cpu_count(only_physical_cores=True) == 4
    assert context.physical_cores_cache == {}


@pytest.mark.usefixtures("eight")
def test_a_counter_put_in_place_is_asked_whatever_is_remembered(monkeypatch):
    monkeypatch.setattr(context, "_count_physical_cores_linux", lambda cpu_set: 6)
    assert loky.cpu_count(only_physical_cores=True) == 6
    with monkeypatch.context() as patched:
        patched.setattr(context, "_count_physical_cores", lambda cpu_set=None: (3, None))
        assert loky.cpu_count(only_physical_cores=True) == 3
    assert loky.cpu_count(only_physical_cores=True) == 6


@pytest.mark.usefixtures("eight")
def test_a_number_in_place_of_the_cache_is_the_answer(monkeypatch):
    monkeypatch.setattr(context, "physical_cores_cache", 1)
    assert loky.cpu_count(only_physical_cores=True) == 1


@pytest.mark.usefixtures("eight")
def test_cores_are_counted_once(monkeypatch):
    calls = []
    monkeypatch.setattr(context, "_count_physical_cores_linux", lambda cpus: calls.append(cpus) or 4)
    assert [loky.cpu_count(only_physical_cores=True) for _ in range(3)] == [4, 4, 4]
    assert calls == [set(range(8))]
    assert context._count_physical_cores() == (4, None)
    assert context._count_physical_cores() == (4, None)
    assert calls == [set(range(8)), None]
    assert context.physical_cores_cache == {frozenset(range(8)): 4, None: 4}


@pytest.mark.usefixtures("eight")
def test_failing_to_count_is_warned_about_once_from_the_module(monkeypatch, capsys):
    monkeypatch.setattr(context, "_count_physical_cores_linux", lambda cpu_set: 0)
    number, error = context._count_physical_cores()
    assert number == "not found"
    assert isinstance(error, ValueError)
    with pytest.warns(UserWarning, match="Could not find the number of physical cores"):
        assert loky.cpu_count(only_physical_cores=True) == 8
    assert context._count_physical_cores() == ("not found", None)
    assert loky.cpu_count(only_physical_cores=True) == 8
    context.physical_cores_cache.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"loky\.backend\.context")
        assert loky.cpu_count(only_physical_cores=True) == 8


def test_the_affinity_cannot_be_inspected(monkeypatch):
    def absent(_):
        raise NotImplementedError

    monkeypatch.setattr(os, "sched_getaffinity", absent)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.warns(UserWarning, match="Failed to inspect CPU affinity"):
        assert loky.cpu_count() >= 1
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loky.cpu_count() == 1


def test_other_systems_are_asked_without_the_affinity(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(context, "_cpu_count_affinity_set", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda count: count)
    monkeypatch.setattr(context, "_count_physical_cores", lambda cpu_set: (asked.append(cpu_set) or 2, None))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert loky.cpu_count(only_physical_cores=True) == 2
    assert asked == [None]


@pytest.mark.parametrize(("printed", "cores"), [("4\n", 4), ("4\r\n8\r\n", 12)])
def test_powershell_prints_a_number_a_socket(monkeypatch, printed, cores):
    class Answer:
        stdout = printed

    monkeypatch.setattr(subprocess, "run", lambda *args, **options: Answer)
    assert context._count_physical_cores_win32_powershell() == cores


def test_the_files_of_the_control_group_are_looked_for_first(monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    mapped = {"/sys/fs/cgroup/cpu.max": str(tmp_path / "cpu.max")}
    real = open
    monkeypatch.setattr(os.path, "exists", lambda path: path in mapped)
    monkeypatch.setattr("builtins.open", lambda path, *args, **options: real(mapped.get(path, path), *args))
    assert context._cpu_count_cgroup(8) == 2


def test_a_quota_above_the_number_of_cpus_is_told_as_it_is(monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    real = open
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/sys/fs/cgroup/cpu.max")
    monkeypatch.setattr("builtins.open", lambda path, *args, **options: real(tmp_path / "cpu.max", *args))
    assert context._cpu_count_cgroup(2) == 4


def test_a_list_of_processors_without_cores_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.0\n\n")
    real = open
    monkeypatch.setattr("builtins.open", lambda path, *args, **options: real(tmp_path / "cpuinfo", *args))
    with pytest.raises(ValueError, match="physical core"):
        context._count_physical_cores_linux()


@pytest.mark.parametrize(
    ("system", "counter"),
    [("darwin", "_count_physical_cores_darwin"), ("freebsd14", "_count_physical_cores_freebsd")],
)
def test_the_counters_of_other_systems_can_be_replaced(monkeypatch, system, counter):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(context, counter, lambda: 5)
    assert context._count_physical_cores() == (5, None)


def test_modules_are_replaced_in_by_way_of_this_one(monkeypatch):
    class Answer:
        stdout = "7\n"

    monkeypatch.setattr("loky.backend.context.os.cpu_count", lambda: 3)
    monkeypatch.setattr("loky.backend.context.os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("loky.backend.context._cpu_count_cgroup", lambda count: count)
    assert loky.cpu_count() == 3
    monkeypatch.setattr("loky.backend.context.sys.platform", "darwin")
    monkeypatch.setattr("loky.backend.context.subprocess.run", lambda *args, **options: Answer)
    assert context._count_physical_cores() == (7, None)
