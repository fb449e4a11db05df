"""Rows made by hand, a bridge that plays them, and the agents that see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.learning.agent import DQNAgent
from agents.learning.replay import Batch, Replay
from agents.settings.config import Config, build_config, merged
from bridge import ActionSpec, BehaviorSpec, Bridge, CodecSettings, EnvSpec, ObsSpec, Steps, StepType
from bridge.actions import NativeActions, make_codec
from bridge.types import Array, Int32Array

FIRST, MID, LAST = StepType.FIRST, StepType.MID, StepType.LAST

VECTOR = ObsSpec("vector", "vector", (1,))
#: A picture that can show any number below 2^32.
PICTURE = ObsSpec("picture", "image", (1, 20, 20))


def behavior(*observations: ObsSpec, branches: tuple[int, ...] = (2,)) -> BehaviorSpec:
    return BehaviorSpec("scripted", observations or (VECTOR,), ActionSpec(branches))


@dataclass(frozen=True)
class Row:
    """One row of `Steps`; its observations show `number`."""

    episode: int
    kind: StepType
    number: float = 0.0
    reward: float = 0.0
    terminated: bool = False
    mask: tuple[Sequence[bool], ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def shown(spec: ObsSpec, number: float) -> Array:
    """The observation that shows this number."""
    values = spec.zeros(1)[0].reshape(-1)
    if spec.kind == "vector":
        values[0] = number
    else:
        values[:4] = np.frombuffer(np.array(number, "<u4").tobytes(), np.uint8)
    return values.reshape(spec.shape)


def number_in(spec: ObsSpec, observation: Array) -> float:
    """The number that an observation shows."""
    values = observation.reshape(-1)
    if spec.kind == "vector":
        return float(values[0])
    return float(np.frombuffer(values[:4].tobytes(), "<u4")[0])


def steps_of(spec: BehaviorSpec, *rows: Row) -> Steps:
    """The rows of one exchange, in this order."""
    count = len(rows)
    names = sorted({name for row in rows for name in row.metrics})
    allowed = [row.mask or tuple([True] * size for size in spec.actions.branches) for row in rows]
    return Steps(
        episode=np.array([row.episode for row in rows], np.int64),
        step_type=np.array([row.kind for row in rows], np.uint8),
        obs=tuple(
            np.array([shown(item, row.number) for row in rows], item.dtype).reshape(count, *item.shape)
            for item in spec.observations
        ),
        reward=np.array([row.reward for row in rows], np.float32),
        discount=np.array([0.0 if row.terminated else 1.0 for row in rows], np.float32),
        mask=tuple(
            np.array([mask[branch] for mask in allowed], np.bool_).reshape(count, size)
            for branch, size in enumerate(spec.actions.branches)
        ),
        worker=np.zeros(count, np.int32),
        incarnation=np.zeros(count, np.int32),
        metrics={name: np.array([row.metrics.get(name, np.nan) for row in rows], np.float32) for name in names},
    )


class Playback(Bridge):
    """Reports the given exchanges one after the other, whatever is sent, and keeps what was.

    Attributes:
        calls: the names of the calls in their order.
        sent: the actions of each `send`.
    """

    def __init__(self, spec: BehaviorSpec, *exchanges: Sequence[Row]) -> None:
        codec = make_codec(NativeActions(branches=spec.actions.branches), CodecSettings())
        super().__init__(EnvSpec("gym", "playback"), spec, codec)
        self._exchanges = [steps_of(spec, *rows) for rows in exchanges]
        self._at = 0
        self.calls: list[str] = []
        self.sent: list[Int32Array] = []

    def _reset(self, seed: int | None) -> Steps:
        self.calls.append(f"reset({seed})")
        self._at = 0
        return self._exchanges[0]

    def _send(self, actions: Int32Array) -> None:
        self.calls.append("send")
        self.sent.append(actions)

    def _receive(self) -> Steps:
        self.calls.append("receive")
        self._at += 1
        return self._exchanges[self._at]

    def _close(self) -> None:
        self.calls.append("close")


#: A network and a replay that cost nothing.
SMALL: dict[str, Any] = {
    "network": {"hidden": [8]},
    "learner": {"batch_size": 8, "learning_starts": 0, "double": False, "target": "none"},
    "replay": {"capacity": 1000},
    "training": {"torch_device": "cpu"},
}


def small_config(**sections: Mapping[str, Any]) -> Config:
    """`SMALL` with these values over it."""
    return build_config(merged(SMALL, sections))


def small_agent(spec: BehaviorSpec, **sections: Mapping[str, Any]) -> DQNAgent:
    return DQNAgent(spec, small_config(**sections))


class EachOnce:
    """Draws 0, 1, 2, ... where a generator draws at random."""

    def integers(self, high: int, size: int) -> Array:
        return np.arange(size) % high


def everything(replay: Replay) -> Batch:
    """Every transition that can be sampled, once."""
    rng, replay._rng = replay._rng, EachOnce()  # type: ignore[assignment]
    try:
        return replay.sample(len(replay))
    finally:
        replay._rng = rng
