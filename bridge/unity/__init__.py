"""Unity ML-Agents builds as bridges. This package is the only importer of mlagents-envs.

`docs/unity.md` says which builds, options and observations are supported.
"""

# ruff: noqa: E402 - install() makes the imports below possible

from __future__ import annotations

from bridge.unity.messages import install

install()

from bridge.base import Bridge
from bridge.errors import UnsupportedError
from bridge.group import Group, close_all
from bridge.options import parse_options
from bridge.types import EnvSpec
from bridge.unity.bridge import UnityBridge
from bridge.unity.builds import find_build
from bridge.unity.launcher import Launcher
from bridge.unity.options import UnityOptions

__all__ = ["UnityBridge", "UnityOptions", "find_build", "open_bridge"]


def open_bridge(spec: EnvSpec, worker: int = 0, incarnation: int = 0) -> Bridge:
    """Launches the build that `spec.target` names and waits for it to connect.

    With the option `num_envs` = N > 1, N players of it make one environment, as the workers `worker * N` and following.

    Raises:
        UsageError: no such build, option or behaviour.
        LaunchError: the build does not start, connect or ask for a decision.
        UnsupportedError: the build observes or does what the protocol cannot express.
    """
    options = parse_options(UnityOptions, spec.options, "unity")
    launch = find_build(spec.target, options.builds_dir)
    count = options.num_envs
    if launch.is_editor and count > 1:
        raise UnsupportedError(f"there is one Unity Editor, but num_envs is {count}; expected 1.")
    launchers = [Launcher(spec, options, launch, worker * count + index, incarnation) for index in range(count)]
    bridges: list[Bridge] = []
    try:
        for launcher in launchers:  # all players start up side by side
            launcher.start(spec.seed)
        for launcher in launchers:
            bridges.append(UnityBridge(launcher))
        return Group(bridges) if count > 1 else bridges[0]
    except BaseException:
        close_all(bridges)
        for launcher in launchers:
            launcher.close()
        raise
