"""Environments that the tests of the door open."""

from __future__ import annotations

from typing import Any

from bridge import EnvSpec


def gridworld(*args: str, seed: int = 0, **options: object) -> EnvSpec:
    """The simulated build, with these arguments for it."""
    return EnvSpec("unity", "simulated/GridWorld", {"env_args": args, "timeout": 20.0, **options}, seed)


def own(name: str, **options: Any) -> EnvSpec:
    """One of `tests.environments`."""
    return EnvSpec("gym", f"tests.environments:{name}-v0", options)
