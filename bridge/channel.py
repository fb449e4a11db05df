"""Python objects between a process and a child of it, over a pair of sockets that nobody else can reach."""

from __future__ import annotations

import contextlib
import pickle
import socket
import struct
import sys
import time
from typing import IO, Any

LENGTH = struct.Struct("<Q")


class ClosedError(Exception):
    """The other side is gone."""


class SilentError(Exception):
    """The other side said nothing in time. It may still do so, too late: kill it."""


class Channel:
    """One end. Messages are pickles, so both ends must be ours."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, message: object, timeout: float | None = None) -> None:
        """The other side may read it later.

        Args:
            timeout: seconds to wait for it where the message is larger than what waits meanwhile; None: for ever.

        Raises:
            ClosedError: the other side is gone.
            SilentError: it did not read in time.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(LENGTH.pack(len(data)) + data)
        except TimeoutError:
            raise SilentError from None
        except OSError as error:
            raise ClosedError from error

    def receive(self, timeout: float | None = None) -> Any:
        """The next message.

        Args:
            timeout: seconds for all of it; None waits for ever.

        Raises:
            ClosedError: the other side is gone.
            SilentError: it said nothing, or not all, in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, deadline))
        return pickle.loads(self._exactly(length, deadline))

    def _exactly(self, size: int, deadline: float | None) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise SilentError
            try:
                self._socket.settimeout(left)
                count = self._socket.recv_into(view)
            except TimeoutError:
                raise SilentError from None
            except OSError as error:
                raise ClosedError from error
            if count == 0:
                raise ClosedError
            view = view[count:]
        return data

    def close(self) -> None:
        """A `receive` that waits in another thread ends with `ClosedError`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def inherited_socket(number: str, stdin: IO[bytes]) -> socket.socket:
    """In the child: the socket that `hand_over` gave it."""
    if sys.platform == "win32":
        (length,) = LENGTH.unpack(stdin.read(LENGTH.size))
        return socket.fromshare(stdin.read(length))
    return socket.socket(fileno=int(number))


def hand_over(end: socket.socket, pid: int, stdin: IO[bytes]) -> None:
    """In the parent, once the child runs: elsewhere it is inherited, Windows duplicates it for a known process."""
    if sys.platform == "win32":
        shared = end.share(pid)
        stdin.write(LENGTH.pack(len(shared)) + shared)
        stdin.flush()
    end.close()
