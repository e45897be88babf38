"""Runs programs as a user does: from a file, with `-c`, from standard input, on a terminal."""

import contextlib
import os
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import LIMIT_S

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finished:
    """What a program left."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """Its output, line by line."""
        return self.output.splitlines()


def environment(**extra: str) -> dict[str, str]:
    """The environment of this process, in which this very package and the tests are found."""
    import loky

    path = [str(Path(loky.__file__).parents[1]), str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8", **extra}


def write(path: Path, text: str) -> Path:
    """Write a program."""
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def run(
    *arguments: str | Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    limit_s: float = LIMIT_S,
) -> Finished:
    """Run the interpreter with these arguments until its outputs are closed by all who have them."""
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=limit_s,
        check=False,
        env=environment(**(env or {})),
        cwd=cwd,
    )
    return Finished(process.returncode, process.stdout, process.stderr)


def start(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the interpreter in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(**(env or {})),
        process_group=0,
    )


@contextlib.contextmanager
def ended_after(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill the program if the test has left it running, and close its pipes."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LIMIT_S)


class Terminal:
    """A program on a terminal of its own, which reads what is typed there."""

    def __init__(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(TERM="dumb", PYTHON_BASIC_REPL="1", NO_COLOR="1", **(env or {})),
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509
        )
        os.close(slave)
        self.seen = ""

    def expect(self, text: str, limit_s: float = LIMIT_S) -> str:
        """Read until the text appears; what came up to its end. It is not seen again."""
        deadline_s = time.monotonic() + limit_s
        poll = select.poll()
        poll.register(self.master, select.POLLIN)
        while text not in self.seen:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0 or not poll.poll(remaining_s * 1000):
                raise TimeoutError(f"{text!r} did not appear, only {self.seen!r}")
            try:
                piece = os.read(self.master, 4096)
            except OSError:
                piece = b""
            if not piece:
                raise EOFError(f"{text!r} did not appear, only {self.seen!r}")
            self.seen += piece.decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self.master, f"{text}\n".encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self.master, b"\x03")

    def close(self) -> None:
        """End the program if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        os.close(self.master)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
