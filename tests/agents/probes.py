"""Probe environments whose Q-values can be worked out by hand, opened as `tests.agents.probes:ID`.

After the probes of rejax and of Andy Jones's "Debugging RL, without the agonizing pain": each adds one thing that an
agent has to get right.
"""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

Reset = tuple[Any, dict[str, Any]]
Step = tuple[Any, float, bool, bool, dict[str, Any]]


class Probe(gymnasium.Env[Any, Any]):
    """A base: one number to see (the time), two actions, episodes of `length` steps that terminate, reward 1 a step."""

    observation_space: spaces.Space[Any] = spaces.Box(-10, 10, (1,), np.float32)
    action_space: spaces.Space[Any] = spaces.Discrete(2)

    def __init__(self, length: int = 1, truncate: bool = False, sees_time: bool = True) -> None:
        self.length = length
        self.truncate = truncate
        self.sees_time = sees_time
        self.time = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        super().reset(seed=seed)
        self.time = 0
        self.begin()
        return self.see(), self.info()

    def step(self, action: Any) -> Step:
        reward = self.reward(action)
        self.time += 1
        ended = self.time >= self.length
        return self.see(), reward, ended and not self.truncate, ended and self.truncate, self.info()

    def begin(self) -> None:
        """A new episode."""

    def see(self) -> Any:
        return np.array([self.time if self.sees_time else 0], np.float32)

    def reward(self, action: Any) -> float:
        return 1.0

    def info(self) -> dict[str, Any]:
        return {}


class Sign(Probe):
    """What is seen, -1 or 1, is also the reward."""

    def begin(self) -> None:
        self.sign = float(self.np_random.choice([-1.0, 1.0]))

    def see(self) -> Any:
        return np.array([self.sign], np.float32)

    def reward(self, action: Any) -> float:
        return self.sign


class Late(Probe):
    """Only the last step earns something."""

    def reward(self, action: Any) -> float:
        return float(self.time == self.length - 1)


class RightAction(Probe):
    """Action 1 earns 1, action 0 loses 1."""

    def reward(self, action: Any) -> float:
        return 2.0 * float(action) - 1.0


class RightActionForSign(Sign):
    """The action must match the sign that is seen."""

    def reward(self, action: Any) -> float:
        return 1.0 if (action == 1) == (self.sign > 0) else -1.0


class Tempting(Probe):
    """Step 0 and step 1 look the same. In step 0 action 2 earns 10 and ends it; in step 1 it is forbidden.

    The others earn 0.5, then 1: at a discount of 0.5 both steps are worth 1 to whoever knows what is forbidden. Who
    lets the bootstrap take action 2 believes that step 0 is worth 5.5.
    """

    action_space = spaces.Discrete(3)

    def see(self) -> Any:
        return np.zeros(1, np.float32)

    def step(self, action: Any) -> Step:
        assert self.time == 0 or action != 2, "a masked action arrived"
        if action == 2:
            return self.see(), 10.0, True, False, {}
        self.time += 1
        return self.see(), 0.5 * self.time, self.time == 2, False, self.info()

    def info(self) -> dict[str, Any]:
        return {"action_mask": np.array([1, 1, self.time == 0], np.int8)}


class Goal(Probe):
    """The goal says which of two actions earns 1; `picture`: seen beside a picture that says nothing."""

    def __init__(self, picture: bool = False) -> None:
        super().__init__()
        seen = spaces.Box(0, 255, (20, 20, 3), np.uint8) if picture else spaces.Box(0, 1, (1,), np.float32)
        self.seen = np.full(seen.shape, 255 if picture else 0, seen.dtype)
        self.observation_space = spaces.Dict({"seen": seen, "desired_goal": spaces.Box(0, 1, (2,), np.float32)})

    def begin(self) -> None:
        self.goal = int(self.np_random.integers(2))

    def see(self) -> Any:
        return {"seen": self.seen, "desired_goal": np.eye(2, dtype=np.float32)[self.goal]}

    def reward(self, action: Any) -> float:
        return float(action == self.goal)


class TwoBranches(Probe):
    """Each branch adds its own part to the reward."""

    PARTS = ((0.0, 1.0), (0.0, 0.5, -1.0))
    action_space = spaces.MultiDiscrete([2, 3])

    def reward(self, action: Any) -> float:
        return self.PARTS[0][action[0]] + self.PARTS[1][action[1]]


class FallsOrLasts(Probe):
    """Reward 1 a step. Action 0 falls (terminated); with action 1 the limit comes after `length` steps (truncated)."""

    def step(self, action: Any) -> Step:
        self.time += 1
        return self.see(), 1.0, action == 0, action != 0 and self.time >= self.length, {}


class Logged(Probe):
    """Episodes of 1 to `longest` steps that end either way. Every observation of every instance is another number, the
    reward is drawn, and `log` keeps all that happened."""

    numbers: ClassVar[count[int]] = count()
    #: Per episode: the numbers seen, the actions, the rewards, and whether it terminated (None while it goes on).
    log: ClassVar[list[tuple[list[int], list[int], list[float], list[bool]]]] = []

    observation_space = spaces.Box(0, 2**24, (2,), np.float32)
    action_space = spaces.Discrete(5)

    def __init__(self, longest: int = 6) -> None:
        super().__init__()
        self.longest = longest

    @classmethod
    def forget(cls) -> None:
        cls.numbers = count()
        cls.log = []

    def begin(self) -> None:
        self.length = int(self.np_random.integers(1, self.longest + 1))
        self.truncate = bool(self.np_random.integers(2))
        self.mine = ([], [], [], [])
        self.log.append(self.mine)

    def step(self, action: Any) -> Step:
        self.mine[1].append(int(action))
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            self.mine[3].append(terminated)
        return observation, reward, terminated, truncated, info

    def see(self) -> Any:
        self.mine[0].append(next(type(self).numbers))
        return np.array([self.mine[0][-1], self.time], np.float32)

    def reward(self, action: Any) -> float:
        self.mine[2].append(float(np.float32(self.np_random.normal())))
        return self.mine[2][-1]


class Uneven(Probe):
    """The k-th instance made since `forget` has episodes of `lengths[k]` steps and a score of the same number."""

    made: ClassVar[count[int]] = count()

    def __init__(self, lengths: tuple[int, ...] = (1, 10)) -> None:
        super().__init__(lengths[next(type(self).made) % len(lengths)])

    @classmethod
    def forget(cls) -> None:
        cls.made = count()


def _register() -> None:
    kinds = (
        Probe,
        Sign,
        Late,
        RightAction,
        RightActionForSign,
        Tempting,
        Goal,
        TwoBranches,
        FallsOrLasts,
        Logged,
        Uneven,
    )
    for kind in kinds:
        gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)


_register()
