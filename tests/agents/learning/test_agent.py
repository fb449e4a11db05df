"""The agent: what an update computes, when things happen, and what it keeps. `test_learning.py` has what it learns."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from agents.learning.agent import DQNAgent, Update, choose_device
from agents.learning.inputs import NetworkInputs
from agents.learning.loop import Exchanged, Updated, collect_and_learn
from agents.learning.replay import Batch
from agents.settings.config import ConfigError, build_config, merged
from agents.settings.presets import load_preset
from bridge import EnvSpec, ObsSpec, connect
from tests.agents.scripted import (
    FIRST,
    LAST,
    MID,
    PICTURE,
    VECTOR,
    EachOnce,
    Row,
    behavior,
    everything,
    small_agent,
    small_config,
    steps_of,
)

SPEC = behavior(VECTOR, branches=(3, 2))


def feed(agent: DQNAgent, *exchanges: Sequence[Row]) -> list[Update]:
    """Observes, acts and learns; the updates that were made."""
    updates: list[Update] = []
    for rows in exchanges:
        agent.observe(steps_of(agent.spec, *rows))
        agent.act()
        updates += agent.learn()
    return updates


def walk(length: int, episode: int = 0, ends: str = "terminated") -> list[list[Row]]:
    """One agent's episode; observations, rewards and masks are all different."""
    rng = np.random.default_rng(episode)

    def row(time: int) -> Row:
        kind = FIRST if time == 0 else LAST if time == length else MID
        mask = ([True, *(rng.random(2) < 0.6).tolist()], [bool(time % 2), True])
        reward = 0.0 if time == 0 else float(rng.normal())
        return Row(episode, kind, float(rng.normal()), reward, kind == LAST and ends == "terminated", mask)

    return [[row(time)] for time in range(length + 1)]


