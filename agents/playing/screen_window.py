"""Play in a window of pygame, which gymnasium's classic control brings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame greets on standard output when it is imported

import pygame

from agents.playing.screen import CLOSED, Picture, ScreenError, fitted, wrapped

WIDTH, HEIGHT = 720, 540  # of the picture at first, in pixels
MARGIN = 8
FONT_SIZE = 20
BACKGROUND, FOREGROUND = (24, 24, 28), (230, 230, 230)
NAMES = {
    pygame.K_LEFT: "left",
    pygame.K_RIGHT: "right",
    pygame.K_UP: "up",
    pygame.K_DOWN: "down",
    pygame.K_SPACE: "space",
    pygame.K_RETURN: "enter",
    pygame.K_KP_ENTER: "enter",
}
#: A key that is held comes again: milliseconds until the first time, and from then on.
REPEAT = (300, 80)
#: The window was covered, or has another size.
REDRAW = (pygame.VIDEOEXPOSE, pygame.VIDEORESIZE)
#: Between two looks at the keys: pygame's own wait would keep Python from answering signals.
POLL_SECONDS = 0.01


class WindowScreen:
    """A window. Raises `ScreenError` where there is no display to open it on."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown: tuple[Picture | None, Sequence[str]] = None, ()

    def __enter__(self) -> Self:
        is_unix = os.name == "posix" and sys.platform != "darwin"
        if is_unix and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ScreenError("there is no display (DISPLAY and WAYLAND_DISPLAY are not set)")
        # Drawn without OpenGL: its context and that of an environment that draws with MuJoCo would crash each other.
        os.environ["SDL_FRAMEBUFFER_ACCELERATION"] = "0"
        try:
            pygame.display.init()
            pygame.font.init()
            self._font = pygame.font.Font(None, FONT_SIZE)
            lines = 6 * self._font.get_linesize()
            pygame.display.set_caption(self._title)
            self._surface = pygame.display.set_mode((WIDTH, HEIGHT + lines), pygame.RESIZABLE)
        except pygame.error as error:
            pygame.quit()
            raise ScreenError(f"no window can be opened ({error})") from None
        pygame.key.set_repeat(*REPEAT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pygame.quit()

    def show(self, picture: Picture | None, lines: Sequence[str]) -> None:
        self._shown = picture, lines
        self._surface.fill(BACKGROUND)
        width, height = self._surface.get_size()
        text = wrapped(lines, lambda line: self._font.size(line)[0] <= width - 2 * MARGIN)
        top = height - len(text) * self._font.get_linesize() - MARGIN
        for number, line in enumerate(text):
            place = (MARGIN, top + number * self._font.get_linesize())
            self._surface.blit(self._font.render(line, True, FOREGROUND), place)
        room = (width - 2 * MARGIN, top - 2 * MARGIN)
        if picture is not None and min(room) > 0:
            image = pygame.image.frombuffer(picture.tobytes(), (picture.shape[1], picture.shape[0]), "RGB")
            size = fitted(image.get_size(), room)
            scale = pygame.transform.smoothscale if size[0] < picture.shape[1] else pygame.transform.scale
            self._surface.blit(scale(image, size), ((width - size[0]) // 2, MARGIN))
        pygame.display.flip()

    def keys(self, timeout: float) -> list[str]:
        deadline = time.monotonic() + timeout
        while True:
            events = pygame.event.get()
            if any(event.type in REDRAW for event in events):
                self.show(*self._shown)
            found = [name for event in events if (name := _name(event))]
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(left, POLL_SECONDS))


def _name(event: pygame.event.Event) -> str:
    """The name of the key that was pressed; empty for any other event."""
    if event.type == pygame.QUIT:
        return CLOSED
    if event.type != pygame.KEYDOWN:
        return ""
    text = NAMES.get(event.key) or event.unicode.lower()
    return text if text.isprintable() else ""
