"""Launching a build with the stock client of mlagents-envs; whatever a test opens is closed after it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bridge.unity  # noqa: F401  makes mlagents_envs importable with current protobuf

# isort: split
from mlagents_envs.environment import UnityEnvironment

BUILDS = Path(__file__).parents[2] / "unity_builds" / "simulated"

Launch = Callable[..., UnityEnvironment]


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def launch(free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """`launch(*arguments, build="GridWorld", seed=1, timeout_wait=20, **options)`: the client on a fresh build."""
    opened: list[UnityEnvironment] = []
    players: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def record(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        players.append(popen(*arguments, **options))
        return players[-1]

    def start(
        *arguments: str, build: str = "GridWorld", seed: int = 1, timeout_wait: int = 20, **options: Any
    ) -> UnityEnvironment:
        environment = UnityEnvironment(
            str(BUILDS / build),
            base_port=free_port,
            seed=seed,
            timeout_wait=timeout_wait,
            additional_args=list(arguments),
            log_folder=str(tmp_path),
            **options,
        )
        opened.append(environment)
        return environment

    monkeypatch.setattr("mlagents_envs.env_utils.subprocess.Popen", record)
    yield start
    for player in players:  # the client kills without reaping, and waits for a player that hangs
        player.kill()
        player.wait()
    for environment in opened:
        if environment._loaded:
            environment.close()
