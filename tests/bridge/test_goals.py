"""Reward rules: what another goal would have paid, held against the game itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge import EnvSpec, UsageError, connect
from bridge.goals import REWARD_RULES
from envs.gridworld.rules import Area, Goal, Things
from envs.simulated.random import UnityRandom


def test_opposite_is_what_gridworld_pays_for_the_same_move_under_the_other_goal() -> None:
    things, rng = Things(), np.random.default_rng(0)
    area, twin = Area(things, UnityRandom(7)), Area(things, UnityRandom(7))
    goals, rewards, terminated, expected = [], [], [], []
    for _ in range(2000):
        twin.goal = Goal(1 - area.goal)
        action = int(rng.integers(5))
        goals.append(np.eye(2, dtype=np.float32)[area.goal])
        outcome, other = area.act(action), twin.act(action)
        assert other.terminated == outcome.terminated
        rewards.append(outcome.reward)
        terminated.append(outcome.terminated)
        expected.append(other.reward)
        if outcome.terminated or outcome.interrupted:
            area.reset(things)
            twin.reset(things)
    given = np.array(goals), np.array(rewards, np.float32), np.array(terminated)
    goal, reward = REWARD_RULES["opposite"](*given)
    assert np.unique(reward).tolist() == pytest.approx([-1, -0.01, 1])
    np.testing.assert_array_equal(reward, np.array(expected, np.float32))
    np.testing.assert_array_equal(goal, 1 - np.array(goals))
    np.testing.assert_array_equal(given[1], np.array(rewards, np.float32), "what was given stays as it is")


@pytest.mark.parametrize(("backend", "target"), [("unity", "GridWorld"), ("gym", "CartPole-v1")])
def test_nobody_knows_a_rule_that_was_not_named(backend: str, target: str) -> None:
    with connect(EnvSpec(backend, target)) as bridge:
        assert bridge.spec.reward_rule is None


def test_a_rule_is_part_of_what_an_agent_knows_also_from_a_worker() -> None:
    with connect(EnvSpec("unity", "GridWorld", {"reward_rule": "opposite", "num_envs": 2, "workers": 2})) as bridge:
        assert bridge.spec.reward_rule == "opposite"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            EnvSpec("unity", "GridWorld", {"reward_rule": "oposite"}),
            "unknown reward rule 'oposite'; there are opposite",
        ),
        (
            EnvSpec("gym", "CartPole-v1", {"reward_rule": "opposite"}),
            "is for one goal observation of two numbers, found none in CartPole-v1: leave option 'reward_rule' out",
        ),
    ],
    ids=["unknown", "no goal"],
)
def test_a_rule_that_does_not_fit_is_refused(spec: EnvSpec, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        connect(spec)


def test_a_rule_is_a_name() -> None:
    options: dict[str, Any] = {"reward_rule": 3}
    with pytest.raises(UsageError, match="option 'reward_rule' is 3, expected a string or None"):
        connect(EnvSpec("gym", "CartPole-v1", options))
