"""Trainings that are stopped: at random moments, by every signal, as a person or a system does it."""

from __future__ import annotations

import random
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from agents.storage.checkpoint import find_checkpoint, recover_checkpoint
from tests.agents.commands import TRAIN, Command, run
from tests.faults.counts import counts
from tests.faults.test_resuming import assert_steps_are_told_once

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

COMMON = (
    *("--run-id", "it", "--network.hidden", "8", "--replay.capacity", "2000", "--learner.learning-starts", "50"),
    *("--learner.n-step", "3", "--learner.updates-per-step", "0.1", "--training.summary-episodes", "2"),
)
#: Saves, evaluates and tests all the time, so that a random moment may lie in any of it.
BUSY = (
    *("--training.checkpoint-seconds", "0.2", "--evaluation.every", "100", "--evaluation.every-episodes", "2"),
    *("--evaluation.episodes", "5"),
)
ENVIRONMENTS = {
    "gym": ("--env", "CartPole-v1", "--num-envs", "4", "--workers", "2"),
    "unity": ("--build", "simulated/GridWorld", "--num-envs", "2"),
}
BACKENDS = pytest.mark.parametrize("backend", sorted(ENVIRONMENTS))


def left_in(folder: Path) -> list[psutil.Process]:
    """Processes that were started there and live, who alone could hold a port."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process)
        except psutil.Error:
            continue
    return found


def has_checkpoint(folder: Path) -> bool:
    return bool(list(folder.glob("runs/it/checkpoints/step-*/manifest.json")))


def step_of(folder: Path) -> int:
    """Of the latest checkpoint, which is whole."""
    checkpoint, damaged = recover_checkpoint(folder / "runs" / "it" / "checkpoints")
    assert damaged == []
    return int(checkpoint.name.removeprefix("step-"))


@BACKENDS
@counts(1, 20)
def test_a_signal_at_any_moment(backend: str, count: int, tmp_path: Path) -> None:
    """One signal, or two within a second; the next round goes on with the run, whatever was left of it."""
    rng = random.Random(backend)
    step = 0
    for round_ in range(count):
        number = rng.choice([signal.SIGINT, signal.SIGTERM])
        twice = rng.random() < 0.3
        begin = ["--resume"] if has_checkpoint(tmp_path) else [*ENVIRONMENTS[backend], *BUSY, *COMMON[2:], "--force"]
        # A few rounds reach the test: what they may learn is not much.
        words = ["--run-id", "it", *begin, "--steps", str(step + rng.choice([150, 10**6]))]
        with Command(TRAIN, *words, cwd=tmp_path) as command:
            command.wait_for(command.imports)
            if rng.random() < 0.7:
                command.wait_for(lambda: "curves: " in command.read("out"))
            time.sleep(rng.uniform(0.0, 3.0))
            if command.process.poll() is None:
                command.send(number)
            if twice:
                time.sleep(rng.uniform(0.0, 1.0))
                if command.process.poll() is None:
                    command.send(number)
            sent = time.monotonic()
            command.process.wait(20)
            assert time.monotonic() - sent < (2 if twice else 10), round_
            result = command.result()
        assert result.code in (128 + number, 0, -number), result.err
        if result.code != 128 + number:  # it had come to its end before: nothing but the interpreter was left
            assert "saved as" in result.out or "saved" in result.err
        assert "Traceback" not in result.err
        assert left_in(tmp_path) == []
        if has_checkpoint(tmp_path):
            assert step_of(tmp_path) >= step, "nothing that was saved is lost"
            step = step_of(tmp_path)
    if has_checkpoint(tmp_path):
        ended = run(TRAIN, "--run-id", "it", "--resume", "--steps", str(step + 20), cwd=tmp_path)
        assert ended.code == 0, ended.err


@BACKENDS
@counts(1, 20)
def test_a_killed_trainer_leaves_no_player_and_goes_on(backend: str, count: int, tmp_path: Path) -> None:
    """Each round resumes what the one before left; every third one is killed while it starts."""
    rng = random.Random(backend)
    words = [*ENVIRONMENTS[backend], *BUSY, *COMMON, "--steps", str(10**6)]
    step = 0
    for round_ in range(count):
        is_starting = round_ % 3 == 2
        with Command(TRAIN, *words, cwd=tmp_path) as command:
            if is_starting:
                command.wait_for(command.imports)
            else:
                command.wait_for("curves: ")
                command.wait_for(lambda step=step: has_checkpoint(tmp_path) and newest(tmp_path) > step)
                assert command.processes() > 0
            time.sleep(rng.uniform(0.0, 3.0))
            command.process.kill()
            command.process.wait()
            deadline = time.monotonic() + 5.0
            while (left := left_in(tmp_path)) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert left == [], round_
            said = command.read("out")
        if round_ and said:
            assert_resumed(said, step, backend)
        assert step_of(tmp_path) > step or is_starting
        step = step_of(tmp_path)
        words = ["--run-id", "it", "--resume"]
    ended = run(TRAIN, *words, "--steps", str(step + 50), cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert_resumed(ended.out, step, backend)
    assert_steps_are_told_once(tmp_path / "runs" / "it")


def newest(folder: Path) -> int:
    """The step of the newest checkpoint, while the run goes on."""
    return int(find_checkpoint(folder / "runs" / "it" / "checkpoints", "latest").name.removeprefix("step-"))


def assert_resumed(said: str, step: int, backend: str) -> None:
    """The first line tells from where the run goes on, and how its environment does."""
    how = "exactly where it was" if backend == "gym" else r"with new episodes, \d+ open transitions? lost"
    assert re.search(rf"resumed at step {step:,} {how}", said.splitlines()[0])
