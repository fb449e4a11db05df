"""Probe environments: what an agent learns is compared with Q-values worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from agents.learning.agent import DQNAgent
from agents.learning.loop import EpisodeEnded, Exchanged, collect_and_learn
from agents.settings.config import build_config, merged
from bridge import EnvSpec, connect
from tests.agents.probes import TwoBranches
from tests.agents.scripted import Row, steps_of

GAMMA = 0.5
SEED = 1

#: Random actions throughout, so that every action is seen everywhere; learns the probes in a second.
QUICK: dict[str, Any] = {
    "network": {"hidden": [32]},
    "learner": {
        "batch_size": 32,
        "learning_rate": 0.01,
        "gamma": GAMMA,
        "double": True,
        "target": "polyak",
        "polyak": 0.1,
        "learning_starts": 32,
    },
    "replay": {"capacity": 5000},
    "exploration": {"start": 1.0, "end": 1.0},
    "training": {"torch_device": "cpu", "seed": SEED},
}


def learn(
    probe: str, *, updates: int = 300, num_envs: int = 1, arguments: Mapping[str, Any] | None = None, **sections: Any
) -> DQNAgent:
    """An agent after so many updates on a probe."""
    config = build_config(merged(QUICK, sections))
    options = {"num_envs": num_envs, "env_kwargs": arguments or {}}
    with connect(EnvSpec("gym", f"tests.agents.probes:{probe}-v0", options, seed=SEED)) as bridge:
        agent = DQNAgent(bridge.spec, config)
        for event in collect_and_learn(bridge, agent):
            if isinstance(event, Exchanged) and agent.updates >= updates:
                return agent
    raise AssertionError("the loop ended by itself")


def q(agent: DQNAgent, *numbers: float) -> npt.NDArray[np.float32]:
    """Q-values where these numbers are seen, [numbers, actions]."""
    return agent.q_values(steps_of(agent.spec, *(Row(0, 0, number) for number in numbers)))  # type: ignore[arg-type]


def assert_close(found: Any, expected: Any, tolerance: float = 0.1) -> None:
    np.testing.assert_allclose(found, np.broadcast_to(expected, np.shape(found)), atol=tolerance)


def test_a_constant_reward() -> None:
    assert_close(q(learn("Probe", updates=200), 0), 1.0)


def test_a_reward_that_depends_on_what_is_seen() -> None:
    assert_close(q(learn("Sign"), -1, 1), [[-1.0], [1.0]])


def test_a_reward_that_comes_later_is_discounted() -> None:
    assert_close(q(learn("Late", arguments={"length": 3}), 0, 1, 2), [[GAMMA**2], [GAMMA], [1.0]])


def test_a_reward_that_depends_on_the_action() -> None:
    agent = learn("RightAction")
    assert_close(q(agent, 0), [[-1.0, 1.0]])


def test_a_reward_that_depends_on_action_and_observation() -> None:
    assert_close(q(learn("RightActionForSign"), -1, 1), [[1.0, -1.0], [-1.0, 1.0]])


def test_advantage_learning_leaves_the_best_action_and_lowers_the_others() -> None:
    """By 1 / (1 - part) times their distance: Q = -1 - 0.5 (1 - Q)."""
    agent = learn("RightActionForSign", updates=600, learner={"advantage_learning": 0.5})
    assert_close(q(agent, -1, 1), [[1.0, -3.0], [-3.0, 1.0]], 0.2)


@pytest.mark.parametrize("n_step", [1, 3])
def test_truncation_does_not_end_the_future(n_step: int) -> None:
    """1 a step for ever, cut every 3 steps: 1 / (1 - gamma). Taken for an end it would be about 1.5."""
    agent = learn("Probe", arguments={"length": 3, "truncate": True, "sees_time": False}, learner={"n_step": n_step})
    assert_close(q(agent, 0), 1 / (1 - GAMMA))


@pytest.mark.parametrize("n_step", [1, 3])
def test_termination_ends_the_future(n_step: int) -> None:
    agent = learn("Probe", arguments={"length": 4}, learner={"n_step": n_step})
    assert_close(q(agent, 0, 1, 2, 3), [[(1 - GAMMA**left) / (1 - GAMMA)] for left in (4, 3, 2, 1)])


@pytest.mark.parametrize("double", [True, False])
def test_what_is_forbidden_does_not_count_however_good_it_is(double: bool) -> None:
    agent = learn("Tempting", updates=600, learner={"double": double})
    values = q(agent, 0)[0]
    assert values[2] == pytest.approx(10.0, abs=0.5)
    assert_close(values[:2], 1.0, 0.2)


def test_the_goal_says_what_is_good() -> None:
    assert_close(values_for_goals(learn("Goal")), np.eye(2))


@pytest.mark.parametrize("goal", ["gate", "product", "concat"])
def test_the_goal_beside_a_picture_says_what_is_good(goal: str) -> None:
    agent = learn(
        "Goal", updates=200, arguments={"picture": True}, network={"goal": goal}, learner={"learning_rate": 0.002}
    )
    assert_close(values_for_goals(agent), np.eye(2))


def values_for_goals(agent: DQNAgent) -> npt.NDArray[np.float32]:
    """Q-values for the goals [1, 0] and [0, 1]."""
    rows = steps_of(agent.spec, *[Row(0, 0)] * 2)  # type: ignore[arg-type]
    for spec, values in zip(agent.spec.observations, rows.obs, strict=True):
        values[:] = np.eye(2) if spec.is_goal else 255 if spec.kind == "image" else 0
    return agent.q_values(rows)


@pytest.mark.parametrize("dueling", [False, True])
def test_the_mean_of_two_branches_is_the_value_of_both_actions(dueling: bool) -> None:
    agent = learn("TwoBranches", network={"dueling": dueling})
    first, second = np.split(q(agent, 0)[0], [2])
    expected = np.add.outer(*TwoBranches.PARTS)
    assert_close((first[:, None] + second[None, :]) / 2, expected)


def test_two_branches_add_up_over_time() -> None:
    """Later steps earn what the best action of each branch earns: 1.5 each."""
    agent = learn("TwoBranches", updates=600, arguments={"length": 2})
    first, second = np.split(q(agent, 0)[0], [2])
    assert_close((first[:, None] + second[None, :]) / 2, np.add.outer(*TwoBranches.PARTS) + GAMMA * 1.5, 0.2)


@pytest.mark.parametrize("n_step", [1, 3, 5])
def test_n_steps_have_the_values_of_one(n_step: int) -> None:
    """Rewards do not depend on actions here, so nothing is off policy."""
    agent = learn("Late", arguments={"length": 4}, learner={"n_step": n_step})
    assert_close(q(agent, 0, 1, 2, 3), [[GAMMA**3], [GAMMA**2], [GAMMA], [1.0]])


@pytest.mark.parametrize("num_envs", [3, 8])
def test_several_environments_have_the_values_of_one(num_envs: int) -> None:
    assert_close(q(learn("Late", num_envs=num_envs, arguments={"length": 3}), 0, 1, 2), [[GAMMA**2], [GAMMA], [1.0]])


@pytest.mark.parametrize(
    "learner",
    [
        {"target": "none"},
        {"target": "none", "double": False},
        {"target": "hard", "target_period": 10, "target_unit": "updates"},
        {"target": "hard", "target_period": 20, "target_unit": "steps"},
        {"target": "hard", "target_period": 5, "target_unit": "episodes"},
        {"target": "polyak", "polyak": 0.05, "double": False},
        {"target": "none", "target_rate": 0.9},
        {"loss": "mse", "max_grad_norm": 0},
        {"optimizer": "rmsprop", "learning_rate": 0.002},
    ],
    ids=str,
)
def test_every_kind_of_learner_finds_the_values(learner: dict[str, Any]) -> None:
    agent = learn("Late", arguments={"length": 3}, learner=learner)
    assert_close(q(agent, 0, 1, 2), [[GAMMA**2], [GAMMA], [1.0]])


@pytest.mark.parametrize(
    "network",
    [
        {"dueling": True},
        {"normalize": True},
        {"layer_norm": True, "activation": "elu"},
        {"hidden": [16, 16]},
    ],
    ids=str,
)
def test_every_kind_of_network_finds_the_values(network: dict[str, Any]) -> None:
    agent = learn("RightActionForSign", network=network)
    assert_close(q(agent, -1, 1), [[1.0, -1.0], [-1.0, 1.0]], 0.15)


def test_failing_earns_the_failure_reward_and_lasting_does_not() -> None:
    """Action 0 falls and learns -100; action 1 reaches the limit and goes on being worth 1 a step."""
    agent = learn(
        "FallsOrLasts",
        updates=800,
        arguments={"length": 3, "sees_time": False},
        learner={"learning_rate": 0.02, "loss": "mse", "max_grad_norm": 0},
        training={"failure_reward": -100.0},
    )
    values = q(agent, 0)[0]
    assert values[0] == pytest.approx(-100.0, abs=3)
    assert values[1] == pytest.approx(1 / (1 - GAMMA), abs=1)


def test_scores_are_the_environments_own_whatever_is_learned() -> None:
    config = build_config(merged(QUICK, {"training": {"failure_reward": -100.0}}))
    options = {"env_kwargs": {"length": 3}}
    with connect(EnvSpec("gym", "tests.agents.probes:FallsOrLasts-v0", options)) as bridge:
        agent = DQNAgent(bridge.spec, config)
        results = []
        for event in collect_and_learn(bridge, agent):
            if isinstance(event, EpisodeEnded):
                results.append(event.result)
            if len(results) == 30:
                break
    assert all(result.score == result.length for result in results)
    assert {result.truncated for result in results} == {True, False}
