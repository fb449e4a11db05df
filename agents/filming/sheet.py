"""What agents observe as pictures, all of it as one for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: Smaller pictures are enlarged by a whole factor up to this height, in pixels.
HEIGHT = 168
GAP = 4

UInt8Array = npt.NDArray[np.uint8]


def sheet(rows: Sequence[Sequence[UInt8Array]]) -> UInt8Array:
    """Pictures [C, H, W] side by side, a row for each sensor, as one uint8 [H, W, 3]."""
    rows = [[_enlarged(picture) for picture in row] for row in rows if row]
    width = max((sum(picture.shape[1] + GAP for picture in row) for row in rows), default=GAP) - GAP
    lines: list[npt.NDArray[Any]] = []
    for row in rows:
        line = np.full((max(len(picture) for picture in row) + GAP, max(width, 1), 3), 255, np.uint8)
        left = 0
        for picture in row:
            line[: len(picture), left : left + picture.shape[1]] = picture
            left += picture.shape[1] + GAP
        lines.append(line)
    return np.concatenate(lines)[:-GAP] if lines else np.full((1, 1, 3), 255, np.uint8)


def _enlarged(picture: UInt8Array) -> UInt8Array:
    """[C, H, W] as RGB [H, W, 3]; of stacked pictures the latest, which is the last."""
    channels, height, _ = picture.shape
    if channels < 3:
        picture = np.repeat(picture[-1:], 3, axis=0)
    else:
        picture = picture[-3:] if channels % 3 == 0 else np.repeat(picture[-1:], 3, axis=0)
    factor = max(1, HEIGHT // height)
    return np.ascontiguousarray(picture.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1))
