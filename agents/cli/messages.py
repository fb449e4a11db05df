"""What the bridge has to say: shown as it comes, or collected."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from tqdm import tqdm


class _BarHandler(logging.Handler):
    """Writes to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def shown_messages() -> Iterator[None]:
    """What the bridge has to say, each message once: several environments of one run say the same."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return message not in said and not said.add(message)  # type: ignore[func-returns-value]

    handler = _BarHandler()
    handler.addFilter(is_new)
    logger = logging.getLogger("bridge")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collects what the bridge warns of, in place of whoever else would show it."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger = logging.getLogger("bridge")
    handlers, logger.handlers = logger.handlers, [Collector(logging.WARNING)]
    try:
        yield said
    finally:
        logger.handlers = handlers
