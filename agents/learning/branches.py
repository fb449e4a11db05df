"""Flat and per-branch views of Q-values and masks.

Q-values of all branches lie side by side, [batch, total]; `pad` gathers them as [batch, branches, widest].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class BranchLayout:
    """Where each branch's values lie in a flat row; `sizes` holds the number of actions per branch."""

    sizes: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.sizes)

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """int64 [branches]: the flat index of each branch's first action."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    @cached_property
    def pad_index(self) -> npt.NDArray[np.int64]:
        """int64 [branches, widest]: the flat index of each action; padding repeats the branch's first."""
        actions = np.arange(max(self.sizes))
        return self.offsets[:, None] + np.where(self.pad_valid, actions, 0)

    @cached_property
    def pad_valid(self) -> npt.NDArray[np.bool_]:
        """bool [branches, widest]: False where a narrower branch is padded."""
        valid: npt.NDArray[np.bool_] = np.arange(max(self.sizes)) < np.asarray(self.sizes)[:, None]
        return valid

    def flat_mask(self, mask: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
        """Per branch bool [N, size] -> [N, total]."""
        return mask[0] if len(mask) == 1 else np.concatenate(list(mask), axis=1)

    def pad(self, flat: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """[N, total] -> [N, branches, widest], padding filled with `fill`."""
        return np.where(self.pad_valid, flat[:, self.pad_index], fill)
