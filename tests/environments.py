"""Small gymnasium environments whose every number is known, opened as `tests.environments:ID`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Counter(gymnasium.Env[Any, Any]):
    """The observation counts every observation since the seed: a lost or repeated row shows.

    [number of the observation, number of the episode, steps in it, latest action]. The reward is the number of the
    observation, too. Episodes last `length` steps (0: from 1 to 5, at random) and end as `ends` says.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
    action_space: spaces.Space[Any] = spaces.Discrete(3)

    def __init__(self, length: int = 5, ends: str = "terminated", render_mode: str | None = None) -> None:
        self.length = self.fixed_length = length
        self.ends = ends
        self.render_mode = render_mode
        self.made = -1
        self.episode = -1
        self.time = 0
        self.action: Any = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.made = self.episode = -1
        self.episode += 1
        self.length = self.fixed_length or int(self.np_random.integers(1, 6))
        self.time = 0
        self.action = 0
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        self.action = action
        ended = self.time >= self.length
        observation = self._observe()
        return (
            observation,
            float(self.made),
            ended and self.ends in ("terminated", "both"),
            ended and self.ends in ("truncated", "both"),
            self._info(),
        )

    def render(self) -> Any:
        return np.full((8, 12, 3), self.time, np.uint8)

    def _observe(self) -> Any:
        self.made += 1
        return np.array([self.made, self.episode, self.time, float(np.sum(self.action))])

    def _info(self) -> dict[str, Any]:
        return {}


class ReusedBuffer(Counter):
    """Hands out the same array every time, as fast environments do."""

    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    buffer = np.zeros(4, np.float32)

    def _observe(self) -> Any:
        self.buffer[:] = super()._observe()
        return self.buffer


class Noise(gymnasium.Env[Any, Any]):
    """Random pictures, rewards and ends, from the seed of `reset` on."""

    def __init__(self, shape: tuple[int, ...] = (20, 16, 3), low: float = 0, high: float = 255) -> None:
        dtype: Any = np.uint8 if high == 255 else np.float32
        self.observation_space = spaces.Box(low, high, tuple(shape), dtype)
        self.action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        ended = self.np_random.random(2) < 0.1
        return self._observe(), float(self.np_random.normal()), bool(ended[0]), bool(ended[1]), {}

    def _observe(self) -> Any:
        space = self.observation_space
        assert isinstance(space, spaces.Box)
        values = self.np_random.uniform(space.low, space.high)
        return values.astype(space.dtype)


class ManyBranches(Counter):
    """A `MultiDiscrete` that does not start at 0; the observation's last number is the sum of the action."""

    action_space = spaces.MultiDiscrete([3, 2, 4], start=[0, 10, 100])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        return super().step(action)


class StartsAtFive(Counter):
    """A `Discrete` that does not start at 0."""

    action_space = spaces.Discrete(3, start=5)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        return super().step(action)


