"""The contract test over environments of every kind."""

from __future__ import annotations

from bridge import EnvSpec
from bridge.contract import BridgeContract
from tests.bridge.gymnasium.specs import needs_mujoco_2, own


class TestCartPole(BridgeContract):
    env_spec = EnvSpec("gym", "CartPole-v1", seed=3)


class TestThreeCartPoles(BridgeContract):
    env_spec = EnvSpec("gym", "CartPole-v1", {"num_envs": 3})


@needs_mujoco_2
class TestPusher(BridgeContract):
    env_spec = EnvSpec("gym", "Pusher-v4", {"codec": "one_joint"})


class TestTwoNewPushersByLevels(BridgeContract):
    env_spec = EnvSpec("gym", "Pusher-v5", {"num_envs": 2, "levels": [-1, 0, 1], "frame_stack": 2})


class TestImages(BridgeContract):
    env_spec = own("Noise", num_envs=3)


class TestStackedImages(BridgeContract):
    env_spec = own("Noise", env_kwargs={"shape": (84, 84)}, frame_stack=4)


class TestManyBranches(BridgeContract):
    env_spec = own("ManyBranches", num_envs=2)


class TestMasked(BridgeContract):
    env_spec = own("Masked", num_envs=3, render=True, env_kwargs={"length": 0})


class TestMaskedBranches(BridgeContract):
    env_spec = own("MaskedBranches")


class TestMetrics(BridgeContract):
    env_spec = own("Succeeds", num_envs=3, metrics=["height"], env_kwargs={"length": 0})


class TestParts(BridgeContract):
    env_spec = own("Parts")


class TestFrozenLake(BridgeContract):
    env_spec = EnvSpec("gym", "FrozenLake-v1")
