"""Makes environments from their ids: the module that registers one, `gymnasium.make`, wrappers."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium

from bridge.errors import UsageError
from bridge.gymnasium.graphics import aim_camera, prepare_mujoco, prepare_pygame
from bridge.gymnasium.options import GymnasiumOptions
from bridge.gymnasium.refusals import no_pictures, usage_error


def make_environment(target: str, options: GymnasiumOptions, *, render: bool) -> gymnasium.Env[Any, Any]:
    """One environment, wrapped as the options say. See `bridge.gymnasium.open_bridge` for the errors."""
    _import_module_of(target)
    settings = {**options.env_kwargs, **({"render_mode": "rgb_array"} if render else {})}
    if render:
        prepare_pygame()
    with warnings.catch_warnings():
        # An older version of a task is a choice (results stay comparable), not a mistake.
        warnings.filterwarnings("ignore", ".*is out of date. You should consider upgrading.*")
        warnings.filterwarnings("ignore", ".*render_mode='rgb_array' that is not in the possible.*")  # asked below
        try:
            # Their checker costs time in every step; the bridge checks what it needs itself.
            environment: gymnasium.Env[Any, Any] = gymnasium.make(target, disable_env_checker=True, **settings)
        except Exception as error:
            raise usage_error(target, error) from error
    if render and "rgb_array" not in environment.metadata.get("render_modes", ()):
        environment.close()
        raise no_pictures(target)
    if render:
        try:
            if hasattr(environment.unwrapped, "mujoco_renderer"):
                prepare_mujoco(target)
            if options.camera is not None:
                aim_camera(target, environment, options.camera)
        except BaseException:
            environment.close()
            raise
    if options.frame_stack > 1:
        environment = gymnasium.wrappers.FrameStackObservation(environment, options.frame_stack)
    return environment


def _import_module_of(target: str) -> None:
    """Imports `module` of `module:ID`, installed or below the working directory."""
    module, colon, _ = target.rpartition(":")
    if not colon:
        return
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # absent when started by an installed command
        sys.path.append(here)
    try:
        importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise usage_error(target, error) from error  # it is there, and needs a package
        raise UsageError(
            f"the module of {target!r} cannot be imported ({type(error).__name__}: {error}): expected `module:ID`, the "
            "module installed or in the working directory."
        ) from error
