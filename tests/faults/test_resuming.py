"""A run whose trainer is killed halfway, against one that is never stopped."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from agents.learning.agent import DQNAgent
from agents.settings.files import load_config
from agents.storage.checkpoint import find_checkpoint, read_about, restore_checkpoint
from agents.storage.history import CLOCKED, read_history
from bridge import connect
from tests.agents.commands import TRAIN, Command
from tests.agents.metrics.test_metrics import read_curves
from tests.agents.training.test_resume import assert_equal
from tests.faults.counts import counts
from tests.players.stamps import PLAYER

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

COMMON = (
    *("--network.hidden", "16", "--learner.batch-size", "8", "--learner.learning-starts", "50"),
    *("--learner.n-step", "3", "--learner.updates-per-step", "0.5", "--replay.capacity", "20000"),
    *("--training.torch-device", "cpu", "--training.summary-episodes", "2", "--evaluation.episodes", "1"),
)
EVALUATED = ("--evaluation.every", "300", "--evaluation.every-episodes", "2")
CARTPOLE = ("--env", "CartPole-v1", "--num-envs", "2", *COMMON, *EVALUATED)


def train(folder: Path, *words: object) -> str:
    with Command(TRAIN, "--results-dir", ".", *map(str, words), cwd=folder) as command:
        result = command.result(600.0)
    assert result.code == 0, result.err
    return result.out


def train_until_killed(folder: Path, step: int, *words: object) -> int:
    """Kills a run that has a checkpoint of this step or a later one; returns the step of its latest checkpoint."""
    saving = ("--training.checkpoint-seconds", "0.3")
    with Command(TRAIN, "--results-dir", ".", "--run-id", "killed", *map(str, words), *saving, cwd=folder) as command:
        command.wait_for(lambda: step_of(folder) >= step, timeout=600.0)
        family = command.process.children(recursive=True)
        command.process.send_signal(signal.SIGKILL)
        command.process.wait()
        psutil.wait_procs(family, timeout=5.0)
    return step_of(folder)


def step_of(folder: Path) -> int:
    names = [path.parent.name for path in folder.glob("killed/checkpoints/step-*/manifest.json")]
    return max((int(name.removeprefix("step-")) for name in names), default=-1)


def assert_steps_are_told_once(folder: Path) -> None:
    """Neither the event files nor the history have a step twice, though some were made twice."""
    curves = read_curves(folder)
    for tag, kind in (("run/score", "summary"), ("eval/score", "evaluation")):
        if tag in curves.Tags()["scalars"]:
            told = [event.step for event in curves.Scalars(tag)]
            assert told == [line["steps"] for line in read_history(folder, kind)] == sorted(set(told))


@counts(2000, 10_000)
def test_killed_halfway_and_resumed_is_never_stopped(count: int, tmp_path: Path) -> None:
    """Weights, optimiser, replay, counters and what was told: the same to the last bit."""
    train(tmp_path, "--run-id", "whole", *CARTPOLE, "--steps", count)
    killed_at = train_until_killed(tmp_path, count // 2, *CARTPOLE, "--steps", count)
    about = read_about(find_checkpoint(tmp_path / "killed" / "checkpoints", "latest"))
    if killed_at < count:
        lengths = [length for _, length in about["scores"].values()]
        assert any(lengths), "in the midst of episodes, which an uninterrupted run does not reset"
        said = train(tmp_path, "--run-id", "killed", "--resume")
        assert f"resumed at step {killed_at:,} exactly where it was" in said
    assert_equal(tmp_path, "whole", "killed")
    assert_steps_are_told_once(tmp_path / "killed")
    told: list[list[dict[str, Any]]] = [
        [
            {key: value for key, value in line.items() if key not in CLOCKED}
            for line in read_history(tmp_path / name, "summary", "evaluation")
        ]
        for name in ("whole", "killed")
    ]
    assert told[0] == told[1]


@counts(1500, 10_000)
def test_a_unity_run_killed_halfway_loses_its_open_transitions_and_nothing_else(count: int, tmp_path: Path) -> None:
    """The player stamps what it shows, so that no transition can be of two players, or be missing."""
    words = ("--build", PLAYER, "--num-envs", "2", *COMMON, "--steps", count)
    killed_at = train_until_killed(tmp_path, count // 2, *words)
    said = train(tmp_path, "--run-id", "killed", "--resume")
    assert f"resumed at step {killed_at:,} with new episodes, " in said
    folder = tmp_path / "killed"
    config = load_config(folder / "config.yaml")
    with connect(config.environment.spec(0)) as bridge:
        agent = DQNAgent(bridge.spec, config)
    restore_checkpoint(find_checkpoint(folder / "checkpoints", "latest"), agent)
    decisions = [item for episode in agent.state_dict()["nstep"]["open"].values() for item in episode]
    waiting = sum(following >= 0 for *_, following in decisions)  # for more steps; the others have none yet
    assert agent.steps == len(agent.replay) + waiting, "every step is a transition, once"
    batch = agent.replay.sample(20_000)
    (before,), (after,) = batch.obs_tm1, batch.obs_t
    goes_on = batch.discount_t > 0
    np.testing.assert_array_equal(before[goes_on, :3], after[goes_on, :3], "process, agent, episode")
    assert (before[goes_on, 3] < after[goes_on, 3]).all()
    assert len(np.unique(before[:, 0])) == 4, "two players before and two after"
    assert_steps_are_told_once(folder)
