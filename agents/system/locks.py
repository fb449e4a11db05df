"""Locks of the operating system on files. They end with their process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Windows keeps others from reading what is locked, so that is a byte far behind the name of the holder.
PLACE = 1 << 30
#: How often the name of a holder is looked for, and after how many seconds each time.
LOOKS, LOOK_SECONDS = 20, 0.1
#: A file system may have no locks, for instance one of another machine.
IMPOSSIBLE = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class HeldError(Exception):
    """Another process holds the lock; the message names it."""


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds the lock on a file, which is made and stays. Where the file system has no locks, nothing is held.

    Raises:
        HeldError: somebody else does, be it in this process.
        OSError: there is no such folder, or nothing may be written there.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _locked(descriptor):
            raise HeldError(_holder(path))
        with contextlib.suppress(OSError):  # a full disk
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            _unlock(descriptor)
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    """Who holds it, who may have got it this moment and not have written its name yet."""
    for _ in range(LOOKS):
        time.sleep(LOOK_SECONDS)
        if name := path.read_text(encoding="utf-8", errors="replace").strip():
            return name
    return "another process"


if sys.platform == "win32":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        os.lseek(descriptor, PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, PLACE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in IMPOSSIBLE:
                raise
        return True

    def _unlock(descriptor: int) -> None:
        """Closing the file does it: no process that we start inherits it."""
