"""Makes `mlagents_envs` importable for the test modules here, and sees to it that no test leaves anything behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psutil
import pytest

import bridge.unity  # noqa: F401


def listening() -> set[int]:
    """The ports on which this process listens."""
    connections = psutil.Process().net_connections("tcp")
    return {item.laddr.port for item in connections if item.status == psutil.CONN_LISTEN}


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("unity-bridge")]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """After each test: no player, no zombie, no listening port, no thread."""
    before = listening()
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + 2
    while (listening() - before or threads()) and time.monotonic() < deadline:
        time.sleep(0.02)  # gRPC closes its sockets in a thread of its own
    assert not listening() - before
    assert not threads()
    remaining = [child for child in psutil.Process().children(recursive=True) if child.pid not in children]
    assert not remaining, f"still there: {remaining}"
