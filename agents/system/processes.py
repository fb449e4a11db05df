"""Which process did something, for others to ask later whether it is still there."""

from __future__ import annotations

import platform
from typing import Any

import psutil

#: Seconds by which two looks at the start of one process may differ: the clock is set now and then.
CLOCK = 5.0


def this_process() -> dict[str, Any]:
    """What tells this process apart from all others, as JSON values."""
    process = psutil.Process()
    return {"host": platform.node(), "pid": process.pid, "started": process.create_time()}


def is_there(process: dict[str, Any]) -> bool:
    """Whether the process of that `this_process` has not ended; on another machine nobody knows, and it counts as
    there.
    """
    if process["host"] != platform.node():
        return True
    try:
        found = psutil.Process(process["pid"])
        is_it = abs(found.create_time() - process["started"]) < CLOCK
        return is_it and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
