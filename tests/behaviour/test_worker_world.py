"""What a worker sees of its owner: directory, environment, paths, names, signals, streams."""

import logging
import multiprocessing
import os
import signal
import sys
import threading

import pytest

from tests.support import programs, tasks
from tests.support.waiting import has_ended


def ask(pool, function, *args, **options):
    """What one worker answers."""
    return pool(1, **options).submit(function, *args).result()


def test_the_directory_is_the_parents_at_the_start(pool, tmp_path, monkeypatch):
    executor = pool(1)
    monkeypatch.chdir(tmp_path)
    assert executor.submit(os.getcwd).result() == str(tmp_path)
    monkeypatch.chdir("/")
    assert executor.submit(os.getcwd).result() == str(tmp_path)


def test_a_directory_that_a_task_changes_stays_for_that_worker(pool, tmp_path):
    executor = pool(1)
    executor.submit(os.chdir, tmp_path).result()
    assert executor.submit(os.getcwd).result() == str(tmp_path)


@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_a_directory_that_is_gone_is_no_obstacle(pool, tmp_path, monkeypatch, launched):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ask(pool, tasks.identity, 1, launcher=launched) == 1


def test_the_environment_is_the_parents_at_the_start(pool, monkeypatch):
    executor = pool(1)
    monkeypatch.setenv("LOKY_TEST_A", "1")
    monkeypatch.delenv("HOME", raising=False)
    assert executor.submit(tasks.environment, "LOKY_TEST_A").result() == "1"
    assert executor.submit(tasks.environment, "HOME").result() is None
    monkeypatch.setenv("LOKY_TEST_A", "2")
    assert executor.submit(tasks.environment, "LOKY_TEST_A").result() == "1"


def test_a_later_worker_sees_the_later_environment(pool, monkeypatch):
    executor = pool(1, max_tasks_per_child=1)
    monkeypatch.setenv("LOKY_TEST_A", "1")
    assert executor.submit(tasks.environment, "LOKY_TEST_A").result() == "1"
    executor.shutdown()
    executor = pool(1, timeout=0)
    monkeypatch.setenv("LOKY_TEST_A", "2")
    assert executor.submit(tasks.environment, "LOKY_TEST_A").result() == "2"


def test_env_comes_over_the_environment_as_text(pool, monkeypatch):
    monkeypatch.setenv("LOKY_TEST_A", "parent")
    executor = pool(1, env={"LOKY_TEST_A": 7, "LOKY_TEST_B": "b"})
    assert executor.submit(tasks.environment, "LOKY_TEST_A").result() == "7"
    assert executor.submit(tasks.environment, "LOKY_TEST_B").result() == "b"
    assert os.environ["LOKY_TEST_A"] == "parent"


def test_variables_reach_the_c_library_too(pool):
    from ctypes import CDLL, c_char_p

    def from_c():
        getenv = CDLL(None).getenv
        getenv.restype = c_char_p
        return getenv(b"LOKY_TEST_A")

    assert ask(pool, from_c, env={"LOKY_TEST_A": "seen"}) == b"seen"


