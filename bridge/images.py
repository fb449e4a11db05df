"""How pictures of other libraries become uint8 [C, H, W]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.errors import DataError, UnsupportedError
from bridge.types import Array


@dataclass(frozen=True)
class ImageLayout:
    """A picture, or a stack of pictures, as some library hands it out.

    Attributes:
        frames: pictures in the stack, 1 without one; they become channels, oldest first.
        picture: shape of one, [H, W, C] or [C, H, W].
        channels_last: which of the two.
        is_unit: values go from 0 to 1 instead of 0 to 255.
    """

    frames: int
    picture: tuple[int, int, int]
    channels_last: bool
    is_unit: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W] of the whole stack."""
        channels, height, width = (self.picture[axis] for axis in ((2, 0, 1) if self.channels_last else (0, 1, 2)))
        return self.frames * channels, height, width

    def convert(self, value: Array) -> Array:
        """A new array uint8 [C, H, W].

        Raises:
            DataError: values outside 0..1, or NaN, where they were to be 0..1.
        """
        if self.is_unit:
            if not (value.min() >= 0 and value.max() <= 1):  # false for NaN, too
                raise DataError(f"an image has values from {value.min():g} to {value.max():g}, declared 0 to 1.")
            value = np.rint(value * 255.0)
        value = value.reshape(self.frames, *self.picture)
        if self.channels_last:
            value = value.transpose(0, 3, 1, 2)
        return np.array(value, np.uint8, order="C").reshape(self.shape)


def image_layout(
    shape: tuple[int, ...], dtype: np.dtype[np.generic], low: float, high: float, *, stacked: bool
) -> ImageLayout | None:
    """Decides whether values of this shape and these bounds are pictures.

    Three dimensions are a picture, its channels on the smaller of the first and the last axis (equal: the last). Two
    are a gray picture only if uint8 from 0 to 255. Four, or one more where `stacked`, are a stack of pictures.

    Returns:
        None for what is better seen as a vector.

    Raises:
        UnsupportedError: shaped like a picture, but neither uint8 nor from 0 to 1.
    """
    is_stack = stacked or len(shape) == 4
    frames, picture = (shape[0], shape[1:]) if is_stack else (1, shape)
    is_uint8, is_unit = dtype == np.uint8, (low, high) == (0.0, 1.0)
    if len(picture) < 2 or (len(picture) == 2 and not (is_uint8 and high == 255)):
        return None
    if len(picture) > 3 or not (is_uint8 or is_unit):
        raise UnsupportedError(
            f"an observation of shape {shape}, {dtype} from {low:g} to {high:g}, is neither a picture (uint8, or from "
            "0 to 1, of 2 to 4 dimensions) nor a vector: wrap the environment, for instance in gymnasium's "
            "RescaleObservation or FlattenObservation."
        )
    if len(picture) == 2:
        return ImageLayout(frames, (1, *picture), channels_last=False, is_unit=False)
    return ImageLayout(frames, (picture[0], picture[1], picture[2]), picture[2] <= picture[0], is_unit)
