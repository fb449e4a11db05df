"""What a person plays on: a picture, some lines of text, and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

#: uint8 [H, W, 3]
Picture = npt.NDArray[np.uint8]
#: What a screen that is closed by the person reports as a key.
CLOSED = "closed"


class Screen(Protocol):
    """A window or a terminal, entered by `with` and put back at its end, whatever happens."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, picture: Picture | None, lines: Sequence[str]) -> None:
        """Draws a picture, as large as there is room, above lines of text."""

    def keys(self, timeout: float) -> list[str]:
        """Names of the keys pressed since the last call (see `agents.playing.keyboard`), or `CLOSED`.

        Waits up to `timeout` seconds for the first one.
        """


class ScreenError(RuntimeError):
    """This kind of screen is not to be had here; the message says why."""


def fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of the same shape that fits into the room, at least 1 x 1."""
    scale = min(room[0] / size[0], room[1] / size[1])
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def wrapped(lines: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Lines of text broken between words into ones that fit; a word that does not fit stays whole."""
    result = []
    for line in lines:
        current = ""
        for word in line.split(" "):
            longer = f"{current} {word}" if current else word
            if current and not fits(longer):
                result.append(current)
                longer = word
            current = longer
        result.append(current)
    return result
