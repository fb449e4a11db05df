"""The player: the build's process, its log, its end."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.process import ChildProcess

#: A simulated build leaves when the process of this id is gone, which without a connection it would not learn.
TRAINER = "DQN_BRIDGE_TRAINER"


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


class Player(ChildProcess):
    """A started build. Besides its output it writes a log of its own, where `-logFile` says.

    Args:
        launch: what to start.
        args: the arguments of the player.
        log_folder: where its files go and stay; None for a temporary folder, removed by `close`.
        name: of these files.

    Raises:
        LaunchError: the operating system refuses to start it.
    """

    expected = f"a build for {sys.platform} (or a script with a first line such as #!/bin/sh)"

    def __init__(self, launch: Launch, args: Sequence[str], log_folder: str | None, name: str) -> None:
        self.launch = launch
        self._args = args
        super().__init__(launch.command, log_folder, name, _environment(launch.environment))

    def _complete(self, command: Sequence[str], name: str) -> Sequence[str]:
        log = _log_file(self._args)
        self._log = log or self.folder / f"{name}.log"
        return [*command, *(() if log else ("-logFile", str(self._log))), *self._args]

    @property
    def _logs(self) -> tuple[Path, ...]:
        return (self._log, *super()._logs)


def _log_file(args: Sequence[str]) -> Path | None:
    """The file that the caller's own `-logFile` names."""
    for name, value in itertools.pairwise(args):
        if name.lower() == "-logfile":
            return Path(value)
    return None


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our environment, with this machine exempt from any proxy: gRPC would send even localhost through it."""
    environment = {**os.environ, **more, TRAINER: str(os.getpid())}
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        # `no_grpc_proxy` hides `no_proxy` from gRPC, so it starts from that one.
        present = environment.get(name) or environment.get("no_proxy", "")
        environment[name] = ",".join([*filter(None, [present]), "localhost", "127.0.0.1", "::1"])
    return environment
