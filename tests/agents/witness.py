"""An environment that keeps a record: who was made, where each episode began, what lay on the disk, who was closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Witness(gymnasium.Env[Any, Any]):
    """Shows a random number, the same for the whole episode of 5 steps; its reward is 1 a step.

    Attributes:
        made: every one of them, in order.
        plan: what happens besides, by its place in `made` and the number of its step.
        watched: a folder to look into at every step.
        begins: the random number of each episode.
        steps: taken.
        seen: names in the watched folder at each step.
        closed: how many of `made` there were when it was closed; None while it is open.
    """

    made: ClassVar[list[Witness]] = []
    plan: ClassVar[dict[tuple[int, int], Callable[[], object]]] = {}
    watched: ClassVar[Path | None] = None
    observation_space = spaces.Box(0, 1, (1,), np.float64)
    action_space = spaces.Discrete(2)

    @classmethod
    def forget(cls) -> None:
        """A new record."""
        cls.made, cls.plan, cls.watched = [], {}, None

    def __init__(self) -> None:
        self.begins: list[float] = []
        self.seen: list[list[str]] = []
        self.steps = 0
        self.closed: int | None = None
        self.place = len(Witness.made)
        Witness.made.append(self)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.begins.append(float(self.np_random.random()))
        self.time = 0
        return np.array(self.begins[-1:]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.closed is None
        self.steps += 1
        self.time += 1
        if Witness.watched is not None:
            self.seen.append(sorted(path.name for path in Witness.watched.glob("*")))
        Witness.plan.get((self.place, self.steps), bool)()
        return np.array(self.begins[-1:]), 1.0, self.time == 5, False, {}

    def close(self) -> None:
        self.closed = len(Witness.made)


gymnasium.register("Witness-v0", entry_point=Witness)
