"""What a bridge declares, as gymnasium's spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from bridge.errors import UsageError
from bridge.types import ActionSpec, Array, BehaviorSpec, ObsSpec


class Observations:
    """Which sensors a learner gets, and in which form.

    Args:
        spec: what the environment has.
        choice: names of sensors, which make a `Dict`; one name as a string, for that one alone; None: all, as a `Dict`.

    Attributes:
        space: of one agent: a `Dict` of `Box` by sensor name, or one `Box`.

    Raises:
        UsageError: no such sensor, or none chosen.
    """

    def __init__(self, spec: BehaviorSpec, choice: str | Sequence[str] | None) -> None:
        known = [item.name for item in spec.observations]
        names = known if choice is None else [choice] if isinstance(choice, str) else list(choice)
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            found = repr(unknown[0]) if unknown else "no observation at all"
            raise UsageError(f"{found} was chosen of {spec.name!r}; expected some of {', '.join(known)}.")
        self._indices = {name: known.index(name) for name in names}
        boxes: dict[str, spaces.Space[Any]] = {
            name: _box(spec.observations[index]) for name, index in self._indices.items()
        }
        self._alone = self._indices[choice] if isinstance(choice, str) else None
        self.space: spaces.Space[Any] = boxes[choice] if isinstance(choice, str) else spaces.Dict(boxes)

    def of(self, obs: Sequence[Array]) -> Any:
        """The chosen ones of one array per sensor, with or without a first axis of agents."""
        if self._alone is not None:
            return obs[self._alone]
        return {name: obs[index] for name, index in self._indices.items()}


def action_space(actions: ActionSpec) -> spaces.Discrete | spaces.MultiDiscrete:
    """Of one agent: `Discrete` for one branch, `MultiDiscrete` for several."""
    branches = actions.branches
    return spaces.Discrete(branches[0]) if len(branches) == 1 else spaces.MultiDiscrete(list(branches))


def _box(spec: ObsSpec) -> spaces.Box:
    if spec.kind == "image":
        return spaces.Box(0, 255, spec.shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, spec.shape, np.float32)