class Masked(Counter):
    """In step t, action t % 3 is forbidden; in the end all are. An action that is forbidden fails."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action != self.time % 3, "a masked action arrived"
        return super().step(action)

    def _info(self) -> dict[str, Any]:
        if self.time == self.length:
            return {"action_mask": np.zeros(3, np.int8)}
        return {"action_mask": (np.arange(3) != self.time % 3).astype(np.int8)}


class MaskedBranches(ManyBranches):
    """Branch 0 allows action 0 only, branch 2 all but action 3. `flat`: the mask end to end, not as a tuple."""

    def __init__(self, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat

    def _info(self) -> dict[str, Any]:
        mask = (np.array([1, 0, 0], np.int8), np.array([1, 1], np.int8), np.array([1, 1, 1, 0], np.int8))
        return {"action_mask": np.concatenate(mask) if self.flat else mask}


class Succeeds(Counter):
    """Says at the end whether the episode, by its number, was even."""

    def _info(self) -> dict[str, Any]:
        if self.time < self.length:
            return {"height": 0.5 * self.time}
        return {"is_success": self.episode % 2 == 0, "height": 0.5 * self.time}


class Tells(Counter):
    """Has metrics of its own in every step: its time, and where the time is even, that it is, as `even`."""

    def _info(self) -> dict[str, Any]:
        even = {"even": True} if self.time % 2 == 0 else {}
        return {"episode_metrics": {"time": np.float64(self.time), **even}}


class TellsNonsense(Counter):
    """Has metrics that are not numbers."""

    def _info(self) -> dict[str, Any]:
        return {"episode_metrics": {"height": "tall"}}


class Parts(gymnasium.Env[Any, Any]):
    """One of everything in a `Dict`."""

    observation_space = spaces.Dict(
        {
            "observation": spaces.Box(-1, 1, (2, 3), np.float64),
            "desired_goal": spaces.Box(-1, 1, (3,), np.float32),
            "camera": spaces.Box(0, 255, (5, 6), np.uint8),
            "room": spaces.Discrete(4, start=1),
            "flags": spaces.MultiBinary(3),
            "pair": spaces.Tuple((spaces.MultiDiscrete([2, 3]), spaces.Box(0, 9, (), np.int64))),
        }
    )
    action_space = spaces.Box(np.float32([-1, -2]), np.float32([1, 2]))

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.time += 1
        return self._observe(), float(action[1]), False, self.time == 10, {}

    def _observe(self) -> Any:
        return {
            "observation": np.arange(6).reshape(2, 3) / 6,
            "desired_goal": np.float32([0.1, 0.2, 0.3]),
            "camera": np.arange(30, dtype=np.uint8).reshape(5, 6),
            "room": 1 + self.time % 4,
            "flags": np.array([1, 0, 1], np.int8),
            "pair": (np.array([1, 2]), np.array(7)),
        }


class Broken(Counter):
    """Reports what `kind` says in step 2."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        broken: dict[str, tuple[Any, Any, dict[str, Any]]] = {
            "nan observation": (observation * np.nan, reward, info),
            "infinite observation": (observation + np.inf, reward, info),
            "nan reward": (observation, float("nan"), info),
            "no reward": (observation, None, info),
            "shape": (observation[:1], reward, info),
            "mask size": (observation, reward, {"action_mask": np.ones(2)}),
            "mask of nothing": (observation, reward, {"action_mask": np.zeros(3)}),
        }
        if self.time == 2:
            observation, reward, info = broken[self.kind]
        return observation, reward, terminated, truncated, info


class Spaces(gymnasium.Env[Any, Any]):
    """Any spaces; only made, never played."""

    def __init__(self, observation: Any = None, action: Any = None) -> None:
        self.observation_space = observation if observation is not None else spaces.Box(-1, 1, (2,))
        self.action_space = action if action is not None else spaces.Discrete(2)


class NeedsPackage(Counter):
    """Fails as an environment does whose package is missing."""

    def __init__(self, kind: str) -> None:
        if kind == "module":
            raise ModuleNotFoundError("No module named 'box3d'", name="box3d")
        raise gymnasium.error.DependencyNotInstalled('run `pip install "gymnasium[box3d]"`')


class Crashes(Counter):
    """An environment with a mistake in its fourth step."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        1 / (3 - self.time)
        return super().step(action)


class Poisons(Counter):
    """An environment whose fourth step reports what is not finite: `where` is reward, observation or nowhere."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, *ends = super().step(action)
        if self.time == 4 and self.where == "reward":
            reward = np.inf
        if self.time == 4 and self.where == "observation":
            observation = observation * np.nan
        return observation, reward, *ends


def _register() -> None:
    for kind in (
        Poisons,
        Counter,
        Crashes,
        ReusedBuffer,
        Noise,
        ManyBranches,
        StartsAtFive,
        Masked,
        MaskedBranches,
        Succeeds,
        Tells,
        TellsNonsense,
        Parts,
        Broken,
        Spaces,
        NeedsPackage,
    ):
        gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)
    gymnasium.register("Limited-v0", entry_point=Counter, max_episode_steps=3)


_register()
