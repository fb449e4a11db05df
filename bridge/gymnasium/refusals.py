"""Why an environment cannot be made, as sentences that say what to do."""

from __future__ import annotations

import difflib
import importlib.metadata
import platform

import gymnasium

from bridge.errors import UnsupportedError, UsageError


def usage_error(target: str, error: Exception) -> UsageError:
    """What went wrong in `gymnasium.make`, as a sentence that says what to do."""
    if "unexpected keyword argument 'render_mode'" in str(error):
        return no_pictures(target)
    if isinstance(error, gymnasium.error.DependencyNotInstalled):
        return UsageError(f"{target} needs a package that is not installed: {error}.")
    if isinstance(error, ImportError) and "mujoco<3" in str(error):
        return UsageError(_pusher_sentence(target, importlib.metadata.version("mujoco"), platform.python_version()))
    if isinstance(error, ModuleNotFoundError):
        return UsageError(
            f"{target} needs the package {error.name!r}, which is not installed: pip install {error.name}."
        )
    unregistered = (gymnasium.error.UnregisteredEnv, gymnasium.error.DeprecatedEnv)
    if isinstance(error, unregistered) or type(error) is gymnasium.error.Error:  # the last one: a malformed id
        return UsageError(_unknown_id(target))
    return UsageError(f"{target} cannot be made: {error}")


def no_pictures(target: str) -> UnsupportedError:
    return UnsupportedError(f"{target} cannot render pictures (rgb_array); open it with render=False.")


def _pusher_sentence(target: str, mujoco_version: str, python_version: str) -> str:
    """Why Pusher-v4 is refused from mujoco 3 on."""
    return (
        f"{target} needs mujoco 2.3.7 and so Python 3.11, found mujoco {mujoco_version} on Python {python_version}: "
        "from mujoco 3 on the arm passes through the object (Gymnasium #950); use Python 3.11. Pusher-v5 is a "
        "different task with other returns, and there the arm still sinks into the object (Gymnasium #1576)."
    )


def _unknown_id(target: str) -> str:
    name = target.rpartition(":")[2]
    known = sorted(gymnasium.registry)
    if name.startswith("ALE/") or "NoFrameskip" in name:
        hint = "for Atari, pip install \"gymnasium[atari]\" and ask for 'ale_py:ALE/Pong-v5'"
    elif name.startswith("MinAtar/"):
        hint = f"for MinAtar, pip install minatar and ask for 'envs.minatar:{name}'"
    elif near := difflib.get_close_matches(name, known, n=1):
        hint = f"did you mean {near[0]!r}?"
    else:
        hint = "expected an id such as 'CartPole-v1', or 'module:ID' with the module that registers it."
    return f"there is no gymnasium environment {target!r}; {hint}"
