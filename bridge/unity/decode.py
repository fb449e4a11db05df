"""From observation messages to arrays: images uint8 [C, H, W], vectors float32 [D].

Images come in two memory layouts, told apart by `dimension_properties`: Unity packages before 3.0 send [H, W, C],
later ones [C, H, W]. Each release of mlagents-envs decodes one of them only; this module decodes both, as PNG and as
uncompressed floats, without a detour over floats for the former.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto
from PIL import Image

from bridge.errors import DataError, UnsupportedError
from bridge.types import Array, Float32Array, ObsSpec

UInt8Array = npt.NDArray[np.uint8]

# mlagents_envs.base_env.DimensionProperty and ObservationType, as numbers on the wire.
UNSPECIFIED, NONE, TRANSLATIONAL, VARIABLE = 0, 1, 2, 4
GOAL_SIGNAL = 1
UNCOMPRESSED, PNG = 0, 1
#: By dimension properties: whether the channels come last. Builds before package 2.0 specify nothing and send HWC.
LAYOUTS = {
    (TRANSLATIONAL, TRANSLATIONAL, NONE): True,
    (NONE, TRANSLATIONAL, TRANSLATIONAL): False,
    (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED): True,
}
PNG_HEADER = b"\x89PNG\r\n\x1a\n"
#: Decoded pictures that are kept. An agent's last picture is often the one before it again.
PICTURES_KEPT = 64


@dataclass(frozen=True)
class Sensor:
    """How one observation of a behaviour is decoded.

    Attributes:
        spec: what the agent gets.
        channels_last: images only: [H, W, C] on the wire.
    """

    spec: ObsSpec
    channels_last: bool = False

    def decode(self, messages: Sequence[ObservationProto], whose: Callable[[int], str] = lambda _: "") -> Array:
        """The observations of N agents, [N, ...] as `spec` says.

        Args:
            whose: what to say in an error of the agent of a row, such as " of agent 3".

        Raises:
            DataError: a message that differs from what was declared.
        """
        values = np.empty((len(messages), *self.spec.shape), self.spec.dtype)
        read = self._picture if self.spec.kind == "image" else self._vector
        for row, message in enumerate(messages):
            try:
                values[row] = read(message)
            except ValueError as error:
                raise DataError(f"sensor {self.spec.name!r}{whose(row)}: {error}") from error
        return values

    def _vector(self, message: ObservationProto) -> Float32Array:
        """Numbers, float32 [D]."""
        return self._sized(floats(message), self.spec.shape[0])

    def _picture(self, message: ObservationProto) -> UInt8Array:
        """One image, uint8 [C, H, W], possibly a view. Like the methods below it raises `ValueError`."""
        channels, height, width = self.spec.shape
        if message.compression_type == PNG:
            picture = png_picture(message.compressed_data, channels, tuple(message.compressed_channel_mapping))
            if picture.shape != self.spec.shape:
                raise ValueError(
                    f"a picture of shape {picture.shape} (channels, height, width) came, expected {self.spec.shape} as "
                    "the build declared."
                )
            return picture
        values = self._sized(floats(message), channels * height * width)
        with np.errstate(invalid="ignore"):
            if not ((values >= 0) & (values <= 1)).all():
                raise ValueError(
                    f"an image with values {values.min():g} to {values.max():g} came, expected 0 to 1: scale them in "
                    "the build, or observe them as a vector."
                )
        rounded: UInt8Array = np.rint(values * np.float32(255)).astype(np.uint8)
        if self.channels_last:
            return rounded.reshape(height, width, channels).transpose(2, 0, 1)
        return rounded.reshape(self.spec.shape)

    def _sized(self, values: Float32Array, size: int) -> Float32Array:
        if len(values) != size:
            raise ValueError(f"{len(values)} numbers came, expected {size} as the build declared.")
        return values


def sensors_of(observations: Sequence[ObservationProto], behavior: str) -> tuple[Sensor, ...]:
    """The sensors that a behaviour's first agent info declares, in its order.

    Sensors without a name (builds before package 2.0) are called `obs_0`, ...; of equal names the later ones get a
    number.

    Raises:
        UnsupportedError: a sensor that images and vectors cannot express, or none at all.
    """
    if not observations:
        raise UnsupportedError(f"behaviour {behavior!r} has no observations; expected at least one sensor.")
    sensors: list[Sensor] = []
    for index, message in enumerate(observations):
        name = message.name or f"obs_{index}"
        if any(sensor.spec.name == name for sensor in sensors):
            name = f"{name}_{index}"
        sensors.append(_sensor(message, name, behavior))
    return tuple(sensors)


def _sensor(message: ObservationProto, name: str, behavior: str) -> Sensor:
    shape = tuple(message.shape)
    properties = tuple(message.dimension_properties) or (UNSPECIFIED,) * len(shape)
    is_goal = message.observation_type == GOAL_SIGNAL
    whose = f"sensor {name!r} of behaviour {behavior!r}"
    if any(flags & VARIABLE for flags in properties):
        raise UnsupportedError(
            f"{whose} has a variable length (a BufferSensor, shape {shape}), which a DQN's fixed-size input cannot "
            "take: replace it by a vector of fixed size."
        )
    if any(size < 1 for size in shape) or len(shape) not in (1, 3):
        raise UnsupportedError(
            f"{whose} has shape {shape}; expected a vector (one dimension) or an image (three dimensions)."
        )
    if len(shape) == 1:
        return Sensor(ObsSpec(name, "vector", shape, is_goal))
    if properties not in LAYOUTS:
        raise UnsupportedError(
            f"{whose} has three dimensions with the properties {properties}, which is no image; expected (2, 2, 1) for "
            "height, width, channels or (1, 2, 2) for channels, height, width."
        )
    channels_last = LAYOUTS[properties]
    chw = (shape[2], shape[0], shape[1]) if channels_last else shape
    return Sensor(ObsSpec(name, "image", chw, is_goal), channels_last)


def floats(message: ObservationProto) -> Float32Array:
    """The uncompressed numbers of a message, float32 [size], read-only.

    Packed floats are the last bytes of their message, so they are read from there at once: to iterate over protobuf's
    container costs 50 times as much.
    """
    size = len(message.float_data.data)
    packed = message.float_data.SerializeToString()
    return np.frombuffer(packed, "<f4", size, len(packed) - 4 * size)


@lru_cache(maxsize=PICTURES_KEPT)
def png_picture(data: bytes, channels: int, mapping: tuple[int, ...]) -> UInt8Array:
    """One or several PNGs behind one another as one image, uint8 [channels, H, W], read-only.

    Args:
        channels: how many the build declares.
        mapping: for each channel of all PNGs together the channel of the image that it is averaged into, -1 for none;
            empty: the PNGs' first channels are the image's, or their mean if it has one.

    Raises:
        ValueError: no such PNGs, or a mapping that does not fit them.
    """
    layers = np.concatenate([_layers(part) for part in split_pngs(data)])  # uint8 [all channels, H, W]
    if mapping:
        if len(mapping) != len(layers) or set(mapping) - {-1} != set(range(max(mapping) + 1)):
            raise ValueError(f"a compressed image of {len(layers)} channels came with the channel mapping {mapping}.")
        picture = layers
        if mapping != tuple(range(len(layers))):
            picture = np.stack([_mean(layers[np.equal(mapping, index)]) for index in range(max(mapping) + 1)])
    elif channels == 1:
        picture = _mean(layers[:3])[None]
    else:
        picture = layers[:channels]
    picture.setflags(write=False)
    return picture


def split_pngs(data: bytes) -> list[bytes]:
    """The PNG files in a row of them, cut where their chunks end."""
    if data.find(PNG_HEADER, len(PNG_HEADER)) < 0:
        return [data]
    parts, start = [], 0
    while start < len(data):
        end = start + len(PNG_HEADER)
        kind = b""
        while kind != b"IEND":
            if end + 8 > len(data):
                raise ValueError("a compressed image came cut off in the middle of a PNG.")
            length, kind = struct.unpack_from(">I4s", data, end)
            end += 12 + length
        parts.append(data[start:end])
        start = end
    return parts


def _layers(data: bytes) -> UInt8Array:
    """A PNG as uint8 [channels, H, W]."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in ("L", "LA", "RGB", "RGBA"):
                raise ValueError(f"a PNG of mode {image.mode} came, expected 8-bit grayscale or RGB.")
            pixels = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"a compressed image came that is no readable PNG: {error}.") from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _mean(layers: UInt8Array) -> UInt8Array:
    """The mean of uint8 [K, H, W] over K, rounded half up."""
    total = layers.sum(axis=0, dtype=np.uint32)
    mean: UInt8Array = ((2 * total + len(layers)) // (2 * len(layers))).astype(np.uint8)
    return mean
