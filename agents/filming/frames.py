"""Pictures out of videos."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from agents.filming.video import Picture


def frames(path: Path, count: int) -> list[Picture]:
    """Up to so many pictures, evenly spaced, the first and the last among them. uint8 [H, W, 3] each.

    Raises:
        ValueError: it is no video that can be read.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no pictures.")
            total = container.streams.video[0].frames
            wanted = set(np.linspace(0, total - 1, count).round().astype(int).tolist())
            decoded = enumerate(container.decode(video=0))
            return [
                np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for index, frame in decoded if index in wanted
            ]
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
