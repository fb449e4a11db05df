"""Checkpoints: folders that are complete or not there, with a SHA-256 of every file. No pickle is ever read.

checkpoints/step-000050000/   tensors.pt state.json replay.npz manifest.json   the latest ones
checkpoints/best-000040000/   tensors.pt state.json manifest.json              the best evaluation so far
checkpoints/damaged-...       what was found damaged when the run was resumed; nobody reads it
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
import torch

from agents.learning.agent import DQNAgent
from agents.learning.networks import QNetwork
from agents.system.files import sha256

FORMAT = 2
Kind = Literal["step", "best"]

TENSORS, STATE, REPLAY, MANIFEST = "tensors.pt", "state.json", "replay.npz", "manifest.json"
#: Folders that are being written or deleted. Readers look for names that begin with a kind, and so never see them.
PARTIAL = ".partial-"
#: What reading files raises that are not what they should be, whatever their hash says.
MALFORMED = (
    *(ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError, EOFError),
    *(UnpicklingError, zipfile.BadZipFile),
)


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or another agent's; the message is one line."""


def save_checkpoint(
    folder: Path, agent: DQNAgent, kind: Kind, about: dict[str, Any], *, keep: int = 1, replay: bool = True
) -> Path:
    """Writes a checkpoint of the agent, then drops the oldest ones of its kind.

    Args:
        folder: the run's `checkpoints`.
        kind: `step` may have the replay, `best` never has it.
        about: JSON values kept beside, such as the evaluation that made it the best.
        keep: so many of its kind are left.
        replay: whether it is saved.

    Raises:
        OSError: the disk is full, for instance; the older checkpoints are untouched.
    """
    final = folder / f"{kind}-{agent.steps:09d}"
    if kind == "step" and (final / MANIFEST).is_file():
        return final  # nothing has happened since
    for abandoned in folder.glob(f"{PARTIAL}*"):  # by a process that was killed
        shutil.rmtree(abandoned)
    writing = folder / f"{PARTIAL}{final.name}"
    writing.mkdir(parents=True)
    try:
        _write(writing, agent, about, replay=replay and kind == "step")
        if final.exists():  # from before the run went back to an earlier checkpoint
            _drop(final)
        writing.rename(final)
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    _sync_folder(folder)
    others = [path for path in _complete(folder, kind) if path != final]
    for older in others[: max(0, len(others) - keep + 1)]:
        _drop(older)
    return final


def find_checkpoint(folder: Path, name: str) -> Path:
    """The `latest` or the `best` checkpoint of a run. Raises `CheckpointError` when there is none."""
    kind: Kind = "best" if name == "best" else "step"
    found = _complete(folder, kind)
    if not found:
        raise CheckpointError(f"run {folder.parent.name!r} has no {name} checkpoint in {folder}.")
    return found[-1]


def recover_checkpoint(folder: Path) -> tuple[Path, list[str]]:
    """The newest checkpoint that is whole, for a run to go on with; damaged ones that are newer are set aside.

    Returns:
        It, and a line for each one that was set aside.

    Raises:
        CheckpointError: there is none, or all are damaged; then nothing is changed.
    """
    damaged: list[tuple[Path, CheckpointError]] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            _verify(path, [TENSORS, STATE])
        except CheckpointError as error:
            damaged.append((path, error))
            continue
        return path, [_set_aside(bad, error, path) for bad, error in damaged]
    if damaged:
        raise damaged[0][1]
    raise CheckpointError(
        f"run {folder.parent.name!r} was stopped before its first checkpoint: begin it again, with --force instead of "
        "--resume."
    )


def _set_aside(path: Path, error: CheckpointError, instead: Path) -> str:
    aside = path.with_name(f"damaged-{path.name}")
    if aside.exists():
        shutil.rmtree(aside)
    path.rename(aside)
    return f"{str(error).rstrip('.')}; going on with {instead.name} instead, {path.name} was renamed to {aside.name}."


def read_about(path: Path) -> dict[str, Any]:
    """What was given as `about`. Raises `CheckpointError`."""
    _verify(path, [STATE])
    about: dict[str, Any] = _read_state(path)["about"]
    return about


def read_counters(path: Path) -> tuple[int, int]:
    """Agent steps and episodes that it has learned from. Raises `CheckpointError`."""
    _verify(path, [STATE])
    counters = _read_state(path)["agent"]
    return counters["steps"], counters["episodes"]


