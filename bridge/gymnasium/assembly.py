"""From the rows of one exchange to `Steps`: what is made of rewards and `info`, that is masks and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, SupportsFloat

import numpy as np

from bridge.actions import ActionCodec
from bridge.errors import DataError
from bridge.gymnasium.actions import ActionAdapter
from bridge.types import Array, BoolArray, Float32Array, Steps, StepType

#: Entries of `info` that report success, in the words of goal environments and of robotics suites.
SUCCESS_KEYS = ("is_success", "success")
#: The entry of `info` with what an environment says of a whole episode, numbers by name; read where the episode ends.
EPISODE_METRICS = "episode_metrics"


class Row(NamedTuple):
    episode: int
    step_type: StepType
    obs: tuple[Array, ...]
    reward: SupportsFloat
    discount: float
    info: Mapping[str, Any]


class Assembly:
    """Puts rows together.

    Args:
        name: of the behaviour, for errors.
        codec, actions: turn masks into those of the agent's actions.
        metrics: entries of `info` that become `Steps.metrics` besides success and `EPISODE_METRICS`.
        worker: of all rows.
    """

    def __init__(
        self, name: str, codec: ActionCodec, actions: ActionAdapter, metrics: Sequence[str], worker: int
    ) -> None:
        self._name = name
        self._codec = codec
        self._actions = actions
        self._metrics = [("success", key) for key in SUCCESS_KEYS] + [(key, key) for key in metrics]
        self._worker = worker

    def steps(self, rows: Sequence[Row], incarnation: int) -> Steps:
        """One row each, in this order.

        Raises:
            DataError: rewards or metrics that are no numbers, masks that do not fit or forbid everything.
        """
        episode, step_type, obs, reward, discount, info = zip(*rows, strict=True)
        count = len(rows)
        return Steps(
            episode=np.array(episode, np.int64),
            step_type=np.array(step_type, np.uint8),
            # What `read` returned is ours alone, so one row needs no further copy.
            obs=tuple([part[0][None] if count == 1 else np.stack(part) for part in zip(*obs, strict=True)]),
            reward=self._rewards(reward),
            discount=np.array(discount, np.float32),
            mask=self._masks(step_type, info),
            worker=np.full(count, self._worker, np.int32),
            incarnation=np.full(count, incarnation, np.int32),
            metrics=self._metrics_of(step_type, info),
        )

    def _rewards(self, rewards: Sequence[SupportsFloat]) -> Float32Array:
        try:
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                return np.array([float(reward) for reward in rewards], np.float32)
        except (TypeError, ValueError):
            raise DataError(f"{self._name}: the rewards are {rewards!r}, expected numbers.") from None

    def _masks(self, step_type: Sequence[StepType], infos: Sequence[Mapping[str, Any]]) -> tuple[BoolArray, ...]:
        if not self._actions.native.is_discrete or not any("action_mask" in info for info in infos):
            return self._codec.all_allowed(len(infos))
        native = [np.ones((len(infos), size), np.bool_) for size in self._actions.native.branches]
        for row, info in enumerate(infos):
            # No action follows a LAST row, and many environments then allow none.
            if step_type[row] != StepType.LAST and "action_mask" in info:
                for branch, allowed in enumerate(self._actions.split_mask(info["action_mask"])):
                    native[branch][row] = allowed
        masks = self._codec.mask(native)
        for branch, mask in enumerate(masks):
            if not mask.any(axis=1).all():
                raise DataError(f"{self._name}: info['action_mask'] allows no action in branch {branch}.")
        return masks

    def _metrics_of(self, step_type: Sequence[StepType], infos: Sequence[Mapping[str, Any]]) -> dict[str, Float32Array]:
        found: dict[str, Float32Array] = {}

        def add(name: str, row: int, value: Any) -> None:
            found.setdefault(name, np.full(len(infos), np.nan, np.float32))[row] = value

        for row, info in enumerate(infos):
            if not info:
                continue
            for name, key in self._metrics:
                if key in info:
                    try:
                        add(name, row, info[key])
                    except (TypeError, ValueError):
                        raise DataError(f"{self._name}: info[{key!r}] is {info[key]!r}, expected a number.") from None
            if step_type[row] == StepType.LAST and EPISODE_METRICS in info:
                for name, value in self._numbers_of(info[EPISODE_METRICS]).items():
                    add(name, row, value)
        return found

    def _numbers_of(self, metrics: Any) -> dict[str, float]:
        try:
            return {str(name): float(value) for name, value in metrics.items()}
        except (AttributeError, TypeError, ValueError):
            raise DataError(
                f"{self._name}: info[{EPISODE_METRICS!r}] is {metrics!r}, expected numbers by name."
            ) from None
