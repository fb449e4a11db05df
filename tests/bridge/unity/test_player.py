"""The player's process: what it records, what it leaves on disk, and that it ends with whoever started it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import psutil
import pytest

from bridge import EnvSpec, connect
from bridge.types import StepType
from envs.simulated.sidechannels import pack_stat
from tests.bridge.unity.scripted import brain, info, report, write_player
from tests.faults.play import children, simulated


def test_statistics_of_the_build_are_metrics_of_the_ends_of_episodes() -> None:
    """A mean over everything recorded since the end before, not only over the last step."""
    rng = np.random.default_rng(0)
    with connect(simulated("stats")) as bridge:
        steps = bridge.reset()
        recorded, ends = [0], 0
        for step in range(1, 301):  # an episode has 100 steps at most
            steps = bridge.step(bridge.spec.actions.sample(steps.deciding.mask, rng))
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


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_what_a_wrapper_script_started_ends_with_it(tmp_path: Path) -> None:
    player = write_player(tmp_path, [report({"B": [info(0)]}, [brain("B", 3)])])
    wrapper = tmp_path / "Wrapped.x86_64"
    wrapper.write_text(f'#!/bin/sh\n"{sys.executable}" "{player}" "$@"\nexit 0\n')
    wrapper.chmod(0o755)
    with connect(EnvSpec("unity", str(wrapper), {"timeout": 10.0})):
        (inner,) = psutil.Process(children()[0]).children()
        os.kill(inner.pid, signal.SIGSTOP)
    inner.wait(2)
    assert not inner.is_running()


def test_a_closed_environment_is_forgotten() -> None:
    """The stock class stays in memory until the program ends, held by its `atexit` handler."""
    bridge = connect(simulated())
    environment = weakref.ref(bridge._environment)  # type: ignore[attr-defined]
    bridge.close()
    del bridge
    gc.collect()
    assert environment() is None


def test_the_log_folder_keeps_a_log_per_player(tmp_path: Path) -> None:
    with connect(simulated(num_envs=2, log_folder=str(tmp_path / "logs"))) as bridge:
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
