"""Random shifts: images are learned from as if the camera had stood a little aside. numpy only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.learning.replay import Batch

Array = npt.NDArray[Any]


class RandomShift:
    """Moves every image of a batch up to so many pixels up or down and left or right (DrQ, arXiv 2004.13649).

    What comes in at an edge repeats the edge. Each observation is moved by itself, the state before a move and the one
    after it too; channels, and so stacked frames, move together.

    Args:
        pixels: of what the network sees, after `network.downsample`.
        rng: draws the moves, each equally likely.
    """

    def __init__(self, pixels: int, rng: np.random.Generator) -> None:
        self._pixels = pixels
        self._rng = rng

    def __call__(self, batch: Batch) -> Batch:
        """The batch with other images; its arrays stay as they are."""
        return replace(batch, obs_tm1=self._shifted(batch.obs_tm1), obs_t=self._shifted(batch.obs_t))

    def _shifted(self, obs: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(self._moved(array) if array.ndim == 4 else array for array in obs)

    def _moved(self, images: Array) -> Array:
        """[B, channels, height, width]"""
        around = self._pixels
        size, _, height, width = images.shape
        padded = np.pad(images, ((0, 0), (0, 0), (around, around), (around, around)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = self._rng.integers(0, 2 * around + 1, (2, size))
        return np.ascontiguousarray(windows[np.arange(size), :, down, right])
