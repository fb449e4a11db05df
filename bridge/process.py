"""A child process: what it says goes into a file, it can be killed with all that it started, and is always reaped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from bridge.errors import LaunchError

TAIL_LINES = 15
TAIL_BYTES = 8192
#: A process that was told to leave has so long; then it is killed.
LEAVE_SECONDS = 2.0


class ChildProcess:
    """A started process. What it prints is kept in a file, whose last lines go into error messages.

    Args:
        command: what to start, with its arguments.
        folder: where its files go and stay; None for a temporary one, removed by `close`.
        name: of these files.
        environment: all of its variables; None: ours.
        options: more of `subprocess.Popen`.

    Raises:
        LaunchError: the operating system refuses to start it, or to write its files.
    """

    #: Whether whatever it starts dies with it. Not so in a worker process, which is killed together with all of them.
    leads_group = True
    #: What was expected of the command, for the message when it cannot be started.
    expected = "an executable file"

    def __init__(
        self,
        command: Sequence[str],
        folder: str | None,
        name: str,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._leads_group = self.leads_group
        self._closed = False
        self._temporary: str | None = None
        try:
            self._temporary = tempfile.mkdtemp(prefix="dqn-bridge-") if folder is None else None
            self.folder = Path(folder or self._temporary or "").absolute()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._output = self.folder / f"{name}.out"
            output = self._output.open("wb")
        except OSError as error:
            self._remove_temporary()
            raise LaunchError(
                f"no log can be written for {command[0]} ({error}); expected a folder to write to: see the option "
                "log_folder."
            ) from error
        command = self._complete(command, name)
        try:
            with output:
                self._process = subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=self._leads_group,  # Ctrl-C is for us, and `kill` for its children, too
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
                    **{"stdin": subprocess.DEVNULL, **options},
                )
        except OSError as error:
            self._remove_temporary()
            raise LaunchError(
                f"the operating system cannot start {command[0]}: {error.strerror or error}; expected {self.expected}."
            ) from error

    def _complete(self, command: Sequence[str], name: str) -> Sequence[str]:  # noqa: ARG002
        """The command with arguments that depend on where its files go."""
        return command

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        """Where the option `stdin=PIPE` asked for one."""
        return self._process.stdin

    def ended(self, wait: float = 0.0) -> str | None:
        """How it ended ("return code 3", "return code -9 (SIGKILL)"), or None while it runs."""
        if wait:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(wait)
        code = self._process.poll()
        if code is None:
            return None
        with contextlib.suppress(ValueError):
            return f"return code {code} ({signal.Signals(-code).name})"
        return f"return code {code}"

    @property
    def _logs(self) -> tuple[Path, ...]:
        """The files that tell what it did."""
        return (self._output,)

    def tail(self) -> str:
        """The last lines of its log and output, as a paragraph for an error message; empty when it wrote nothing."""
        parts = []
        for file in self._logs:
            with contextlib.suppress(OSError):
                lines = _last_lines(file)
                if lines:
                    where = f" ({file})" if self._temporary is None else ""
                    parts.append(f"\nThe last lines of its log{where}:\n" + "\n".join(lines))
        return "".join(parts)

    def kill(self) -> None:
        """Ends it at once, with whatever it started, and reaps it."""
        if self._leads_group and hasattr(os, "killpg"):
            # Reaped or not, its group lives on while a child of it does (a wrapper such as xvfb-run).
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def close(self, patience: float = LEAVE_SECONDS) -> None:
        """Waits `patience` seconds for it to leave by itself, then kills what is left. Idempotent; leaves no zombie."""
        if self._closed:
            return  # its number may be another process' by now
        self.ended(patience)
        self.kill()
        self._closed = True
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _last_lines(file: Path) -> list[str]:
    with file.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - TAIL_BYTES))
        return stream.read().decode("utf-8", "replace").rstrip().splitlines()[-TAIL_LINES:]
