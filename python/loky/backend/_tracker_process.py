"""The tracker's own process: counts the references to named things and deletes what is left over.

It reads one message a line from a pipe whose other end every process of a family holds, and ends
when the last of them has closed it. It imports next to nothing, because each program that makes a
pool starts one.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

PART = "PART"
"""Command of a piece of a message that is too long to be written to a pipe at once."""

FORGIVE = "FORGIVE"
"""Command to take unknown names as no mistake: they were registered with another tracker."""

_CLEAN, _LEAKED, _NOT_DELETED, _BAD_MESSAGE = range(4)
_PATIENCE_S = 1.0
_LOOK_AGAIN_S = 0.05
_FOLDERS = "folder"


def delete_folder(name: str) -> None:
    """Delete a folder and all that is in it."""
    import shutil

    shutil.rmtree(name)


def delete_semaphore(name: str) -> None:
    """Delete a named semaphore."""
    from _multiprocessing import sem_unlink  # type: ignore[import-not-found]

    sem_unlink(name)


def delete_nothing(_name: str) -> None:
    """A thing that exists only to be counted."""


def refuse(name: str) -> "NoReturn":
    """What nobody may register.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(f"nothing of type 'noop' can be deleted: {name!r}")


deleters: "dict[str, Callable[[str], object]]" = {
    "folder": delete_folder,
    "file": os.unlink,
    "semlock": delete_semaphore,
    "dummy": delete_nothing,
    "noop": refuse,
}
"""How a thing of each type is deleted."""


def _delete_unused(name: str, rtype: str) -> None:
    """Delete what has no user left. It may be gone already, or be held open for a moment."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            deleters[rtype](name)
            return
        except FileNotFoundError:
            return
        except PermissionError:
            if rtype != "file" or time.monotonic() >= deadline_s:
                raise
            time.sleep(_LOOK_AGAIN_S)


def decode_message(line: "bytes | str") -> tuple[str, str, str]:
    """Command, type and name of a message.

    It is `COMMAND:name:type`, or for names that do not fit into that, an object of JSON with
    `cmd`, `rtype` and `base64_name`.

    Raises:
        ValueError: it is neither.
    """
    text = line if isinstance(line, str) else line.decode("utf-8", "surrogateescape")
    text = text.rstrip("\n")
    if text.startswith("{"):
        import base64
        import json

        try:
            fields = json.loads(text)
        except ValueError as error:
            raise ValueError(f"malformed resource_tracker message: {text!r}") from error
        wanted = [fields.get(key) for key in ("cmd", "rtype", "base64_name")]
        if not all(isinstance(value, str) for value in wanted):
            raise ValueError(f"malformed resource_tracker fields: {fields!r}")
        command, rtype, encoded = wanted
        return command, rtype, base64.urlsafe_b64decode(encoded).decode("utf-8", "surrogateescape")
    command, colon, rest = text.partition(":")
    name, last_colon, rtype = rest.rpartition(":")
    if not colon or not last_colon:
        raise ValueError(f"malformed resource_tracker message: {text!r}")
    return command, rtype, name


class Tracker:
    """The counts of one family.

    Args:
        verbose: tell on standard error what happens.
    """

    def __init__(self, verbose: bool) -> None:
        self.status = _CLEAN
        self._verbose = verbose
        self._forgiving = False
        self._counts: dict[str, dict[str, int]] = {rtype: {} for rtype in deleters if rtype != "noop"}
        self._pieces: dict[str, dict[int, str]] = {}

    def receive(self, line: bytes) -> None:
        """Carry out one message; what is wrong with it is told on standard error."""
        try:
            command, rtype, name = decode_message(line)
            if command == PART:
                whole = self._join(name)
                if whole is None:
                    return
                command, rtype, name = decode_message(whole)
            self._carry_out(command, rtype, name)
        except Exception:
            import traceback

            self.status = _BAD_MESSAGE
            _tell(traceback.format_exc())

    def _join(self, piece: str) -> str | None:
        """Keep a piece of a long message; the message, when it is the last that was missing."""
        token, index, count, text = piece.split("/", 3)
        pieces = self._pieces.setdefault(token, {})
        pieces[int(index)] = text
        if len(pieces) < int(count):
            return None
        del self._pieces[token]
        return "".join(pieces[number] for number in range(int(count)))

    def _carry_out(self, command: str, rtype: str, name: str) -> None:
        if command == "PROBE":
            return
        if command == FORGIVE:
            self._forgiving = True
            return
        counts = self._counts.get(rtype)
        if counts is None:
            raise ValueError(f"cannot {command.lower()} {name!r}: unknown resource type {rtype!r}")
        if command == "REGISTER":
            counts[name] = counts.get(name, 0) + 1
            self._log(f"incremented refcount of {rtype} {name} (current {counts[name]})")
            return
        if name not in counts and self._forgiving:
            return
        if command == "UNREGISTER":
            del counts[name]
            self._log(f"unregistered {rtype} {name}")
        elif command == "MAYBE_UNLINK":
            counts[name] -= 1
            self._log(f"decremented refcount of {rtype} {name} (current {counts[name]})")
            if counts[name] <= 0:
                del counts[name]
                self._log(f"unlink {name}")
                _delete_unused(name, rtype)
        else:
            raise ValueError(f"unknown command {command!r}")

    def finish(self) -> None:
        """Delete what nobody has released: folders last, as they may hold the rest."""
        for rtype in sorted(self._counts, key=lambda rtype: rtype == _FOLDERS):
            left = self._counts[rtype]
            if left:
                self.status = _LEAKED
            if left and rtype != "dummy":
                what = f"{len(left)} leaked {rtype} objects to clean up at shutdown"
                _warn(f"There appear to be {what}: {left}")
        for rtype in sorted(self._counts, key=lambda rtype: rtype == _FOLDERS):
            for name in self._counts[rtype]:
                try:
                    deleters[rtype](name)
                except Exception as error:
                    self.status = _NOT_DELETED
                    _warn(f"{name}: {error!r}")

    def _log(self, text: str) -> None:
        if self._verbose:
            _tell(f"[ResourceTracker] {text}\n")


def _tell(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # Nobody is there to be told.


def _warn(text: str) -> None:
    _tell(f"{__file__}: UserWarning: resource_tracker: {text}\n")


def _keep_only(descriptor: int) -> None:
    """Let go of all else: nothing that the user opened may stay open for the sake of this process."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    if null > 1:
        os.close(null)


def _ignore_signals() -> None:
    """An interrupt or a request to end is for those who use this process: it ends when they have."""
    import _signal  # type: ignore[import-not-found]

    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT, _signal.SIGTERM))


def main(fd: int, verbose: "Any" = 0) -> "NoReturn":
    """Track until every process has closed its end of the pipe, clean up and exit.

    The exit status is 0, or 1 if something had to be cleaned up, 2 if that failed, 3 after a
    message that could not be carried out.

    Args:
        fd: where the messages arrive.
        verbose: whether to tell what happens.
    """
    _ignore_signals()
    _keep_only(fd)
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    tracker = Tracker(bool(verbose))
    try:
        with open(fd, "rb") as messages:
            for line in messages:
                tracker.receive(line)
    finally:
        tracker.finish()
    sys.exit(tracker.status)
