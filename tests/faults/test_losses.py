"""Players that are lost in mid-run: what is said, and that nothing which they still say is ever used."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from bridge import connect
from bridge.errors import ConnectionLostError, SequenceError
from bridge.unity.bridge import UnityBridge
from tests.faults.counts import counts
from tests.faults.play import children, go_on, play_stamped, reset_stamped, simulated, stamped, within
from tests.players.stamps import Checker

#: The start of a player may take longer than one of its steps.
STEP_SECONDS = 0.5


def limit_steps(bridge: UnityBridge) -> None:
    bridge._environment._own_communicator.timeout = STEP_SECONDS


@pytest.mark.parametrize(
    ("fault", "sentence", "seconds"),
    [
        ("exit-after-steps:5:3", r"died \(return code 3\)", 1),
        ("quit-after-steps:5", "ended the run", 1.5),
        ("garbage-after-steps:5", "bytes that are no ML-Agents message", 1.5),
        ("hang-after-steps:5", "did not answer within 0.5 s", STEP_SECONDS + 1.5),
        ("slow-after-steps:5:2", "did not answer within 0.5 s", STEP_SECONDS + 1.5),
    ],
)
def test_a_loss_is_typed_and_a_seeded_reset_starts_anew(fault: str, sentence: str, seconds: float) -> None:
    checker = Checker()
    with connect(stamped(fault)) as bridge:
        assert isinstance(bridge, UnityBridge)
        limit_steps(bridge)
        start = time.monotonic()
        with pytest.raises(ConnectionLostError, match=sentence):
            play_stamped(bridge, checker)
        assert time.monotonic() - start < seconds
        assert not children(), "killed and reaped"
        with pytest.raises(SequenceError):
            bridge.receive()
        with pytest.raises(ConnectionLostError, match="lost before"):
            bridge.reset()
        play_stamped(bridge, checker, 4, seed=1)
    checker.verify()


@counts(2, 20)
@pytest.mark.parametrize("late_by", [0.05, 0.5])
def test_an_answer_after_the_timeout_is_never_used(late_by: float, count: int) -> None:
    """The stock client takes it for the answer to the next action, and so on from there."""
    checker = Checker()
    with connect(stamped(f"slow-after-steps:7:{STEP_SECONDS + late_by}")) as bridge:
        assert isinstance(bridge, UnityBridge)
        for number in range(count):
            steps = reset_stamped(bridge, checker, seed=number)
            limit_steps(bridge)
            with pytest.raises(ConnectionLostError, match="did not answer within"):
                go_on(bridge, checker, steps, 20)
            assert not children(), "whoever would answer late is killed"
    checker.verify()
    assert checker.lost > 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@counts(2, 20)
def test_a_killed_player_is_noticed_within_half_a_second(count: int) -> None:
    with connect(simulated()) as bridge:
        for seed in range(count):
            steps = bridge.reset(seed)
            (player,) = children()
            os.kill(player, signal.SIGKILL)
            with within(0.5), pytest.raises(ConnectionLostError, match=r"SIGKILL|is gone"):
                bridge.step(steps.deciding.episode[:, None] * 0)
