"""What doctor finds, one line each, and how it is shown. Standard library only: it works where nothing else does."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is; the value is how a terminal shows it (ANSI colours)."""

    OK = "32"
    WARNING = "33"
    ERROR = "31"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was looked at, a word.
        found: what was found, one line.
        remedy: what to do, one line; empty where `found` says it or nothing needs to be done.
        details: further lines, shown below.
    """

    level: Level
    check: str
    found: str
    remedy: str = ""
    details: Sequence[str] = ()

    def lines(self, *, colored: bool = False) -> list[str]:
        level = f"{self.level.name.lower():<8}"
        if colored:
            level = f"\033[{self.level.value}m{level}\033[0m"
        remedy = f"; {self.remedy}" if self.remedy else ""
        text = f"{self.found.rstrip('.;') if remedy else self.found}{remedy}"
        return [f"{level} {self.check:<12} {text}", *(f"{'':<21} {line}".rstrip() for line in self.details)]


def ok(check: str, found: str, *, details: Sequence[str] = ()) -> Finding:
    return Finding(Level.OK, check, found, details=details)


def warning(check: str, found: str, remedy: str = "", *, details: Sequence[str] = ()) -> Finding:
    return Finding(Level.WARNING, check, found, remedy, details)


def error(check: str, found: str, remedy: str = "", *, details: Sequence[str] = ()) -> Finding:
    return Finding(Level.ERROR, check, found, remedy, details)


def problem(check: str, message: object, remedy: str = "") -> Finding:
    """The error of a message whose first line says it all."""
    first, *rest = str(message).splitlines() or [type(message).__name__]
    return error(check, first, remedy, details=rest)


class Report:
    """Writes findings to stdout as they come, in colour on a terminal, and counts them."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Level, 0)
        # The old console of Windows shows the codes instead of colours.
        understands = sys.platform != "win32" or "WT_SESSION" in os.environ
        self._colored = sys.stdout.isatty() and understands and "NO_COLOR" not in os.environ

    def begin(self, check: str) -> None:
        """Shows on a terminal what takes its time; what comes next takes its place."""
        if self._colored:
            sys.stdout.write(f"\033[K{'...':<8} {check}\r")
            sys.stdout.flush()

    def add(self, finding: Finding) -> None:
        self._counts[finding.level] += 1
        if self._colored:
            sys.stdout.write("\033[K")  # to the end of the line: what `begin` has left there
        sys.stdout.write("\n".join(finding.lines(colored=self._colored)) + "\n")
        sys.stdout.flush()

    def close(self) -> int:
        """Writes the sum; returns the exit code: 1 after an error."""
        if self._colored:
            sys.stdout.write("\033[K")
        errors, warnings = self._counts[Level.ERROR], self._counts[Level.WARNING]
        sums = [f"{count} {word}{'s' * (count != 1)}" for count, word in ((errors, "error"), (warnings, "warning"))]
        sys.stdout.write(f"{', '.join(sums) if errors or warnings else 'healthy: training can start'}.\n")
        return 1 if errors else 0


class Watchdog:
    """Gives up when a check takes too long: what runs in this process, such as an environment, may hang there.

    Args:
        seconds: that each check may take.
        give_up: is handed the finding, in another thread, and ends the process.
    """

    def __init__(self, seconds: float, give_up: Callable[[Finding], object]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._timer: threading.Timer | None = None

    def begin(self, check: str) -> None:
        """The check begins, and the one before it has ended."""
        self.stop()
        found = f"did not end within {self._seconds:g} s"
        finding = error(check, found, "the environment hangs: look for what it waits for")
        self._timer = threading.Timer(self._seconds, self._give_up, [finding])
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
