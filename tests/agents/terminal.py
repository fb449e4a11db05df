"""A command in a pseudo-terminal of its own, as a person has it: types, reads, and sees in what state it is left."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.agents.commands import bare_environment
from tests.leftovers import kill_family

#: Makes standard input the controlling terminal, so that Ctrl-C in it is a signal, and becomes the command.
BOOTSTRAP = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
COLUMNS, ROWS = 80, 30
#: An arrow as terminals send it.
UP, DOWN, RIGHT, LEFT = ("\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D")
PAGE, LEAVE_PAGE = "\x1b[?1049h", "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"


class Terminal:
    """Runs `python -m MODULE WORDS` in `cwd`; killed at the end of `with`, with what it started."""

    def __init__(self, module: str, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = self.settings()
        self.process = psutil.Popen(
            [sys.executable, "-c", BOOTSTRAP, "-m", module, *map(str, words)],
            cwd=cwd,
            env={**bare_environment(), "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **(env or {})},
            stdin=self._slave,
            stdout=self._slave,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.output = ""
        self._read_to = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        kill_family(self.process)
        os.close(self._master)
        os.close(self._slave)

    def settings(self) -> list[Any]:
        """How the terminal treats what is typed."""
        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, text: str, timeout: float = 60.0) -> None:
        """Until this has been written, after what was waited for before."""
        deadline = time.monotonic() + timeout
        while (place := self.output.find(text, self._read_to)) < 0:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.tail}"
            if not self._read(0.1):
                assert self.process.poll() is None, f"{text!r} did not come: {self.tail}"
        self._read_to = place + len(text)

    def end(self, timeout: float = 60.0) -> int:
        """Waits for the end; the exit code."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.tail}"
            self._read(0.1)
        while self._read(0.0):
            pass
        code: int = self.process.wait()
        return code

    def left_as_it_was(self) -> bool:
        """The settings are those of before, the page too, and the cursor is to be seen."""
        pages = self.output.count(PAGE) == self.output.count(LEAVE_PAGE) == 1
        return self.settings() == self.before and pages and SHOW_CURSOR in self.output

    @property
    def tail(self) -> str:
        return self.output[-2000:]

    @property
    def afterwards(self) -> list[str]:
        """The lines written after the page of the play was left."""
        return self.output.partition(LEAVE_PAGE)[2].replace("\r", "").strip().splitlines()

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], timeout)
        if ready:
            self.output += os.read(self._master, 65536).decode(errors="replace")
        return bool(ready)
