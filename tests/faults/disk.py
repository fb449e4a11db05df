"""A small disk of its own, which really is full when it is full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

#: As whoever may mount a disk (root), or as root of a user namespace, where the system lets everybody have one.
WAYS = ((), ("--map-root-user",))
MOUNT = 'mount -t tmpfs -o size="$2" none "$1" && echo mounted && exec cat'


class Disk:
    """A file system in memory, mounted over a folder of this test in a name space that a process of ours holds.

    It is gone with that process, which ends with this one, however this one ends. Only programs that are started with
    `prefix` see it under its own path.

    Args:
        folder: where they see it; made if it is not there.
        size: as `mount` understands it, such as 16m.
    """

    def __init__(self, folder: Path, size: str) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        refusals = []
        for way in WAYS:
            self._holder = subprocess.Popen(
                ["unshare", "--mount", *way, "sh", "-c", MOUNT, "sh", str(folder), size],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert self._holder.stdout is not None
            if self._holder.stdout.readline():
                user = ["--user", "--preserve-credentials"] if way else []
                self.prefix = ["nsenter", "--target", str(self._holder.pid), "--mount", *user]
                return
            refusals.append(self._holder.communicate()[1].strip())
        pytest.skip(f"no file system may be mounted here: {'; '.join(refusals)}")

    def seen(self, path: Path) -> Path:
        """A path on the disk as we see it."""
        return Path(f"/proc/{self._holder.pid}/root") / path.relative_to("/")

    def fill(self, room: int) -> None:
        """Leaves so many bytes, or fewer."""
        disk = os.statvfs(self.seen(self._folder))
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - room)))

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.seen(self._folder) / "ballast"

    def close(self) -> None:
        self._holder.communicate()
