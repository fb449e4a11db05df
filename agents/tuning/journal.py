"""Optuna's journal of a study, a file that several processes write, each of which may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

NAME, LOCK = "journal.log", "journal.lock"
#: Seconds that a process waits for the others, which hold the lock for fractions of one.
PATIENCE = 60.0


class JournalLock(JournalFileOpenLock):
    """One process at a time; the system opens it when its holder dies. May be taken again by who has it.

    It is SQLite's lock of an empty database, which is there on every system. Optuna's own locks are files, which a
    process that is killed leaves behind for 30 seconds.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = folder / NAME
        self._connection = sqlite3.connect(folder / LOCK, timeout=PATIENCE, isolation_level=None)
        self._depth = 0

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a process has ever had the lock of that folder."""
        return (folder / LOCK).exists()

    def acquire(self) -> bool:
        """Raises `OSError` when another process has it for longer than `PATIENCE`."""
        if not self._depth:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise OSError(f"the study's lock {self._journal.with_name(LOCK)} cannot be had: {error}.") from None
        self._depth += 1
        if self._depth == 1:
            self._mend()
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def close(self) -> None:
        self._connection.close()

    def _mend(self) -> None:
        """Drops an unfinished last line, of a process that was killed or a disk that was full."""
        if not self._journal.exists():
            return
        with self._journal.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                return
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(folder: Path, lock: JournalLock) -> JournalStorage:
    """The study's journal, made if there is none."""
    return JournalStorage(JournalFileBackend(str(folder / NAME), lock))
