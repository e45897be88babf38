"""The tracker: counts, names of any kind, sharing with workers, its own death, what it says."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from loky.backend import resource_tracker
from loky.backend.resource_tracker import ResourceTracker, _decode_message
from tests.support import programs
from tests.support.waiting import eventually, has_ended

NAMES = {
    "plain": "plain",
    "signs": "a:b [c] (d) 'e' \\f",
    "line": "two\nlines",
    "unicode": "größe-\N{SNOWMAN}",
    "long": "n" * 200 + "\N{SNOWMAN}" * 15,
}


@pytest.fixture
def tracker():
    made = ResourceTracker()
    yield made
    made._stop()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_goes_with_its_last_user(tmp_path, tracker, name):
    path = tmp_path / name
    path.touch()
    tracker.register(str(path), "file")
    tracker.register(str(path), "file")
    tracker.maybe_unlink(str(path), "file")
    tracker.register(str(tmp_path / "done"), "file")
    (tmp_path / "done").touch()
    tracker.maybe_unlink(str(tmp_path / "done"), "file")
    assert eventually(lambda: not (tmp_path / "done").exists())
    assert path.exists()
    tracker.maybe_unlink(str(path), "file")
    assert eventually(lambda: not path.exists())
    tracker._stop()
    assert tracker._exitcode == 0


def test_a_name_may_be_longer_than_a_pipe_takes_at_once(tracker, capfd):
    for name in ("d" * 50_000, "\N{SNOWMAN}" * 20_000):
        tracker.register(name, "dummy")
        tracker.unregister(name, "dummy")
    tracker._stop()
    assert tracker._exitcode == 0
    assert capfd.readouterr().err == ""


def test_a_thing_that_is_unregistered_stays(tmp_path, tracker):
    (tmp_path / "kept").touch()
    tracker.register(str(tmp_path / "kept"), "file")
    tracker.unregister(str(tmp_path / "kept"), "file")
    tracker._stop()
    assert tracker._exitcode == 0
    assert (tmp_path / "kept").exists()


def test_what_is_left_is_deleted_and_told(tmp_path, tracker, capfd):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    tracker.register(str(folder), "folder")
    tracker.register(str(folder / "file"), "file")
    tracker.register("nothing", "dummy")
    tracker._stop()
    assert tracker._exitcode == 1
    assert not folder.exists()
    errors = capfd.readouterr().err
    for kind in ("file", "folder"):
        text = f"resource_tracker: There appear to be 1 leaked {kind} objects to clean up at shutdown"
        assert text in errors
    assert f"shutdown: {{{str(folder)!r}: 1}}\n" in errors
    assert "dummy" not in errors


def test_a_thing_that_is_only_counted_is_left_over_without_a_word(tracker, capfd):
    tracker.register("nothing", "dummy")
    tracker._stop()
    assert tracker._exitcode == 1
    assert capfd.readouterr().err == ""


def test_what_cannot_be_deleted_is_told_by_name(tmp_path, tracker, capfd):
    gone = str(tmp_path / "gone [x]")
    tracker.register(gone, "file")
    tracker._stop()
    assert tracker._exitcode == 2
    assert f"resource_tracker: {gone}: FileNotFoundError(2" in capfd.readouterr().err


def test_a_file_that_is_gone_already_is_no_error(tmp_path, tracker, capfd):
    tracker.register(str(tmp_path / "gone"), "file")
    tracker.maybe_unlink(str(tmp_path / "gone"), "file")
    tracker._stop()
    assert tracker._exitcode == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("call", "text"), [(("unknown", "file"), "KeyError: 'unknown'"), (("x", "sort"), "unknown resource type")]
)
def test_a_wrong_message_is_told_and_the_tracker_goes_on(tracker, capfd, call, text):
    tracker.unregister(*call)
    tracker.register("fine", "dummy")
    tracker.unregister("fine", "dummy")
    tracker._stop()
    assert tracker._exitcode == 3
    assert text in capfd.readouterr().err


def test_what_may_never_be_registered(tracker, capfd):
    tracker.register("x", "noop")
    tracker._stop()
    assert tracker._exitcode == 3
    with pytest.raises(RuntimeError):
        resource_tracker._CLEANUP_FUNCS["noop"]("x")
    capfd.readouterr()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", "malformed resource_tracker message"),
        (b"REGISTER", "malformed resource_tracker message"),
        (b"{cmd", "malformed resource_tracker message"),
        (b'{"cmd": 5, "rtype": "file", "base64_name": "YQ=="}', "malformed resource_tracker fields"),
        (b'{"cmd": "REGISTER", "rtype": "file"}', "malformed resource_tracker fields"),
    ],
)
def test_a_malformed_message_is_called_so(line, text):
    with pytest.raises(ValueError, match=text):
        resource_tracker._decode_message(line)


def test_stopping_gives_up_after_a_while_where_others_keep_it(tracker):
    tracker.ensure_running()
    pid = tracker._pid
    other = os.dup(tracker._fd)
    tracker._stop(use_blocking_lock=False, wait_timeout=0.05)
    assert tracker._waitpid_timed_out
    assert (tracker._fd, tracker._pid, tracker._exitcode) == (None, None, None)
    os.close(other)
    assert os.waitpid(pid, 0)[1] == 0


def test_stopping_can_be_told_how_to_wait(tracker):
    tracker.ensure_running()
    pid = tracker._pid
    waited = []
    closed = []

    def close(descriptor):
        closed.append(descriptor)
        os.close(descriptor)

    def waitpid(number, _options):
        waited.append(number)
        return os.waitpid(number, 0)

    descriptor = tracker._fd
    with tracker._lock:
        tracker._stop_locked(close=close, waitpid=waitpid, wait_timeout=None)
    assert (closed, waited, tracker._exitcode) == ([descriptor], [pid], 0)


def test_it_is_known_whether_it_lives(tracker):
    assert not tracker._check_alive()
    tracker.ensure_running()
    assert tracker._check_alive()
    os.kill(tracker._pid, signal.SIGKILL)
    assert has_ended(tracker._pid)
    assert not tracker._check_alive()


def test_interrupts_do_not_end_it(tracker):
    tracker.ensure_running()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(tracker._pid, number)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.ensure_running()
    tracker._stop()
    assert tracker._exitcode == 0


def test_one_that_was_killed_is_replaced_with_one_warning(tracker, capfd):
    tracker.register("before", "dummy")
    os.kill(tracker._pid, signal.SIGKILL)
    assert has_ended(tracker._pid)
    with pytest.warns(UserWarning, match="process died unexpectedly, relaunching") as told:
        tracker.register("after", "dummy")
    assert len(told) == 1
    tracker.unregister("before", "dummy")
    tracker.unregister("after", "dummy")
    tracker._stop()
    assert tracker._exitcode == 0
    assert capfd.readouterr().err == ""


def test_a_forked_child_keeps_the_pipe_but_not_the_process(tracker):
    resource_tracker.ensure_running()
    descriptor = resource_tracker._resource_tracker._fd
    pid = os.fork()
    if pid == 0:
        own = resource_tracker._resource_tracker
        os._exit(0 if own._pid is None and own._fd == descriptor else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert resource_tracker._resource_tracker._pid is not None


def numbers():
    from multiprocessing import resource_tracker as standard

    from loky.backend import resource_tracker as own

    return own._resource_tracker._fd, standard._resource_tracker._fd


def test_workers_share_both_trackers_by_number(pool):
    there = pool(1).submit(numbers).result()
    assert there == numbers()
    assert None not in there


def test_nested_workers_share_them_too(pool):
    def nested():
        from loky import ProcessPoolExecutor

        with ProcessPoolExecutor(1) as inner:
            return inner.submit(numbers).result()

    assert pool(1).submit(nested).result() == numbers()


SHARED = """
    import loky
    from multiprocessing.shared_memory import SharedMemory
    def remove(name):
        block = SharedMemory(name=name)
        block.close()
        block.unlink()
    def make():
        block = SharedMemory(create=True, size=100)
        block.close()
        return block.name
    with loky.ProcessPoolExecutor(1) as executor:
        block = SharedMemory(create=True, size=100)
        executor.submit(remove, block.name).result()
        block.close()
        remove(executor.submit(make).result())
    """


def test_shared_memory_may_be_removed_by_another_process(tmp_path):
    finished = programs.run(programs.write(tmp_path / "script.py", SHARED))
    assert (finished.output, finished.errors) == ("", "")


def test_a_thing_lives_until_the_last_process_of_the_family_has_gone(tmp_path):
    (tmp_path / "file").touch()
    text = f"""
        import loky, os
        from loky.backend import resource_tracker
        def register():
            from loky.backend import resource_tracker
            resource_tracker.register({str(tmp_path / "file")!r}, "file")
            return os.path.exists({str(tmp_path / "file")!r})
        with loky.ProcessPoolExecutor(1) as executor:
            print(executor.submit(register).result())
        print(os.path.exists({str(tmp_path / "file")!r}))
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert finished.output == "True\nTrue\n"
    assert "1 leaked file objects" in finished.errors
    assert not (tmp_path / "file").exists()


