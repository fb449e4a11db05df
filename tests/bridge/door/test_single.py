"""The only agent of a bridge as a gymnasium environment."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from bridge import EnvSpec, UsageError
from bridge.door import BridgeEnv
from bridge.types import seed_stream
from tests.bridge.door.specs import gridworld, own

#: Of gymnasium's checker: vectors have no bounds, and there is no registered id.
WARNINGS = "ignore:.*(value is -?infinity|Not able to test alternative render modes).*:UserWarning"


@pytest.mark.filterwarnings(WARNINGS)
@pytest.mark.parametrize(
    "spec",
    [
        gridworld(),
        EnvSpec("gym", "CartPole-v1"),
        EnvSpec("gym", "Pusher-v5", {"levels": [-1, 0, 1]}),
        own("MaskedBranches"),
        own("Parts"),
    ],
    ids=["GridWorld", "CartPole", "Pusher", "masks", "parts"],
)
def test_gymnasiums_checker_passes(spec: EnvSpec) -> None:
    env = BridgeEnv(spec)
    check_env(env)
    env.close()


@pytest.mark.filterwarnings(WARNINGS)
def test_gymnasiums_checker_passes_with_pictures_and_a_lone_sensor() -> None:
    env = BridgeEnv(own("Counter", render=True), observations="observation", render_mode="rgb_array")
    check_env(env)
    env.reset()
    assert env.render().shape == (8, 12, 3)
    env.close()


def test_the_same_episodes_as_the_environment_itself() -> None:
    ours, theirs = BridgeEnv(EnvSpec("gym", "CartPole-v1"), observations="observation"), gymnasium.make("CartPole-v1")
    obs, _ = ours.reset(seed=2)
    expected, _ = theirs.reset(seed=seed_stream(2, 0, 0, 0))
    rng = np.random.default_rng(0)
    for _ in range(5):
        over = False
        while not over:
            np.testing.assert_array_equal(obs, expected)
            action = int(rng.integers(2))
            obs, *rest, _ = ours.step(action)
            expected, *expected_rest, _ = theirs.step(action)
            assert rest == expected_rest
            over = any(rest[1:])
        np.testing.assert_array_equal(obs, expected)  # the true final one
        obs, _ = ours.reset()
        expected, _ = theirs.reset()
    ours.close()
    theirs.close()


def test_a_reset_in_mid_episode_begins_another() -> None:
    env = BridgeEnv(own("Counter"), observations="observation")
    env.reset()
    env.step(0)
    obs, _ = env.reset()
    assert obs[1:3].tolist() == [1, 0]  # the second episode, its first observation
    env.close()


def test_masks() -> None:
    env = BridgeEnv(own("Masked", env_kwargs={"length": 3}))
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        env.action_masks()
    _, info = env.reset()
    assert info["action_mask"].tolist() == [0, 1, 1]
    assert env.action_masks().tolist() == [False, True, True]
    assert env.action_space.sample(info["action_mask"]) in (1, 2)
    obs, *_, info = env.step(0)
    assert info["action_replaced"]
    assert obs["observation"][3] == 1
    env.close()
