"""An environment in which one set of torques is hopeless, opened as `tests.agents.tuning.environments:Push-v0`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Push(gymnasium.Env[Any, Any]):
    """The torque is the reward; episodes last five steps."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return np.zeros(1, np.float32), float(action[0]), self.time == 5, False, {}


gymnasium.register("Push-v0", entry_point=Push, max_episode_steps=5)