def test_it_says_what_it_does_when_told_to(tmp_path):
    (tmp_path / "file").touch()
    text = f"""
        from loky.backend import resource_tracker
        resource_tracker.VERBOSE = True
        for call in ("register", "maybe_unlink"):
            getattr(resource_tracker, call)({str(tmp_path / "file")!r}, "file")
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert f"decremented refcount of file {tmp_path / 'file'}" in finished.errors


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"REGISTER:/a:b:file\n", ("REGISTER", "file", "/a:b")),
        ("PROBE::noop", ("PROBE", "noop", "")),
        (b'{"cmd":"REGISTER","rtype":"file","base64_name":"w7w="}\n', ("REGISTER", "file", "\xfc")),
    ],
)
def test_messages_are_lines_or_json(line, message):
    assert _decode_message(line) == message


@pytest.mark.parametrize(
    ("lines", "status"),
    [("", 0), ("REGISTER:x:file\n", 2), ("nonsense\n", 3), ("REGISTER:x:dummy\nUNREGISTER:x:dummy\n", 0)],
)
def test_the_loop_runs_in_a_bare_interpreter(lines, status):
    reader, writer = os.pipe()
    program = f"from loky.backend.resource_tracker import main; main({reader})"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        pass_fds=[reader],
        stderr=subprocess.DEVNULL,
        env=programs.environment(),
    )
    os.close(reader)
    os.write(writer, lines.encode())
    os.close(writer)
    assert process.wait(20) == status


def test_its_command_line_can_be_told_from_a_worker(tracker):
    tracker.ensure_running()
    # Right after the start the system has no command line for it yet.
    assert eventually(lambda: b"resource_tracker" in Path(f"/proc/{tracker._pid}/cmdline").read_bytes())


def test_nothing_is_open_in_it_but_its_pipe_and_the_errors(tracker, tmp_path):
    with open(tmp_path / "kept", "w") as kept:
        os.set_inheritable(kept.fileno(), True)
        tracker.ensure_running()
        folder = Path(f"/proc/{tracker._pid}/fd")
        assert eventually(lambda: len(os.listdir(folder)) == 4)
        assert str(tmp_path / "kept") not in [os.readlink(link) for link in folder.iterdir()]
