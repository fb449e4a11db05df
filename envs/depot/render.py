"""What the two cameras of a Carrier see: the bay from above in colours, and what is ahead in grays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.depot.rules import HEADINGS, Crate, Floor

HEIGHT, WIDTH = 24, 32  # the bay, and a margin of four columns on each side
FORK_SIDE, FORK_BORDER = 16, 3

FLOOR, MARGIN, CARRIER, NOSE = (60, 62, 66), (130, 132, 136), (50, 140, 240), (250, 250, 250)
CRATES = {Crate.RED: (220, 60, 50), Crate.GREEN: (60, 190, 90)}
FORK_FLOOR, FORK_WALL = 40, 100
FORK_CRATES = {Crate.RED: 160, Crate.GREEN: 230}


def overview(floor: Floor) -> NDArray[np.uint8]:
    """The bay from above: uint8 [24, 32, 3], north on top, pixels sampled at their centres."""
    along = (np.arange(HEIGHT) + 0.5) * floor.size / HEIGHT  # in cells from the south or west edge
    picture = np.full((HEIGHT, HEIGHT, 3), FLOOR, np.uint8)
    for crate, cell in zip(Crate, floor.crates, strict=True):
        dx, dz = _offsets(along, cell)
        picture[np.maximum(np.abs(dx), np.abs(dz)) < 0.4] = CRATES[crate]
    dx, dz = _offsets(along, floor.carrier)
    inside = np.maximum(np.abs(dx), np.abs(dz)) < 0.5
    ahead_x, ahead_z = HEADINGS[floor.heading]
    picture[inside] = CARRIER
    picture[inside & (dx * ahead_x + dz * ahead_z > 0.1)] = NOSE
    margin = np.full((HEIGHT, (WIDTH - HEIGHT) // 2, 3), MARGIN, np.uint8)
    return np.concatenate([margin, picture, margin], axis=1)


def fork(floor: Floor) -> NDArray[np.uint8]:
    """What is ahead of the Carrier: uint8 [16, 16, 1]. Floor or wall everywhere, or a crate with floor around it."""
    crate = floor.crate_ahead
    picture = np.full((FORK_SIDE, FORK_SIDE, 1), FORK_FLOOR if floor.has(floor.ahead) else FORK_WALL, np.uint8)
    if crate is not None:
        picture[FORK_BORDER:-FORK_BORDER, FORK_BORDER:-FORK_BORDER] = FORK_CRATES[crate]
    return picture


def _offsets(along: NDArray[np.float64], cell: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each pixel lies from the middle of a cell: dx [1, 24] to the east, dz [24, 1] to the north."""
    dx = (along - cell[0] - 0.5)[None, :]
    dz = (along[::-1] - cell[1] - 0.5)[:, None]
    return np.broadcast_arrays(dx, dz)  # type: ignore[return-value]
