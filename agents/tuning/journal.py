"""Optuna's journal of a study, a file that several processes write, each of which may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from agents.system.locks import HeldError, lock

NAME, LOCK = "journal.log", ".lock"
#: Seconds that a process waits for the others, which hold the lock for fractions of one.
PATIENCE = 60.0


class JournalLock(JournalFileOpenLock):
    """One process at a time; the system opens it when its holder dies. May be taken again by who has it.

    Optuna's own locks are files that are there or not, which a process that is killed leaves behind for 30 seconds.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._depth = 0
        self._held = contextlib.ExitStack()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a process has ever had the lock of that folder."""
        return (folder / LOCK).exists()

    def acquire(self) -> bool:
        """Raises `OSError` when another process has it for longer than `PATIENCE`."""
        if not self._depth:
            deadline = time.monotonic() + PATIENCE
            while not self._taken(deadline):
                time.sleep(0.002)
        self._depth += 1
        if self._depth == 1:
            self._mend()
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._held.close()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _taken(self, deadline: float) -> bool:
        try:
            self._held.enter_context(lock(self._folder / LOCK))
        except HeldError as error:
            if time.monotonic() > deadline:
                raise OSError(f"{error} keeps the study {self._folder} for longer than {PATIENCE:g} s.") from None
            return False
        return True

    def _mend(self) -> None:
        """Drops an unfinished last line, of a process that was killed or a disk that was full."""
        journal = self._folder / NAME
        if not journal.exists():
            return
        with journal.open("r+b") as file:
            if not file.seek(0, os.SEEK_END):
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(folder: Path, journal_lock: JournalLock) -> JournalStorage:
    """The study's journal, made if there is none."""
    return JournalStorage(JournalFileBackend(str(folder / NAME), journal_lock))
