"""Unity ML-Agents builds as bridges. This package is the only importer of mlagents-envs.

`docs/unity.md` says which builds, options and observations are supported.
"""

# ruff: noqa: E402 - install() makes the imports below possible

from __future__ import annotations

from bridge.unity.messages import install

install()

from bridge.base import Bridge
from bridge.errors import UnsupportedError
from bridge.options import parse_options
from bridge.types import EnvSpec
from bridge.unity.bridge import UnityBridge
from bridge.unity.builds import find_build
from bridge.unity.launcher import PlayerLauncher
from bridge.unity.options import UnityOptions

__all__ = ["UnityBridge", "UnityLauncher", "UnityOptions", "find_build", "open_bridge", "read_options"]


def read_options(spec: EnvSpec) -> UnityOptions:
    """Raises `UsageError` for an unknown option or a value that does not fit."""
    return parse_options(UnityOptions, spec.options, spec.backend)


class UnityLauncher:
    """Launches the build that a spec names: `start` starts its player, `connect` waits for it.

    Raises:
        UsageError: no such build, or an option that does not fit.
    """

    def __init__(self, spec: EnvSpec, worker: int, incarnation: int) -> None:
        options = read_options(spec)
        launch = find_build(spec.target, options.builds_dir)
        if launch.is_editor and worker:
            raise UnsupportedError("there is one Unity Editor: expected num_envs 1, and no evaluation in training.")
        self._launcher = PlayerLauncher(spec, options, launch, worker, incarnation)

    def start(self) -> None:
        self._launcher.start()

    def connect(self) -> Bridge:
        return UnityBridge(self._launcher)

    def close(self) -> None:
        self._launcher.close()


def open_bridge(spec: EnvSpec, worker: int = 0, incarnation: int = 0) -> Bridge:
    """One player of the build that `spec.target` names.

    Raises:
        UsageError: no such build, option or behaviour.
        LaunchError: the build does not start, connect or ask for a decision.
        UnsupportedError: the build observes or does what the protocol cannot express.
    """
    launcher = UnityLauncher(spec, worker, incarnation)
    try:
        launcher.start()
        return launcher.connect()
    except BaseException:
        launcher.close()
        raise
