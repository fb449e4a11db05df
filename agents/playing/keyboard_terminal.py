"""Single keys from a terminal, without Enter: termios where there is one, the console on Windows."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from types import TracebackType
from typing import Self

from agents.playing.screen import CLOSED, ScreenError

#: What terminals send for the arrows, in normal and in application mode.
ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
ESCAPES = {f"\x1b{mode}{letter}": name for mode in "[O" for letter, name in ARROWS.items()}
CHARACTERS = {" ": "space", "\r": "enter", "\n": "enter"}
#: The second half of an arrow key on a Windows console.
CONSOLE = {"H": "up", "P": "down", "M": "right", "K": "left"}
LONGEST = 32


class KeyDecoder:
    """From what a terminal sends to names of keys; keeps the beginning of a sequence until its rest has come."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """The keys that are complete now."""
        self._text += text
        keys = []
        while self._text:
            length = self._sequence() if self._text[0] == "\x1b" else 1
            if length is None:
                break
            sent, self._text = self._text[:length], self._text[length:]
            name = ESCAPES.get(sent) or CHARACTERS.get(sent) or (sent.lower() if len(sent) == 1 else "")
            if name and name.isprintable():
                keys.append(name)
        return keys

    def _sequence(self) -> int | None:
        """How long the escape sequence at the beginning is; None while it goes on."""
        if len(self._text) < 2:
            return None
        if self._text[1] not in "[O":
            return 1  # the escape key, and then another
        for index, character in enumerate(self._text[2:LONGEST], start=2):
            if "@" <= character <= "~":
                return index + 1
        return None if len(self._text) < LONGEST else LONGEST


if sys.platform == "win32":
    import msvcrt

    POLL_SECONDS = 0.01

    class Keyboard:
        """The keys of this console."""

        def __enter__(self) -> Self:
            if not sys.stdin.isatty():
                raise ScreenError("standard input is no console")
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            while msvcrt.kbhit():
                msvcrt.getwch()

        def keys(self, timeout: float) -> list[str]:
            """See `Screen.keys`."""
            deadline = time.monotonic() + timeout
            while not msvcrt.kbhit() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            found = []
            while msvcrt.kbhit():
                character = msvcrt.getwch()
                if character == "\x03":
                    raise KeyboardInterrupt
                name = CONSOLE.get(msvcrt.getwch(), "") if character in "\x00\xe0" else CHARACTERS.get(character)
                name = character.lower() if name is None else name
                if name.isprintable() and name:
                    found.append(name)
            return found

else:
    import codecs
    import select
    import termios

    class Keyboard:
        """The keys of the terminal on standard input; Ctrl-C stays a signal, Ctrl-Z does nothing."""

        def __init__(self) -> None:
            self._file = -1
            self._decoder = KeyDecoder()
            self._utf8 = codecs.getincrementaldecoder("utf-8")("ignore")
            self._settings: list[int | list[bytes | int]] = []

        def __enter__(self) -> Self:
            try:
                self._file = sys.stdin.fileno()
                self._settings = termios.tcgetattr(self._file)
            except (OSError, ValueError, AttributeError, termios.error):
                raise ScreenError("standard input is no terminal") from None
            raw = termios.tcgetattr(self._file)
            flags, characters = raw[3], raw[6]
            assert isinstance(flags, int)
            assert isinstance(characters, list)
            raw[3] = flags & ~(termios.ICANON | termios.ECHO)
            characters[termios.VMIN], characters[termios.VTIME] = 1, 0
            # A suspended program would leave the shell without its terminal.
            characters[termios.VSUSP] = bytes([os.fpathconf(self._file, "PC_VDISABLE") & 0xFF])
            termios.tcsetattr(self._file, termios.TCSADRAIN, raw)
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._file, termios.TCSAFLUSH, self._settings)

        def keys(self, timeout: float) -> list[str]:
            """See `Screen.keys`."""
            deadline = time.monotonic() + timeout
            while True:
                ready, _, _ = select.select([self._file], [], [], max(0.0, deadline - time.monotonic()))
                if not ready:
                    return []
                sent = os.read(self._file, 1024)
                if not sent:
                    return [CLOSED]
                if keys := self._decoder.feed(self._utf8.decode(sent)):
                    return keys
