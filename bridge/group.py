"""Several environments of one kind as one: their rows side by side, their engines at work at the same time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bridge.base import Bridge
from bridge.errors import UsageError
from bridge.types import Int32Array, Steps, concatenate


class Group(Bridge):
    """Sends to all, then receives from all. The rows of `bridges[0]` come first, and so on (see `concatenate`).

    The group owns its bridges and closes them. A failure of one of them is a failure of the group; `reset(seed)` starts
    all of them anew.

    Args:
        bridges: at least one, of the same behaviour, with worker numbers of their own.

    Raises:
        UsageError: they differ in what they observe or do.
    """

    def __init__(self, bridges: Sequence[Bridge]) -> None:
        first = bridges[0]
        for other in bridges[1:]:
            if other.spec != first.spec:
                raise UsageError(
                    f"environments of one group differ: found {other.spec}, expected {first.spec} as the first has."
                )
        super().__init__(first.env_spec, first.spec, first.codec)
        self.simulated = first.simulated
        self.bridges = tuple(bridges)
        self._rows = [0] * len(bridges)  # how many actions each wants

    def _reset(self, seed: int | None) -> Steps:
        return self._joined([bridge.reset(seed) for bridge in self.bridges])

    def _send(self, actions: Int32Array) -> None:
        parts = np.split(actions, np.cumsum(self._rows)[:-1])
        for bridge, part in zip(self.bridges, parts, strict=True):
            bridge.send(part)

    def _receive(self) -> Steps:
        return self._joined([bridge.receive() for bridge in self.bridges])

    def _joined(self, parts: Sequence[Steps]) -> Steps:
        self._rows = [int(part.wants_action.sum()) for part in parts]
        return concatenate(parts)

    def _render(self) -> npt.NDArray[np.uint8]:
        return self.bridges[0].render()

    def _close(self) -> None:
        close_all(self.bridges)


def close_all(bridges: Sequence[Bridge]) -> None:
    """Closes every one of them, also when closing one fails; the first failure is raised at the end."""
    failures: list[BaseException] = []
    for bridge in bridges:
        try:
            bridge.close()
        except BaseException as error:
            failures.append(error)
    if failures:
        raise failures[0]
