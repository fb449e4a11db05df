"""Goal relabelling: moves made for one goal are learned from under another one, too. numpy only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.learning.replay import Batch
from bridge import RewardRule

Array = npt.NDArray[Any]


class Relabelling:
    """Gives a part of each batch the goal, and the reward, that it did not have (hindsight, arXiv 1707.01495).

    Args:
        part: of the transitions, drawn one by one.
        rule: what another goal would have made of the reward; of single steps, so batches are of 1-step returns.
        goal: index of the goal among the observations.
        rng: draws which.
    """

    def __init__(self, part: float, rule: RewardRule, goal: int, rng: np.random.Generator) -> None:
        self._part = part
        self._rule = rule
        self._goal = goal
        self._rng = rng

    def __call__(self, batch: Batch) -> Batch:
        """The batch with other goals; its arrays stay as they are."""
        chosen = self._rng.random(len(batch.reward_t)) < self._part
        goal = batch.obs_tm1[self._goal].copy()  # of the whole episode, so of obs_t as well
        reward = batch.reward_t.copy()
        goal[chosen], reward[chosen] = self._rule(goal[chosen], reward[chosen], batch.discount_t[chosen] == 0)

        def relabelled(obs: tuple[Array, ...]) -> tuple[Array, ...]:
            return (*obs[: self._goal], goal, *obs[self._goal + 1 :])

        return replace(batch, obs_tm1=relabelled(batch.obs_tm1), obs_t=relabelled(batch.obs_t), reward_t=reward)
