"""The number of CPUs, from files that a test writes."""
# ruff: noqa: SLF001  # the root of the file system is a parameter of private functions only

import io
import os
import warnings

import pytest

from loky import _cpu_count
from loky.backend import context


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(_cpu_count, "_warned", set())
    monkeypatch.setattr(context, "physical_cores_cache", {})
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)


def write(root, texts):
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, 16),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 16),
        ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": ""}, 16),
        ({"sys/fs/cgroup/cpu.max": "max\n"}, 16),
        ({"sys/fs/cgroup/cpu.max": "9000000 100000\n"}, 90),
    ],
)
def test_a_quota_of_version_2_is_rounded_up(tmp_path, texts, expected):
    assert _cpu_count._cpu_count_cgroup(16, write(tmp_path, texts)) == expected


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("-1", 16), ("0", 16)])
def test_a_quota_of_version_1(tmp_path, folder, quota, expected):
    texts = {
        f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": "100000\n",
    }
    assert _cpu_count._cpu_count_cgroup(16, write(tmp_path, texts)) == expected


def test_a_quota_of_version_1_without_its_period_is_none(tmp_path):
    root = write(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n"})
    assert _cpu_count._cpu_count_cgroup(16, root) == 16


def test_the_narrowest_of_nested_groups_counts(tmp_path):
    texts = {
        "proc/self/cgroup": "0::/user/job/step\n",
        "sys/fs/cgroup/user/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/user/job/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/user/job/step/cpu.max": "max 100000\n",
    }
    assert _cpu_count._cpu_count_cgroup(16, write(tmp_path, texts)) == 3


def test_the_own_group_of_version_1_counts(tmp_path):
    group = "sys/fs/cgroup/cpu,cpuacct/box"
    texts = {
        "proc/self/cgroup": "5:memory:/elsewhere\n4:cpu,cpuacct:/box\n0::/\n",
        f"{group}/cpu.cfs_quota_us": "200000",
        f"{group}/cpu.cfs_period_us": "100000",
    }
    assert _cpu_count._cpu_count_cgroup(16, write(tmp_path, texts)) == 2


def test_a_group_outside_the_namespace_leaves_the_root(tmp_path):
    texts = {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "500000 100000"}
    assert _cpu_count._cpu_count_cgroup(16, write(tmp_path, texts)) == 5


def test_a_malformed_quota_is_no_limit_and_is_warned_about_once(tmp_path):
    root = write(tmp_path, {"sys/fs/cgroup/cpu.max": "lots 100000\n"})
    with pytest.warns(UserWarning, match="'lots'"):
        assert _cpu_count._cpu_count_cgroup(16, root) == 16
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _cpu_count._cpu_count_cgroup(16, root) == 16


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("0", 1), ("-5", 1), ("64", 8)])
def test_the_users_wish_is_an_upper_bound(monkeypatch, text, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(context, "_cpu_count_affinity_set", lambda: None)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda default: default)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", text)
    assert _cpu_count.cpu_count() == expected


@pytest.mark.parametrize("text", ["", "many"])
def test_a_wish_that_is_no_number_is_ignored_with_a_warning(monkeypatch, text):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", text)
    with pytest.warns(UserWarning, match="LOKY_MAX_CPU_COUNT"):
        assert _cpu_count.cpu_count() >= 1


def test_the_affinity_is_a_limit(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(context, "_cpu_count_affinity_set", lambda: {0, 3})
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda default: default)
    assert _cpu_count.cpu_count() == 2


def test_an_unknown_number_of_cpus_is_one(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr(context, "_cpu_count_affinity_set", lambda: None)
    assert _cpu_count.cpu_count() == 1


def processor(number, socket, core):
    return f"processor\t: {number}\nphysical id\t: {socket}\ncore id\t\t: {core}\n\n"


CPUINFO = "".join([processor(0, 0, 0), processor(1, 0, 1), processor(2, 0, 0), processor(3, 1, 0)])


@pytest.mark.parametrize(
    ("affinity", "expected"), [(None, 3), ({0, 2}, 1), ({0, 1}, 2), ({0, 3}, 2), ({0, 1, 2, 3}, 3)]
)
def test_two_threads_of_a_core_are_one(tmp_path, affinity, expected):
    root = write(tmp_path, {"proc/cpuinfo": CPUINFO})
    assert context._count_physical_cores_linux(affinity, root) == expected


def test_physical_cores_bound_the_logical_ones(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(context, "_cpu_count_affinity_set", lambda: None)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda default: default)
    monkeypatch.setattr(context, "_count_physical_cores", lambda affinity: (4, None))
    assert _cpu_count.cpu_count(only_physical_cores=True) == 4
    assert _cpu_count.cpu_count() == 8


def test_cores_that_cannot_be_counted_are_warned_about_once(monkeypatch, capsys):
    def fail(affinity):
        raise OSError("no such file")

    monkeypatch.setattr(context, "_count_physical_cores_linux", fail)
    with pytest.warns(UserWarning, match="Could not find the number of physical cores"):
        first = _cpu_count.cpu_count(only_physical_cores=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _cpu_count.cpu_count(only_physical_cores=True) == first
    assert first == _cpu_count.cpu_count()


def test_files_are_opened_by_their_path_alone(monkeypatch):
    """Suites put functions of one argument in the place of `open`."""
    texts = {"/sys/fs/cgroup/cpu.max": "300000 100000\n", "/proc/cpuinfo": "processor : 0\ncore id : 4\n"}
    monkeypatch.setattr(os.path, "exists", lambda path: path in texts)
    monkeypatch.setattr("builtins.open", lambda path: io.StringIO(texts[path]))
    assert context._cpu_count_cgroup(16) == 3
    assert context._count_physical_cores_linux() == 1