def test_env_is_in_place_before_numpy_is_imported(pool, tmp_path, monkeypatch):
    (tmp_path / "reads_environment.py").write_text("import os\nvalue = os.environ.get('OMP_NUM_THREADS')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    executor = pool(1, env={"OMP_NUM_THREADS": 3})
    assert executor.submit(tasks.loaded, "numpy").result() is False
    assert executor.submit(lambda: __import__("reads_environment").value).result() == "3"


def test_sys_path_is_the_parents_at_the_start(pool, tmp_path, monkeypatch):
    executor = pool(1)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = executor.submit(lambda: list(sys.path)).result()
    assert path == [entry or os.getcwd() for entry in sys.path]
    assert path[0] == str(tmp_path)


def test_an_empty_entry_of_sys_path_is_the_directory(pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert ask(pool, lambda: sys.path[0]) == str(tmp_path)


def test_sys_argv_is_the_parents(pool, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program", "--option"])
    assert ask(pool, lambda: list(sys.argv)) == ["program", "--option"]


def test_the_main_module_is_not_the_users(pool):
    def look():
        main = sys.modules["__main__"]
        return main.__name__, main is sys.modules["__mp_main__"], getattr(main, "__file__", None)

    assert ask(pool, look) == ("__main__", True, None)


def test_what_a_task_defines_in_the_main_module_comes_back_by_value(pool):
    def define():
        main = sys.modules["__main__"]
        exec("def double(number): return 2 * number\nclass Kind: pass", vars(main))
        return main.double, main.Kind

    double, kind = ask(pool, define)
    assert double(4) == 8
    assert (kind.__name__, kind.__module__) == ("Kind", "__main__")


def describe_process():
    process, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    return {
        "kind": type(process).__name__,
        "name": process.name,
        "daemon": process.daemon,
        "pid": process.pid == os.getpid(),
        "parent": (parent.name, parent.pid),
        "parent lives": parent.is_alive(),
        "_parent_pid": process._parent_pid,
    }


def test_multiprocessing_sees_a_child_of_the_owner(pool):
    seen = ask(pool, describe_process)
    assert seen["kind"] == "LokyProcess"
    assert seen["name"].startswith("LokyProcess-")
    assert (seen["daemon"], seen["pid"], seen["parent lives"]) == (False, True, True)
    assert seen["parent"] == (multiprocessing.current_process().name, os.getpid())
    assert seen["_parent_pid"] == os.getpid()


def test_the_name_in_the_worker_is_the_name_in_the_parent(pool):
    executor = pool(2)
    pid, name = executor.submit(lambda: (os.getpid(), multiprocessing.current_process().name)).result()
    assert executor._processes[pid].name == name


def test_the_process_group_and_session_are_the_owners(pool):
    assert ask(pool, lambda: (os.getpgid(0), os.getsid(0))) == (os.getpgid(0), os.getsid(0))


def test_a_managers_proxies_work_as_arguments_and_initializer_arguments(pool):
    with multiprocessing.get_context("spawn").Manager() as manager:
        shared = manager.dict(a=1)
        executor = pool(1, initializer=tasks.remember, initargs=("proxy", shared))
        assert executor.submit(lambda proxy: proxy["a"], shared).result() == 1
        executor.submit(lambda: tasks.recall("proxy").update(b=2)).result()
        assert shared["b"] == 2


def test_multiprocessing_can_be_used_in_a_worker(pool):
    def use():
        context = multiprocessing.get_context()
        queue = context.SimpleQueue()
        queue.put(1)
        return queue.get()

    assert ask(pool, use) == 1


def test_standard_input_is_the_null_device(pool):
    def look():
        import subprocess

        child = subprocess.run(
            [sys.executable, "-c", "print(repr(input()))"], capture_output=True, check=False
        )
        return sys.stdin.read(), os.readlink("/proc/self/fd/0"), b"EOFError" in child.stderr

    assert ask(pool, look) == ("", os.devnull, True)


def test_output_goes_where_the_parents_goes(pool, capfd):
    executor = pool(1)
    executor.submit(os.write, 1, b"out").result()
    executor.submit(os.write, 2, b"err").result()
    assert capfd.readouterr() == ("out", "err")


def test_signals_are_pythons_own(pool):
    def look():
        return (
            signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        )

    assert ask(pool, look) == (True, True, set())


def test_tasks_run_in_the_main_thread_and_there_is_no_other(pool):
    def look():
        return threading.current_thread() is threading.main_thread(), threading.active_count()

    assert ask(pool, look) == (True, 1)
    assert ask(pool, lambda: len(os.listdir("/proc/self/task"))) == 1


def test_umask_niceness_and_affinity_are_the_owners_at_the_start(pool):
    executor = pool(1)
    old_umask, cpus = os.umask(0o027), os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cpus)})
        seen = executor.submit(lambda: (os.umask(0), os.sched_getaffinity(0), os.nice(0))).result()
    finally:
        os.sched_setaffinity(0, cpus)
        os.umask(old_umask)
    assert seen == (0o027, {min(cpus)}, os.nice(0))


def test_multiprocessings_logger_follows_the_owners(pool):
    logger = multiprocessing.get_logger()
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        seen = ask(pool, lambda: multiprocessing.get_logger().level)
    finally:
        logger.setLevel(before)
    assert seen == logging.DEBUG


LOGS = """
import multiprocessing.util, logging
multiprocessing.util.log_to_stderr(logging.DEBUG)
import loky
loky.ProcessPoolExecutor(1).submit(pow, 2, 3).result()
"""


def test_a_program_that_logs_to_standard_error_sees_lines_of_the_workers():
    assert "LokyProcess-1" in programs.run("-c", LOGS).errors


@pytest.mark.parametrize(("variable", "enabled"), [(None, True), ("0", True), ("", False)])
def test_the_fault_handler_is_on_unless_the_environment_speaks_of_it(pool, monkeypatch, variable, enabled):
    # Any text but the empty one has the interpreter itself turn it on.
    if variable is None:
        monkeypatch.delenv("PYTHONFAULTHANDLER", raising=False)
    else:
        monkeypatch.setenv("PYTHONFAULTHANDLER", variable)
    assert ask(pool, lambda: __import__("faulthandler").is_enabled()) is enabled


