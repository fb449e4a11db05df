"""A whole training whose workers are killed again and again, as a person would run it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.storage.history import read_history
from tests.faults.counts import counts

WORKERS = 4
COMMON = [
    "--num-envs",
    str(WORKERS),
    "--run-id",
    "run",
    "--replay.capacity",
    "5000",
    "--training.summary-episodes",
    "1",
]
ENVIRONMENTS = {
    "gym": [
        "--env",
        "CartPole-v1",
        "--workers",
        str(WORKERS),
        "--evaluation.every",
        "0",
        "--evaluation.policy",
        "final",
    ],
    "unity": ["--build", "simulated/GridWorld"],
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("backend", sorted(ENVIRONMENTS))
@counts(2, 10)
def test_training_goes_on_while_workers_are_killed(backend: str, count: int, tmp_path: Path) -> None:
    """Two kills a minute in the full count, as fast as workers come back in the reduced one."""
    pause = 30.0 if count == 10 else 1.0
    command = [sys.executable, "-m", "agents.train", *COMMON, "--results-dir", str(tmp_path), *ENVIRONMENTS[backend]]
    command += ["--episodes", "1000000", "--seed", "1"]
    rng = np.random.default_rng(0)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        assert program.stdout is not None
        said: list[str] = []
        for line in program.stdout:
            said.append(line)
            if line.startswith("curves:"):
                break
        for _ in range(count):
            time.sleep(pause)
            players = [child for child in psutil.Process(program.pid).children() if _is_player(child)]
            players[rng.integers(len(players))].kill()
        time.sleep(pause)
        program.terminate()
        said += program.stdout
    text = "".join(said)
    assert program.returncode == 143, text
    assert f"faults mended in training: {count}, transitions lost: " in text
    curves = EventAccumulator(str(tmp_path / "run")).Reload()
    assert curves.Scalars("faults/count")[-1].value == count
    assert WORKERS > curves.Scalars("faults/lost_transitions")[-1].value / count > 0
    assert curves.Scalars("run/score"), "it learned meanwhile"
    faults = read_history(tmp_path / "run", "fault")
    assert [fault["faults/count"] for fault in faults] == list(range(1, count + 1))
    assert sum(fault["lost"] for fault in faults) == faults[-1]["faults/lost_transitions"] > 0


def _is_player(process: psutil.Process) -> bool:
    words = " ".join(process.cmdline())
    return "bridge.worker" in words or "GridWorld" in words
