"""Processes that a task leaves below its worker, in every way to get away from it."""

import os
import signal
import subprocess
import sys

from tests.support.waiting import is_running

SLEEP = (sys.executable, "-c", "import time; time.sleep(1000)")

NEAR = ("child", "session", "orphan", "orphan-in-session", "daemon", "fork")
"""A child; one in a session of its own; one whose parent has ended; both; as daemons do; only forked."""


def _popen(**options):
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(SLEEP, stdin=nothing, stdout=nothing, stderr=nothing, **options)
    process.returncode = 0  # It is not waited for, and that is meant.
    return process.pid


def _through_a_child(leave):
    """Have a child do this, give what it says, and end."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(leave()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(read, 32))
    os.close(read)
    os.close(write)
    return pid


def _fork():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid


def _daemon():
    os.setsid()
    return _fork()


def leave(way, environment=None):
    """Leave a process in one of the ways; its number."""
    if way == "child":
        return _popen(env=environment)
    if way == "session":
        return _popen(env=environment, start_new_session=True)
    if way == "orphan":
        return _through_a_child(lambda: _popen(env=environment))
    if way == "orphan-in-session":
        return _through_a_child(lambda: _popen(env=environment, start_new_session=True))
    if way == "daemon":
        return _through_a_child(_daemon)
    assert way == "fork"
    return _fork()


def leave_all(environment=None):
    """As a task: leave one of each; the worker's number and theirs, all seen alive by the worker itself.

    The parent cannot look: a worker that leaves after this task may be gone, and they with it.
    """
    pids = [leave(way, environment) for way in NEAR]
    assert all(is_running(pid) for pid in pids)
    return os.getpid(), pids


def leave_and_crash(folder, how):
    """As a task: leave one of each, write down their numbers, and end the worker."""
    _, pids = leave_all()
    with open(f"{folder}/left", "w", encoding="ascii") as file:
        file.write(" ".join(map(str, pids)))
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), how)
    signal.pause()


def leave_to_live(ways):
    """As a task: leave processes that are to live on, one in each of the ways that execute one."""
    import loky

    return os.getpid(), [leave(way, loky.let_live()) for way in ways]
