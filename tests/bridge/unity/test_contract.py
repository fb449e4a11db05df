"""The contract test over the simulated build: both layouts of the wire, both compressions, one and nine areas."""

from __future__ import annotations

from bridge import EnvSpec
from bridge.contract import BridgeContract


def gridworld(*args: str, **options: object) -> EnvSpec:
    return EnvSpec("unity", "simulated/GridWorld", {"env_args": args, "timeout": 20.0, **options})


class TestOneAreaHwcPng(BridgeContract):
    env_spec = gridworld("--layout", "hwc", "--compression", "png")


class TestOneAreaChwPng(BridgeContract):
    env_spec = gridworld("--layout", "chw", "--compression", "png")


class TestOneAreaHwcFloat(BridgeContract):
    env_spec = gridworld("--layout", "hwc", "--compression", "none")


class TestOneAreaChwFloat(BridgeContract):
    env_spec = gridworld("--layout", "chw", "--compression", "none")


class TestNineAreasHwcPng(BridgeContract):
    env_spec = gridworld("--areas", "9", "--layout", "hwc", "--compression", "png")
    exchanges = 60


class TestNineAreasChwPng(BridgeContract):
    env_spec = gridworld("--areas", "9", "--layout", "chw", "--compression", "png")
    exchanges = 60


class TestNineAreasHwcFloat(BridgeContract):
    env_spec = gridworld("--areas", "9", "--layout", "hwc", "--compression", "none")
    exchanges = 60


class TestNineAreasChwFloat(BridgeContract):
    env_spec = gridworld("--areas", "9", "--layout", "chw", "--compression", "none")
    exchanges = 60


class TestTwoPlayersWithoutNoop(BridgeContract):
    env_spec = gridworld(num_envs=2, codec="offset")
    exchanges = 80
