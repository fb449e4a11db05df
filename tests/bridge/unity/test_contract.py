"""The contract test over the simulated build: image layouts, compressions, one and nine areas, two players."""

from __future__ import annotations

from bridge import EnvSpec
from bridge.contract import BridgeContract


def gridworld(*args: str, **options: object) -> EnvSpec:
    return EnvSpec("unity", "simulated/GridWorld", {"env_args": args, "timeout": 20.0, **options})


class TestOneArea(BridgeContract):
    env_spec = gridworld()


class TestNineAreas(BridgeContract):
    env_spec = gridworld("--areas", "9")


class TestTwoPlayersOtherLayout(BridgeContract):
    env_spec = gridworld("--layout", "chw", num_envs=2)
    exchanges = 80


class TestUncompressedImagesWithoutNoop(BridgeContract):
    env_spec = gridworld("--compression", "none", "--layout", "hwc", "--areas", "2", codec="offset")
    exchanges = 60
