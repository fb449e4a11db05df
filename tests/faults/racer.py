"""Opens a bridge to a stamped player at a word on its standard input, and tells what came of it, again and again.

`python -m tests.faults.racer PORT FIXED`: the port to begin with, and whether to insist on it (1) or search on (0).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import psutil

from bridge import EnvSpec, UsageError, connect
from bridge.unity import launcher
from tests.faults.play import play_stamped, port_of
from tests.players.stamps import PLAYER, Checker, Stamp


def race(options: dict[str, Any]) -> dict[str, Any]:
    start = time.monotonic()
    try:
        bridge = connect(EnvSpec("unity", str(PLAYER), {"timeout": 30.0, **options}))
    except UsageError as error:
        return {"error": str(error), "seconds": time.monotonic() - start}
    with bridge:
        (player,) = psutil.Process().children()
        checker = Checker()
        play_stamped(bridge, checker, 20)
        checker.verify()
        writer = Stamp.of(bridge.reset().obs[0][0]).process
        # Held until all have played, so that they run at the same time.
        sys.stdout.write(json.dumps({"port": port_of(bridge), "own player": writer == player.pid}) + "\n")
        sys.stdout.flush()
        sys.stdin.readline()
    return {}


def main() -> None:
    port, fixed = map(int, sys.argv[1:])
    launcher.FIRST_PORT = port
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    while sys.stdin.readline():
        sys.stdout.write(json.dumps(race({"base_port": port} if fixed else {})) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
