"""A long run with many restarts: what it holds on to must not grow."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import pytest

from agents.storage.history import NAME, read_history
from tests.agents.commands import TRAIN, Command, call
from tests.faults.counts import counts

WORKERS = 4
#: Agent steps per restart.
BETWEEN = 10_000
#: The replay is full after so many observations.
CAPACITY = 5000


@dataclass(frozen=True)
class Sample:
    """What the trainer holds at some moment."""

    memory: int  # bytes
    descriptors: int
    threads: int


def sample(process: psutil.Process) -> Sample:
    with process.oneshot():
        return Sample(process.memory_info().rss, process.num_fds(), process.num_threads())


def latest_steps(folder: Path) -> int:
    """Of the last whole line of the history."""
    with (folder / NAME).open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4096))
        lines = file.read().split(b"\n")[:-1]
    steps: int = json.loads(lines[-1])["steps"] if lines and lines[-1].startswith(b"{") else 0
    return steps


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors, signals")
@counts(4, 100)
def test_memory_descriptors_and_threads_stay_flat(count: int, tmp_path: Path) -> None:
    """100 restarts are a million steps."""
    words = [
        *("--env", "CartPole-v1", "--num-envs", "32", "--workers", str(WORKERS), "--run-id", "it"),
        *("--environment.max-restarts", "1000", "--network.hidden", "8", "--replay.capacity", str(CAPACITY)),
        *(
            "--learner.updates-per-step",
            "0.02",
            "--learner.learning-starts",
            "1000",
            "--training.summary-episodes",
            "50",
        ),
        *("--steps", str(10**9), "--training.checkpoint-seconds", "5", "--training.summary-episodes", "50"),
        *(
            "--evaluation.every",
            "0",
            "--evaluation.policy",
            "final",
        ),  # its worker would be one of those that are killed
    ]
    rng = random.Random(0)
    samples: list[Sample] = []
    with Command(TRAIN, *words, cwd=tmp_path) as command:
        folder = tmp_path / "runs" / "it"
        command.wait_for("episode ")
        for restart in range(1, count + 1):
            command.wait_for(lambda restart=restart: latest_steps(folder) >= restart * BETWEEN, timeout=120.0)
            samples.append(sample(command.process))
            victim = rng.choice(workers_of(command.process))
            victim.kill()
            command.wait_for(lambda restart=restart: len(read_history(folder, "fault")) == restart)
            command.wait_for(lambda: len(workers_of(command.process)) >= WORKERS)
        command.process.terminate()
        assert command.process.wait(30) == 143
    early, late = samples[count // 4 : count // 2], samples[-(count // 4) :]
    for name, allowed in (("memory", 1.1), ("descriptors", 1.1), ("threads", 1.0)):
        before, after = (median(getattr(item, name) for item in part) for part in (early, late))
        assert after <= allowed * before, f"{name} grew from {before:,} to {after:,}"
    assert len(read_history(folder, "fault")) == count


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return list(_living_workers(process))


def _living_workers(process: psutil.Process) -> Iterator[psutil.Process]:
    for child in process.children():
        try:
            if "bridge.worker" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                yield child
        except psutil.NoSuchProcess:
            continue


def test_a_replay_larger_than_memory_is_refused_with_both_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    words = ["--env", "CartPole-v1", "--replay.capacity", str(10**12), "--results-dir", tmp_path / "runs"]
    result = call(TRAIN, words, capsys)
    assert result.code == 2
    assert "the replay needs 51,498,413 MiB for 1,000,000,000,000 observations, but only " in result.error
    assert "MiB of memory are free: lower replay.capacity." in result.error
    assert time.monotonic() - began < 10
    assert not (tmp_path / "runs").exists()
