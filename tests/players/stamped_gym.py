"""The stamped environment for gymnasium: `EnvSpec("gym", "tests.players.stamped_gym:Stamped-v0")`."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tests.players import stamps
from tests.players.stamps import BRANCHES, Stamp

_NUMBERS = itertools.count()


class Stamped(gymnasium.Env[Any, Any]):
    """One agent; the environments of a process are agents 0, 1, ... in the order in which they were made.

    Args:
        slow_after, slow_seconds: after so many steps, the next one takes so long.
    """

    observation_space = spaces.Box(0, 2**24, (len(Stamp._fields),), np.float32)
    action_space = spaces.MultiDiscrete(BRANCHES)

    def __init__(self, slow_after: int | None = None, slow_seconds: float = 0.0) -> None:
        self._stamp = Stamp(os.getpid(), next(_NUMBERS), -1, 0)
        self._steps = 0
        self._slow_after = slow_after
        self._slow_seconds = slow_seconds

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._stamp = self._stamp._replace(episode=self._stamp.episode + 1, time=0)
        return self._report()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._steps == self._slow_after:
            time.sleep(self._slow_seconds)
        self._steps += 1
        reward = stamps.reward(self._stamp, action.tolist())
        self._stamp = stamp = self._stamp._replace(time=self._stamp.time + 1)
        is_terminated = stamps.is_terminated(stamp.agent, stamp.episode)
        observation, info = self._report()
        return observation, reward, stamp.is_end and is_terminated, stamp.is_end and not is_terminated, info

    def _report(self) -> tuple[Any, dict[str, Any]]:
        mask = tuple(np.array(branch, np.int8) for branch in stamps.allowed(self._stamp))
        return np.array(self._stamp, np.float32), {"action_mask": mask}


gymnasium.register("Stamped-v0", entry_point=Stamped)
