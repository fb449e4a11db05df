"""Ctrl-C and SIGTERM: the first one leaves cleanly, the second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds after which a signal that was not held ends the process, whatever became of its exception.
GRACE = 5
#: Exit code of a program whose output nobody reads any more, as a shell shows it.
BROKEN_PIPE = 128 + 13


class Interrupts:
    """Handles both signals while entered.

    The first one raises `KeyboardInterrupt`; within `held` it waits instead until somebody asks for it. The second one
    ends this process, and whatever it started, without another word to anybody. So does the first after `GRACE` seconds
    where the system has alarms: Python drops an exception that a signal raises in the midst of a `__del__`.

    Args:
        program: named in front of messages.
    """

    def __init__(self, program: str) -> None:
        self.received: signal.Signals | None = None
        self._program = program
        self._is_held = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What happens here is not torn apart: a signal only sets `requested`, also after the end of this."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    def requested(self) -> bool:
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells do; 0 when there was none."""
        return 0 if self.received is None else 128 + self.received

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.received is not None:
            leave(f"{self._program}: left at once; what came after the latest checkpoint is lost.", 128 + number)
        self.received = signal.Signals(number)
        if not self._is_held:
            if hasattr(signal, "alarm"):
                signal.signal(signal.SIGALRM, lambda *_: leave(f"{self._program}: interrupted.", self.exit_code))
                signal.alarm(GRACE)
            raise KeyboardInterrupt


def leave_on_signals(program: str) -> None:
    """Until somebody else handles them, both signals end the process with one line: for the seconds of imports."""
    for number in SIGNALS:
        signal.signal(number, lambda found, _: leave(f"{program}: interrupted.", 128 + found))


def leave(message: str, code: int) -> NoReturn:
    """Ends this process, and whatever it started, without unwinding anything."""
    end_children()
    start = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""  # a progress bar may stand there
    with contextlib.suppress(OSError):
        os.write(2, f"{start}{message}\n".encode())  # sys.stderr may be in the middle of something
    os._exit(code)


def end_children() -> None:
    """Kills every process that this one started and did not end."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
