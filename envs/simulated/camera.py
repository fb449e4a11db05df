"""A camera sensor: a picture as PNG or as floats, in either memory layout."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from envs.simulated.messages import Dimension, Sensor
from envs.simulated.scene import Setup


class Camera:
    """Encodes what a camera sees.

    shape: (channels, height, width), whatever the layout; one channel is grayscale.
    """

    def __init__(self, name: str, shape: tuple[int, int, int], setup: Setup) -> None:
        self._channels_first = setup.channels_first
        self._png = setup.png
        channels, height, width = shape
        plane = (Dimension.TRANSLATIONAL_EQUIVARIANCE, Dimension.TRANSLATIONAL_EQUIVARIANCE)
        self._sensor = (
            Sensor(name, shape, (Dimension.NONE, *plane))
            if setup.channels_first
            else Sensor(name, (height, width, channels), (*plane, Dimension.NONE))
        )

    def observe(self, picture: NDArray[np.uint8]) -> bytes:
        """ObservationProto of a picture [H, W, channels]. A PNG has three channels also for grayscale, as in Unity."""
        if self._png:
            return self._sensor.png(png(np.broadcast_to(picture, (*picture.shape[:2], 3))))
        return self._sensor.floats((picture.transpose(2, 0, 1) if self._channels_first else picture) / np.float32(255))


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture [H, W, 3] as an 8-bit RGB PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()
