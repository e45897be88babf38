"""What a plain child would have from its parent: limits of resources and ignored signals."""

import os
import resource
import signal

import pytest

from tests.support import programs, tasks

LAUNCHERS = pytest.mark.parametrize("launched", ["zygote", "exec"])


@pytest.fixture
def restored():
    """Puts the limits of this process back, as far as hard limits allow: tests lower soft ones."""
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    before = {name: resource.getrlimit(getattr(resource, name)) for name in names}
    yield
    for name, pair in before.items():
        resource.setrlimit(getattr(resource, name), pair)


def change(name, soft):
    """Set a soft limit of this process; answers what it has now."""
    number = getattr(resource, name)
    resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))
    return resource.getrlimit(number)


@LAUNCHERS
def test_limits_are_those_at_the_start_of_a_worker_not_of_the_pool(pool, restored, launched):
    executor = pool(1, timeout=0.05, launcher=launched)
    executor.submit(tasks.identity, 1).result()
    for soft in (700, 900):
        process = next(iter(executor._processes.values()), None)
        if process is not None:
            process.join()
        wanted = {
            "RLIMIT_NOFILE": change("RLIMIT_NOFILE", soft),
            "RLIMIT_CORE": change("RLIMIT_CORE", 0),
            "RLIMIT_CPU": change("RLIMIT_CPU", soft),
            "RLIMIT_AS": change("RLIMIT_AS", soft << 30),
            "RLIMIT_STACK": change("RLIMIT_STACK", soft << 14),
        }
        numbers = [getattr(resource, name) for name in wanted]
        found = executor.submit(lambda asked: [resource.getrlimit(one) for one in asked], numbers).result()
        assert dict(zip(wanted, found, strict=True)) == wanted


@LAUNCHERS
def test_limits_that_were_changed_before_the_pool_are_the_workers(pool, restored, launched):
    wanted = change("RLIMIT_NOFILE", 600)
    executor = pool(1, launcher=launched)
    assert executor.submit(resource.getrlimit, resource.RLIMIT_NOFILE).result() == wanted


@LAUNCHERS
def test_a_later_change_does_not_reach_a_worker_that_is_there(pool, restored, launched):
    executor = pool(1, launcher=launched)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert executor.submit(resource.getrlimit, resource.RLIMIT_NOFILE).result() == before
    change("RLIMIT_NOFILE", 600)
    assert executor.submit(resource.getrlimit, resource.RLIMIT_NOFILE).result() == before


@LAUNCHERS
def test_a_limit_is_in_force_and_not_only_shown(pool, restored, launched):
    executor = pool(1, timeout=0.05, launcher=launched)
    executor.submit(tasks.identity, 1).result()
    for process in list(executor._processes.values()):
        process.join()
    change("RLIMIT_NOFILE", 200)
    with pytest.raises(OSError, match="Too many open files"):
        executor.submit(open_many, 200).result()


def open_many(count):
    files = [open(os.devnull) for _ in range(count)]  # noqa: SIM115
    return len(files)


HARD = """
import os, resource, sys
import loky

def hard():
    return resource.getrlimit(resource.RLIMIT_NOFILE)

if __name__ == "__main__":
    executor = loky.ProcessPoolExecutor(1, timeout=0.05, launcher=sys.argv[1])
    executor.submit(int).result()
    for process in list(executor._processes.values()):
        process.join()
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 600))
    print(executor.submit(hard).result())
"""


@LAUNCHERS
def test_a_hard_limit_that_was_lowered_is_lower_in_later_workers(launched):
    result = programs.run("-c", HARD, launched)
    assert result.errors == ""
    assert result.lines == ["(500, 600)"]


IGNORED = """
import signal, sys
import loky

def seen():
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD)
    return [signal.getsignal(number) == signal.SIG_IGN for number in numbers]

def in_a_child():
    import subprocess
    text = subprocess.run([sys.executable, "-c", {look!r}], capture_output=True, text=True).stdout
    return text.strip()

if __name__ == "__main__":
    if sys.argv[2] == "before":
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
    executor = loky.ProcessPoolExecutor(1, timeout=0.05, launcher=sys.argv[1])
    executor.submit(int).result()
    for process in list(executor._processes.values()):
        process.join()
    if sys.argv[2] == "after":
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
    print(executor.submit(seen).result())
    print(executor.submit(in_a_child).result())
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for process in list(executor._processes.values()):
        process.join()
    print(executor.submit(seen).result())
"""

LOOK = "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"


@LAUNCHERS
@pytest.mark.parametrize("order", ["before", "after"])
def test_what_the_owner_ignores_when_a_worker_starts_the_worker_ignores(launched, order):
    result = programs.run("-c", IGNORED.format(look=LOOK), launched, order)
    assert result.errors == ""
    assert result.lines == [
        "[True, True, False, False]",
        "True",
        "[False, False, False, False]",
    ]


CHILDREN = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
import loky

if __name__ == "__main__":
    executor = loky.ProcessPoolExecutor(2, launcher=sys.argv[1])
    print(executor.submit(signal.getsignal, signal.SIGCHLD).result() == signal.SIG_IGN)
    try:
        executor.submit(os._exit, 3).result(30)
    except loky.process_executor.TerminatedWorkerError as error:
        print("EXIT(3)" in str(error))
    print(executor.submit(int).result(30))
    executor.shutdown()
"""


@LAUNCHERS
def test_a_program_that_ignores_the_ends_of_its_children_has_a_pool_that_knows_of_them(launched):
    result = programs.run("-c", CHILDREN, launched)
    assert result.errors == ""
    assert result.lines == ["True", "True", "0"]


def test_handlers_of_the_owner_are_not_the_workers(pool):
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        executor = pool(1)
        assert executor.submit(signal.getsignal, signal.SIGUSR1).result() == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
