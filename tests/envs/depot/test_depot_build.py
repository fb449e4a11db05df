"""The launched build under the stock client of mlagents-envs, all agents of both behaviours acting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mlagents_envs
import numpy as np
import pytest
from mlagents_envs.base_env import ActionTuple, DecisionSteps, ObservationType, TerminalSteps
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.stats_side_channel import StatsSideChannel

CARRIER, CRANE = "Carrier?team=0", "Crane?team=0"
Launch = Callable[..., UnityEnvironment]
#: Whether the installed client decodes (C, H, W) only, or (H, W, C) only; `--layout auto` sends what it decodes.
CHANNELS_FIRST = int(mlagents_envs.__version__.split(".")[0]) >= 1
SHAPES = [(1, 16, 16), (2,), (3, 24, 32), (24,)] if CHANNELS_FIRST else [(16, 16, 1), (2,), (24, 32, 3), (24,)]

if sys.platform != "linux":
    pytest.skip("the launcher is what Linux starts", allow_module_level=True)


@pytest.fixture
def depot(launch: Launch) -> Launch:
    """Like `launch`, for the Depot."""

    def start(*arguments: str, **options: object) -> UnityEnvironment:
        return launch(*arguments, build="Depot", **options)

    return start


def act(environment: UnityEnvironment, rng: np.random.Generator) -> None:
    """One step; everyone who asks gets a random allowed action."""
    for name, spec in environment.behavior_specs.items():
        decisions, _ = environment.get_steps(name)
        if not len(decisions):
            continue
        actions = spec.action_spec.random_action(len(decisions))
        if spec.action_spec.continuous_size:
            actions.add_continuous(rng.uniform(-1, 1, actions.continuous.shape).astype(np.float32))
        else:
            draws = [np.where(forbidden, -1, rng.random(forbidden.shape)) for forbidden in decisions.action_mask]
            actions.add_discrete(np.stack([draw.argmax(1) for draw in draws], 1).astype(np.int32))
        environment.set_actions(name, actions)
    environment.step()


def play(environment: UnityEnvironment, steps: int) -> list[dict[str, tuple[DecisionSteps, TerminalSteps]]]:
    """What every behaviour reports, exchange by exchange."""
    rng = np.random.default_rng(0)
    environment.reset()
    record = []
    for _ in range(steps):
        record.append({name: environment.get_steps(name) for name in environment.behavior_specs})
        act(environment, rng)
    return record


def test_the_specs(depot: Launch) -> None:
    environment = depot()
    environment.reset()
    specs = environment.behavior_specs
    assert sorted(specs) == [CARRIER, CRANE]
    assert [item.name for item in specs[CARRIER].observation_specs] == [
        "ForkCamera",
        "GoalSensor",
        "OverviewCamera",
        "StackingSensor_size3_VectorSensor_size8",
    ]
    assert [item.shape for item in specs[CARRIER].observation_specs] == SHAPES
    goals = [item.observation_type is ObservationType.GOAL_SIGNAL for item in specs[CARRIER].observation_specs]
    assert goals == [False, True, False, False]
    assert (specs[CARRIER].action_spec.continuous_size, specs[CARRIER].action_spec.discrete_branches) == (0, (5, 3, 2))
    assert [item.shape for item in specs[CRANE].observation_specs] == [(4,)]
    assert (specs[CRANE].action_spec.continuous_size, specs[CRANE].action_spec.discrete_branches) == (2, ())


def test_all_agents_of_both_behaviours_play(depot: Launch) -> None:
    statistics = StatsSideChannel()
    record = play(depot(side_channels=[statistics]), 600)
    rewards: dict[str, set[float]] = {CARRIER: set(), CRANE: set()}
    ends, both, none, ids = {CARRIER: 0, CRANE: 0}, 0, 0, set()
    for exchange in record:
        for name, (decisions, ended) in exchange.items():
            rewards[name] |= set(ended.reward.tolist())
            ends[name] += len(ended)
            assert all(np.isfinite(array).all() for steps in (decisions, ended) for array in steps.obs)
        carriers, done = exchange[CARRIER]
        ids |= set(carriers.agent_id.tolist())
        both += bool(set(carriers.agent_id) & set(done.agent_id))
        none += not len(carriers) or not len(exchange[CRANE][0])
        for picture in (carriers.obs[0], carriers.obs[2]):
            assert ((picture >= 0) & (picture <= 1)).all()
    assert {1.0, -1.0, float(np.float32(-0.02))} == rewards[CARRIER]
    assert 1.0 in rewards[CRANE]
    assert min(rewards[CRANE]) < -0.05
    assert min(ends.values()) > 20
    assert min(both, none) > 10
    assert len(ids) > 20
    values = [value for value, _ in statistics.get_and_reset_stats()["Depot/Delivered"]]
    assert len(values) in (ends[CARRIER], ends[CARRIER] + 1, ends[CARRIER] + 2, ends[CARRIER] + 3)  # the last exchange
    assert set(values) == {0.0, 1.0}


def test_parameters_set_before_the_first_reset_shape_the_first_depot(depot: Launch, tmp_path: Path) -> None:
    parameters = EnvironmentParametersChannel()
    environment = depot(side_channels=[parameters], timeout_wait=10)
    for name, value in (("carriers", 0.0), ("cranes", 5.0)):
        parameters.set_float_parameter(name, value)
    environment.reset()
    assert list(environment.behavior_specs) == [CRANE]
    assert len(environment.get_steps(CRANE)[0]) == 5
    parameters.set_float_parameter("carriers", 1.0)
    environment.reset()
    assert sorted(environment.behavior_specs) == [CARRIER, CRANE]
    parameters.set_float_parameter("size", 99.0)
    with pytest.raises(Exception, match="return code 3"):
        environment.reset()
    assert "size 99 make no depot" in (tmp_path / "Player-0.log").read_text()


def test_a_hybrid_crane_plays_too(depot: Launch) -> None:
    environment = depot("--hybrid")
    environment.reset()
    spec = environment.behavior_specs[CRANE].action_spec
    assert (spec.continuous_size, spec.discrete_branches) == (2, (2,))
    ended = 0
    for _ in range(60):
        decisions, _ = environment.get_steps(CRANE)
        if len(decisions):
            hooks, targets = np.split(decisions.obs[0], 2, axis=1)
            push = np.clip((targets - hooks) / 0.25, -1, 1)
            actions = ActionTuple(push.astype(np.float32), np.ones((len(decisions), 1), np.int32))
            environment.set_actions(CRANE, actions)
        environment.step()
        terminal = environment.get_steps(CRANE)[1]
        assert not terminal.interrupted.any()
        ended += len(terminal)
    assert ended > 5


def test_the_same_seed_gives_the_same_game(depot: Launch) -> None:
    games = []
    for worker, seed in enumerate((7, 7, 8)):
        record = play(depot(seed=seed, worker_id=worker), 100)
        games.append([exchange[CARRIER][0].obs[3].tolist() for exchange in record])
    assert games[0] == games[1] != games[2]


def test_the_pictures_are_the_same_without_compression(depot: Launch) -> None:
    compressed = depot()
    compressed.reset()
    raw = depot("--compression", "none", worker_id=1)
    raw.reset()
    for index in (0, 2):
        expected, found = (environment.get_steps(CARRIER)[0].obs[index] for environment in (compressed, raw))
        assert np.allclose(found, expected, atol=1e-6)
