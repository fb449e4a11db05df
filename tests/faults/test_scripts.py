"""Agents that join, decide, end, come back and do several of it at once, at random, against slow oracles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto

from bridge import EnvSpec, connect
from bridge.actions import CodecSettings
from bridge.types import Steps, StepType, first_episode_id, seed_stream
from bridge.unity.assembly import Assembly
from bridge.unity.behavior import Behavior
from tests.bridge.unity.scripted import brain, info, replies, report, vector, write_player
from tests.faults.counts import counts

FIRST, MID, LAST = StepType.FIRST, StepType.MID, StepType.LAST
AGENTS, ACTIONS = 4, 3
#: episode, step type, observation, reward, discount, mask
Row = tuple[int, int, float, float, float, tuple[bool, ...]]


def script_of(rng: np.random.Generator) -> list[list[AgentInfoProto]]:
    """The infos of some exchanges. Few agents and many infos: ids repeat within an exchange."""
    return [[info_of(rng) for _ in range(rng.integers(8))] for _ in range(rng.integers(1, 9))]


def info_of(rng: np.random.Generator) -> AgentInfoProto:
    agent, number, reward, group_reward = (int(value) for value in rng.integers([AGENTS, 1000, 17, 5]))
    forbidden = rng.random(ACTIONS) < 0.4
    forbidden[rng.integers(ACTIONS)] = False
    return info(
        agent,
        vector(number),
        reward=reward / 4 - 2,  # sums of these are exact
        group_reward=group_reward / 4 - 0.5,
        done=bool(rng.random() < 0.4),
        interrupted=bool(rng.random() < 0.5),
        mask=forbidden.tolist() if rng.random() < 0.7 else (),
    )


class Oracle:
    """Sorts the infos of an exchange by agent, cuts each agent's into lives, and tells each life by its ends."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}  # agent -> episode
        self.minted = 0

    def exchange(self, infos: Sequence[AgentInfoProto]) -> tuple[list[Row], list[bool]]:
        """The rows, and for each decision info whether a row asks for its action."""
        lives: dict[int, list[list[tuple[int, AgentInfoProto]]]] = defaultdict(list)
        for place, now in enumerate(infos):
            if not lives[now.id] or lives[now.id][-1][-1][1].done:
                lives[now.id].append([])
            lives[now.id][-1].append((place, now))
        births = [life[0] for agent, its in lives.items() for life in its[agent in self.open :]]
        numbers = {place: self.minted + rank for rank, place in enumerate(sorted(p for p, i in births if not i.done))}
        self.minted += len(numbers)
        rows: dict[tuple[bool, int], Row] = {}
        for agent, its in lives.items():
            for life in its:
                (begin, first), (place, end) = life[0], life[-1]
                is_new = agent not in self.open
                if is_new and first.done:
                    continue  # it ended without having been seen
                episode = self.open.setdefault(agent, numbers.get(begin, -1))
                number, paid = end.observations[0].float_data.data[0], sum(i.reward + i.group_reward for _, i in life)
                if end.done:
                    del self.open[agent]
                    if not is_new:
                        rows[False, place] = (
                            episode,
                            LAST,
                            number,
                            paid,
                            float(end.max_step_reached),
                            (True,) * ACTIONS,
                        )
                else:
                    mask = tuple(not forbidden for forbidden in end.action_mask) or (True,) * ACTIONS
                    kind, paid = (FIRST, 0.0) if is_new else (MID, paid)
                    rows[True, place] = (episode, kind, number, paid, 1.0, mask)
        asks = [(True, place) in rows for place, now in enumerate(infos) if not now.done]
        return [rows[key] for key in sorted(rows)], asks


def rows_of(steps: Steps) -> list[Row]:
    columns = (steps.episode, steps.step_type, steps.obs[0][:, 0], steps.reward, steps.discount)
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [(*row, tuple(mask)) for row, mask in zip(numbers, steps.mask[0].tolist(), strict=True)]


def native(actions: np.ndarray[Any, Any], asks: Sequence[bool]) -> list[list[int]]:
    """What each decision info is answered: its row's action, or 0."""
    left = iter(actions.tolist())
    return [next(left) if is_asked else [0] for is_asked in asks]


@counts(1000, 10_000)
def test_any_script_of_agents_gives_the_rows_of_the_oracle(count: int) -> None:
    behavior = Behavior.of(brain("B", ACTIONS), info(0))
    codec = behavior.codec(CodecSettings())
    kinds: set[tuple[int, float]] = set()
    for seed in range(count):
        rng = np.random.default_rng(seed)
        subject, oracle = Assembly(behavior, codec, 0, 0), Oracle()
        for infos in script_of(rng):
            if rng.random() < 0.1:  # a reset
                subject.forget()
                oracle.open.clear()
            steps = subject.steps(infos)
            expected, asks = oracle.exchange(infos)
            assert rows_of(steps) == expected, f"script {seed}"
            actions = codec.spec.sample(steps.deciding.mask, rng)
            assert subject.native(actions).tolist() == native(actions, asks), f"script {seed}"
            kinds.update(zip(steps.step_type.tolist(), steps.discount.tolist(), strict=True))
    assert kinds == {(FIRST, 1), (MID, 1), (LAST, 0), (LAST, 1)}


