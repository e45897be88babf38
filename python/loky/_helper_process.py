"""Starts a small helper that inherits descriptors under their numbers and is not waited for here."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCKED_AT_START = (2, 15)  # SIGINT and SIGTERM: the helpers ignore them as soon as they run.
_FROM_THE_ROOT = 'cd / && exec "$0" "$@"'


def start(path: str, arguments: "Sequence[str]", descriptors: "Sequence[int]") -> int:
    """Start a program; its process id.

    It inherits what is inheritable besides, and closes that itself. An interrupt that arrives before
    it runs waits for it.

    Args:
        path: of the program.
        arguments: its arguments, the name of the program first.
        descriptors: what it must have, each under the number that it has here.

    Raises:
        OSError: it could not be started.
    """
    words = [path, *arguments[1:]]
    if _directory_is_gone():
        words = from_the_root(path, arguments[1:])
    return os.posix_spawn(
        words[0],
        words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, number, number) for number in descriptors],
        setsigmask=_BLOCKED_AT_START,
    )


def from_the_root(path: str, arguments: "Sequence[str]") -> list[str]:
    """The words that start a program in a directory that cannot go away, which an interpreter needs."""
    return ["/bin/sh", "-c", _FROM_THE_ROOT, path, *arguments]


def _directory_is_gone() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False
