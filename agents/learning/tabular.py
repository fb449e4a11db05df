"""Tabular Q-learning (Watkins & Dayan 1992), where a table fits: observed numbers in bins, one value per state and
action. numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log10, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.episodes.players import Action
from bridge import Bridge, ObsSpec, Steps

Array = npt.NDArray[Any]
BYTES = 4  # of a float32
#: The ends of a number's range that are left out when it is cut into bins; they share the outermost bins.
TAIL = 0.01


@dataclass(frozen=True)
class Feature:
    """One observed number, or a choice among several that comes as one 1 among 0s.

    Attributes:
        index: which observation.
        column: which of its numbers; None for a choice, which takes the whole observation.
        edges: between the bins, rising; of a choice between its places.
    """

    index: int
    column: int | None
    edges: Array

    @property
    def levels(self) -> int:
        return len(self.edges) + 1

    def __call__(self, obs: Sequence[Array]) -> npt.NDArray[np.int64]:
        """The bin of each row, int64 [N]."""
        values = obs[self.index]
        return np.digitize(values.argmax(axis=1) if self.column is None else values[:, self.column], self.edges)


@dataclass(frozen=True)
class Sample:
    """What random play met: the vectors of `Steps` rows that wanted an action, and the actions.

    Attributes:
        obs: per vector observation [N, D]; None in the place of a picture.
        actions: int32 [N, branches].
    """

    obs: Sequence[Array | None]
    actions: npt.NDArray[np.int32]


def sample(bridge: Bridge, count: int, rng: np.random.Generator) -> Sample:
    """At least `count` decisions of random play."""
    kinds = [spec.kind for spec in bridge.spec.observations]
    seen: list[Steps] = []
    actions: list[Array] = []
    rows = bridge.reset()
    while sum(map(len, actions)) < count:
        deciding = rows.deciding
        actions.append(bridge.spec.actions.sample(deciding.mask, rng))
        seen.append(deciding)
        rows = bridge.step(actions[-1])
    obs = [
        np.concatenate([steps.obs[index] for steps in seen]) if kind == "vector" else None
        for index, kind in enumerate(kinds)
    ]
    return Sample(obs, np.concatenate(actions))


def features(found: Sample, bins: int) -> list[Feature]:
    """A feature for each number that varied: a bin for each of its values where they are few, else `bins` alike."""
    result = []
    for index, values in enumerate(found.obs):
        if values is None:
            continue
        width = values.shape[1]
        if width > 1 and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
            result.append(Feature(index, None, np.arange(width - 1) + 0.5))
            continue
        cuts = [_edges(values[:, column], bins) for column in range(width)]
        result += [Feature(index, column, edges) for column, edges in enumerate(cuts) if len(edges)]
    return result


def _edges(values: Array, bins: int) -> Array:
    distinct = np.unique(values)
    edges: Array = (distinct[1:] + distinct[:-1]) / 2
    if len(distinct) > bins:
        low, high = np.quantile(values, [TAIL, 1 - TAIL])
        edges = np.unique(np.linspace(low, high, bins + 1)[1:-1])
    return edges


def numbers_in(observations: Sequence[ObsSpec]) -> int:
    """How many numbers the vectors hold."""
    return sum(prod(spec.shape) for spec in observations if spec.kind == "vector")


def states_in(parts: Sequence[Feature]) -> float:
    """The logarithm (base 10) of the number of states."""
    return sum(log10(part.levels) for part in parts)


def new_pairs(found: Sample, parts: Sequence[Feature]) -> int:
    """How many different pairs of a state and an action the sample has."""
    obs = [values if values is not None else np.zeros((len(found.actions), 0)) for values in found.obs]
    columns = [part(obs) for part in parts] + [found.actions[:, branch] for branch in range(found.actions.shape[1])]
    return len(np.unique(np.stack(columns, axis=1), axis=0))


class QTable:
    """The value of each action in each state.

    Args:
        parts: what makes a state.
        branches: number of actions of each branch; an entry is for one action of each.
        gamma: discount per agent step.
        rate: how far an entry goes towards its target.
    """

    def __init__(self, parts: Sequence[Feature], branches: tuple[int, ...], gamma: float, rate: float) -> None:
        self._parts = parts
        self._branches = branches
        self._gamma = gamma
        self._rate = rate
        self._levels = tuple(part.levels for part in parts)
        self.values = np.zeros((prod(self._levels), prod(branches)), np.float32)
        self.visited = np.zeros(self.values.shape, np.bool_)

    def states(self, steps: Steps) -> npt.NDArray[np.int64]:
        """int64 [N]."""
        if not self._parts:
            return np.zeros(len(steps), np.int64)
        state: npt.NDArray[np.int64] = np.ravel_multi_index(
            tuple(part(steps.obs) for part in self._parts), self._levels
        ).astype(np.int64)
        return state

    def allowed(self, steps: Steps) -> npt.NDArray[np.bool_]:
        """Which joint actions the masks allow, bool [N, joint actions]."""
        result = np.ones((len(steps), 1), np.bool_)
        for mask in steps.mask:
            result = (result[:, :, None] & mask[:, None, :]).reshape(len(steps), -1)
        return result

    def choose(self, steps: Steps, epsilon: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Joint actions, int64 [N]: with probability epsilon uniform, else the best; ties are broken at random."""
        allowed = self.allowed(steps)
        random = rng.random(allowed.shape)
        best = np.where(allowed, self.values[self.states(steps)], -np.inf)
        candidates = allowed & ((best == best.max(axis=1, keepdims=True)) | (rng.random((len(steps), 1)) < epsilon))
        joint: npt.NDArray[np.int64] = np.where(candidates, random, -1.0).argmax(axis=1)
        return joint

    def branches_of(self, joint: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """int32 [N, branches]."""
        return np.stack(np.unravel_index(joint, self._branches), axis=1).astype(np.int32)

    def learn(self, state: int, action: int, reward: float, discount: float, value: float) -> None:
        """One step of an agent: `value` is that of the state it led to, which counts unless `discount` is 0."""
        target = reward + self._gamma * discount * value
        self.values[state, action] += self._rate * (target - self.values[state, action])
        self.visited[state, action] = True


def q_learning(
    bridge: Bridge, table: QTable, steps: int, epsilon: Callable[[int], float], rng: np.random.Generator
) -> None:
    """Plays and learns for so many agent steps; `epsilon` is asked with how many there were."""
    rows = bridge.reset()
    waiting: dict[int, tuple[int, int]] = {}  # episode -> state and action
    taken = 0
    while True:
        states = table.states(rows)
        values = np.where(table.allowed(rows), table.values[states], -np.inf).max(axis=1)
        columns = (rows.episode, rows.reward, rows.discount, values)
        for episode, reward, discount, value in zip(*(column.tolist() for column in columns), strict=True):
            if episode in waiting:
                table.learn(*waiting.pop(episode), reward, discount, value)
                taken += 1
        if taken >= steps:
            return
        wants = rows.wants_action
        deciding = rows.deciding
        joint = table.choose(deciding, epsilon(taken), rng)
        waiting.update(
            zip(deciding.episode.tolist(), zip(states[wants].tolist(), joint.tolist(), strict=True), strict=True)
        )
        rows = bridge.step(table.branches_of(joint))


class TablePlayer:
    """Takes the best action of a table."""

    def __init__(self, table: QTable, seed: int) -> None:
        self._table = table
        self._rng = np.random.default_rng(seed)

    def choose(self, deciding: Steps, place: int) -> Action:
        """See `agents.episodes.players.Player`."""
        return self._table.branches_of(self._table.choose(deciding.select([place]), 0.0, self._rng))