def parameters(network: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


# ---- one update


def ready_to_update(**learner: Any) -> DQNAgent:
    """Holds 18 transitions of three episodes, and its next update takes each of them once."""
    agent = small_agent(SPEC, learner={"learning_starts": 1000, "batch_size": 18, **learner})
    for episode, ends in enumerate(("terminated", "truncated", "terminated")):
        feed(agent, *walk(6, episode, ends))
    assert len(agent.replay) == 18
    agent.replay._rng = EachOnce()  # type: ignore[assignment]
    with torch.no_grad():  # the networks have gone different ways
        for index, parameter in enumerate(agent.network.parameters()):
            parameter += 0.3 * torch.sin(torch.arange(parameter.numel()) + index).reshape(parameter.shape)
    agent._credit = 1.0
    return agent


def slow_value(q: list[float], choosing: list[float], mask: list[bool]) -> float:
    """The mean over the branches (3, 2) of the value of the best allowed action."""
    values = []
    for actions in (range(3), range(3, 5)):
        best = max((action for action in actions if mask[action]), key=lambda action: choosing[action])
        values.append(q[best])
    return sum(values) / 2


def slow_soft_value(q: list[float], choosing: list[float], mask: list[bool], temperature: float) -> float:
    """The mean over the branches (3, 2) of the softmax policy's expected value and its entropy."""
    values = []
    for actions in (range(3), range(3, 5)):
        weights = {action: np.exp(choosing[action] / temperature) for action in actions if mask[action]}
        policy = {action: weight / sum(weights.values()) for action, weight in weights.items()}
        values.append(sum(p * (q[action] - temperature * np.log(p)) for action, p in policy.items()))
    return float(sum(values) / 2)


def slow_errors(agent: DQNAgent, batch: Batch, double: bool) -> tuple[list[float], list[float]]:
    """Each transition's Q-value and TD error, one by one, from its own reward, discount, mask and observations."""

    def q(network: Any, observation: Any) -> list[float]:
        with torch.no_grad():
            values: list[float] = network([torch.as_tensor(observation[None])])[0].tolist()
        return values

    values, errors = [], []
    for index in range(len(batch.reward_t)):
        online = q(agent.network, batch.obs_tm1[0][index])
        first, second = batch.action_tm1[index].tolist()
        value = (online[first] + online[3 + second]) / 2
        following = q(agent.target_network, batch.obs_t[0][index])
        choosing = q(agent.network, batch.obs_t[0][index]) if double else following
        settings, allowed = agent.config.learner, batch.mask_t[index].tolist()
        if settings.backup == "soft":
            future = slow_soft_value(following, choosing, allowed, settings.temperature)
        else:
            future = slow_value(following, choosing, allowed)
        target = float(batch.reward_t[index] + batch.discount_t[index] * future)
        if settings.advantage_learning:
            before, allowed = q(agent.target_network, batch.obs_tm1[0][index]), batch.mask_tm1[index].tolist()
            taken = (before[first] + before[3 + second]) / 2
            target -= settings.advantage_learning * (slow_value(before, before, allowed) - taken)
        errors.append(target - value)
        values.append(value)
    return values, errors


@pytest.mark.parametrize("target", ["hard", "polyak", "none"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(("loss", "rate"), [("mse", 1.0), ("mse", 0.9), ("huber", 1.0), ("huber", 0.5)])
@pytest.mark.parametrize(("backup", "advantage"), [("max", 0.0), ("max", 0.9), ("soft", 0.0)])
def test_the_loss_is_the_mean_over_each_transitions_own_error(
    target: str, double: bool, loss: str, rate: float, backup: str, advantage: float
) -> None:
    """Not over the environment's latest reward; the study rate goes that part of the way from Q to its target."""
    settings = {"target": target, "double": double, "loss": loss, "target_rate": rate, "advantage_learning": advantage}
    agent = ready_to_update(
        n_step=2, backup=backup, temperature=0.7, entropy_target=0.3 if backup == "soft" else None, **settings
    )
    values, errors = slow_errors(agent, everything(agent.replay), double)
    (update,) = agent.learn()
    aimed = [rate * error for error in errors]
    squares = [error**2 for error in aimed]
    hubers = [error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5 for error in aimed]
    assert update.loss.item() == pytest.approx(np.mean(squares if loss == "mse" else hubers), rel=1e-4)
    assert update.td_error.item() == pytest.approx(np.mean(np.abs(errors)), rel=1e-4)
    assert update.q.item() == pytest.approx(np.mean(values), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("target", "double"), [("none", False), ("hard", True), ("polyak", True)])
def test_no_gradient_goes_into_the_target(target: str, double: bool) -> None:
    """The gradient is that of the squared distance to fixed numbers, a bit less far away than the targets."""
    agent = ready_to_update(target=target, double=double, loss="mse", target_rate=0.9, max_grad_norm=0)
    batch = everything(agent.replay)
    values, errors = slow_errors(agent, batch, double)
    aim = torch.tensor([value + 0.9 * error for value, error in zip(values, errors, strict=True)])
    twin = copy.deepcopy(agent.network)
    actions = torch.as_tensor(batch.action_tm1).long()
    q = twin([torch.as_tensor(batch.obs_tm1[0])])
    chosen = (q[torch.arange(18), actions[:, 0]] + q[torch.arange(18), 3 + actions[:, 1]]) / 2
    ((chosen - aim) ** 2).mean().backward()
    (update,) = agent.learn()
    for mine, theirs in zip(agent.network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    norm = torch.stack([parameter.grad.norm() for parameter in twin.parameters() if parameter.grad is not None]).norm()
    assert update.grad_norm.item() == pytest.approx(norm.item(), rel=1e-4)
    if target != "none":
        assert all(parameter.grad is None for parameter in agent.target_network.parameters())


def test_gradients_are_clipped_to_their_norm() -> None:
    agent = ready_to_update(max_grad_norm=0.01, loss="mse")
    (update,) = agent.learn()
    assert update.grad_norm > 0.1, "the norm that is told is the one before"
    norm = torch.stack([parameter.grad.norm() for parameter in agent.network.parameters()]).norm()  # type: ignore[union-attr]
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_what_an_update_tells_needs_no_gradient() -> None:
    (update,) = ready_to_update().learn()
    assert not any(getattr(update, name).requires_grad for name in ("loss", "td_error", "q", "grad_norm"))


# ---- the target network


def long_walk(length: int, agents: int = 1) -> list[list[Row]]:
    """Some agents that never end."""
    kinds = [FIRST, *[MID] * length]
    return [
        [Row(who, kind, np.sin(time + who), np.cos(time)) for who in range(agents)] for time, kind in enumerate(kinds)
    ]


def test_a_polyak_target_goes_a_part_of_the_way_with_every_update() -> None:
    agent = small_agent(SPEC, learner={"target": "polyak", "polyak": 0.2, "batch_size": 4})
    feed(agent, *long_walk(0))
    for rows in long_walk(30)[1:]:
        target = parameters(agent.target_network)
        assert len(feed(agent, rows)) == 1
        for old, new, online in zip(target, parameters(agent.target_network), parameters(agent.network), strict=True):
            torch.testing.assert_close(new, 0.8 * old + 0.2 * online)


@pytest.mark.parametrize(
    ("unit", "period", "agents"),
    [("updates", 3, 1), ("steps", 5, 1), ("steps", 5, 3), ("updates", 3, 3)],
)
def test_a_hard_target_is_copied_exactly_when_its_period_is_over(unit: str, period: int, agents: int) -> None:
    learner = {"target": "hard", "target_period": period, "target_unit": unit, "batch_size": 1}
    agent = small_agent(SPEC, learner=learner)
    copies = copied_at = 0  # so many, the last one after so many updates: every update moves the online network

    def check() -> None:
        nonlocal copies, copied_at
        passed = (agent.steps if unit == "steps" else agent.updates) // period
        if passed > copies:
            copies, copied_at = passed, agent.updates
        assert same(parameters(agent.target_network), parameters(agent.network)) == (agent.updates == copied_at)

    for exchange in long_walk(20, agents):
        agent.observe(steps_of(SPEC, *exchange))
        check()
        agent.act()
        for _ in agent.learn():
            check()
    assert copies == 20 * agents // period
    assert agent.updates == 20 * agents


def test_a_hard_target_by_episodes_is_copied_when_they_end() -> None:
    learner = {"target": "hard", "target_period": 2, "target_unit": "episodes", "batch_size": 1}
    agent = small_agent(SPEC, learner=learner)
    told = []
    for episode in range(6):
        feed(agent, *walk(4, episode)[:-1])
        before = parameters(agent.target_network)
        agent.observe(steps_of(SPEC, *walk(4, episode)[-1]))
        told.append(not same(parameters(agent.target_network), before))
        assert same(parameters(agent.target_network), parameters(agent.network)) == told[-1]
    assert told == [False, True] * 3


def test_without_a_target_network_the_online_one_is_its_own() -> None:
    agent = small_agent(SPEC, learner={"target": "none"})
    assert agent.target_network is agent.network


@pytest.mark.parametrize("target", [{"target": "polyak"}, {"target": "hard", "target_period": 1}])
def test_the_target_scales_as_the_online_network_does(target: dict[str, Any]) -> None:
    agent = small_agent(SPEC, network={"normalize": True}, learner={**target, "batch_size": 4})
    feed(agent, *long_walk(20))
    last = agent.learn()
    assert not list(last)
    assert agent.network.norms["0"].count == 21
    assert agent.target_network.norms["0"].count == 21


# ---- when it learns


@pytest.mark.parametrize("ratio", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_updates_keep_their_ratio_to_steps_exactly(ratio: float, num_envs: int) -> None:
    """Every exchange is followed by what its transitions have earned, from the first one past the start."""
    starts = 60
    config = small_config(learner={"updates_per_step": ratio, "learning_starts": starts})
    options = {"num_envs": num_envs, "env_kwargs": {"longest": 4}}
    with connect(EnvSpec("gym", "tests.agents.probes:Logged-v0", options)) as bridge:
        agent = DQNAgent(bridge.spec, config)
        seen = updates = 0  # steps before this exchange, Updated events
        for event in collect_and_learn(bridge, agent):
            if isinstance(event, Updated):
                updates += 1
                assert agent.steps > starts
            if isinstance(event, Exchanged):
                assert agent.steps == seen + num_envs
                assert agent.updates == updates == int(max(0, seen - starts) * ratio)
                seen = agent.steps
            if agent.steps >= 180:
                break
    assert updates > 0


def test_learning_starts_after_exactly_so_many_steps() -> None:
    agent = small_agent(SPEC, learner={"learning_starts": 20, "batch_size": 4})
    rows = long_walk(22)
    assert feed(agent, *rows[:21]) == []
    assert agent.steps == 20
    assert len(feed(agent, rows[21])) == 1
    assert len(feed(agent, rows[22])) == 1


def test_n_steps_earn_as_many_updates_when_their_episodes_end() -> None:
    agent = small_agent(SPEC, learner={"n_step": 3, "batch_size": 1})
    for episode in range(5):
        feed(agent, *walk(4, episode))
        assert agent.updates == agent.steps == 4 * (episode + 1)


@pytest.mark.parametrize("capacity", [8, 1000])
def test_fewer_transitions_than_a_batch_are_no_reason_to_wait(capacity: int) -> None:
    """Otherwise a replay that can never hold a batch learns nothing, and any other makes up for it in a burst."""
    agent = small_agent(SPEC, learner={"learning_starts": 5, "batch_size": 50}, replay={"capacity": capacity})
    for rows in long_walk(30):
        assert len(feed(agent, rows)) == (agent.steps > 5)
    assert agent.updates == 25


def test_nothing_is_learned_without_new_experience() -> None:
    agent = small_agent(SPEC, learner={"batch_size": 1})
    feed(agent, *long_walk(5))
    assert agent.updates == 5
    assert list(agent.learn()) == []


# ---- counters and schedules


@pytest.mark.parametrize(("unit", "counted"), [("steps", 12), ("updates", 6), ("episodes", 3)])
def test_the_level_falls_by_the_unit_that_is_meant(unit: str, counted: int) -> None:
    """Not by episodes where steps are meant."""
    agent = small_agent(
        SPEC,
        learner={"batch_size": 1, "updates_per_step": 0.5},
        exploration={"unit": unit, "start": 1.0, "end": 0.0, "duration": 100},
    )
    for episode in range(3):
        feed(agent, *walk(4, episode))
    assert (agent.steps, agent.updates, agent.episodes) == (12, 6, 3)
    assert agent.exploration_level == pytest.approx(1 - counted / 100)


def test_all_agents_of_an_exchange_count() -> None:
    agent = small_agent(SPEC, exploration={"start": 1.0, "end": 0.0, "duration": 100})
    feed(agent, *long_walk(10, agents=5))
    assert agent.steps == 50
    assert agent.exploration_level == pytest.approx(0.5)


def test_the_courses_epsilon_begins_to_fall_with_step_5001() -> None:
    """40,000 updates from 1.0 to 0.1, the first one at step 5,001."""
    preset = {name: load_preset("seed-c")[name] for name in ("learner", "exploration")}
    config = build_config(merged(preset, {"network": {"hidden": [2]}, "training": {"torch_device": "cpu"}}))
    agent = DQNAgent(behavior(), config)
    walked = long_walk(5003)
    feed(agent, *walked[:5001])
    assert (agent.steps, agent.updates, agent.exploration_level) == (5000, 0, 1.0)
    feed(agent, walked[5001])
    assert (agent.steps, agent.updates) == (5001, 1)
    assert agent.exploration_level == pytest.approx(1 - 0.9 / 40_000)


def test_the_softs_level_is_its_learned_temperature() -> None:
    soft = {"backup": "soft", "temperature": 0.5, "entropy_target": 1e-9, "updates_per_step": 1, "batch_size": 4}
    agent = small_agent(SPEC, learner=soft, exploration={"kind": "soft"})
    assert agent.exploration_level == pytest.approx(0.5)
    feed(agent, *long_walk(30))
    assert agent.updates > 10
    assert agent.exploration_level < 0.5, "hardly any entropy is wanted"


def test_what_is_explored_goes_by_the_level() -> None:
    """One percent of the decisions of many agents, not half of them."""
    spec = behavior(branches=(100,))
    agent = small_agent(spec, exploration={"start": 0.01, "end": 0.01}, replay={"capacity": 50_000})
    agent.observe(steps_of(spec, *[Row(who, FIRST, 0.0) for who in range(10_000)]))
    actions = agent.act()[:, 0]
    explored = np.count_nonzero(actions != np.bincount(actions).argmax())
    assert 50 < explored < 150


# ---- rewards to learn from


def test_a_failure_reward_replaces_that_of_a_termination_only() -> None:
    agent = small_agent(SPEC, training={"failure_reward": -100.0}, learner={"learning_starts": 100})
    for episode, ends in enumerate(("terminated", "truncated")):
        feed(agent, *walk(3, episode, ends))
    rewards = [rows[0].reward for episode in (0, 1) for rows in walk(3, episode)[1:]]
    rewards[2] = -100.0
    assert everything(agent.replay).reward_t.tolist() == pytest.approx(rewards)


# ---- what is observed


OBSERVATIONS = (
    ObsSpec("eye", "image", (3, 64, 84)),
    ObsSpec("wanted", "vector", (2,), is_goal=True),
    ObsSpec("legs", "vector", (6,)),
)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["all"], [0, 1, 2]),
        (["image"], [0]),
        (["vector"], [2]),
        (["goal"], [1]),
        (["goal", "image"], [0, 1]),
        (["legs", "eye", "legs"], [0, 2]),
        (["wanted"], [1]),
    ],
)
def test_observations_are_chosen_by_name_or_kind(words: list[str], found: list[int]) -> None:
    assert NetworkInputs(behavior(*OBSERVATIONS), words, 1).indices == found


def test_an_observation_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="this environment has no 'leg'; did you mean 'legs'"):
        NetworkInputs(behavior(*OBSERVATIONS), ["leg"], 1)


def test_images_are_thinned_out_before_they_are_stored_and_vectors_are_not() -> None:
    spec = behavior(ObsSpec("eye", "image", (2, 5, 6)), ObsSpec("legs", "vector", (4,)))
    inputs = NetworkInputs(spec, ["all"], 2)
    assert [item.shape for item in inputs.specs] == [(2, 3, 3), (4,)]
    picture = np.arange(3 * 2 * 5 * 6, dtype=np.uint8).reshape(3, 2, 5, 6)
    legs = np.arange(12, dtype=np.float32).reshape(3, 4)
    eye, same = inputs((picture, legs), np.array([True, False, True]))
    np.testing.assert_array_equal(eye, picture[[0, 2]][:, :, [0, 2, 4]][:, :, :, [0, 2, 4]])
    np.testing.assert_array_equal(same, legs[[0, 2]])


def test_only_the_observations_that_are_used_are_stored_and_seen() -> None:
    spec = behavior(PICTURE, VECTOR, ObsSpec("more", "vector", (3,)))
    agent = small_agent(spec, network={"observations": ["more", "vector"]})
    assert [item.name for item in agent.network.observations] == ["vector", "more"]
    feed(agent, [Row(0, FIRST, 5)], [Row(0, LAST, 6)])
    assert [array.shape[1:] for array in everything(agent.replay).obs_tm1] == [(1,), (3,)]


def test_running_norms_take_in_what_is_stored_once() -> None:
    agent = small_agent(SPEC, network={"normalize": True}, learner={"learning_starts": 1000})
    episodes = [walk(5, episode, ends) for episode, ends in enumerate(("terminated", "truncated"))]
    feed(agent, *[rows for episode in episodes for rows in episode])
    numbers = [rows[0].number for rows in [*episodes[0][:-1], *episodes[1]]]
    norm = agent.network.norms["0"]
    assert norm.count == len(numbers)
    np.testing.assert_allclose(norm.mean, [np.mean(numbers)], rtol=1e-4)
    np.testing.assert_allclose(norm.var, [np.var(numbers)], rtol=1e-4)


# ---- what it keeps


@pytest.mark.parametrize(
    "sections",
    [
        {"exploration": {"hold": 4.0, "start": 0.5, "end": 0.1, "duration": 50}},
        {"learner": {"target": "hard", "target_period": 7, "target_unit": "steps"}},
        {"learner": {"target": "polyak", "n_step": 3, "updates_per_step": 0.3}, "network": {"normalize": True}},
        {"learner": {"optimizer": "rmsprop"}, "exploration": {"kind": "boltzmann"}},
        {"learner": {"backup": "soft", "entropy_target": 0.5}, "exploration": {"kind": "soft", "hold": 4.0}},
    ],
    ids=str,
)
def test_a_resumed_agent_is_one_that_never_stopped(sections: dict[str, Any]) -> None:
    """Epsilon, replay, optimiser, random states and counters all go on."""
    first = small_agent(SPEC, **sections)
    feed(first, *[rows for episode in range(8) for rows in walk(5, episode)])
    second = small_agent(SPEC, **merged(sections, {"training": {"seed": 99}}))
    second.load_tensors(copy.deepcopy(first.tensors()))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.replay.load_state_dict(copy.deepcopy(first.replay.state_dict()))
    assert second.exploration_level == first.exploration_level
    found = []
    for agent in (first, second):
        agent.lose_open_episodes()
        actions, losses = [], []
        for rows in [rows for episode in range(8, 16) for rows in walk(5, episode)]:
            agent.observe(steps_of(SPEC, *rows))
            actions += agent.act().tolist()
            losses += [update.loss.item() for update in agent.learn()]
        found.append((actions, losses, agent.steps, agent.updates, agent.episodes, agent.exploration_level))
    assert found[0] == found[1]
    assert len(found[0][1]) >= 10
    assert same(parameters(first.network), parameters(second.network))
    assert same(parameters(first.target_network), parameters(second.target_network))


@pytest.mark.parametrize("kind", ["epsilon", "boltzmann"])
def test_nothing_is_kept_of_ended_episodes(kind: str) -> None:
    exploration = {"kind": kind, "hold": 50.0, "start": 1.0, "end": 1.0}
    agent = small_agent(SPEC, exploration=exploration, learner={"n_step": 3})
    feed(agent, *[rows for episode in range(5) for rows in walk(4, episode)], *walk(4, 5)[:-1])
    state = agent.state_dict()
    assert list(state["exploration"]["held"]) == list(state["nstep"]["open"]) == ["5"]


def test_a_seed_decides_the_first_weights_and_leaves_torchs_own_stream_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (small_agent(SPEC, training={"seed": seed}) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(parameters(one.network), parameters(two.network))
    assert not same(parameters(one.network), parameters(other.network))


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("target", ["polyak", "hard", "none"])
def test_a_reset_gives_both_networks_the_same_new_weights_and_keeps_what_describes_experience(
    target: str, optimizer: str
) -> None:
    learner = {"learning_rate": 0.01, "backup": "soft", "entropy_target": 0.5, "target": target, "optimizer": optimizer}
    sections: dict[str, Any] = {"network": {"normalize": True}, "exploration": {"kind": "soft"}}
    reset = small_agent(SPEC, learner={**learner, "reset_at": [4]}, **sections)
    plain = small_agent(SPEC, learner=learner, **sections)
    first = {name: value.clone() for name, value in plain.network.named_parameters()}
    *before, last = walk(4)
    for agent in (reset, plain):
        feed(agent, *before)
    for agent in (reset, plain):
        agent.observe(steps_of(agent.spec, *last))
    # Whoever tests or saves the agent at that very step finds what it has learned.
    assert same(parameters(reset.network), parameters(plain.network))
    for agent in (reset, plain):
        agent.act()
    assert same(parameters(reset.network), parameters(reset.target_network))
    for name, value in reset.network.named_parameters():
        if value.ndim == 2:
            assert not torch.equal(value, first[name])
            assert not torch.equal(value, dict(plain.network.named_parameters())[name])
    assert plain.tensors()["optimizer"]["state"]
    assert not reset.tensors()["optimizer"]["state"]
    for mine, theirs in zip(reset.network.buffers(), plain.network.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert reset.exploration_level == plain.exploration_level != 0.1
    assert len(reset.replay) == len(plain.replay) > 0
    assert [update.loss.isfinite().item() for update in reset.learn()] == [True]


def test_each_reset_has_weights_of_its_own_which_later_ones_do_not_change() -> None:
    def weights(*points: int) -> list[torch.Tensor]:
        """Of the first layer after each point, nothing learned meanwhile."""
        agent = small_agent(SPEC, learner={"learning_starts": 1000, "reset_at": points})
        found = []
        for exchange in walk(6):
            feed(agent, exchange)
            if agent.steps in points:
                found.append(next(agent.network.parameters()).detach().clone())
        return found

    early, late = weights(2, 5)
    assert not torch.equal(early, late)
    assert torch.equal(early, weights(2)[0])


def test_a_step_that_several_agents_pass_together_resets_once() -> None:
    agent = small_agent(SPEC, learner={"learning_starts": 1000, "reset_at": [4]})
    first = next(agent.network.parameters()).detach().clone()
    found = []
    for exchange in zip(*(walk(4, episode) for episode in range(3)), strict=True):
        feed(agent, [row for rows in exchange for row in rows])
        found.append((agent.steps, next(agent.network.parameters()).detach().clone()))
    assert [steps for steps, _ in found] == [0, 3, 6, 9, 12]
    assert [torch.equal(weights, first) for _, weights in found] == [True, True, False, False, False]
    assert torch.equal(found[2][1], found[4][1])


def test_the_target_begins_as_a_copy() -> None:
    agent = small_agent(SPEC, learner={"target": "polyak"})
    assert same(parameters(agent.network), parameters(agent.target_network))
    assert agent.network is not agent.target_network


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        small_agent(SPEC).load_tensors(small_agent(behavior(branches=(4,))).tensors())


def test_an_agent_for_tests_only_has_no_replay() -> None:
    agent = DQNAgent(SPEC, small_config(replay={"capacity": 10**12}), learning=False)
    assert not hasattr(agent, "replay")
    assert agent.choose(steps_of(SPEC, Row(0, FIRST)), 0.0, np.random.default_rng(0)).shape == (1, 2)


# ---- what it refuses


def test_acting_before_anything_was_seen_is_an_error() -> None:
    agent = small_agent(SPEC)
    with pytest.raises(RuntimeError, match=r"act\(\) before observe\(\)"):
        agent.act()
    feed(agent, [Row(0, FIRST)])
    agent.lose_open_episodes()
    with pytest.raises(RuntimeError, match=r"act\(\) before observe\(\)"):
        agent.act()


def test_a_replay_larger_than_the_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(ConfigError, match=r"the replay needs [\d,]+ MiB .* only [\d,]+ MiB .* lower replay\.capacity"):
        small_agent(SPEC, replay={"capacity": psutil.virtual_memory().total})


def test_a_network_that_does_not_fit_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="8x8 pixels is too small"):
        small_agent(behavior(ObsSpec("eye", "image", (3, 8, 8))))


def test_a_device_that_is_not_there_is_refused_in_one_sentence() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(ConfigError, match=f"torch device '{name}' cannot be used here: .*; use cpu") as refusal:
            choose_device(name)
        assert "\n" not in str(refusal.value)


def test_nobody_has_no_values() -> None:
    agent = small_agent(SPEC)
    assert agent.q_values(steps_of(SPEC)).shape == (0, 5)
    assert agent.choose(steps_of(SPEC), 0.5, np.random.default_rng(0)).shape == (0, 2)


# ---- the step size


@pytest.mark.parametrize(
    ("limits", "steps", "episodes", "expected"),
    [
        ({"steps": 100}, 0, 0, 1e-3),
        ({"steps": 100}, 50, 9, 5.5e-4),
        ({"steps": 100}, 200, 9, 1e-4),
        ({"steps": 0, "episodes": 10}, 999, 5, 5.5e-4),
        ({"steps": 0, "episodes": 0}, 999, 5, 1e-3),
    ],
)
def test_step_size_and_entropy_fall_over_the_training_whatever_its_unit(
    limits: dict[str, int], steps: int, episodes: int, expected: float
) -> None:
    rates = {"learning_rate": 1e-3, "learning_rate_end": 1e-4}
    learner = {**rates, "backup": "soft", "entropy_target": 0.1, "entropy_target_end": 0.01}
    agent = small_agent(SPEC, learner=learner, training=limits)
    agent.steps, agent.episodes = steps, episodes
    assert agent.learning_rate == pytest.approx(expected)
    assert agent.entropy_target == pytest.approx(100 * expected)


@pytest.mark.parametrize(
    ("target", "expected"), [(None, 0.5), (0.9, 0.5 * math.exp(0.01)), (0.001, 0.5 / math.exp(0.01))]
)
def test_the_temperature_moves_towards_the_entropy_of_the_moment(target: float | None, expected: float) -> None:
    """Adam's first step is the learning rate, in the logarithm; without a target there is none."""
    # At the training's end, so that only the end of the target counts.
    settings = {"entropy_target": None if target is None else 0.5, "entropy_target_end": target, "learning_rate": 0.01}
    learner = {"backup": "soft", "temperature": 0.5, "updates_per_step": 0.5, **settings}
    agent = small_agent(SPEC, learner=learner, training={"steps": 1}, exploration={"kind": "soft"})
    assert len(feed(agent, *walk(2, 0, "truncated"))) == 1
    assert agent.exploration_level == pytest.approx(expected)


def test_the_optimiser_takes_the_step_size_of_the_moment() -> None:
    agent = small_agent(SPEC, learner={"learning_rate": 1e-3, "learning_rate_end": 1e-4}, training={"steps": 10})
    feed(agent, *walk(4, 0, "terminated"))
    list(agent.learn())
    assert agent.updates > 0
    assert agent.tensors()["optimizer"]["param_groups"][0]["lr"] == pytest.approx(agent.learning_rate)
