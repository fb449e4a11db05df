"""The environment protocol as data. The docstrings here are its specification.

Everything is normalised once, at the bridge: images are uint8 [C, H, W], vectors float32 [D], actions int32
[M, branches], masks True = allowed, and the end of an episode is told apart from the end of its future
(`step_type` and `discount`), as dm_env does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]

#: Episode ids of one worker start at `worker << WORKER_BITS`, plus `incarnation << INCARNATION_BITS`.
WORKER_BITS = 48
INCARNATION_BITS = 32


class StepType(IntEnum):
    """Where in its episode a row stands. `LAST` says that the episode ended, not why: `discount` says that."""

    FIRST = 0
    MID = 1
    LAST = 2


_LAST = int(StepType.LAST)  # numpy compares with a plain int in a fifth of the time


@dataclass(frozen=True)
class EnvSpec:
    """A frozen, picklable description from which any process can build the environment.

    Attributes:
        backend: `unity` or `gym`.
        target: what the backend opens: the name or path of a Unity build; an environment id or `module:ID`.
        options: settings of that backend; an unknown name is an error that lists the known ones.
        seed: entropy of every random stream of the environment.
    """

    backend: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class ObsSpec:
    """One observation of an agent.

    Attributes:
        name: the sensor's name, unique within a behaviour.
        kind: `image` (uint8 [C, H, W], 0..255) or `vector` (float32 [D]).
        shape: without the row dimension.
        is_goal: the observation tells the agent its goal (Unity: `ObservationType.GOAL_SIGNAL`).
    """

    name: str
    kind: Literal["image", "vector"]
    shape: tuple[int, ...]
    is_goal: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.kind == "image" else np.float32)

    def zeros(self, rows: int) -> Array:
        """An array of zeros for so many rows."""
        return np.zeros((rows, *self.shape), self.dtype)


@dataclass(frozen=True)
class ActionSpec:
    """Discrete actions in one or several branches; `branches` holds the number of actions of each."""

    branches: tuple[int, ...]

    def sample(self, mask: Sequence[BoolArray], rng: np.random.Generator) -> Int32Array:
        """Uniform among the allowed actions of each branch. mask: per branch [M, size] -> int32 [M, branches]."""
        # The largest of independent uniform numbers is uniform; a masked action draws below all of them.
        draws = [np.where(allowed, rng.random(allowed.shape), -1.0) for allowed in mask]
        return np.stack([draw.argmax(axis=1) for draw in draws], axis=1).astype(np.int32)


@dataclass(frozen=True)
class BehaviorSpec:
    """What an agent needs to know about an environment.

    Attributes:
        name: the behaviour's name (Unity) or the environment's id (gymnasium).
        observations: in the order of `Steps.obs`.
        actions: what `send` takes, after the action codec.
        max_episode_steps: the longest episode in agent steps; None when the environment does not tell.
        reward_rule: how rewards depend on the goal, a name of `bridge.goals.REWARD_RULES`; None: unknown.
    """

    name: str
    observations: tuple[ObsSpec, ...]
    actions: ActionSpec
    max_episode_steps: int | None = None
    reward_rule: str | None = None


@dataclass(frozen=True)
class Steps:
    """What N agents reported in one exchange. N varies, and may hold no row that wants an action.

    LAST rows come before all others. An agent whose episode ended and that decides again in the same exchange
    is two rows: the LAST one of the old episode and the FIRST one of the new.

    Attributes:
        episode: int64 [N], one id per episode of one agent, minted by the bridge in order of the episodes' starts,
            never reused.
        step_type: uint8 [N], a `StepType`.
        obs: one array per `ObsSpec`, [N, ...].
        reward: float32 [N], earned since this agent's previous row; 0 on FIRST.
        discount: float32 [N], 0 only where the episode terminated; 1 where it goes on or was truncated.
        mask: per branch bool [N, size], True = allowed.
        worker, incarnation: int32 [N], who reported the row.
        metrics: what the environment says besides, float32 [N] by name; NaN where a row says nothing.
        lost: int64 [K], episodes that were open and of which no row will come any more, because their environment
            died; of the exchange as a whole, so `select` keeps it.
    """

    episode: npt.NDArray[np.int64]
    step_type: npt.NDArray[np.uint8]
    obs: tuple[Array, ...]
    reward: Float32Array
    discount: Float32Array
    mask: tuple[BoolArray, ...]
    worker: Int32Array
    incarnation: Int32Array
    metrics: Mapping[str, Float32Array] = field(default_factory=dict)
    lost: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def wants_action(self) -> BoolArray:
        """bool [N]: the rows for which the next `send` must carry an action, in their order."""
        wants: BoolArray = self.step_type != _LAST
        return wants

    def select(self, rows: Any) -> Steps:
        """The rows that a numpy index picks."""

        def pick(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(array[rows] for array in value)
            if isinstance(value, Mapping):
                return {name: array[rows] for name, array in value.items()}
            return value[rows]

        columns = {item.name: getattr(self, item.name) for item in fields(self)}
        lost = columns.pop("lost")
        return Steps(**{name: pick(column) for name, column in columns.items()}, lost=lost)

    @property
    def deciding(self) -> Steps:
        """The rows that want an action."""
        wants = self.wants_action
        return self if wants.all() else self.select(wants)


def concatenate(parts: Sequence[Steps]) -> Steps:
    """One `Steps` of several of the same behaviour: all LAST rows first, otherwise in the order given.

    The rows that want an action keep the order of `parts`, so actions for the whole split into consecutive runs.
    """
    if len(parts) == 1:
        return parts[0]
    names = sorted({name for part in parts for name in part.metrics})

    def metric(name: str) -> Float32Array:
        missing = [np.full(len(part), np.nan, np.float32) for part in parts]
        return np.concatenate([part.metrics.get(name, nan) for part, nan in zip(parts, missing, strict=True)])

    def columns(name: str) -> tuple[Array, ...]:
        return tuple(np.concatenate(arrays) for arrays in zip(*(getattr(p, name) for p in parts), strict=True))

    def column(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    merged = Steps(
        episode=column("episode"),
        step_type=column("step_type"),
        obs=columns("obs"),
        reward=column("reward"),
        discount=column("discount"),
        mask=columns("mask"),
        worker=column("worker"),
        incarnation=column("incarnation"),
        metrics={name: metric(name) for name in names},
        lost=column("lost"),
    )
    return merged.select(np.argsort(merged.wants_action, kind="stable"))


def first_episode_id(worker: int, incarnation: int) -> int:
    """Where a worker's incarnation starts to count its episodes, so that no two ever mint the same id."""
    return (worker << WORKER_BITS) + (incarnation << INCARNATION_BITS)


def seed_stream(seed: int, worker: int, incarnation: int, *more: int) -> int:
    """A 31-bit seed of a stream of its own for each worker, incarnation and whatever else is given.

    Unity's seed is a signed 32-bit number; numpy's `SeedSequence` keeps the streams independent.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(worker, incarnation, *more))
    return int(sequence.generate_state(1)[0]) & 0x7FFFFFFF
