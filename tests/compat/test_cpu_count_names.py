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
    assert context.physical_cores_cache == {frozenset(range(8)): 4}


@pytest.mark.usefixtures("eight")
def test_a_number_in_place_of_the_cache_is_the_answer(monkeypatch):
    monkeypatch.setattr(context, "physical_cores_cache", 1)
    assert loky.cpu_count(only_physical_cores=True) == 1


@pytest.mark.usefixtures("eight")
def test_cores_are_counted_once(monkeypatch):
    calls = []
    monkeypatch.setattr(context, "_count_physical_cores", lambda cpus: (calls.append(cpus) or 4, None))
    assert [loky.cpu_count(only_physical_cores=True) for _ in range(3)] == [4, 4, 4]
    assert calls == [set(range(8))]


@pytest.mark.usefixtures("eight")
def test_failing_to_count_is_warned_about_once_from_the_module(monkeypatch, capsys):
    monkeypatch.setattr(context, "_count_physical_cores_linux", lambda cpu_set: 0)
    number, error = context._count_physical_cores()
    assert number == "not found"
    assert isinstance(error, ValueError)
    with pytest.warns(UserWarning, match="Could not find the number of physical cores"):
        assert loky.cpu_count(only_physical_cores=True) == 8
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
