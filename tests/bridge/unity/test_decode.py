"""Observation messages to arrays: both layouts, both encodings, and what is refused."""

from __future__ import annotations

import io

import mlagents_envs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto
from mlagents_envs.rpc_utils import process_pixels
from PIL import Image

from bridge.errors import DataError, UnsupportedError
from bridge.types import Array, ObsSpec
from bridge.unity.decode import Sensor, png_picture, sensors_of

HWC, CHW = (2, 2, 1), (1, 2, 2)


def png(pixels: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def image(pixels: Array, layout: tuple[int, ...], *, compressed: bool, name: str = "Camera") -> ObservationProto:
    """uint8 [H, W, C] as a build of the layout sends it."""
    shape = pixels.shape if layout == HWC else (pixels.shape[2], *pixels.shape[:2])
    message = ObservationProto(shape=shape, name=name, dimension_properties=layout)
    if compressed:
        message.compression_type = 1
        message.compressed_data = png(pixels)
    else:
        ordered = pixels if layout == HWC else pixels.transpose(2, 0, 1)
        message.float_data.data.extend((ordered / np.float32(255)).ravel().tolist())
    return message


def pixels_of(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("compressed", [True, False], ids=["png", "float"])
@pytest.mark.parametrize("layout", [HWC, CHW], ids=["hwc", "chw"])
def test_images_are_the_same_however_they_are_sent(layout: tuple[int, ...], compressed: bool) -> None:
    first, second = pixels_of(0, 5, 7, 3), pixels_of(1, 5, 7, 3)
    messages = [image(pixels, layout, compressed=compressed) for pixels in (first, second)]
    (sensor,) = sensors_of(messages[:1], "B")
    assert sensor.spec == ObsSpec("Camera", "image", (3, 5, 7))
    decoded = sensor.decode(messages)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, np.stack([first, second]).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("towards", [0.0, 1.0])
def test_floats_become_bytes_exactly(towards: float) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    message = image(every, HWC, compressed=False)
    (sensor,) = sensors_of([message], "B")
    np.testing.assert_array_equal(sensor.decode([message])[0, 0], every[:, :, 0])
    almost = np.nextafter(np.array(message.float_data.data, np.float32), np.float32(towards))
    message.float_data.data[:] = almost.tolist()  # a build may divide in another way
    np.testing.assert_array_equal(sensor.decode([message])[0, 0], every[:, :, 0])


def test_builds_that_specify_no_dimensions_send_channels_last() -> None:
    message = image(pixels_of(0, 4, 6, 3), HWC, compressed=True, name="")
    del message.dimension_properties[:]
    (sensor,) = sensors_of([message], "B")
    assert sensor == Sensor(ObsSpec("obs_0", "image", (3, 4, 6)), channels_last=True)


def test_a_grayscale_camera_sends_rgb_and_means_one_channel() -> None:
    gray = np.repeat(pixels_of(0, 4, 6, 1), 3, axis=2)
    message = image(gray, HWC, compressed=True)
    message.shape[2] = 1
    (sensor,) = sensors_of([message], "B")
    np.testing.assert_array_equal(sensor.decode([message])[0, 0], gray[:, :, 0])
    message.compressed_data = png(gray[:, :, 0])  # or a grayscale file
    np.testing.assert_array_equal(sensor.decode([message])[0, 0], gray[:, :, 0])
    message.compressed_data = png(gray)
    message.compressed_channel_mapping.extend([0, 0, 0])  # or with a mapping
    np.testing.assert_array_equal(sensor.decode([message])[0, 0], gray[:, :, 0])


def test_stacked_cameras_are_pngs_behind_one_another() -> None:
    old, new = pixels_of(0, 4, 6, 3), pixels_of(1, 4, 6, 3)
    message = ObservationProto(shape=(4, 6, 6), name="Stack", dimension_properties=HWC, compression_type=1)
    message.compressed_data = png(old) + png(new)
    (sensor,) = sensors_of([message], "B")
    assert sensor.spec.shape == (6, 4, 6)
    expected = np.concatenate([old, new], axis=2).transpose(2, 0, 1)
    np.testing.assert_array_equal(sensor.decode([message])[0], expected)
    message.compressed_channel_mapping.extend([3, 4, 5, 0, 1, 2])
    np.testing.assert_array_equal(sensor.decode([message])[0], np.roll(expected, 3, axis=0))


@st.composite
def mappings(draw: st.DrawFn) -> tuple[int, ...]:
    """Valid channel mappings of one to three RGB pictures."""
    layers = 3 * draw(st.integers(1, 3))
    channels = draw(st.integers(1, layers))
    more = draw(st.lists(st.integers(-1, channels - 1), min_size=layers - channels, max_size=layers - channels))
    return tuple(draw(st.permutations([*range(channels), *more])))


@settings(max_examples=100, deadline=None)
@given(mapping=mappings(), seed=st.integers(0, 100), use_mapping=st.booleans())
def test_compressed_images_equal_those_of_the_stock_client(
    mapping: tuple[int, ...], seed: int, use_mapping: bool
) -> None:
    data = b"".join(png(pixels_of(seed + part, 3, 4, 3)) for part in range(len(mapping) // 3))
    channels = max(mapping) + 1
    if not use_mapping:
        mapping = ()
        channels = channels if channels > 1 else 3  # the mean of one channel: test above
    stock = process_pixels(data, channels, list(mapping))
    if mlagents_envs.__version__.startswith("0."):  # later releases return channels first
        stock = stock.transpose(2, 0, 1)
    ours = png_picture(data, channels, mapping)
    np.testing.assert_allclose(ours, stock * 255, atol=0.501)
    assert np.abs(ours - np.rint(stock * 255)).max() <= 1


def test_vectors_and_goals() -> None:
    goal = ObservationProto(shape=[2], name="Goal", dimension_properties=[1], observation_type=1)
    numbers = ObservationProto(shape=[3], name="Goal", dimension_properties=[1])
    sensors = sensors_of([goal, numbers], "B")
    assert [sensor.spec for sensor in sensors] == [
        ObsSpec("Goal", "vector", (2,), is_goal=True),
        ObsSpec("Goal_1", "vector", (3,)),
    ]
    numbers.float_data.data.extend([0.1, -1e30, 3])
    decoded = sensors[1].decode([numbers, numbers])
    np.testing.assert_array_equal(decoded, np.array([[0.1, -1e30, 3]] * 2, np.float32))
    assert sensors[0].decode([]).shape == (0, 2)


@pytest.mark.parametrize(
    ("shape", "properties", "sentence"),
    [
        ((20, 4), (4, 1), "'Odd' of behaviour 'B' has a variable length"),
        ((3, 4), (1, 1), r"'Odd' of behaviour 'B' has shape \(3, 4\); expected a vector"),
        ((2, 3, 4, 5), (1, 1, 1, 1), "has shape"),
        ((0,), (1,), "has shape"),
        ((4, 4, 4), (1, 1, 1), "no image"),
        ((4, 4, 4), (2, 2, 2), "no image"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(
    shape: tuple[int, ...], properties: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        sensors_of([ObservationProto(shape=shape, name="Odd", dimension_properties=properties)], "B")


def test_no_observation_at_all_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no observations"):
        sensors_of([], "B")


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, np.inf])
def test_float_images_outside_the_range_are_refused(value: float) -> None:
    message = image(pixels_of(0, 2, 2, 3), CHW, compressed=False)
    (sensor,) = sensors_of([message], "B")
    message.float_data.data[5] = value
    with pytest.raises(DataError, match="sensor 'Camera': an image with values"):
        sensor.decode([message])


def test_what_differs_from_the_declaration_is_refused() -> None:
    message = image(pixels_of(0, 4, 6, 3), HWC, compressed=True)
    (sensor,) = sensors_of([message], "B")
    with pytest.raises(DataError, match=r"\(3, 6, 4\).*expected \(3, 4, 6\)"):
        sensor.decode([image(pixels_of(0, 6, 4, 3), HWC, compressed=True)])
    with pytest.raises(DataError, match="48 numbers came, expected 72"):
        sensor.decode([image(pixels_of(0, 4, 4, 3), HWC, compressed=False)])
    for broken in (message.compressed_data[:40], b"", b"no picture", message.compressed_data * 2 + b"x"):
        message.compressed_data = broken
        with pytest.raises(DataError, match="sensor 'Camera': a compressed image"):
            sensor.decode([message])
