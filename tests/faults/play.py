"""Bridges that are asked for faults, and what is done with them in every test here."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil

from bridge import EnvSpec
from bridge.base import Bridge
from bridge.types import Steps
from bridge.unity.bridge import UnityBridge
from tests.players.stamps import PLAYER, Checker


def simulated(*faults: str, target: str = "simulated/GridWorld", **options: object) -> EnvSpec:
    """A simulated build with requests for `--fail`; see `envs.simulated.faults`."""
    args = [part for fault in faults for part in ("--fail", fault)]
    return EnvSpec("unity", target, {"timeout": 20.0, "env_args": args, **options})


def stamped(*faults: str, **options: object) -> EnvSpec:
    """The stamped player, with requests for `--fail`."""
    return simulated(*faults, target=str(PLAYER), **options)


def play(bridge: Bridge, exchanges: int = 30) -> None:
    """Resets and plays at random."""
    rng = np.random.default_rng(0)
    steps = bridge.reset()
    for _ in range(exchanges):
        steps = bridge.step(bridge.spec.actions.sample(steps.deciding.mask, rng))


def play_stamped(bridge: Bridge, checker: Checker, exchanges: int = 30, seed: int | None = None) -> None:
    """The same with a stamped environment; the checker sees all of it."""
    go_on(bridge, checker, reset_stamped(bridge, checker, seed), exchanges)


def reset_stamped(bridge: Bridge, checker: Checker, seed: int | None = None) -> Steps:
    checker.reset()
    steps = bridge.reset(seed)
    checker.observe(steps)
    return steps


def go_on(bridge: Bridge, checker: Checker, steps: Steps, exchanges: int) -> None:
    """Plays at random from these rows on."""
    rng = np.random.default_rng(0)
    for _ in range(exchanges):
        actions = bridge.spec.actions.sample(steps.deciding.mask, rng)
        checker.act(actions)
        steps = bridge.step(actions)
        checker.observe(steps)


def port_of(bridge: Bridge) -> int:
    """On which a lone player's bridge listens."""
    assert isinstance(bridge, UnityBridge)
    return bridge._environment._own_communicator.port


def children() -> list[int]:
    """The process ids of the players."""
    return [child.pid for child in psutil.Process().children()]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Asserts that the block takes less."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@contextmanager
def taken(address: str, port: int = 0) -> Iterator[int]:
    """Somebody else listens there; by default on any free port, which it is."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(1)
        yield server.getsockname()[1]


def can_listen(address: str) -> bool:
    """Whether this machine has it: not all have IPv6."""
    try:
        with taken(address):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port on which nobody listens."""
    with taken("127.0.0.1") as port:
        return port
