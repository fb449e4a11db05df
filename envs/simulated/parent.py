"""The process that started the player: whether it is still there, where no connection could break yet."""

from __future__ import annotations

import os
import socket

#: By this environment variable a trainer tells its process id to the players that it starts. It listens already.
VARIABLE = "DQN_BRIDGE_TRAINER"
#: A machine connects to itself, or is refused, within milliseconds.
PROBE_SECONDS = 1.0


class Parent:
    """What can be seen of it from here. Without `VARIABLE` it is known from now on only: it may have ended before."""

    def __init__(self) -> None:
        told = os.environ.get(VARIABLE, "")
        self._parent = os.getppid()
        self._trainer = int(told) if told.isdecimal() else None

    def is_gone(self) -> bool:
        """Whether it has ended. Where the system does not tell (Windows), it never has."""
        if self._trainer in (None, self._parent):
            return os.getppid() != self._parent
        # A wrapper script lies between, or it had ended when we looked for the first time.
        return os.name == "posix" and not _lives(self._trainer or 0)

    def is_deaf(self, port: int) -> bool:
        """Whether it listened there when it started us and nobody does now, as the system tells everywhere."""
        if self._trainer is None:  # a person, or another client: they may listen later
            return False
        try:
            socket.create_connection(("127.0.0.1", port), PROBE_SECONDS).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
