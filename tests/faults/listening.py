"""What the logger of the package tells while a row is played."""

import contextlib
import logging
from collections.abc import Iterator


class _Listener(logging.Handler):
    """Keeps what the logger tells."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


@contextlib.contextmanager
def listening() -> Iterator[_Listener]:
    """Keep what the package logs, until the block ends."""
    listener, logger = _Listener(), logging.getLogger("loky")
    logger.addHandler(listener)
    try:
        yield listener
    finally:
        logger.removeHandler(listener)
