"""The gymnasium backend."""

from bridge import EnvSpec
from bridge.contract import BridgeContract

OWN = "tests.environments:"


class TestCartPole(BridgeContract):
    env_spec = EnvSpec("gym", "CartPole-v1", seed=3)


class TestThreeCartPoles(BridgeContract):
    env_spec = EnvSpec("gym", "CartPole-v1", {"num_envs": 3})


class TestPusher(BridgeContract):
    env_spec = EnvSpec("gym", "Pusher-v4", {"codec": "one_joint"})


class TestTwoPushersByLevels(BridgeContract):
    env_spec = EnvSpec("gym", "Pusher-v4", {"num_envs": 2, "levels": [-1, 0, 1], "frame_stack": 2})


class TestImages(BridgeContract):
    env_spec = EnvSpec("gym", f"{OWN}Noise-v0", {"num_envs": 3})


class TestStackedImages(BridgeContract):
    env_spec = EnvSpec("gym", f"{OWN}Noise-v0", {"env_kwargs": {"shape": (84, 84)}, "frame_stack": 4})


class TestManyBranches(BridgeContract):
    env_spec = EnvSpec("gym", f"{OWN}ManyBranches-v0", {"num_envs": 2})


class TestMasked(BridgeContract):
    env_spec = EnvSpec("gym", f"{OWN}Masked-v0", {"num_envs": 3, "render": True})


class TestMaskedBranches(BridgeContract):
    env_spec = EnvSpec("gym", f"{OWN}MaskedBranches-v0")


class TestParts(BridgeContract):
    env_spec = EnvSpec("gym", f"{OWN}Parts-v0")


class TestTaxi(BridgeContract):
    env_spec = EnvSpec("gym", "Taxi-v4")
    exchanges = 210
