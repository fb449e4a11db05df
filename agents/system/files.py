"""Files that are there as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: Ending of files that are being written.
PARTIAL = ".partial"


def write_whole(path: Path, text: str) -> None:
    """Writes UTF-8. A kill at any moment, or a full disk, leaves what was there before.

    Raises:
        OSError: the disk is full, for instance.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def append_whole(path: Path, data: bytes) -> None:
    """Adds bytes to a file: all of them, or none if the disk is full. A kill may leave a part of them.

    Raises:
        OSError: the disk is full, for instance.
    """
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(data):  # a disk that is nearly full takes a part
                written += file.write(data[written:]) or 0
        except OSError:
            file.truncate(before)
            raise


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