@counts(3, 50)
def test_a_player_that_plays_a_script_gives_the_rows_of_the_oracle(tmp_path: Path, count: int) -> None:
    for seed in range(count):
        rng = np.random.default_rng(seed)
        script = [[info(0, vector(1))], *(infos for _ in range(10) for infos in script_of(rng))]
        messages = [
            report({"B": infos}, [brain("B", ACTIONS)] if not index else ()) for index, infos in enumerate(script)
        ]
        player = write_player(tmp_path / str(seed), messages)
        oracle, sent = Oracle(), []
        with connect(EnvSpec("unity", str(player), {"timeout": 20.0})) as bridge:
            steps = bridge.reset()
            for index, infos in enumerate(script):
                expected, asks = oracle.exchange(infos)
                assert rows_of(steps) == expected, f"script {seed}, exchange {index}"
                actions = bridge.spec.actions.sample(steps.deciding.mask, rng)
                sent.append(native(actions, asks))
                if index < len(script) - 1:
                    steps = bridge.step(actions)
        told = [reply.unity_input.rl_input.agent_actions for reply in replies(tmp_path / str(seed))[2:]]
        found = [[list(action.discrete_actions) for action in actions["B"].value] for actions in told]
        assert found[: len(script) - 1] == sent[:-1], f"script {seed}"


class GymnasiumOracle:
    """Plain environments, one after the other, in the words of gymnasium."""

    def __init__(self, environments: Sequence[gymnasium.Env[Any, Any]], worker: int = 0) -> None:
        self.environments = environments
        self.worker = worker
        self.minted = first_episode_id(worker, 0)
        self.episodes = [-1] * len(environments)

    def begin(self, index: int, seed: int | None = None) -> Row:
        observation, _ = self.environments[index].reset(seed=seed)
        self.episodes[index] = self.minted
        self.minted += 1
        return (self.episodes[index], FIRST, float(observation[0]), 0.0, 1.0, (True,) * ACTIONS)

    def reset(self, seed: int) -> list[Row]:
        return [self.begin(index, seed_stream(seed, self.worker, 0, index)) for index in range(len(self.environments))]

    def step(self, actions: Sequence[int]) -> list[Row]:
        ended, others = [], []
        for index, action in enumerate(actions):
            observation, reward, terminated, truncated, _ = self.environments[index].step(action)
            values = (float(observation[0]), float(reward))
            if terminated or truncated:
                ended.append((self.episodes[index], LAST, *values, float(not terminated), (True,) * ACTIONS))
                others.append(self.begin(index))
            else:
                others.append((self.episodes[index], MID, *values, 1.0, (True,) * ACTIONS))
        return ended + others


def joined(parts: Sequence[list[Row]]) -> list[Row]:
    """The rows of several workers: all ends of episodes first."""
    return sorted((row for part in parts for row in part), key=lambda row: row[1] != LAST)


@counts(300, 10_000)
def test_any_script_of_gymnasium_environments_gives_the_rows_of_the_oracle(count: int) -> None:
    kinds: set[tuple[int, float]] = set()
    with ExitStack() as stack:
        pairs = []
        for size, workers in ((1, 0), (2, 0), (4, 0), (4, 2)):
            spec = EnvSpec("gym", "tests.players.scripted_gym:Scripted-v0", {"num_envs": size, "workers": workers})
            bridge = stack.enter_context(connect(spec))
            share = size // max(workers, 1)
            made = [[gymnasium.make("Scripted-v0") for _ in range(share)] for _ in range(size // share)]
            pairs.append((bridge, [GymnasiumOracle(environments, worker) for worker, environments in enumerate(made)]))
        for seed in range(count):
            rng = np.random.default_rng(seed)
            bridge, oracles = pairs[seed % len(pairs)]
            steps = bridge.reset(seed)
            assert rows_of(steps) == joined([oracle.reset(seed) for oracle in oracles]), f"script {seed}"
            for exchange in range(10):
                actions = bridge.spec.actions.sample(steps.deciding.mask, rng)
                steps = bridge.step(actions)
                parts = np.split(actions[:, 0], len(oracles))
                expected = joined([oracle.step(part.tolist()) for oracle, part in zip(oracles, parts, strict=True)])
                assert rows_of(steps) == expected, f"script {seed}, exchange {exchange}"
                kinds.update(zip(steps.step_type.tolist(), steps.discount.tolist(), strict=True))
    assert kinds == {(FIRST, 1), (MID, 1), (LAST, 0), (LAST, 1)}
