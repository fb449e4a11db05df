"""Gymnasium environments as bridges: N of them in this process, stepped one after the other."""

from __future__ import annotations

from typing import Any

import gymnasium

from bridge.base import Bridge
from bridge.gymnasium.bridge import GymnasiumBridge
from bridge.gymnasium.making import make_environment
from bridge.gymnasium.options import GymnasiumOptions
from bridge.options import parse_options
from bridge.types import EnvSpec

__all__ = ["open_bridge", "read_options"]


def read_options(spec: EnvSpec) -> GymnasiumOptions:
    """Raises `UsageError` for an unknown option or a value that does not fit."""
    return parse_options(GymnasiumOptions, spec.options, spec.backend)


def open_bridge(spec: EnvSpec, worker: int, incarnation: int) -> Bridge:
    """The environments that `spec` describes, in this process.

    Raises:
        UsageError: an unknown id or option, a module that cannot be imported, a package that is not installed.
        UnsupportedError: a space that the protocol cannot express.
    """
    options = read_options(spec)
    environments: list[gymnasium.Env[Any, Any]] = []
    try:
        for index in range(options.num_envs):
            environments.append(make_environment(spec.target, options, render=options.render and index == 0))
        return GymnasiumBridge(spec, options, environments, worker, incarnation)
    except BaseException:
        for environment in environments:
            environment.close()
        raise
