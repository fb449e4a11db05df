"""Notices a camera that does not draw."""

from __future__ import annotations

import logging

import numpy as np

from bridge.types import Array, BehaviorSpec, Steps

LOG = logging.getLogger("bridge.unity")
#: Exchanges with the very same picture of every agent after which a warning is due.
PATIENCE = 64


class PictureWatch:
    """Warns once for each image sensor that shows every agent the same picture `PATIENCE` exchanges long.

    Without a graphics device (`no_graphics`, a server build) Unity sends empty pictures and says nothing. A sensor
    whose picture changes once is trusted for good, so watching costs nothing after the first few exchanges.
    """

    def __init__(self, spec: BehaviorSpec) -> None:
        self._spec = spec
        self._constant: dict[int, Array | None] = {
            index: None for index, item in enumerate(spec.observations) if item.kind == "image"
        }
        self._exchanges = 0

    def look(self, steps: Steps) -> None:
        if not self._constant or not len(steps):
            return
        self._exchanges += 1
        for index, first in list(self._constant.items()):
            pictures = steps.obs[index]
            if first is None:
                self._constant[index] = first = pictures[0].copy()
            if not np.array_equal(np.broadcast_to(first, pictures.shape), pictures):
                del self._constant[index]
            elif self._exchanges >= PATIENCE:
                del self._constant[index]
                LOG.warning(
                    "the image %r of behaviour %r has been the same for %d exchanges: a camera draws nothing with "
                    "no_graphics or without a display; run under xvfb-run instead.",
                    self._spec.observations[index].name,
                    self._spec.name,
                    self._exchanges,
                )
