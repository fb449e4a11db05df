from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.system.locks import HeldError, lock

HOLDER = """
import sys
from pathlib import Path
from agents.system.locks import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("end", ["leaves", "is killed"])
def test_one_process_holds_a_lock_until_its_end(end: str, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)
    try:
        with pytest.raises(HeldError, match=f"^process {holder.pid} on "), lock(path):
            pass
    finally:
        if end == "is killed":
            holder.kill()
        holder.communicate()
    with lock(path):
        assert str(os.getpid()) in path.read_text()


def test_a_lock_is_held_once_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path), pytest.raises(HeldError, match=f"process {os.getpid()} "), lock(path):
        pass
    with lock(path):
        pass


def test_what_the_holder_starts_does_not_hold_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with lock(path):
            pass
    finally:
        child.communicate(b"\n")
