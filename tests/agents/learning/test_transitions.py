"""From rows to the transitions that can be sampled: scripts of several agents against an oracle that keeps all and is
slow and obvious, then the same through a real bridge.

The code under test is the agent's own path: observe, act, n-step assembly, replay, sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.learning.agent import DQNAgent
from agents.learning.loop import Exchanged, collect_and_learn
from agents.learning.replay import Batch
from bridge import EnvSpec, StepType, connect
from tests.agents.probes import Logged
from tests.agents.scripted import (
    FIRST,
    LAST,
    MID,
    PICTURE,
    VECTOR,
    Row,
    behavior,
    everything,
    number_in,
    small_agent,
    small_config,
    steps_of,
)

SPEC = behavior(PICTURE, VECTOR, branches=(3, 2))

# What one agent does in one exchange. One without an open episode starts one, unless it is absent.
ABSENT, GOES_ON, FALLS, RUNS_OUT, FALLS_AND_DECIDES, RUNS_OUT_AND_DECIDES = range(6)
#: In place of the agents' doings: the environment is reset, open episodes never end.
RESET: tuple[int, ...] = ()

AGENTS = 4
DOINGS = st.tuples(*[st.sampled_from([ABSENT, *[GOES_ON] * 5, *range(2, 6)])] * AGENTS)
SCRIPTS = st.lists(st.one_of(DOINGS, DOINGS, DOINGS, DOINGS, st.just(RESET)), min_size=1, max_size=40)


#: Ends of every kind, twice as many observations as the smaller rings hold, and an exchange in which nobody decides.
MIXED = [
    *[(GOES_ON, FALLS, RUNS_OUT_AND_DECIDES, FALLS_AND_DECIDES), (RUNS_OUT, GOES_ON, ABSENT, GOES_ON)] * 8,
    (RUNS_OUT, RUNS_OUT, FALLS, FALLS),
    (ABSENT,) * AGENTS,
    (GOES_ON,) * AGENTS,
]


@dataclass
class Episode:
    """All of one episode: a number for every observation, what was done and what it earned."""

    numbers: list[int] = field(default_factory=list)
    actions: list[list[int]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ended: bool = False
    terminated: bool = False
    cut: bool = False  # by a reset


@dataclass
class Expected:
    action: list[int]
    reward: float
    discount: float
    following: int | None  # the number to bootstrap from; None where that counts for nothing


def transitions_of(episode: Episode, n: int, gamma: float) -> dict[int, Expected]:
    """By the number that was acted on: every transition of which all is known."""
    found = {}
    last = len(episode.rewards)
    for start, number in enumerate(episode.numbers[:last]):
        end = min(start + n, last)
        if end - start < n and not (episode.ended or episode.cut):
            continue
        reward = sum(gamma**i * r for i, r in enumerate(episode.rewards[start:end]))
        over = episode.terminated and end == last
        found[number] = Expected(
            episode.actions[start],
            reward,
            0.0 if over else gamma ** (end - start),
            None if over else episode.numbers[end],
        )
    return found


def mask_of(number: int) -> tuple[list[bool], list[bool]]:
    """Some mask that only this observation has (more or less), and that allows something."""
    bits = [(number * 7919 >> shift) & 1 == 1 for shift in range(3)]
    return [True, *bits[:2]], [bits[2], not bits[2]]


class Script:
    """Plays doings through an agent and keeps what happened."""

    def __init__(self, agent: DQNAgent) -> None:
        self.agent = agent
        self.numbers = count(1)
        self.ids = count(1000)
        self.episodes: dict[int, Episode] = {}
        self.open: dict[int, int] = {}  # who -> episode
        self.stored: list[int] = []  # numbers in the order in which they came, without ends that terminated
        self.reports = 0  # rows that are not FIRST

    def play(self, script: Sequence[tuple[int, ...]]) -> None:
        for doings in script:
            if doings == RESET:
                for episode in self.open.values():
                    self.episodes[episode].cut = True
                self.open.clear()
                self.agent.lose_open_episodes()
                doings = (ABSENT, GOES_ON, GOES_ON, ABSENT)
            self.exchange(doings)

    def exchange(self, doings: Sequence[int]) -> None:
        ends: list[Row] = []
        others: list[Row] = []
        for who, doing in enumerate(doings):
            if doing == ABSENT:
                continue
            if who in self.open:
                kind = MID if doing == GOES_ON else LAST
                row = self.report(who, kind, terminated=doing in (FALLS, FALLS_AND_DECIDES))
                (others if kind == MID else ends).append(row)
                if doing in (FALLS_AND_DECIDES, RUNS_OUT_AND_DECIDES):
                    others.append(self.begin(who))
            else:
                others.append(self.begin(who))
        rows = ends + others
        self.stored += [int(row.number) for row in rows if not row.terminated]
        self.agent.observe(steps_of(SPEC, *rows))
        for row, action in zip(others, self.agent.act().tolist(), strict=True):
            self.episodes[row.episode].actions.append(action)

    def begin(self, who: int) -> Row:
        self.open[who] = next(self.ids)
        self.episodes[self.open[who]] = Episode()
        return self.row(self.open[who], FIRST)

    def report(self, who: int, kind: StepType, *, terminated: bool) -> Row:
        episode = self.episodes[self.open[who]]
        reward = float(np.float32(np.cos(len(episode.rewards) + 10.0 * self.open[who])))
        episode.rewards.append(reward)
        row = self.row(self.open[who], kind, reward, terminated)
        if kind == LAST:
            episode.ended, episode.terminated = True, terminated
            del self.open[who]
        self.reports += 1
        return row

    def row(self, episode: int, kind: StepType, reward: float = 0.0, terminated: bool = False) -> Row:
        number = next(self.numbers)
        self.episodes[episode].numbers.append(number)
        return Row(episode, kind, number, reward, terminated, mask_of(number))

    def expected(self, capacity: int, n: int, gamma: float) -> dict[int, Expected]:
        kept = set(self.stored[-capacity:])
        return {
            number: transition
            for episode in self.episodes.values()
            for number, transition in transitions_of(episode, n, gamma).items()
            if number in kept
        }


def assert_holds(batch: Batch, expected: dict[int, Expected]) -> None:
    """Every expected transition is there exactly once, with all that belongs to it, and nothing else is."""
    numbers = [int(number_in(VECTOR, seen)) for seen in batch.obs_tm1[1]]
    assert sorted(numbers) == sorted(expected)
    for index, number in enumerate(numbers):
        transition = expected[number]
        assert number_in(PICTURE, batch.obs_tm1[0][index]) == number
        first, second = mask_of(number)
        assert batch.mask_tm1[index].tolist() == first + second
        assert batch.action_tm1[index].tolist() == transition.action
        assert batch.reward_t[index] == pytest.approx(transition.reward, abs=1e-6)
        assert batch.discount_t[index] == pytest.approx(transition.discount, rel=1e-6)
        if transition.following is not None and transition.discount > 0:
            assert number_in(VECTOR, batch.obs_t[1][index]) == transition.following
            assert number_in(PICTURE, batch.obs_t[0][index]) == transition.following
            first, second = mask_of(transition.following)
            assert batch.mask_t[index].tolist() == first + second


def play(script: Sequence[tuple[int, ...]], capacity: int, n: int, gamma: float) -> Script:
    agent = small_agent(
        SPEC,
        network={"hidden": [2]},
        replay={"capacity": capacity},
        learner={"n_step": n, "gamma": gamma},
    )
    played = Script(agent)
    played.play(script)
    return played


@settings(max_examples=60, deadline=None)
@given(script=SCRIPTS, n=st.sampled_from([1, 3]), gamma=st.floats(0.0, 1.0))
@example(script=MIXED, n=3, gamma=0.9)
def test_every_transition_is_there_exactly_once(script: list[tuple[int, ...]], n: int, gamma: float) -> None:
    played = play(script, 1000, n, gamma)
    assert_holds(everything(played.agent.replay), played.expected(1000, n, gamma))


@settings(max_examples=60, deadline=None)
@given(script=SCRIPTS, n=st.sampled_from([1, 3]), capacity=st.integers(1, 30))
@example(script=MIXED, n=3, capacity=20)
# More rows at once than the ring holds.
@example(script=[(GOES_ON, ABSENT, ABSENT, ABSENT)] * 2 + [(GOES_ON,) * AGENTS] * 3, n=1, capacity=2)
def test_a_ring_that_wraps_holds_the_latest_and_nothing_wrong(
    script: list[tuple[int, ...]], n: int, capacity: int
) -> None:
    played = play(script, capacity, n, 0.9)
    assert_holds(everything(played.agent.replay), played.expected(capacity, n, 0.9))


@settings(max_examples=20, deadline=None)
@given(script=SCRIPTS)
def test_counters_count_transitions_and_ends(script: list[tuple[int, ...]]) -> None:
    played = play(script, 1000, 1, 0.9)
    assert played.agent.steps == played.reports
    assert played.agent.episodes == sum(episode.ended for episode in played.episodes.values())


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("capacity", [10_000, 150])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_counter_through_bridge_nstep_and_replay(n: int, capacity: int, num_envs: int) -> None:
    Logged.forget()
    gamma = 0.7
    config = small_config(
        replay={"capacity": capacity},
        learner={"n_step": n, "gamma": gamma, "updates_per_step": 0.25},
        exploration={"hold": 2.0},
    )
    spec = EnvSpec("gym", "tests.agents.probes:Logged-v0", {"num_envs": num_envs}, seed=3)
    with connect(spec) as bridge:
        agent = DQNAgent(bridge.spec, config)
        for event in collect_and_learn(bridge, agent):
            if isinstance(event, Exchanged) and agent.steps >= 400:
                break
    episodes = [
        Episode(numbers, [[action] for action in actions], rewards, bool(ends), ends == [True])
        for numbers, actions, rewards, ends in Logged.log
    ]
    expected = {
        number: transition for episode in episodes for number, transition in transitions_of(episode, n, gamma).items()
    }
    batch = everything(agent.replay)
    numbers = [int(seen[0]) for seen in batch.obs_tm1[0]]
    assert len(numbers) == len(set(numbers))
    if capacity > 1000:
        assert sorted(numbers) == sorted(expected)
    else:
        assert len(agent.replay) > capacity / 2
    for index, number in enumerate(numbers):
        transition = expected[number]
        assert batch.action_tm1[index].tolist() == transition.action
        assert batch.reward_t[index] == pytest.approx(transition.reward, abs=1e-5)
        assert batch.discount_t[index] == pytest.approx(transition.discount)
        if transition.following is not None:
            assert batch.obs_t[0][index, 0] == transition.following
