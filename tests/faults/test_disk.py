"""Disks that are full while a run is written to them."""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from agents.storage.checkpoint import find_checkpoint, recover_checkpoint
from agents.storage.history import NAME, read_history
from tests.agents.commands import TRAIN, Result, bare_environment
from tests.agents.metrics.test_metrics import read_curves
from tests.faults.counts import counts
from tests.faults.disk import Disk

pytestmark = pytest.mark.skipif(
    not (shutil.which("unshare") and shutil.which("nsenter")), reason="mounts a disk with Linux's unshare and nsenter"
)

ENVIRONMENTS = {
    "gym": ("--env", "CartPole-v1", "--workers", "1", "--num-envs", "2"),
    "unity": ("--build", "simulated/GridWorld"),
}
BACKENDS = pytest.mark.parametrize("backend", sorted(ENVIRONMENTS))
SMALL = (
    *("--run-id", "it", "--network.hidden", "8", "--replay.capacity", "300", "--learner.learning-starts", "50"),
    *("--learner.updates-per-step", "0.1", "--training.summary-episodes", "1", "--evaluation.episodes", "1"),
)
#: What is written all the time: the history and the curves alone, or checkpoints, which meet the full disk first.
SECONDS = (1000.0, 0.1)
NO_SPACE = "python -m agents.train: [Errno 28] No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """On the folder `disk`."""
    mounted = Disk(tmp_path / "disk", "16m")
    yield mounted
    mounted.close()


def train(disk: Disk, folder: Path, *words: str, room: int | None = None) -> Result:
    """Trains to the end; as soon as an episode has ended, the disk has no more than `room` bytes left."""
    command = [*disk.prefix, sys.executable, "-m", TRAIN, "--results-dir", str(folder / "disk" / "runs"), *words]
    with subprocess.Popen(command, env=bare_environment(), stdout=PIPE, stderr=PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stderr is not None
            if room is not None:
                while not program.stdout.readline().startswith("episode "):
                    assert program.poll() is None, program.stderr.read()
                deadline = time.monotonic() + 60
                while program.poll() is None:  # an older checkpoint that is dropped makes room, too
                    disk.fill(room)
                    time.sleep(0.02)
                    assert time.monotonic() < deadline
            out, err = program.communicate(timeout=120)
        finally:
            program.kill()
    said = [line for line in err.splitlines() if not line.startswith("connected to ")]
    return Result(program.returncode, out, "\n".join(said))


@BACKENDS
@counts(1, 10)
def test_a_full_disk_stops_training_which_goes_on_with_more_room(
    backend: str, count: int, disk: Disk, tmp_path: Path
) -> None:
    rng = random.Random(backend)
    run = disk.seen(tmp_path / "disk" / "runs" / "it")
    words = [*ENVIRONMENTS[backend], *SMALL]
    for round_ in range(count):
        seconds = SECONDS[(round_ + (backend == "unity")) % len(SECONDS)]
        room = rng.randrange(20_000) if round_ >= len(SECONDS) else 0
        more = ["--steps", str(10**6), "--training.checkpoint-seconds", str(seconds)]
        stopped = train(disk, tmp_path, *words, *more, room=room)
        assert stopped.code == 1
        hint, error = stopped.err.splitlines()
        assert re.match(r"stopped at step [\d,]+; resume with: python -m agents.train --run-id it .*--resume", hint)
        assert error.startswith(NO_SPACE)
        assert_whole(run)
        words = ["--run-id", "it", "--resume"]
        refused = train(disk, tmp_path, *words)  # nobody has made room yet
        assert refused.code == 1
        assert refused.err.splitlines()[-1].startswith(NO_SPACE)
        assert_whole(run)
        disk.make_room()
    step = int(find_checkpoint(run / "checkpoints", "latest").name.removeprefix("step-"))
    ended = train(disk, tmp_path, *words, "--steps", str(step + 50))
    assert ended.code == 0, ended.err
    assert f"resumed at step {step:,}" in ended.out
    told = [event.step for event in read_curves(run).Scalars("run/score")]
    assert told == [line["steps"] for line in read_history(run, "summary")] == sorted(set(told))


def assert_whole(run: Path) -> None:
    """Nothing half-written has a final name, or is left at all; the latest checkpoint verifies."""
    assert [path for path in run.rglob("*") if ".partial" in path.name] == []
    assert recover_checkpoint(run / "checkpoints")[1] == []
    text = (run / NAME).read_text()
    assert text.endswith("\n")
    assert all(json.loads(line) for line in text.splitlines())
    for events in run.glob("events.*"):  # records of a length, its checksum, the data and theirs
        data = events.read_bytes()
        while data:
            (length,) = struct.unpack_from("<Q", data)
            assert len(data) >= length + 16
            data = data[length + 16 :]


@BACKENDS
def test_no_room_for_logs_of_players_and_workers_is_no_reason_to_stop(backend: str, disk: Disk, tmp_path: Path) -> None:
    disk.fill(0)
    words = [*ENVIRONMENTS[backend], *SMALL, "--results-dir", str(tmp_path), "--steps", "100"]
    ended = train(disk, tmp_path, *words, "--environment.log-folder", str(tmp_path / "disk" / "logs"))
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert list(disk.seen(tmp_path / "disk" / "logs").iterdir())