def restore_weights(path: Path, agent: DQNAgent) -> None:
    """Puts the network that `evaluation.network` asks for into the one that the agent is tested with.

    Raises:
        CheckpointError: as `restore_checkpoint`.
    """
    name = "target" if agent.config.evaluation.network == "target" else "network"
    _restore_network(path, name, agent.tested_network)


def _restore_network(path: Path, name: str, network: QNetwork) -> None:
    _verify(path, [TENSORS])
    try:
        _load_network(_read_tensors(path)[name], network)
    except MALFORMED as error:
        raise _misfit(path, error) from None


def initialize_from(path: Path, agent: DQNAgent) -> None:
    """A new agent begins with the checkpoint's network, and its target with the same. Raises `CheckpointError`."""
    _restore_network(path, "network", agent.network)
    agent.target_network.load_state_dict(agent.network.state_dict())


def _load_network(weights: dict[str, Any], network: QNetwork) -> None:
    expected = network.state_dict()
    for name in sorted({*weights, *expected}):
        shapes = [tuple(item[name].shape) if name in item else "missing" for item in (weights, expected)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{name} is {shapes[0]} there, expected {shapes[1]}: the same network settings and the same "
                "observations and actions of the environment are needed."
            )
    network.load_state_dict(weights)


def restore_checkpoint(path: Path, agent: DQNAgent) -> int:
    """Puts a new agent into the checkpoint's state: networks, optimiser, replay, counters, random states.

    Returns:
        How many open transitions are lost because the checkpoint has no replay, which they belong to.

    Raises:
        CheckpointError: a file is damaged or missing, or the checkpoint is another agent's.
    """
    has_replay = _verify(path, [TENSORS, STATE]).get("replay", True)
    if has_replay:
        _verify(path, [REPLAY])
    try:
        tensors, state = _read_tensors(path), _read_state(path)["agent"]
        _load_network(tensors["network"], agent.network)
        agent.load_tensors(tensors)
        lost = 0
        if not has_replay:
            lost = sum(map(len, state["nstep"]["open"].values()))
            new = agent.state_dict()
            state = {**state, "nstep": new["nstep"], "frames": new["frames"]}
        agent.load_state_dict(state)
        if has_replay:
            with (path / REPLAY).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                agent.replay.load_state_dict(dict(arrays))
    except MALFORMED as error:
        raise _misfit(path, error) from None
    return lost


def is_checkpoint(path: Path) -> bool:
    """Whether a checkpoint was written there to its end."""
    return (path / MANIFEST).is_file()


def _complete(folder: Path, kind: Kind) -> list[Path]:
    return sorted(filter(is_checkpoint, folder.glob(f"{kind}-*")))


def _write(folder: Path, agent: DQNAgent, about: dict[str, Any], *, replay: bool) -> None:
    tensors = io.BytesIO()  # writing to a file itself, torch hides a full disk behind a RuntimeError
    torch.save(agent.tensors(), tensors)
    (folder / TENSORS).write_bytes(tensors.getbuffer())
    state = {"agent": agent.state_dict(), "about": about}
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
    if replay:
        np.savez(folder / REPLAY, allow_pickle=False, **agent.replay.state_dict())
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    manifest = {"format": FORMAT, "steps": agent.steps, "replay": replay, "sha256": hashes}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _drop(path: Path) -> None:
    partial = path.with_name(f"{PARTIAL}{path.name}-dropped")
    path.rename(partial)
    shutil.rmtree(partial)


def _sync_folder(folder: Path) -> None:
    """After a power failure, too, an older checkpoint is gone only if the newer one is there."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _verify(path: Path, names: list[str]) -> dict[str, Any]:
    """The manifest. Raises `CheckpointError` unless it vouches for every file, these among them."""
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {manifest['format']}, expected {FORMAT}.")
        hashes = manifest["sha256"]
        for name in {*names, *hashes}:
            if sha256(path / Path(name).name) != hashes[name]:
                raise CheckpointError(f"{path / name} is damaged: its SHA-256 is not the manifest's.")
        return manifest
    except CheckpointError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {_one_line(error)}") from None


def _misfit(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} does not fit this agent: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:300]


def _read_state(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    return state


def _read_tensors(path: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = torch.load(path / TENSORS, weights_only=True, map_location="cpu")
    return tensors
