"""Action spaces: what arrives in the environment, and which are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from bridge import Bridge, EnvSpec, StepType, UnsupportedError, connect
from bridge.contract import play
from tests.bridge.gymnasium.specs import needs_mujoco_2, own


def reported(bridge: Bridge, action: list[int]) -> float:
    """The sum of the native action that arrived, see `tests.environments.Counter`."""
    bridge.reset()
    return float(bridge.step([action]).obs[0][0, 3])


def test_discrete_actions_start_where_the_space_starts() -> None:
    with connect(own("Counter")) as bridge:
        assert [reported(bridge, [action]) for action in range(3)] == [0, 1, 2]
    with connect(own("StartsAtFive")) as bridge:
        assert [reported(bridge, [action]) for action in range(3)] == [5, 6, 7]
    with connect(own("StartsAtFive", codec="offset", offset=1)) as bridge:
        assert bridge.spec.actions.branches == (2,)
        assert [reported(bridge, [action]) for action in range(2)] == [6, 7]
    with connect(own("ManyBranches")) as bridge:
        assert bridge.spec.actions.branches == (3, 2, 4)
        assert reported(bridge, [2, 1, 3]) == 2 + 11 + 103


def test_one_joint_moves_one_joint() -> None:
    with connect(own("Parts", codec="one_joint")) as bridge:
        bridge.reset()
        rewards = [float(bridge.step([[action]]).reward[0]) for action in range(4)]
    assert rewards == [0.0, 0.0, 1.0, -1.0]  # the reward is what joint 1 got


def test_levels_cover_the_range_of_each_joint() -> None:
    with connect(own("Parts")) as bridge:
        assert bridge.spec.actions.branches == (5, 5)
        bridge.reset()
        rewards = [float(bridge.step([[0, action]]).reward[0]) for action in range(5)]
    assert rewards == [-2.0, -1.0, 0.0, 1.0, 2.0]
    with connect(own("Parts", levels=[-0.5, 1])) as bridge:
        bridge.reset()
        assert bridge.step([[0, 0]]).reward.tolist() == [-0.5]


@needs_mujoco_2
def test_pusher_is_the_task_of_the_course() -> None:
    with connect(EnvSpec("gym", "Pusher-v4", {"codec": "one_joint"})) as bridge:
        assert bridge.spec.observations[0].shape == (23,)
        assert bridge.spec.actions.branches == (14,)
        assert bridge.spec.max_episode_steps == 100
        end = play(bridge, 100)[-1]
        assert end.step_type[0] == StepType.LAST
        assert end.discount[0] == 1.0


@pytest.mark.parametrize(
    "space",
    [spaces.MultiBinary(3), spaces.Text(3), spaces.Box(0, 9, (2,), np.int64), spaces.Dict(a=spaces.Discrete(2))],
)
def test_other_actions_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"action space .*; there are Discrete, MultiDiscrete and Box of floats"):
        connect(own("Spaces", env_kwargs={"action": space}))


def test_unbounded_actions_need_levels() -> None:
    unbounded = {"action": spaces.Box(-np.inf, np.inf, (2,))}
    with pytest.raises(UnsupportedError, match="name the levels"):
        connect(own("Spaces", env_kwargs=unbounded))
    with connect(own("Spaces", env_kwargs=unbounded, levels=[-3, 3])) as bridge:
        assert bridge.spec.actions.branches == (2, 2)
