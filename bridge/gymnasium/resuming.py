"""What is kept of an open episode, so that it can be played again after a restart and compared with the first time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from bridge.types import Steps


@dataclass
class EpisodeLog:
    """How the open episode of one environment came about.

    Attributes:
        seed: of the latest reset that had one.
        generator: the state of the environment's random numbers when the episode began, as JSON values; None where it
            began with the seed.
        actions: of the agent, since then.
    """

    seed: int = 0
    generator: dict[str, Any] | None = None
    actions: list[list[int]] = field(default_factory=list)

    def begin(self, environment: gymnasium.Env[Any, Any], seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Resets the environment: a new episode. Returns the observation and `info`."""
        if seed is not None:
            self.seed = seed
        self.generator = None if seed is not None else dict(environment.unwrapped.np_random.bit_generator.state)
        self.actions = []
        return environment.reset(seed=seed)

    def can_begin_again(self, environment: gymnasium.Env[Any, Any]) -> bool:
        """Whether its random numbers are, as far as can be told, those of `np_random`, and that of the usual kind.

        An environment that leaves the seed of `reset` to others, as MinAtar's do, never seeded `np_random`. (gymnasium
        says -1 where an environment has put a generator of its own there.)
        """
        unwrapped = environment.unwrapped
        is_usual = isinstance(unwrapped.np_random.bit_generator, np.random.PCG64)
        return is_usual and unwrapped.np_random_seed in (self.seed, -1)

    def begin_again(self, environment: gymnasium.Env[Any, Any]) -> tuple[Any, dict[str, Any]]:
        """Resets the environment: the same episode, from its start. Returns the observation and `info`."""
        observation, info = environment.reset(seed=self.seed)
        if self.generator is not None:
            environment.unwrapped.np_random.bit_generator.state = self.generator
            observation, info = environment.reset()
        return observation, info


def digest(steps: Steps) -> str:
    """Of what was observed and earned."""
    found = hashlib.sha256()
    for array in (*steps.obs, *steps.mask, steps.step_type, steps.reward, steps.episode):
        found.update(array.tobytes())
    return found.hexdigest()
