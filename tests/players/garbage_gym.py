"""A gymnasium environment that reports a number of one's choice: `tests.players.garbage_gym:Garbage-v0`."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

_MADE = itertools.count()


class Garbage(gymnasium.Env[Any, Any]):
    """Two numbers and a gray picture. Every second environment that is made reports garbage, the others never do.

    Args:
        where: `numbers`, `picture`, `reward`, or `missing` for an observation without numbers.
        value: the garbage.
        step: in which step of an episode, from 1, it comes.
        every: in each later step, too.
    """

    observation_space = spaces.Dict(
        numbers=spaces.Box(-np.inf, np.inf, (2,), np.float64), picture=spaces.Box(0, 1, (20, 20, 1), np.float64)
    )
    action_space = spaces.Discrete(3)

    def __init__(self, where: str, value: float, step: int, every: bool = False) -> None:
        self._bad = {where: value} if next(_MADE) % 2 else {}
        self._step = step
        self._every = every
        self._time = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._time = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._time += 1
        reward = self._bad.get("reward", 1.0) if self._is_due else 1.0
        return self._observe(), reward, self._time == 20, False, {}

    @property
    def _is_due(self) -> bool:
        return self._time == self._step or (self._every and self._time > self._step)

    def _observe(self) -> Any:
        numbers, picture = self.np_random.normal(size=2), np.zeros((20, 20, 1))
        if self._is_due:
            numbers[1] = self._bad.get("numbers", numbers[1])
            picture[0, 0] = self._bad.get("picture", 0)
            if "missing" in self._bad:
                return {"picture": picture}
        return {"numbers": numbers, "picture": picture}


gymnasium.register("Garbage-v0", entry_point=Garbage)
