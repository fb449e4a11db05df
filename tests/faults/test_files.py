"""Files of a run that are damaged, hostile or do not fit on the disk."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml

from agents.storage.checkpoint import (
    CheckpointError,
    find_checkpoint,
    recover_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from agents.storage.history import NAME, read_history
from tests.agents.commands import COUNTER, EVALUATE, SMALL, TRAIN, Result, bare_environment, call, run, snapshot
from tests.agents.metrics.test_metrics import read_curves
from tests.agents.saving import experienced, fresh
from tests.faults.counts import counts

FILES = ("tensors.pt", "state.json", "replay.npz")


# ---- damaged


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder of checkpoints: a good one, and a newer one to damage."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    agent = experienced(100)
    for _ in range(2):
        agent.steps += 1
        save_checkpoint(folder, agent, "step", {}, keep=2)
    return folder


@contextmanager
def damaged(folder: Path) -> Iterator[Path]:
    """The newer checkpoint of the folder; afterwards it must have been found, and it is as it was."""
    good, bad = sorted(folder.glob("step-*"))
    before = snapshot(bad)
    yield bad
    with pytest.raises(CheckpointError) as refused:
        restore_checkpoint(bad, fresh_once())
    assert "\n" not in str(refused.value)
    found, (line,) = recover_checkpoint(folder)
    assert found == good
    assert line.startswith(str(refused.value).rstrip("."))
    assert line.endswith(f"going on with {good.name} instead, {bad.name} was renamed to damaged-{bad.name}.")
    (folder / f"damaged-{bad.name}").rename(bad)
    for name, content in before.items():
        assert content is not None
        (bad / name).write_bytes(content)


def fresh_once(agents: list[Any] = []) -> Any:  # noqa: B006 - nothing is loaded into it
    """An agent; making one takes longer than finding damage."""
    if not agents:
        agents.append(fresh())
    return agents[0]


def test_200_truncations_are_found(saved: Path) -> None:
    rng = random.Random(0)
    for number in range(200):
        with damaged(saved) as bad:
            path = bad / [*FILES, "manifest.json"][number % 4]
            data = path.read_bytes()
            path.write_bytes(data[: rng.randrange(len(data))])


def test_200_flipped_bits_are_found(saved: Path) -> None:
    """Of the manifest, too, as long as they change what it says."""
    rng = random.Random(1)
    for number in range(200):
        with damaged(saved) as bad:
            path = bad / FILES[number % 3]
            data = bytearray(path.read_bytes())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)


def test_flipped_bits_of_the_manifest_are_found_or_harmless(saved: Path) -> None:
    rng = random.Random(2)
    good, bad = sorted(saved.glob("step-*"))
    data = (bad / "manifest.json").read_bytes()
    for _ in range(200):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (bad / "manifest.json").write_bytes(spoilt)
        found, lines = recover_checkpoint(saved)
        assert found in (good, bad)
        if lines:
            (saved / f"damaged-{bad.name}").rename(bad)
        else:  # only the space between its words, or the number of steps, which nobody reads
            restore_checkpoint(bad, fresh_once())
    (bad / "manifest.json").write_bytes(data)


def test_two_files_swapped_are_found(saved: Path) -> None:
    for one, other in (("tensors.pt", "replay.npz"), ("state.json", "tensors.pt"), ("state.json", "manifest.json")):
        with damaged(saved) as bad:
            contents = [(bad / name).read_bytes() for name in (one, other)]
            (bad / one).write_bytes(contents[1])
            (bad / other).write_bytes(contents[0])


def test_files_of_two_checkpoints_swapped_are_found(saved: Path) -> None:
    good, _ = sorted(saved.glob("step-*"))
    with damaged(saved) as bad:
        (bad / "state.json").write_bytes((good / "state.json").read_bytes())


def test_an_old_format_is_found(saved: Path) -> None:
    with damaged(saved) as bad:
        manifest = json.loads((bad / "manifest.json").read_text())
        (bad / "manifest.json").write_text(json.dumps({**manifest, "format": 0}))


# ---- hostile


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


def sign(checkpoint: Path) -> None:
    """Makes the manifest vouch for whatever lies there."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    hashes = {name: hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() for name in manifest["sha256"]}
    (checkpoint / "manifest.json").write_text(json.dumps({**manifest, "sha256": hashes}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a finished run `it`."""
    folder = tmp_path_factory.mktemp("results")
    result = run(TRAIN, *COUNTER, *SMALL, "--run-id", "it", "--results-dir", "results", "--steps", "60", cwd=folder)
    assert result.code == 0, result.err
    return folder / "results"


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "results"))


def poison_tensors(results: Path, hacked: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"network": Hostile(hacked), "target": {}, "optimizer": {}}, buffer)
    for checkpoint in results.glob("it/checkpoints/*"):
        (checkpoint / "tensors.pt").write_bytes(buffer.getvalue())
        sign(checkpoint)


def poison_tensors_plainly(results: Path, hacked: Path) -> None:
    for checkpoint in results.glob("it/checkpoints/*"):
        (checkpoint / "tensors.pt").write_bytes(pickle.dumps(Hostile(hacked), protocol=2))
        sign(checkpoint)


def poison_replay(results: Path, hacked: Path) -> None:
    objects = np.array([Hostile(hacked)], dtype=object)
    for checkpoint in results.glob("it/checkpoints/*"):
        names = list(np.load(checkpoint / "replay.npz"))
        np.savez(checkpoint / "replay.npz", **dict.fromkeys(names, objects))
        sign(checkpoint)


def poison_config(results: Path, hacked: Path) -> None:
    with (results / "it" / "config.yaml").open("a") as file:
        file.write(f"hacked: !!python/object/apply:os.mkdir [{hacked}]\n")


POISONS = {
    "tensors": (poison_tensors, ("train", "evaluate")),
    "plain tensors": (poison_tensors_plainly, ("train", "evaluate")),
    "replay": (poison_replay, ("train",)),
    "config": (poison_config, ("train", "evaluate")),
}


@pytest.mark.parametrize("poison", sorted(POISONS))
def test_hostile_files_execute_nothing(
    poison: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poisoned, programs = POISONS[poison]
    hacked = tmp_path / "hacked"
    poisoned(results, hacked)
    there = ["--run-id", "it", "--results-dir", results]
    commands = {"train": (TRAIN, [*there, "--resume", "--steps", "90"]), "evaluate": (EVALUATE, there)}
    for name in programs:
        module, words = commands[name]
        assert_refused(call(module, words, capsys))
    if poison != "replay":  # which nobody needs for that
        words = [*COUNTER, *SMALL, "--steps", "20", "--results-dir", results, "--initialize-from", "it"]
        assert_refused(call(TRAIN, words, capsys))
    assert not hacked.exists()


def assert_refused(result: Result) -> None:
    assert result.code == 2
    assert result.error


def test_the_poison_works(results: Path, tmp_path: Path) -> None:
    """Whoever loads these files without care is hacked."""
    hacked = tmp_path / "hacked"
    poison_tensors(results, hacked)
    torch.load(find_checkpoint(results / "it" / "checkpoints", "latest") / "tensors.pt", weights_only=False)
    assert hacked.is_dir()
    hacked.rmdir()
    poison_config(results, hacked)
    yaml.unsafe_load((results / "it" / "config.yaml").read_text())
    assert hacked.is_dir()


@pytest.mark.parametrize("option", ["--preset", "--environment.env-kwargs"])
def test_hostile_yaml_on_a_command_line_executes_nothing(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hacked = tmp_path / "hacked"
    text = f"a: !!python/object/apply:os.mkdir [{hacked}]"
    yaml.unsafe_load(text)
    hacked.rmdir()
    preset = tmp_path / "preset.yaml"
    preset.write_text(text)
    value = str(preset) if option == "--preset" else text
    result = call(TRAIN, [*COUNTER, "--results-dir", tmp_path / "runs", option, value], capsys)
    assert_refused(result)
    assert not hacked.exists()
    assert not (tmp_path / "runs").exists()


NAMES = (
    "../x",
    "..",
    ".",
    "/tmp/x-of-a-run",
    "a/b",
    "a\\b",
    "~",
    "-x",
    "x\n",
    "x\0y",
    "$(touch x)",
    "x;y",
    "x" * 300,
)


@pytest.mark.parametrize("name", NAMES, ids=map(repr, NAMES))
def test_a_run_is_never_written_outside_of_its_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["--results-dir", tmp_path / "inner" / "runs", f"--run-id={name}"]
    for more in (COUNTER, (*COUNTER, "--force"), ("--resume",)):
        assert_refused(call(TRAIN, [*there, *more, *SMALL, "--steps", "5"], capsys))
    assert_refused(call(EVALUATE, there, capsys))
    assert list(tmp_path.rglob("*")) == []
    assert not Path("/tmp/x-of-a-run").exists()


def test_a_manifest_cannot_name_files_elsewhere(results: Path, tmp_path: Path) -> None:
    """Their hashes would tell what is in them."""
    checkpoint = find_checkpoint(results / "it" / "checkpoints", "latest")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["sha256"][str(secret)] = hashlib.sha256(b"secret").hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="secret"):
        restore_checkpoint(checkpoint, fresh_once())


# ---- full disk

ENVIRONMENTS = {
    "gym": ("--env", "CartPole-v1", "--workers", "1", "--num-envs", "2"),
    "unity": ("--build", "simulated/GridWorld"),
}


#: Bytes that no file may exceed: the first two hit the history, the curves and the description of the run, and a
#: checkpoint.
SIZES = (0, 30_000, 2000)


def train_until_full(words: list[str], size: int, folder: Path) -> tuple[int, list[str]]:
    """Trains; once it does, no file of it may exceed `size` bytes. Returns the exit code and the lines on stderr."""
    command = [sys.executable, "-m", TRAIN, *words]
    with psutil.Popen(command, cwd=folder, env=bare_environment(), stdout=PIPE, stderr=PIPE, text=True) as program:
        while not program.stdout.readline().startswith("episode "):
            assert program.poll() is None, program.stderr.read()
        program.rlimit(psutil.RLIMIT_FSIZE, (size, size))
        _, said = program.communicate(timeout=120)
    return program.returncode, [line for line in said.splitlines() if not line.startswith("connected to ")]


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs limits of another process")
@pytest.mark.parametrize("backend", sorted(ENVIRONMENTS))
@counts(1, 10)
def test_a_full_disk_stops_training_cleanly(backend: str, count: int, tmp_path: Path) -> None:
    """As far as a limit on the size of files is one. Each round goes on with the run."""
    rng = random.Random(backend)
    words: list[str] = [
        *(*ENVIRONMENTS[backend], "--run-id", "it", "--network.hidden", "8", "--replay.capacity", "5000"),
        *("--learner.updates-per-step", "0.1", "--learner.learning-starts", "50", "--steps", str(10**6)),
        *("--training.checkpoint-seconds", "0.1", "--training.summary-episodes", "1"),
    ]
    folder = tmp_path / "runs" / "it"
    for round_ in range(count):
        size = SIZES[round_] if round_ < len(SIZES) else rng.randrange(60_000)
        code, (*_, hint, error) = train_until_full(words, size, tmp_path)
        assert code == 1
        assert re.match(r"stopped at step [\d,]+; resume with: python -m agents.train --run-id it --resume", hint)
        assert error.startswith("python -m agents.train: [Errno 27] File too large")
        assert [path for path in folder.rglob("*") if ".partial" in path.name] == []
        assert recover_checkpoint(folder / "checkpoints")[1] == []
        text = (folder / NAME).read_text()
        assert text.endswith("\n")
        assert all(json.loads(line) for line in text.splitlines())
        words = ["--run-id", "it", "--resume"]
    step = int(find_checkpoint(folder / "checkpoints", "latest").name.removeprefix("step-"))
    ended = run(TRAIN, *words, "--steps", str(step + 50), "--evaluation.episodes", "1", cwd=tmp_path)
    assert ended.code == 0, ended.err
    told = [event.step for event in read_curves(folder).Scalars("run/score")]
    assert told == [line["steps"] for line in read_history(folder, "summary")] == sorted(set(told))