def test_a_fatal_signal_dumps_the_stack_on_standard_error(pool, capfd):
    executor = pool(1, on_crash="recover")
    executor.submit(tasks.kill_self, signal.SIGSEGV).exception()
    executor.shutdown()
    errors = capfd.readouterr().err
    assert "Current thread" in errors
    assert "kill_self" in errors


def test_random_numbers_differ_from_worker_to_worker(pool, gate):
    from tests.support.gates import pass_gate

    def draw(folder):
        import random
        import uuid

        import numpy

        pass_gate(folder)
        return random.random(), float(numpy.random.rand()), str(uuid.uuid1()), str(uuid.uuid4())

    executor = pool(3, preload=("numpy", "numpy.random", "uuid", "random"))
    futures = [executor.submit(draw, gate.folder) for _ in range(3)]
    assert len(set(gate.wait_begun(3))) == 3
    gate.open()
    drawn = [future.result() for future in futures]
    assert all(len(set(column)) == 3 for column in zip(*drawn, strict=True))


def test_a_worker_is_forked_also_where_a_preloaded_library_keeps_threads(pool):
    def use():
        import numpy

        square = numpy.ones((300, 300))
        product = float((square @ square)[0, 0])
        with open("/proc/self/cmdline", encoding="utf-8") as file:
            return product, "loky-zygote" in file.read()

    # A task a worker: the helper forks again after the first has used its threads.
    executor = pool(1, preload=("numpy",), launcher="zygote", max_tasks_per_child=1)
    assert [executor.submit(use).result() for _ in range(3)] == [(300.0, True)] * 3


def test_a_seed_in_the_parent_does_not_reach_the_workers(pool):
    import random

    random.seed(1)
    expected = random.random()
    random.seed(1)
    assert ask(pool, lambda: __import__("random").random()) != expected


def test_interpreter_options_of_the_parent_hold_in_the_workers():
    """The original loky gives its workers none."""
    program = (
        "import loky, sys\n"
        "def look():\n"
        "    import sys, warnings\n"
        "    return sys.flags.optimize, sys.warnoptions, sys._xoptions.get('mine')\n"
        "print(loky.ProcessPoolExecutor(1).submit(look).result())\n"
    )
    result = programs.run("-O", "-W", "ignore::UserWarning", "-X", "mine=1", "-c", program)
    assert result.lines == ["(1, ['ignore::UserWarning'], '1')"]


def test_a_worker_has_no_descriptors_beyond_its_own(pool, tmp_path):
    with open(tmp_path / "file", "w") as file:
        os.set_inheritable(file.fileno(), True)
        targets = ask(pool, lambda: [os.readlink(f"/proc/self/fd/{fd}") for fd in _listed()])
    assert str(tmp_path / "file") not in targets
    assert sum(target.startswith("socket:") for target in targets) == 1


def _listed():
    import os

    return [entry for entry in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{entry}")]


CLOSED = """
import os
{close}
import loky, tempfile
taken = [tempfile.TemporaryFile() for _ in range({files})]

def use():
    print("lost")
    os.system("echo lost; echo lost >&2")
    return [os.path.lexists(f"/proc/self/fd/{{number}}") for number in (1, 2)], 7

executor = loky.ProcessPoolExecutor(1)
for _ in range(3):
    streams, status = executor.submit(use).result()
executor.shutdown()
assert all(file.seek(0, 2) == 0 for file in taken)
os._exit(status if streams == {expected} else 1)
"""


@pytest.mark.parametrize("files", [0, 3])
@pytest.mark.parametrize(
    ("close", "expected"),
    [
        ("os.close(1); os.close(2)", [False, False]),
        ("os.close(0); os.close(1); os.close(2)", [False, False]),
        ("os.close(0)", [True, True]),
    ],
    ids=["output", "all", "input"],
)
def test_streams_that_the_owner_has_closed_are_closed_in_the_workers(close, expected, files):
    """Not even what the owner opened in their place is written to."""
    result = programs.run("-c", CLOSED.format(close=close, expected=expected, files=files))
    assert result.status == 7, result


def test_a_task_that_leaves_a_thread_does_not_keep_the_worker(pool):
    def leave_daemon():
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return os.getpid()

    executor = pool(1)
    pid = executor.submit(leave_daemon).result()
    executor.shutdown()
    assert has_ended(pid, 0)
