"""Pictures of other libraries as uint8 [C, H, W]."""

from __future__ import annotations

import numpy as np
import pytest

from bridge import DataError, UnsupportedError
from bridge.images import ImageLayout, image_layout

BYTE = (np.dtype(np.uint8), 0.0, 255.0)
UNIT = (np.dtype(np.float32), 0.0, 1.0)


def layout(
    shape: tuple[int, ...], kind: tuple[np.dtype[np.generic], float, float], stacked: bool = False
) -> ImageLayout:
    found = image_layout(shape, *kind, stacked=stacked)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("shape", "stacked", "expected"),
    [
        ((84, 60), False, (1, 84, 60)),
        ((84, 60, 3), False, (3, 84, 60)),
        ((84, 60, 1), False, (1, 84, 60)),
        ((3, 84, 60), False, (3, 84, 60)),
        ((4, 84, 84), False, (4, 84, 84)),
        ((1, 84, 84), False, (1, 84, 84)),
        ((84, 84, 12), False, (12, 84, 84)),
        ((8, 8, 8), False, (8, 8, 8)),
        ((4, 84, 60), True, (4, 84, 60)),
        ((4, 3, 3), True, (4, 3, 3)),
        ((4, 84, 60, 3), True, (12, 84, 60)),
        ((4, 84, 60, 3), False, (12, 84, 60)),
        ((4, 3, 84, 60), False, (12, 84, 60)),
    ],
)
def test_shapes(shape: tuple[int, ...], stacked: bool, expected: tuple[int, ...]) -> None:
    found = layout(shape, BYTE, stacked)
    assert found.shape == expected
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    picture = found.convert(values)
    assert picture.shape == expected
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert not np.shares_memory(picture, values)


def test_channels_move_and_pixels_stay() -> None:
    picture = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)  # [frames, H, W, C]
    found = layout(picture.shape, BYTE).convert(picture)
    for frame in range(2):
        for channel in range(3):
            np.testing.assert_array_equal(found[3 * frame + channel], picture[frame, :, :, channel])
    first = np.arange(60, dtype=np.uint8).reshape(3, 5, 4)  # [C, H, W]
    np.testing.assert_array_equal(layout(first.shape, BYTE).convert(first), first)
    assert layout((8, 8, 8), BYTE).channels_last
    assert not layout((7, 8, 8), BYTE).channels_last


def test_values_from_0_to_1_are_rounded_to_bytes() -> None:
    found = layout((2, 2, 1), UNIT)
    values = np.array([0.0, 1.0, 0.5, 0.999], np.float32).reshape(2, 2, 1)
    assert found.convert(values).ravel().tolist() == [0, 255, 128, 255]
    every = np.arange(256, dtype=np.float32).reshape(16, 16, 1) / 255
    assert layout(every.shape, UNIT).convert(every).ravel().tolist() == list(range(256))
    flags = layout((4, 4, 2), (np.dtype(np.uint8), 0.0, 1.0))
    assert flags.convert(np.ones((4, 4, 2), np.uint8)).min() == 255


@pytest.mark.parametrize("bad", [1.01, -0.01, np.nan, np.inf])
def test_values_outside_the_declared_range_are_refused(bad: float) -> None:
    values = np.full((2, 2, 1), 0.5, np.float32)
    values[1, 1, 0] = bad
    with pytest.raises(DataError, match="declared 0 to 1"):
        layout((2, 2, 1), UNIT).convert(values)


@pytest.mark.parametrize(
    ("shape", "kind", "stacked"),
    [
        ((4,), BYTE, False),  # the memory of a game console
        ((8, 8), (np.dtype(np.uint8), 0.0, 12.0), False),  # a board
        ((8, 8), UNIT, False),
        ((3, 8, 8), UNIT, True),
        ((3, 8), BYTE, True),
        ((), BYTE, False),
    ],
)
def test_vectors_are_left_alone(
    shape: tuple[int, ...], kind: tuple[np.dtype[np.generic], float, float], stacked: bool
) -> None:
    assert image_layout(shape, *kind, stacked=stacked) is None


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((8, 8, 3), (np.dtype(np.float32), -1.0, 1.0)),
        ((8, 8, 3), (np.dtype(np.float32), 0.0, 255.0)),
        ((8, 8, 3), (np.dtype(np.float64), -np.inf, np.inf)),
        ((2, 2, 8, 8, 3), BYTE),
    ],
)
def test_other_pictures_are_refused(shape: tuple[int, ...], kind: tuple[np.dtype[np.generic], float, float]) -> None:
    with pytest.raises(UnsupportedError, match="wrap the environment"):
        image_layout(shape, *kind, stacked=False)
