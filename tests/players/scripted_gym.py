"""An environment whose episodes end at random, in each way: `tests.players.scripted_gym:Scripted-v0`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Scripted(gymnasium.Env[Any, Any]):
    """Observations count on over all episodes since the seed; a reward tells the action and the observation."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self) -> None:
        self._made = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._made = int(self.np_random.integers(1000))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        end = self.np_random.random()
        terminated, truncated = end < 0.15, 0.1 < end < 0.25  # from 0.1 to 0.15 both
        observation = self._observe()
        return observation, float(observation[0] * 4 + action), terminated, truncated, {}

    def _observe(self) -> Any:
        self._made += 1
        return np.array([self._made], np.float32)


gymnasium.register("Scripted-v0", entry_point=Scripted)
