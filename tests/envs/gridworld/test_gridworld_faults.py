"""Every failure that can be asked for, as the stock client of mlagents-envs sees it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import (
    UnityCommunicatorStoppedException,
    UnityEnvironmentException,
    UnityTimeOutException,
)
from mlagents_envs.side_channel.stats_side_channel import StatsSideChannel

NAME = "GridWorld?team=0"
Launch = Callable[..., UnityEnvironment]

if sys.platform != "linux":
    pytest.skip("the launcher is what Linux starts", allow_module_level=True)


def test_exit_before_connect(launch: Launch) -> None:
    with pytest.raises(UnityEnvironmentException, match="return code 3"):
        launch("--fail", "exit-before-connect:3", timeout_wait=10)


def test_never_connect(launch: Launch) -> None:
    with pytest.raises(UnityTimeOutException):
        launch("--fail", "never-connect", timeout_wait=2)


def test_api_version(launch: Launch) -> None:
    with pytest.raises(UnityEnvironmentException, match="API version is not compatible"):
        launch("--fail", "api-version:2.0.0")


def test_exit_after_steps(launch: Launch) -> None:
    environment = launch("--fail", "exit-after-steps:2:5", timeout_wait=10)
    environment.reset()
    environment.step()
    environment.step()
    with pytest.raises(UnityEnvironmentException, match="return code 5"):
        environment.step()


def test_hang_after_steps(launch: Launch) -> None:
    environment = launch("--fail", "hang-after-steps:1", timeout_wait=8)
    environment.reset()
    environment.step()
    with pytest.raises(UnityTimeOutException):
        environment.step()


def test_hang_at_reset(launch: Launch) -> None:
    environment = launch("--fail", "hang-at-reset", timeout_wait=8)
    with pytest.raises(UnityTimeOutException):
        environment.reset()


def test_slow_after_steps(launch: Launch) -> None:
    environment = launch("--fail", "slow-after-steps:1:0.5")
    environment.reset()
    durations = []
    for _ in range(3):
        begin = time.monotonic()
        environment.step()
        durations.append(time.monotonic() - begin)
    assert durations[1] >= 0.5
    assert max(durations[0], durations[2]) < 0.5


def test_quit_after_steps(launch: Launch) -> None:
    environment = launch("--fail", "quit-after-steps:1")
    player = environment._process
    environment.reset()
    environment.step()
    with pytest.raises(UnityCommunicatorStoppedException, match="has exited"):
        environment.step()
    environment.close()
    assert player.wait(5) == 0


def test_nan_after_steps(launch: Launch) -> None:
    environment = launch("--fail", "nan-after-steps:1")
    environment.reset()
    environment.step()
    with pytest.raises(RuntimeError, match="NaN"):
        environment.step()


def test_no_behavior(launch: Launch) -> None:
    environment = launch("--fail", "no-behavior")
    environment.reset()
    for _ in range(3):
        environment.step()
    assert len(environment.behavior_specs) == 0


def test_late_behavior(launch: Launch) -> None:
    environment = launch("--fail", "late-behavior:3")
    environment.reset()
    environment.step()
    environment.step()
    assert len(environment.behavior_specs) == 0
    environment.step()
    decisions, ended = environment.get_steps(NAME)
    assert (len(decisions), len(ended)) == (1, 0)
    assert decisions.reward == [0.0]


def test_no_agents_after_steps(launch: Launch) -> None:
    environment = launch("--fail", "no-agents-after-steps:2:3")
    environment.reset()
    agents = []
    for _ in range(7):
        environment.step()
        agents.append(len(environment.get_steps(NAME)[0]))
    assert agents == [1, 1, 0, 0, 0, 1, 1]
    assert environment.get_steps(NAME)[0].reward == [np.float32(-0.01)]


def test_stats(launch: Launch) -> None:
    stats = StatsSideChannel()
    environment = launch("--fail", "stats", side_channels=[stats])
    environment.reset()
    environment.step()
    environment.step()
    assert [value for value, _ in stats.get_and_reset_stats()["Simulated/Steps"]] == [0.0, 1.0, 2.0]


def test_several_failures_at_once(launch: Launch) -> None:
    stats = StatsSideChannel()
    environment = launch("--fail", "stats", "--fail", "exit-after-steps:1:9", side_channels=[stats], timeout_wait=10)
    environment.reset()
    environment.step()
    with pytest.raises(UnityEnvironmentException, match="return code 9"):
        environment.step()
    assert len(stats.get_and_reset_stats()["Simulated/Steps"]) == 2


@pytest.mark.parametrize(("size", "passes"), [(4 * 2**20, True), (4 * 2**20 + 1, False)])
def test_oversize_after_steps_hits_the_limit_of_grpc(launch: Launch, tmp_path: Path, size: int, passes: bool) -> None:
    environment = launch("--fail", f"oversize-after-steps:1:{size}", timeout_wait=10)
    environment.reset()
    environment.step()
    if passes:
        environment.step()
        return
    with pytest.raises(UnityEnvironmentException, match="return code 4"):
        environment.step()
    assert "RESOURCE_EXHAUSTED" in (tmp_path / "Player-0.log").read_text()


def test_a_bad_request_ends_the_player_with_a_sentence(launch: Launch, tmp_path: Path) -> None:
    with pytest.raises(UnityEnvironmentException, match="return code 2"):
        launch("--fail", "explode", timeout_wait=10)
    assert "--fail explode: unknown; known are exit-before-connect" in (tmp_path / "Player-0.log").read_text()
