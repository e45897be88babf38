"""`LokyProcess` keeps the contract of a process of multiprocessing, in a fresh interpreter."""

import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import wait

import pytest

from loky.backend import get_context
from loky.backend.process import LokyInitMainProcess, LokyProcess
from tests.support import programs


@pytest.fixture
def started():
    """Start a process that is over when the test is."""
    made = []

    def start(target, *args, kind=LokyProcess, **options):
        process = kind(target=target, args=args, **options)
        made.append(process)
        process.start()
        return process

    yield start
    for process in made:
        process.kill()
        process.join()
        process.close()


def put(queue, function):
    queue.put(function())


def method():
    # The function itself is a method of multiprocessing's state, which would travel with it.
    return multiprocessing.get_start_method()


def ask(started, function, **options):
    queue = get_context("loky").SimpleQueue()
    process = started(put, queue, function, **options)
    answer = queue.get()
    process.join()
    assert process.exitcode == 0
    queue.close()
    return answer


def test_life_from_the_start_to_the_end(started):
    reader, writer = get_context("loky").Pipe(duplex=False)
    process = started(reader.recv_bytes)
    assert process.exitcode is None
    assert process.is_alive()
    assert process in multiprocessing.active_children()
    process.join(0)
    process.join(-1)
    assert process.is_alive()
    writer.send_bytes(b"end")
    process.join()
    assert process.exitcode == 0
    assert not process.is_alive()
    assert process not in multiprocessing.active_children()
    assert wait([process.sentinel], 0) == [process.sentinel]
    reader.close()
    writer.close()


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_the_targets(started, status):
    process = started(sys.exit, status)
    process.join()
    assert process.exitcode == status


@pytest.mark.parametrize(
    ("order", "number"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)], ids=["term", "kill"]
)
def test_a_signal_is_a_negative_exit_code(started, order, number):
    reader, writer = get_context("loky").Pipe(duplex=False)
    process = started(reader.recv_bytes)
    getattr(process, order)()
    wait([process.sentinel], 20)
    process.join()
    assert process.exitcode == -number
    reader.close()
    writer.close()


def test_a_sentinel_only_after_the_start():
    with pytest.raises(ValueError, match="not started"):
        _ = LokyProcess(target=abs, args=(1,)).sentinel


def test_names_count_on():
    first, second = LokyProcess(), LokyProcess()
    assert first.name.startswith("LokyProcess-")
    assert int(second.name.rpartition("-")[2]) == int(first.name.rpartition("-")[2]) + 1
    assert LokyInitMainProcess().name.startswith("LokyInitMainProcess-")


def test_the_method_is_that_of_the_process(started):
    assert ask(started, method) == "loky"
    assert ask(started, method, kind=LokyInitMainProcess) == "loky_init_main"


def test_env_is_set_before_anything_is_imported(started, monkeypatch, tmp_path):
    (tmp_path / "reads_early.py").write_text("import os\nvalue = os.environ.get('LOKY_TEST_A')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = ask(started, lambda: __import__("reads_early").value, env={"LOKY_TEST_A": 5})
    assert found == "5"
    assert "LOKY_TEST_A" not in os.environ


def test_a_process_is_a_daemon_if_told(started):
    assert ask(started, lambda: multiprocessing.current_process().daemon, daemon=True) is True
    assert ask(started, lambda: multiprocessing.current_process().daemon) is False


def test_the_parent_is_known(started):
    def look():
        parent = multiprocessing.parent_process()
        return parent.pid, parent.is_alive(), os.getppid()

    assert ask(started, look) == (os.getpid(), True, os.getpid())


def test_the_authkey_is_the_parents_and_stays_here(started):
    assert ask(started, lambda: bytes(multiprocessing.current_process().authkey)) == bytes(
        multiprocessing.current_process().authkey
    )
    with pytest.raises(TypeError):
        multiprocessing.get_context("loky").Process().authkey.__reduce__()


OPEN = """
    import os, sys
    def descriptors(reader):
        kinds = {}
        for number in map(int, os.listdir("/proc/self/fd")):
            try:
                kinds[number] = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                pass  # The one that listed the folder.
        print(kinds[0], sorted(target.partition(":")[0] for n, target in kinds.items() if n > 2), flush=True)
    if __name__ == "__main__":
        from loky.backend import get_context
        kept = [open("/dev/zero"), os.pipe()]
        os.set_inheritable(kept[0].fileno(), True)
        context = get_context("loky")
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=descriptors, args=(reader,))
        process.start()
        process.join()
    """


def test_nothing_is_inherited_but_what_is_given(tmp_path):
    finished = programs.run(programs.write(tmp_path / "script.py", OPEN))
    assert finished.errors == ""
    assert finished.output == f"{os.devnull} ['pipe', 'pipe', 'pipe', 'pipe']\n"


UNGUARDED = """
    from loky.backend.process import LokyInitMainProcess
    process = LokyInitMainProcess(target=print, args=("ran",))
    process.start()
    process.join()
    print("status", process.exitcode)
    """


def test_a_script_that_starts_processes_unguarded_is_told(tmp_path):
    finished = programs.run(programs.write(tmp_path / "script.py", UNGUARDED))
    assert "RuntimeError:" in finished.output
    assert "bootstrapping phase" in finished.output
    assert finished.lines[-1] == "status 1"


def test_a_lambda_of_a_script_is_a_target_without_a_guard(tmp_path):
    text = """
        from loky.backend.process import LokyProcess
        process = LokyProcess(target=lambda: print("ran"))
        process.start()
        process.join()
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert (finished.output, finished.errors) == ("ran\n", "")
