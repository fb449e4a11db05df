"""The top-down picture: which thing each pixel shows, and its colour.

An orthographic camera above the middle of the grid sees `size` units in 64 rows, pixels square and sampled at their
centres. The labels equal those of 53 frames recorded from Unity, pixel for pixel. The colours are the most frequent
ones of those frames; the floor is flat, without the soft shadows of the recording's old renderer, which current builds
do not draw. Of the two candidates for its colour, 70,73,78 (the recording's median) and 71,74,79 (its unshadowed mode),
the first is nearer both to the recording and to a published screen recording of a current build. What lies beyond the
walls (seen from size 7 on) is not known: sky, or a neighbouring area's floor. It gets the wall's colour, also with nine
areas.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gridworld.rules import Board, Cell

HEIGHT, WIDTH = 64, 84


class Label(IntEnum):
    """What a pixel shows."""

    FLOOR = 0
    WALL = 1
    PLUS = 2
    EX = 3
    AGENT = 4
    BEYOND = 5  # outside the walls, seen from size 7 on


PALETTE = np.array(
    [
        (70, 73, 78),
        (137, 139, 143),
        (140, 238, 151),
        (238, 92, 75),
        (62, 195, 255),
        (137, 139, 143),  # stands in for the unknown
    ],
    dtype=np.uint8,
)


class _Grid(NamedTuple):
    """Where each pixel's centre lies on a grid: in cells, and which are floor, wall and beyond."""

    x: NDArray[np.float64]  # [1, 84]
    z: NDArray[np.float64]  # [64, 1]
    empty: NDArray[np.uint8]  # [64, 84], the labels of a board without things


@lru_cache(maxsize=16)
def _grid(size: int) -> _Grid:
    middle = (size - 1) / 2
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) * size / HEIGHT
    z = (HEIGHT / 2 - np.arange(HEIGHT) - 0.5) * size / HEIGHT
    side = np.abs(x)
    columns = np.where(side < size / 2, Label.FLOOR, np.where(side < size / 2 + 1, Label.WALL, Label.BEYOND))
    empty = np.broadcast_to(columns.astype(np.uint8), (HEIGHT, WIDTH)).copy()
    return _Grid((x + middle)[None, :], (z + middle)[:, None], empty)


def labels(board: Board, agent: Cell) -> NDArray[np.uint8]:
    """Which thing each pixel shows: uint8 [64, 84] of `Label`, row 0 at the largest z. The agent lies on top."""
    grid = _grid(board.size)
    picture = grid.empty.copy()
    for x, z in board.pluses:
        picture[_cross(np.abs(grid.x - x), np.abs(grid.z - z))] = Label.PLUS
    for x, z in board.exes:
        dx, dz = grid.x - x, grid.z - z
        picture[_cross(np.abs(dx + dz) / 2**0.5, np.abs(dx - dz) / 2**0.5)] = Label.EX
    distance = np.maximum(np.abs(grid.x - agent[0]), np.abs(grid.z - agent[1]))
    picture[(distance < 0.5) & (distance >= 0.3)] = Label.AGENT
    return picture


def rgb(board: Board, agent: Cell) -> NDArray[np.uint8]:
    """The picture in colours: uint8 [64, 84, 3], row 0 on top."""
    return PALETTE[labels(board, agent)]


def _cross(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Two crossing bars, one unit long and 0.2 wide, from the distances to their axes."""
    return ((u < 0.5) & (v < 0.1)) | ((u < 0.1) & (v < 0.5))
