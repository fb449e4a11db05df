"""A run is trained by one process at a time, and one that was killed holds nothing."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from agents.storage.checkpoint import find_checkpoint
from tests.agents.commands import EVALUATE, TRAIN, Command, Result, run
from tests.faults.counts import counts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

POLE = (
    *("--env", "CartPole-v1", "--network.hidden", "8", "--replay.capacity", "2000", "--learner.learning-starts", "50"),
    *("--learner.updates-per-step", "0.1", "--steps", str(10**6)),
)
GO_ON = ("--run-id", "it", "--resume")
RACERS = 4


def assert_refused(result: Result, holder: Command) -> None:
    assert result.code == 2
    assert result.error == (
        f"python -m agents.train: run 'it' in runs is being trained by process {holder.process.pid} on "
        f"{socket.gethostname()}: wait for its end or stop it, or choose another --run-id."
    )


def test_a_run_in_training_is_left_alone_until_it_has_ended_or_is_killed(tmp_path: Path) -> None:
    with Command(TRAIN, "--run-id", "it", *POLE, cwd=tmp_path) as first:
        first.wait_for("episode ")
        assert_refused(run(TRAIN, *GO_ON, cwd=tmp_path), first)
        assert_refused(run(TRAIN, "--run-id", "it", *POLE, "--force", cwd=tmp_path), first)
        evaluated = run(EVALUATE, "--run-id", "it", "--episodes", "1", cwd=tmp_path)
        assert evaluated.code == 0, "whoever reads only is not refused"
        first.process.kill()
        first.process.wait()
        step = int(find_checkpoint(tmp_path / "runs" / "it" / "checkpoints", "latest").name.removeprefix("step-"))
        ended = run(TRAIN, *GO_ON, "--steps", str(step + 20), "--evaluation.episodes", "1", cwd=tmp_path)
        assert ended.code == 0, ended.err


@counts(1, 10)
def test_of_four_that_resume_at_once_one_does(count: int, tmp_path: Path) -> None:
    began = run(TRAIN, "--run-id", "it", *POLE, "--steps", "60", "--evaluation.episodes", "1", cwd=tmp_path)
    assert began.code == 0, began.err
    for _ in range(count):
        with contextlib.ExitStack() as stack:
            racers = [
                stack.enter_context(Command(TRAIN, *GO_ON, "--steps", str(10**6), cwd=tmp_path)) for _ in range(RACERS)
            ]
            deadline = time.monotonic() + 200  # four at once
            while len(running := [racer for racer in racers if racer.process.poll() is None]) > 1:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            (winner,) = running
            for racer in racers:
                if racer is not winner:
                    assert_refused(racer.result(), winner)
            winner.wait_for("curves: ")
            winner.send(signal.SIGTERM)
            assert winner.result().code == 143
