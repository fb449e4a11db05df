"""Play in a terminal: pictures as half blocks, two pixels of any colour in one character."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from agents.playing.keyboard_terminal import Keyboard
from agents.playing.screen import Picture, ScreenError, fitted, wrapped

#: Another page without a cursor, and back to the page before with its own colours.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[0m\x1b[?25h\x1b[?1049l"
HALF = "▀"  # its foreground is the upper pixel, its background the lower one
CLEAR_REST = "\x1b[0m\x1b[K"
#: Of 256 colours, 16 to 231 are a cube of these levels and 232 to 255 are greys of 8, 18, ... 238.
CUBE_LEVELS = np.array([0, 95, 135, 175, 215, 255])
CUBE_LIMITS = (CUBE_LEVELS[1:] + CUBE_LEVELS[:-1]) / 2


class TerminalScreen:
    """The terminal on standard input and output. Raises `ScreenError` when they are none."""

    def __init__(self) -> None:
        self._keyboard = Keyboard()
        self._drawn: list[str] = []
        self._size = (0, 0)
        self._true_colour = os.name == "nt" or os.environ.get("COLORTERM", "") in ("truecolor", "24bit")

    def __enter__(self) -> Self:
        if not sys.stdout.isatty():
            raise ScreenError("standard output is no terminal")
        if os.environ.get("TERM", "") == "dumb":
            raise ScreenError("this terminal (TERM=dumb) cannot show a picture")
        try:
            HALF.encode(sys.stdout.encoding)
        except UnicodeEncodeError:
            raise ScreenError(f"standard output is {sys.stdout.encoding}, expected UTF-8 (PYTHONUTF8=1)") from None
        self._keyboard.__enter__()
        if os.name == "nt":
            os.system("")  # makes the console understand escape sequences
        self._write(ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with contextlib.suppress(OSError):  # the terminal is gone
                self._write(LEAVE)
        finally:
            self._keyboard.__exit__(kind, error, trace)

    def keys(self, timeout: float) -> list[str]:
        return self._keyboard.keys(timeout)

    def show(self, picture: Picture | None, lines: Sequence[str]) -> None:
        columns, rows = shutil.get_terminal_size()
        if (columns, rows) != self._size:
            self._size, self._drawn = (columns, rows), []
            self._write("\x1b[0m\x1b[2J")
        text = [line[:columns] for line in wrapped(lines, lambda text: len(text) <= columns)][-rows:]
        drawn = half_blocks(picture, columns, rows - len(text), self._true_colour) if picture is not None else []
        drawn = [line + CLEAR_REST for line in [*drawn, *text]]
        drawn += [CLEAR_REST] * (rows - len(drawn))
        before = self._drawn or [""] * rows
        changed = [f"\x1b[{row};1H{line}" for row, line in enumerate(drawn, start=1) if line != before[row - 1]]
        self._drawn = drawn
        self._write("".join(changed))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def half_blocks(picture: Picture, columns: int, rows: int, true_colour: bool) -> list[str]:
    """A picture [H, W, 3] as at most so many lines of so many characters; empty where there is no room."""
    if columns < 1 or rows < 1:
        return []
    height, width, _ = picture.shape
    new = fitted((width, height), (columns, 2 * rows))
    method = Image.Resampling.BOX if new[0] < width else Image.Resampling.NEAREST
    small = np.asarray(Image.fromarray(picture).resize(new, method))
    if len(small) % 2:
        small = np.concatenate([small, np.zeros_like(small[:1])])
    upper, lower = _codes(small[0::2], true_colour), _codes(small[1::2], true_colour)
    lines = []
    for row in range(len(upper)):
        parts: list[str] = []
        before = ("", "")
        for pair in zip(upper[row], lower[row], strict=True):
            if pair != before:
                parts.append(f"\x1b[38;{pair[0]};48;{pair[1]}m")
            parts.append(HALF)
            before = pair
        lines.append("".join(parts))
    return lines


def _codes(pixels: npt.NDArray[Any], true_colour: bool) -> list[list[str]]:
    """The colour of each pixel [H, W, 3] in an escape sequence: of 24 bits, or the nearest of 256."""
    if true_colour:
        return [[f"2;{r};{g};{b}" for r, g, b in row] for row in pixels.tolist()]
    wanted = pixels.astype(np.int64)
    cube = np.digitize(wanted, CUBE_LIMITS)
    grey = np.clip((wanted.mean(axis=2) - 3).astype(np.int64) // 10, 0, 23)
    cube_error = np.abs(CUBE_LEVELS[cube] - wanted).sum(axis=2)
    grey_error = np.abs((8 + 10 * grey)[..., None] - wanted).sum(axis=2)
    index = np.where(grey_error < cube_error, 232 + grey, 16 + cube @ np.array([36, 6, 1]))
    return [[f"5;{code}" for code in row] for row in index.tolist()]
