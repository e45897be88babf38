"""The census finds each kind of thing that a test may leave behind: each is left, and found."""

import mmap
import os
import select
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.support import census

SLEEPER = [sys.executable, "-c", "input()"]
# Starts a sleeper in a session of its own, names it and ends, so that the sleeper is an orphan.
ORPHAN_MAKER = """
import os, subprocess, sys
orphan = subprocess.Popen(
    [sys.executable, "-c", "input()"],
    stdin=os.dup(0),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
)
orphan.returncode = 0
print(orphan.pid)
"""


def start_sleeper(**options):
    """Start a process that ends when its input does."""
    return subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)


def left(before):
    return census.settle(before, 0.0)


def test_nothing_left_is_nothing_found():
    assert left(census.take()) == []


def test_a_running_child_is_found():
    before = census.take()
    with start_sleeper() as child:
        found = left(before)
        child.stdin.close()
    assert [line for line in found if line.startswith(f"process {child.pid} ")]
    assert left(before) == []


def test_a_child_that_nobody_waited_for_is_found():
    before = census.take()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    ended = os.pidfd_open(pid)
    select.select([ended], [], [])
    os.close(ended)
    assert left(before) == [f"process {pid} (Z): [no command line]"]
    os.waitpid(pid, 0)
    assert left(before) == []


def test_an_orphan_in_a_session_of_its_own_is_found():
    before = census.take()
    pipe = os.pipe()
    command = [sys.executable, "-c", ORPHAN_MAKER]
    middle = subprocess.run(command, stdin=pipe[0], stdout=subprocess.PIPE, text=True, check=True)
    orphan = int(middle.stdout)
    found = left(before)
    ended = os.pidfd_open(orphan)
    for number in pipe:
        os.close(number)
    select.select([ended], [], [])
    os.close(ended)
    assert [line for line in found if line.startswith(f"process {orphan} ")]


def test_a_zygote_without_our_mark_is_found_by_its_command_line():
    before = census.take()
    command = [sys.executable, "-c", "input()", census.ZYGOTE_MARK, "multiprocessing.forkserver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}) as child:
        found = left(before)
        child.stdin.close()
    assert [line for line in found if f"process {child.pid} " in line and "loky-zygote" in line]


def test_a_helper_of_the_standard_library_may_stay():
    before = census.take()
    command = [sys.executable, "-c", "input()", "multiprocessing.resource_tracker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        found = left(before)
        child.stdin.close()
    assert not [line for line in found if line.startswith("process")]


def test_an_open_descriptor_is_found():
    before = census.take()
    number = os.open("/dev/null", os.O_RDONLY)
    assert left(before) == [f"descriptor {number}: /dev/null"]
    os.close(number)
    assert left(before) == []


def test_a_descriptor_that_changed_its_meaning_is_found():
    number = os.open("/dev/null", os.O_RDONLY)
    before = census.take()
    other = os.open("/dev/zero", os.O_RDONLY)
    os.dup2(other, number)
    os.close(other)
    assert left(before) == [f"descriptor {number}: /dev/zero"]
    os.close(number)


def test_mapped_shared_memory_is_found_also_without_a_descriptor():
    before = census.take()
    number = os.memfd_create("segment")
    os.ftruncate(number, 4096)
    mapped = mmap.mmap(number, 4096)
    mapped_number = [line for line in left(before) if line.startswith("descriptor")]
    os.close(number)
    assert mapped_number
    assert [line for line in left(before) if line.startswith("mapping /memfd:segment")]
    mapped.close()
    assert left(before) == []


def test_a_temporary_file_is_found():
    before = census.take()
    number, name = tempfile.mkstemp()
    os.close(number)
    assert left(before) == [f"file {name}"]
    Path(name).unlink()
    assert left(before) == []


def test_a_named_segment_is_found():
    before = census.take()
    path = Path("/dev/shm", f"loky-left-{os.getpid()}")
    path.touch()
    try:
        assert left(before) == [f"file {path}"]
    finally:
        path.unlink()


def test_waiting_ends_when_the_process_does():
    before = census.take()
    child = start_sleeper()
    threading.Thread(target=child.communicate).start()
    assert census.settle(before, 60.0) == []


def test_a_place_without_proc_is_said_aloud(monkeypatch, tmp_path):
    monkeypatch.setattr(census, "_PROC", tmp_path)
    with pytest.raises(census.CensusUnavailableError):
        census.adopt_marks()
