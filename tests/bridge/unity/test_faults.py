"""Players that die, hang, lie or never come: how soon it is noticed, what is said, what is left."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from bridge import EnvSpec, connect
from bridge.base import Bridge
from bridge.errors import ConnectionLostError, DataError, LaunchError, SequenceError, UsageError
from bridge.pool import Pool
from bridge.types import StepType
from bridge.unity.bridge import UnityBridge
from envs.simulated.sidechannels import pack_stat
from tests.bridge.unity.scripted import brain, info, report, write_player

RNG = np.random.default_rng(0)


def spec(*faults: str, **options: object) -> EnvSpec:
    args = [part for fault in faults for part in ("--fail", fault)]
    return EnvSpec("unity", "simulated/GridWorld", {"timeout": 10.0, "env_args": args, **options})


def play(bridge: Bridge, exchanges: int = 30) -> None:
    steps = bridge.reset()
    for _ in range(exchanges):
        steps = bridge.step(bridge.spec.actions.sample(steps.deciding.mask, RNG))


def pids() -> list[int]:
    return [child.pid for child in psutil.Process().children()]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@pytest.mark.parametrize(("fault", "code"), [("exit-before-connect:127", 127), ("exit-after-hello:5", 5)])
def test_a_death_at_start_is_told_with_its_code_and_log(fault: str, code: int) -> None:
    with within(3), pytest.raises(LaunchError) as caught:
        connect(spec(fault))
    assert f"return code {code}" in str(caught.value)
    assert "as asked by --fail" in str(caught.value), "the last lines of the player's log"


@pytest.mark.parametrize(
    ("fault", "timeout", "sentence"),
    [
        ("never-connect", 0.5, "did not connect to port"),
        ("hang-after-hello", 3.0, "connected, but said no more"),
        ("hang-at-reset", 3.0, "did not answer"),
        ("no-behavior", 3.0, "no agent of any behaviour asked for a decision"),
    ],
)
def test_silence_at_start_lists_the_usual_causes(fault: str, timeout: float, sentence: str) -> None:
    with within(2 * timeout + 2), pytest.raises(LaunchError, match=sentence) as caught:
        connect(spec(fault, timeout=timeout))
    for cause in ("Behavior Type", "Decision Requester"):
        assert cause in str(caught.value)


def test_another_version_of_the_protocol_is_named() -> None:
    with within(3), pytest.raises(LaunchError, match=r"speaks version 2\.0\.0 .*expected 1\.5\.0"):
        connect(spec("api-version:2.0.0"))


@pytest.mark.parametrize(
    ("fault", "sentence", "seconds"),
    [
        ("exit-after-steps:5:3", r"died \(return code 3\)", 1),
        ("quit-after-steps:5", "ended the run", 1.5),
        ("garbage-after-steps:5", "bytes that are no ML-Agents message", 1.5),
        ("hang-after-steps:5", "did not answer within 1 s", 2.5),
        ("slow-after-steps:5:2", "did not answer within 1 s", 2.5),
    ],
)
def test_losses_in_mid_run_are_typed_and_a_seeded_reset_starts_anew(fault: str, sentence: str, seconds: float) -> None:
    with connect(spec(fault)) as bridge:
        assert isinstance(bridge, UnityBridge)
        bridge._environment._own_communicator.timeout = 1.0  # the start may take longer than a step
        start = time.monotonic()
        with pytest.raises(ConnectionLostError, match=sentence):
            play(bridge)
        assert time.monotonic() - start < seconds
        assert not pids(), "killed and reaped"
        with pytest.raises(SequenceError):
            bridge.receive()
        with pytest.raises(ConnectionLostError, match="lost before"):
            bridge.reset()
        steps = bridge.reset(seed=1)
        assert steps.episode.min() > 0, "episode ids go on"
        bridge.step(bridge.spec.actions.sample(steps.deciding.mask, RNG))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_player_is_noticed_within_half_a_second() -> None:
    with connect(spec()) as bridge:
        steps = bridge.reset()
        (player,) = pids()
        os.kill(player, signal.SIGKILL)
        with within(0.5), pytest.raises(ConnectionLostError, match=r"SIGKILL|is gone"):
            bridge.step(bridge.spec.actions.sample(steps.deciding.mask, RNG))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_stopped_player_is_killed_by_close_within_five_seconds() -> None:
    bridge = connect(spec())
    bridge.reset()
    (player,) = pids()
    os.kill(player, signal.SIGSTOP)
    with within(5):
        bridge.close()
    bridge.close()
    assert not psutil.pid_exists(player)


def test_rewards_that_are_not_finite_name_the_episode() -> None:
    with connect(spec("nan-after-steps:3")) as bridge, pytest.raises(DataError, match="reward of episode"):
        play(bridge)


def test_exchanges_without_agents_are_empty_steps() -> None:
    with connect(spec("no-agents-after-steps:4:20")) as bridge:
        play(bridge, 40)


def test_statistics_of_the_build_are_metrics_of_the_ends_of_episodes() -> None:
    """A mean over everything recorded since the end before, not only over the last step."""
    with connect(spec("stats")) as bridge:
        steps = bridge.reset()
        recorded, ends = [0], 0
        for step in range(1, 301):  # an episode has 100 steps at most
            steps = bridge.step(bridge.spec.actions.sample(steps.deciding.mask, RNG))
            recorded.append(step)
            if steps.step_type[0] != StepType.LAST:
                assert not steps.metrics
                continue
            assert steps.metrics["Simulated/Steps"][0] == pytest.approx(np.mean(recorded))
            recorded, ends = [], ends + 1
        assert ends >= 3


def test_statistics_are_aggregated_as_the_build_says(tmp_path: Path) -> None:
    scene = [report({"B": [info(0)]}, [brain("B", 3)]), report({"B": [info(0)]})]
    scene.append(report({"B": [info(0, done=True), info(0)]}))
    for message, value in zip(scene[1:], (1.0, 5.0), strict=True):
        sent = (pack_stat(name, value, method) for method, name in enumerate(("mean", "latest", "sum")))
        message.unity_output.rl_output.side_channel = b"".join(sent)
    with connect(EnvSpec("unity", str(write_player(tmp_path, scene)), {"timeout": 10.0})) as bridge:
        bridge.reset()
        bridge.step([[0]])
        assert {name: values[0] for name, values in bridge.step([[0]]).metrics.items()} == {
            "mean": 3.0,
            "latest": 5.0,
            "sum": 6.0,
        }


@contextmanager
def taken(address: str, port: int = 0) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(1)
        yield server.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_port_that_was_asked_for_and_is_taken_is_one_clear_line(address: str) -> None:
    with taken(address) as port, within(2), pytest.raises(UsageError) as caught:
        connect(spec(base_port=port))
    assert f"port {port} is taken" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_wish_the_next_free_port_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with taken("127.0.0.1") as port:
        monkeypatch.setattr("bridge.unity.launcher.FIRST_PORT", port)
        with connect(spec()) as first, connect(spec()) as second:
            assert isinstance(first, UnityBridge)
            assert isinstance(second, UnityBridge)
            ports = [bridge._environment._port for bridge in (first, second)]
            assert port < ports[0] < ports[1]
            play(first, 3)
            play(second, 3)


def test_a_port_is_free_again_at_once_after_close_and_after_a_failed_start() -> None:
    with taken("127.0.0.1") as port:
        pass
    for faults in ([], ["exit-before-connect:3"], ["exit-after-hello:3"], ["api-version:3.0.0"], []):
        try:
            with connect(spec(*faults, base_port=port)) as bridge:
                play(bridge, 3)
                bridge.reset(seed=3)
            assert not faults
        except LaunchError:
            assert faults


def test_a_proxy_in_the_environment_does_not_come_between(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.org")
    before = dict(os.environ)
    # The simulated build asks gRPC to ignore proxies; a real one, and this one, do not.
    player = write_player(tmp_path, [report({"B": [info(0)]}, [brain("B", 3)])])
    with connect(EnvSpec("unity", str(player), {"timeout": 5.0})):
        pass
    assert dict(os.environ) == before, "ours stays as it is"


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_what_a_wrapper_script_started_ends_with_it(tmp_path: Path) -> None:
    player = write_player(tmp_path, [report({"B": [info(0)]}, [brain("B", 3)])])
    wrapper = tmp_path / "Wrapped.x86_64"
    wrapper.write_text(f'#!/bin/sh\n"{sys.executable}" "{player}" "$@"\nexit 0\n')
    wrapper.chmod(0o755)
    with connect(EnvSpec("unity", str(wrapper), {"timeout": 10.0})):
        (inner,) = psutil.Process(pids()[0]).children()
        os.kill(inner.pid, signal.SIGSTOP)
    inner.wait(2)
    assert not inner.is_running()


def test_a_closed_environment_is_forgotten() -> None:
    """The stock class stays in memory until the program ends, held by its `atexit` handler."""
    bridge = connect(spec())
    environment = weakref.ref(bridge._environment)  # type: ignore[attr-defined]
    bridge.close()
    del bridge
    gc.collect()
    assert environment() is None


def test_a_group_in_which_one_player_fails_ends_them_all() -> None:
    with connect(spec(num_envs=3)) as bridge:
        assert isinstance(bridge, Pool)
        play(bridge, 20)
        os.kill(pids()[1], signal.SIGTERM)
        with pytest.raises(ConnectionLostError):
            play(bridge, 20)
        steps = bridge.reset(seed=2)
        assert steps.worker.tolist() == [0, 1, 2]
    with pytest.raises(LaunchError):
        connect(spec("exit-after-hello:1", num_envs=3))
    assert not pids()


def test_the_log_folder_keeps_a_log_per_player(tmp_path: Path) -> None:
    with connect(spec(num_envs=2, log_folder=str(tmp_path / "logs"))) as bridge:
        bridge.reset(seed=5)
    assert sorted(path.name for path in (tmp_path / "logs").glob("*.log")) == [
        "Player-0-0-1.log",
        "Player-0-0.log",
        "Player-1-0-1.log",
        "Player-1-0.log",
    ]


def test_a_program_that_forgets_to_close_still_ends_and_so_does_its_player() -> None:
    code = """
import psutil
from bridge import EnvSpec, connect
bridge = connect(EnvSpec("unity", "simulated/GridWorld", {"timeout": 10.0}))
bridge.reset()
print([child.pid for child in psutil.Process().children()][0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    player = int(done.stdout)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(player) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(player)
