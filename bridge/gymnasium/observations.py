"""Observation spaces: what the agent sees of them, and how their values become arrays.

- A `Box` is an image or a float32 vector, flattened: `bridge.images.image_layout` says which.
- `Discrete`, `MultiDiscrete` and `MultiBinary` become float32 vectors of 0 and 1.
- `Dict` and `Tuple` give one observation per part, named by its path; a key `desired_goal` is a goal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from bridge.errors import DataError, UnsupportedError
from bridge.images import image_layout
from bridge.types import Array, ObsSpec


@dataclass(frozen=True)
class ObservationPart:
    """One leaf of an observation space, and how its values become rows.

    Attributes:
        spec: what the agent sees.
        path: keys and indices that lead to it in the environment's observation.
        shape: of the environment's values.
        dtype: of the environment's values, which images must keep.
        convert: from a value of that shape to a new array of the spec's shape and dtype.
    """

    spec: ObsSpec
    path: tuple[str | int, ...]
    shape: tuple[int, ...]
    dtype: Any
    convert: Callable[[Array], Array]

    def read(self, observation: Any) -> Array:
        """A new array [*spec.shape], which the environment does not know of.

        Raises:
            DataError: the environment did not report what its observation space declares.
        """
        try:
            for key in self.path:
                observation = observation[key]
        except (LookupError, TypeError):
            raise DataError(f"observation {self.spec.name!r} is missing, but its space declares it.") from None
        value = np.asarray(observation)
        if value.shape != self.shape or (value.dtype != self.dtype and self.spec.kind == "image"):
            raise DataError(
                f"observation {self.spec.name!r} is {value.dtype} of shape {value.shape}, but its space declares "
                f"{self.dtype} of shape {self.shape}."
            )
        try:
            return self.convert(value)
        except (DataError, LookupError, TypeError, ValueError) as error:
            raise DataError(f"observation {self.spec.name!r}: {error}") from error


def observation_parts(
    space: spaces.Space[Any], *, stacked: bool, path: tuple[str | int, ...] = ()
) -> tuple[ObservationPart, ...]:
    """The leaves of an observation space.

    Args:
        stacked: the first axis of every `Box` holds frames, oldest first.

    Raises:
        UnsupportedError: a space that is neither image nor vector.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        parts: list[ObservationPart] = []
        for key, part in inner:
            parts += observation_parts(part, stacked=stacked, path=(*path, key))
        return tuple(parts)

    name = ".".join(map(str, path)) or "observation"
    is_goal = "desired_goal" in path
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        size = spaces.flatdim(space)
        convert = _one_hot(space)
        return (
            ObservationPart(ObsSpec(name, "vector", (size,), is_goal), path, space.shape or (), space.dtype, convert),
        )
    if not isinstance(space, spaces.Box):
        raise UnsupportedError(
            f"observation {name!r} is a {type(space).__name__} space; there are Box, Discrete, MultiDiscrete, "
            "MultiBinary, and Dict and Tuple of these: wrap the environment."
        )
    if not all(space.shape):
        raise UnsupportedError(f"observation {name!r} of shape {space.shape} is empty: leave it out.")
    low, high = float(space.low.min()), float(space.high.max())
    image = image_layout(space.shape, np.dtype(space.dtype), low, high, stacked=stacked)
    if image is None:
        spec, convert = ObsSpec(name, "vector", (int(np.prod(space.shape)),), is_goal), _flat_float32
    else:
        spec, convert = ObsSpec(name, "image", image.shape, is_goal), image.convert
    return (ObservationPart(spec, path, space.shape, space.dtype, convert),)


def _flat_float32(value: Array) -> Array:
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        return np.array(value, np.float32).reshape(-1)


def _one_hot(space: spaces.Space[Any]) -> Callable[[Array], Array]:
    def convert(value: Array) -> Array:
        return np.array(spaces.flatten(space, value), np.float32)

    return convert
