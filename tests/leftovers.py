"""What a test must not leave behind."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import psutil

PATIENCE_SECONDS = 3.0


def listening() -> set[int]:
    """The ports on which this process listens."""
    connections = psutil.Process().net_connections("tcp")
    return {item.laddr.port for item in connections if item.status == psutil.CONN_LISTEN}


def children() -> set[psutil.Process]:
    """Every process that this one has started, also those that ended and were not waited for."""
    return set(psutil.Process().children(recursive=True))


def nothing_left() -> Iterator[None]:
    """The body of a fixture: after the test there is no new player, zombie, listening port or thread."""
    ports, processes, threads = listening(), children(), set(threading.enumerate())
    yield
    left = children() - processes
    for process in left:  # or the tests after this one would find them, too
        process.kill()
        process.wait()
    assert not left, f"still there: {left}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Threads end by themselves, and gRPC closes its sockets in one of its own.
    while (listening() - ports or set(threading.enumerate()) - threads) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not listening() - ports
    assert not set(threading.enumerate()) - threads


def kill_family(process: psutil.Popen) -> None:
    """Ends a process of this one and whatever it has started, and waits for it: no test after this one finds them."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
    process.wait()


def ended(process: psutil.Process) -> bool:
    """Whether it ends within 5 s; otherwise it is killed. Whoever inherits it may leave it a zombie."""
    deadline = time.monotonic() + 5
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                process.kill()
                return False
            time.sleep(0.02)
    return True
