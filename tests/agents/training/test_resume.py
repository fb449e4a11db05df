"""A run that was stopped and resumed is the run that was never stopped, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.storage.checkpoint import find_checkpoint
from bridge import EnvSpec, ResumeError, connect
from bridge.contract import assert_same, choose
from tests.agents.commands import TRAIN, call

#: Long episodes, several steps in one, held actions or noise, a reset: whatever has a state.
COMMON = (
    *("--network.hidden", "16", "--network.normalize", "true", "--learner.batch-size", "8"),
    *("--learner.learning-starts", "50", "--learner.n-step", "3", "--learner.updates-per-step", "0.5"),
    *("--learner.reset-at", "250,450"),
    *("--exploration.hold", "4", "--replay.capacity", "400", "--training.torch-device", "cpu"),
    # What falls over --steps falls otherwise over fewer.
    *("--learner.learning-rate-end", "none", "--learner.entropy-target-end", "none"),
    *("--evaluation.episodes", "1", "--evaluation.every", "150", "--evaluation.every-episodes", "2"),
)
CARTPOLE = ("--env", "CartPole-v1", *COMMON)
ENVIRONMENTS = {
    "one": CARTPOLE,
    "three": (*CARTPOLE, "--num-envs", "3"),
    "worker": (*CARTPOLE, "--num-envs", "2", "--workers", "1"),
    "branches": ("--env", "Pusher-v4", "--num-envs", "2", *COMMON),
}


def tensors(folder: Path, run_id: str) -> dict[str, Any]:
    """Every tensor and every number that the run's latest checkpoint holds."""
    checkpoint = find_checkpoint(folder / run_id / "checkpoints", "latest")
    found: dict[str, Any] = dict(np.load(checkpoint / "replay.npz"))
    found.update(_flat(torch.load(checkpoint / "tensors.pt", weights_only=True)))
    return found


def _flat(state: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(state, dict):
        return {key: value for name in state for key, value in _flat(state[name], f"{prefix}{name}.").items()}
    if isinstance(state, list):
        return _flat(dict(enumerate(state)), prefix)
    return {prefix: state.numpy() if isinstance(state, torch.Tensor) else state}


def assert_equal(folder: Path, one: str, other: str) -> None:
    left, right = tensors(folder, one), tensors(folder, other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], name)


def train(folder: Path, run_id: str, words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    found = call(TRAIN, ["--results-dir", folder, "--run-id", run_id, *words], capsys)
    assert found.code == 0, found.err
    return found.out


@pytest.mark.parametrize("environment", sorted(ENVIRONMENTS))
def test_a_resumed_run_is_bit_identical(environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ENVIRONMENTS[environment]
    train(tmp_path, "whole", [*words, "--steps", "900"], capsys)
    train(tmp_path, "parts", [*words, "--steps", "250"], capsys)  # where a reset is due
    said = train(tmp_path, "parts", ["--resume", "--steps", "604"], capsys)
    assert "exactly where it was" in said
    train(tmp_path, "parts", ["--resume", "--steps", "900"], capsys)
    assert_equal(tmp_path, "whole", "parts")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bridge_goes_on_with_the_same_rows(workers: int) -> None:
    spec = EnvSpec("gym", "CartPole-v1", {"num_envs": 3, "workers": workers, "timeout": 20.0})
    rng = np.random.default_rng(0)
    with connect(spec) as bridge, connect(spec, incarnation=4) as again:
        assert bridge.snapshot() is None, "before the first reset"
        steps = bridge.reset()
        for _ in range(60):
            steps = bridge.step(choose(bridge, steps, rng))
        snapshot = bridge.snapshot()
        assert snapshot is not None
        other = again.resume(snapshot)
        assert_same(other, steps.deciding)
        for _ in range(60):
            actions = choose(bridge, steps, rng)
            steps, other = bridge.step(actions), again.step(actions)
            assert_same(steps, other)
        bridge.send(choose(bridge, steps, rng))
        assert bridge.snapshot() is None, "between send and receive"


def test_an_environment_that_does_not_come_back_says_so_and_begins_anew() -> None:
    """Its observations count what was made, which no seed brings back."""
    with connect(EnvSpec("gym", "tests.environments:Counter-v0")) as bridge:
        bridge.reset()
        for _ in range(20):
            bridge.step(np.zeros((1, 1), np.int32))
        snapshot = bridge.snapshot()
    assert snapshot is not None
    with connect(EnvSpec("gym", "tests.environments:Counter-v0"), incarnation=1) as bridge:
        with pytest.raises(ResumeError, match="observes something else"):
            bridge.resume(snapshot)
        assert bridge.reset().incarnation.tolist() == [1]
    with (
        connect(EnvSpec("gym", "tests.environments:Counter-v0", {"num_envs": 2})) as bridge,
        pytest.raises(ResumeError, match="of 1 environments, found 2"),
    ):
        bridge.resume(snapshot)


def test_a_unity_run_begins_new_episodes_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--build", "simulated/GridWorld", "--replay.capacity", "500", "--evaluation.episodes", "1"]
    train(tmp_path, "unity", [*words, "--steps", "50"], capsys)
    said = train(tmp_path, "unity", ["--resume", "--steps", "80"], capsys)
    assert "with new episodes, 0 open transitions lost" in said
