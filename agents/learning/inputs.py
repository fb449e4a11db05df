"""Which of an environment's observations the network is given, and how large. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.settings.config import ConfigError, nearest
from bridge import BehaviorSpec, ObsSpec

Array = npt.NDArray[Any]


class NetworkInputs:
    """Selects observations and thins out images, before anything is stored.

    Args:
        spec: what the environment gives.
        words: sensor names, or kinds: image, vector (no goal), goal, all.
        downsample: of images, every n-th pixel of every n-th row is kept.

    Attributes:
        indices: of the selected observations, in the environment's order.
        specs: the selected observations as the network sees them.

    Raises:
        ConfigError: a word that finds nothing.
    """

    def __init__(self, spec: BehaviorSpec, words: Sequence[str], downsample: int) -> None:
        self.indices = _selected(spec, words)
        self.downsample = downsample
        self.specs = tuple(self._thinned(spec.observations[index]) for index in self.indices)

    def __call__(self, obs: Sequence[Array], rows: Any = slice(None)) -> tuple[Array, ...]:
        """The environment's observations, each [N, ...], to the network's; `rows` picks rows."""
        step = self.downsample
        chosen = [obs[index] for index in self.indices]
        if step > 1:
            chosen = [np.ascontiguousarray(a[:, :, ::step, ::step]) if a.ndim == 4 else a for a in chosen]
        return tuple(array[rows] for array in chosen)

    def _thinned(self, spec: ObsSpec) -> ObsSpec:
        if spec.kind != "image":
            return spec
        channels, height, width = spec.shape
        return replace(spec, shape=(channels, -(-height // self.downsample), -(-width // self.downsample)))


def _selected(spec: BehaviorSpec, words: Sequence[str]) -> list[int]:
    found: set[int] = set()
    for word in words:
        matching = {
            index
            for index, item in enumerate(spec.observations)
            if word in ("all", item.name, "goal" if item.is_goal else item.kind)
        }
        if not matching:
            known = [item.name for item in spec.observations]
            raise ConfigError(f"network.observations: this environment has no {word!r}; {nearest(word, known)}")
        found |= matching
    return sorted(found)
