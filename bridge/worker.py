"""`python -m bridge.worker`: a process that opens one environment and serves it to `bridge.remote` over a socket.

It is told what to open in the first message. It ends with its parent, also when its environment hangs, and whatever it
has started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.channel import Channel, ClosedError, inherited_socket
from bridge.connect import connect
from bridge.errors import BridgeError, ConnectionLostError, LaunchError
from bridge.process import ChildProcess

#: Lines of a traceback that go into the message about an environment's own error.
TRACEBACK_LINES = 6


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which will close us
    ChildProcess.leads_group = False  # a player that hangs ends with us, who may be killed
    channel = Channel(inherited_socket(arguments[0], sys.stdin.buffer))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(ClosedError):
        _serve(channel)
    return 0


def _serve(channel: Channel) -> None:
    spec, worker, incarnation = channel.receive()
    try:
        bridge = _translated(LaunchError, partial(connect, spec, worker=worker, incarnation=incarnation))
    except BridgeError as error:
        channel.send(error)
        return
    with bridge:
        channel.send((bridge.spec, bridge.codec, bridge.simulated))
        methods: dict[str, Callable[..., Any]] = {
            "reset": bridge.reset,
            "step": bridge.step,
            "render": bridge.render,
            "snapshot": bridge.snapshot,
            "resume": bridge.resume,
        }
        while True:
            name, arguments = channel.receive()
            try:
                answer = _translated(ConnectionLostError, partial(methods[name], *arguments))
            except BridgeError as error:
                answer = error
            channel.send(answer)


def _translated(kind: type[BridgeError], call: Callable[[], Any]) -> Any:
    """The call's result. An error of the environment itself, which may not even exist elsewhere, becomes a `kind`."""
    try:
        return call()
    except BridgeError:
        raise
    except Exception as error:
        lines = traceback.format_exc().rstrip().splitlines()[-TRACEBACK_LINES:]
        what = f"the environment raised {type(error).__name__}: {error}"
        raise kind("\n".join([what, *lines])) from error


def _end_with_parent() -> None:
    """Our end of its pipe reports the parent's death, however it died."""
    os.read(sys.stdin.fileno(), 1)  # unbuffered: at the end, Python waits for whoever holds the buffer
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # us, and a player that hangs
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
