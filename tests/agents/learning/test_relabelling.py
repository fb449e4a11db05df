"""Goal relabelling: which part of a batch, and that nothing else of it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.learning.agent import DQNAgent
from agents.learning.relabelling import Relabelling
from agents.learning.replay import Batch
from agents.settings.config import Config, ConfigError, build_config
from bridge import ActionSpec, BehaviorSpec, ObsSpec
from bridge.goals import REWARD_RULES
from tests.agents.scripted import FIRST, LAST, Row, small_agent, steps_of

SIZE = 4000


def batch() -> Batch:
    """Goals [1, 0] and [0, 1] in turns; every fifth transition ends an episode for 1, the others cost 0.01."""
    goal = np.eye(2, dtype=np.float32)[np.arange(SIZE) % 2]
    ends = np.arange(SIZE) % 5 == 0
    place = np.arange(SIZE, dtype=np.float32)[:, None]
    return Batch(
        obs_tm1=(place, goal),
        mask_tm1=np.ones((SIZE, 3), np.bool_),
        action_tm1=np.zeros((SIZE, 1), np.int32),
        reward_t=np.where(ends, 1.0, -0.01).astype(np.float32),
        discount_t=np.where(ends, 0.0, 0.9).astype(np.float32),
        obs_t=(place + 1, goal),
        mask_t=np.ones((SIZE, 3), np.bool_),
    )


def relabelled(part: float, seed: int = 0) -> Batch:
    return Relabelling(part, REWARD_RULES["opposite"], 1, np.random.default_rng(seed))(batch())


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_a_part_of_the_batch_has_the_other_goal_and_its_reward(part: float) -> None:
    before, after = batch(), relabelled(part)
    changed = (after.obs_tm1[1] != before.obs_tm1[1]).any(axis=1)
    assert changed.mean() == pytest.approx(part, abs=0.03)
    np.testing.assert_array_equal(after.obs_tm1[1][changed], 1 - before.obs_tm1[1][changed])
    np.testing.assert_array_equal(after.obs_t[1], after.obs_tm1[1], "one goal before and after the move")
    turned = changed & (before.discount_t == 0)
    np.testing.assert_array_equal(after.reward_t, np.where(turned, -before.reward_t, before.reward_t))


def test_whatever_is_no_goal_stays() -> None:
    before, after = batch(), relabelled(1.0)
    for name in ("mask_tm1", "action_tm1", "discount_t", "mask_t"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.obs_tm1[0], before.obs_tm1[0])
    np.testing.assert_array_equal(after.obs_t[0], before.obs_t[0])


def test_the_generator_decides() -> None:
    np.testing.assert_array_equal(relabelled(0.5, seed=3).reward_t, relabelled(0.5, seed=3).reward_t)
    assert (relabelled(0.5, seed=3).reward_t != relabelled(0.5, seed=4).reward_t).any()


# ---- in the agent

GOAL = (ObsSpec("place", "vector", (1,)), ObsSpec("goal", "vector", (2,), is_goal=True))


def config(**network: str) -> Config:
    environment = {"backend": "gym", "env": "X", "reward_rule": "opposite"}
    return build_config({"environment": environment, "learner": {"relabel": 0.5}, "network": network})


@pytest.mark.parametrize(("part", "goal", "value"), [(0.0, [1.0, 0.0], 1.0), (1.0, [0.0, 1.0], -1.0)])
def test_an_agent_learns_under_the_other_goal_when_it_is_told_to(part: float, goal: list[float], value: float) -> None:
    """One move under the goal [1, 0] that ends with reward 1."""
    spec = BehaviorSpec("X", GOAL[1:], ActionSpec((3,)), reward_rule="opposite")
    learner = {"relabel": part, "updates_per_step": 300, "learning_rate": 0.01}
    agent = small_agent(spec, learner=learner, environment={"reward_rule": "opposite"})
    agent.observe(steps_of(spec, Row(0, FIRST, 1.0)))
    action = agent.act()
    agent.observe(steps_of(spec, Row(0, LAST, 1.0, reward=1.0, terminated=True)))
    assert len(list(agent.learn())) == 300
    q = agent.network([torch.tensor([goal])])[0, action[0, 0]]
    assert q.item() == pytest.approx(value, abs=0.05)


def test_what_is_relabelled_next_is_part_of_the_saved_state() -> None:
    spec = BehaviorSpec("X", GOAL, ActionSpec((3,)), reward_rule="opposite")
    agent, resumed = DQNAgent(spec, config()), DQNAgent(spec, config())
    (relabelling,), (resumed_relabelling,) = agent._changes, resumed._changes
    relabelling(batch())
    resumed.load_state_dict(agent.state_dict())
    np.testing.assert_array_equal(resumed_relabelling(batch()).reward_t, relabelling(batch()).reward_t)


@pytest.mark.parametrize(
    ("spec", "observations", "found"),
    [
        (BehaviorSpec("X", GOAL, ActionSpec((3,)), reward_rule="opposite"), "place", "found 0 goals"),
        (BehaviorSpec("X", GOAL, ActionSpec((3,))), "all", "found 1 goals and the rule None"),
    ],
    ids=["the network sees no goal", "no rule"],
)
def test_an_agent_without_a_goal_or_a_rule_refuses(spec: BehaviorSpec, observations: str, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        DQNAgent(spec, config(observations=observations))
