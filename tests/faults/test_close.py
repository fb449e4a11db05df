"""`close()` in every state of the player: in time, for good, and as often as one likes."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from bridge import connect
from bridge.base import Bridge
from bridge.errors import BridgeError, SequenceError
from tests.faults.counts import counts
from tests.faults.play import children, play, simulated, within

if sys.platform == "win32":
    pytest.skip("players are stopped by signals", allow_module_level=True)


def hung(**options: object) -> Bridge:
    """A bridge whose players are stopped in mid-run."""
    bridge = connect(simulated(**options))
    play(bridge, 3)
    for player in children():
        os.kill(player, signal.SIGSTOP)
    return bridge


@counts(1, 5)
@pytest.mark.parametrize("players", [1, 3])
def test_hung_players_are_gone_within_five_seconds(players: int, count: int) -> None:
    for _ in range(count):
        bridge = hung(num_envs=players)
        found = children()
        assert len(found) == players
        with within(5):
            bridge.close()
        assert not any(psutil.pid_exists(player) for player in found), "killed and reaped"
        with within(0.1):
            bridge.close()
            bridge.close()
        with pytest.raises(SequenceError, match="is closed"):
            bridge.reset()


CALLS: dict[str, Callable[[Bridge], object]] = {
    "reset": Bridge.reset,
    "reset with a seed": lambda bridge: bridge.reset(5),
    "step": lambda bridge: bridge.step([[0]]),
}


@counts(1, 5)
@pytest.mark.parametrize("call", list(CALLS))
def test_close_in_another_thread_ends_a_call_that_waits(call: str, count: int) -> None:
    for _ in range(count):
        bridge = hung()
        errors: list[BaseException] = []

        def wait(waiting: Bridge = bridge, errors: list[BaseException] = errors) -> None:
            try:
                CALLS[call](waiting)
            except BaseException as failure:
                errors.append(failure)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)  # it waits now; if not yet, close() comes before, which must be as good
        with within(5):
            bridge.close()
            thread.join()
        assert [isinstance(error, BridgeError) for error in errors] == [True], errors
        assert not children()


@counts(1, 5)
def test_an_interrupt_during_a_reset_ends_the_player(count: int) -> None:
    for _ in range(count):
        bridge = hung()
        timer = threading.Timer(0.3, _thread.interrupt_main)
        timer.start()
        with within(0.3 + 5), pytest.raises(KeyboardInterrupt):
            bridge.reset()
        timer.join()
        assert not children()
        bridge.close()


@counts(3, 20)
@pytest.mark.parametrize("max_restarts", [0, 1])
def test_close_during_the_launch_of_a_reset_with_a_seed_leaves_nothing(max_restarts: int, count: int) -> None:
    for number in range(count):
        bridge = connect(simulated(max_restarts=max_restarts))
        bridge.reset()
        (first,) = children()

        def reset(bridge: Bridge = bridge) -> None:
            with contextlib.suppress(BridgeError):  # or close() came after it
                bridge.reset(5)

        thread = threading.Thread(target=reset)
        thread.start()
        while first in children():
            time.sleep(0.005)
        time.sleep(0.04 * (number % 5))  # before its process is there, while it starts, ...
        with within(5):
            bridge.close()
            thread.join()
        assert not children()


def test_an_interrupt_during_the_start_leaves_nothing() -> None:
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with within(6), pytest.raises(KeyboardInterrupt):
        connect(simulated("never-connect"))
    timer.join()
    assert not children()
