"""What an environment is made of: for whoever looks for a mistake in a set-up without training on it.

Whatever can be described is described, also what cannot be trained.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from bridge.reports import BuildFile, BuildReport, TouchReport
from bridge.types import EnvSpec


def find_build(spec: EnvSpec) -> BuildFile:
    """What `connect` would start for a spec of backend `unity`.

    Raises:
        UsageError: there is none, it is for another operating system, or it may not be executed; an unknown option.
    """
    found: BuildFile = _unity().find(spec)
    return found


def is_port_free(port: int) -> bool:
    """Whether a player can be served on this port of this machine."""
    free: bool = _unity().is_port_free(port)
    return free


def inspect_build(spec: EnvSpec) -> BuildReport:
    """Starts one player of a build, lets it run for a moment with actions that are all 0, and ends it.

    Takes up to four times the option `timeout` with a player that is slow to answer.

    Raises:
        UsageError: no such build or option, a port taken.
        LaunchError: it does not start or connect, hangs, or speaks another version of the protocol.
    """
    report: BuildReport = _unity().inspect(spec)
    return report


def touch(spec: EnvSpec) -> TouchReport | None:
    """Whether a robot can push the object of its task: see `bridge.physics`.

    Args:
        spec: of backend `gym`.

    Returns:
        None for an environment without such a robot.

    Raises:
        UsageError: the environment cannot be made.
    """
    report: TouchReport | None = importlib.import_module("bridge.physics").touch(spec)
    return report


# Only what is asked for is imported: a gymnasium environment needs no mlagents-envs, a build no mujoco.
def _unity() -> ModuleType:
    return importlib.import_module("bridge.unity.inspect")
