"""Players whose trainer is killed while they start, who have no connection yet that could break."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bridge.unity.communicator import open_port
from tests.faults.counts import counts
from tests.faults.play import free_port
from tests.leftovers import ended

ROOT = Path(__file__).parents[2]
#: Starts a player, tells its process id and never talks to it.
TRAINER = """
import sys, time
from bridge import EnvSpec
from bridge.unity import UnityLauncher
port, *args = sys.argv[1:]
launcher = UnityLauncher(EnvSpec("unity", "simulated/GridWorld", {"base_port": int(port), "env_args": args}), 0, 0)
launcher.start()
print(launcher._launcher._started[1].pid, flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a killed process is not seen by its children")


@contextmanager
def trainer(port: int, *args: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A trainer on this port and its player, which has just been started."""
    command = [sys.executable, "-c", TRAINER, str(port), *args]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        player = psutil.Process(int(process.stdout.readline()))
        try:
            yield process, player
        finally:
            process.kill()


@counts(3, 20)
@pytest.mark.parametrize("args", [(), ("--fail", "never-connect")], ids=["starting", "hanging"])
def test_a_player_leaves_and_talks_to_no_other_trainer(args: tuple[str, ...], count: int) -> None:
    rng = random.Random(0)
    for round_ in range(count):
        port = free_port()
        with trainer(port, *args) as (process, player):
            time.sleep(rng.uniform(0.0, 1.5) if round_ else 0.0)
            process.kill()
            process.wait()
            other = open_port(port, timeout=1.0, search=False)  # the next one to use this port
            try:
                assert ended(player), round_
                assert other.peer is None
            finally:
                other.close()


@counts(1, 10)
def test_a_player_leaves_whose_killed_trainer_nobody_has_waited_for(count: int) -> None:
    """Its process id is still there, but nobody listens."""
    rng = random.Random(0)
    for round_ in range(count):
        with trainer(free_port()) as (process, player):
            time.sleep(rng.uniform(0.0, 1.5) if round_ else 0.0)
            process.kill()
            assert ended(player), round_
