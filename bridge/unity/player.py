"""The player: the build's process, its log, its end."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import LaunchError

TAIL_LINES = 15
TAIL_BYTES = 8192
#: A player that was told to leave has so long; then it is killed.
LEAVE_SECONDS = 3.0


@dataclass(frozen=True)
class Launch:
    """How to start a build.

    Attributes:
        path: the file that was found; None for the Unity Editor, which a person starts.
        command: what to run, without the player's own arguments; empty for the Editor.
        environment: variables that the process needs besides ours.
        simulated: whether this is our simulated build.
    """

    path: Path | None
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    @property
    def is_editor(self) -> bool:
        return not self.command

    @property
    def name(self) -> str:
        return "the Unity Editor" if self.is_editor else str(self.path)


class Player:
    """A started process. Its output and its log are kept in files, whose last lines go into error messages.

    Args:
        launch: what to start.
        args: the arguments of the player.
        log_folder: where its files go and stay; None for a temporary folder, removed by `close`.
        name: of these files.

    Raises:
        LaunchError: the operating system refuses to start it.
    """

    def __init__(self, launch: Launch, args: Sequence[str], log_folder: str | None, name: str) -> None:
        self.launch = launch
        self._temporary = tempfile.mkdtemp(prefix="unity-player-") if log_folder is None else None
        folder = Path(log_folder or self._temporary or "").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / f"{name}.out"
        self._log = _log_file(args)
        if self._log is None:
            self._log = folder / f"{name}.log"
            args = ["-logFile", str(self._log), *args]
        self._process = self._start([*launch.command, *args])

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            with self._output.open("wb") as output:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=_environment(self.launch.environment),
                    start_new_session=True,  # Ctrl-C is for us; and a wrapper script's children die with it
                )
        except OSError as error:
            self._remove_temporary()
            raise LaunchError(
                f"the operating system cannot start {command[0]}: {error.strerror or error}; expected a build for "
                f"{sys.platform} (or a script with a first line such as #!/bin/sh)."
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

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

    def tail(self) -> str:
        """The last lines of its log and output, as a paragraph for an error message; empty when it wrote nothing."""
        parts = []
        for file in (self._log, self._output):
            with contextlib.suppress(OSError, TypeError):
                lines = _last_lines(Path(file or ""))
                if lines:
                    where = f" ({file})" if self._temporary is None else ""
                    parts.append(f"\nThe last lines of the player's log{where}:\n" + "\n".join(lines))
        return "".join(parts)

    def kill(self) -> None:
        """Ends it at once, with whatever it started, and reaps it."""
        if hasattr(os, "killpg"):
            # Reaped or not, its group lives on while a child of it does (a wrapper such as xvfb-run).
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def close(self, patience: float = LEAVE_SECONDS) -> None:
        """Waits `patience` seconds for it to leave by itself, then kills it. Idempotent; leaves no zombie."""
        if self.ended(patience) is None:
            self.kill()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _log_file(args: Sequence[str]) -> Path | None:
    """The file that the caller's own `-logFile` names."""
    for name, value in itertools.pairwise(args):
        if name.lower() == "-logfile":
            return Path(value)
    return None


def _last_lines(file: Path) -> list[str]:
    with file.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - TAIL_BYTES))
        return stream.read().decode("utf-8", "replace").rstrip().splitlines()[-TAIL_LINES:]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our environment, with this machine exempt from any proxy: gRPC would send even localhost through it."""
    environment = {**os.environ, **more}
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        # `no_grpc_proxy` hides `no_proxy` from gRPC, so it starts from that one.
        present = environment.get(name) or environment.get("no_proxy", "")
        environment[name] = ",".join([*filter(None, [present]), "localhost", "127.0.0.1", "::1"])
    return environment
