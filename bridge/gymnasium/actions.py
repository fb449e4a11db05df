"""Action spaces: what the agent may choose, and how its choices and an environment's masks are converted."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from bridge.actions import NativeActions
from bridge.errors import DataError, UnsupportedError
from bridge.types import Array


class ActionAdapter:
    """From rows of native numbers to what the environment's action space holds."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self._space = space
        self._start: Any = 0
        if isinstance(space, spaces.Discrete):
            self.native = NativeActions(branches=(int(space.n),))
            self._start = int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            self.native = NativeActions(branches=tuple(map(int, space.nvec.ravel())))
            self._start = space.start.ravel()
        elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating) and all(space.shape):
            low, high = (tuple(map(float, bound.ravel())) for bound in (space.low, space.high))
            self.native = NativeActions(low=low, high=high)
        else:
            raise UnsupportedError(
                f"the action space is {space}; there are Discrete, MultiDiscrete and Box of floats: wrap the "
                "environment."
            )

    def to_environments(self, native: Array) -> list[Any]:
        """native [M, dims] -> M actions."""
        if isinstance(self._space, spaces.Discrete):
            return [action + self._start for action in native[:, 0].tolist()]
        moved = (native + self._start).astype(self._space.dtype)
        return list(moved.reshape(len(native), *(self._space.shape or ())))

    def split_mask(self, mask: Any) -> list[Array]:
        """`info["action_mask"]` as one bool array per branch; several branches come in a sequence or end to end.

        Raises:
            DataError: other sizes than the action space has.
        """
        branches = self.native.branches
        parts = [np.asarray(part).ravel() for part in mask] if len(branches) == len(mask) > 1 else []
        if not parts:
            parts = np.split(np.asarray(mask).ravel(), np.cumsum(branches)[:-1])
        sizes = tuple(len(part) for part in parts)
        if sizes != branches:
            raise DataError(f"info['action_mask'] has {sizes} entries, expected {branches} (1 = allowed).")
        return [part.astype(np.bool_) for part in parts]
