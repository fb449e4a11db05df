"""Checkpoints: folders that are complete or not there, with a SHA-256 of every file. No pickle is ever read.

checkpoints/step-000050000/   tensors.pt state.json replay.npz manifest.json   the latest; alone has the replay
checkpoints/best-000040000/   tensors.pt state.json manifest.json              the best evaluation so far
"""

from __future__ import annotations

import hashlib
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

from agents.agent import DQNAgent

FORMAT = 1
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


def save_checkpoint(folder: Path, agent: DQNAgent, kind: Kind, about: dict[str, Any]) -> Path:
    """Writes a checkpoint of the agent, then drops the older ones of its kind.

    Args:
        folder: the run's `checkpoints`.
        kind: `step` with the replay, `best` without.
        about: JSON values kept beside, such as the evaluation that made it the best.

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
        _write(writing, agent, kind, about)
        if final.exists():  # from before the run went back to an earlier checkpoint
            _drop(final)
        writing.rename(final)
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    _sync_folder(folder)
    for older in _complete(folder, kind):
        if older != final:
            _drop(older)
    return final


def find_checkpoint(folder: Path, name: str) -> Path:
    """The `latest` or the `best` checkpoint of a run. Raises `CheckpointError` when there is none."""
    kind: Kind = "best" if name == "best" else "step"
    found = _complete(folder, kind)
    if not found:
        raise CheckpointError(f"run {folder.parent.name!r} has no {name} checkpoint in {folder}.")
    return found[-1]


def read_about(path: Path) -> dict[str, Any]:
    """What was given as `about`. Raises `CheckpointError`."""
    _verify(path, [STATE])
    about: dict[str, Any] = _read_state(path)["about"]
    return about


def restore_weights(path: Path, agent: DQNAgent) -> None:
    """Puts the checkpoint's network into an agent. Raises `CheckpointError` as `restore_checkpoint`."""
    _verify(path, [TENSORS])
    try:
        agent.load_weights(_read_tensors(path)["network"])
    except MALFORMED as error:
        raise _misfit(path, error) from None


def restore_checkpoint(path: Path, agent: DQNAgent) -> None:
    """Puts an agent into the checkpoint's state: networks, optimiser, replay, counters, random states.

    Raises:
        CheckpointError: a file is damaged or missing, or the checkpoint is another agent's.
    """
    _verify(path, [TENSORS, STATE, REPLAY])
    try:
        agent.load_tensors(_read_tensors(path))
        agent.load_state_dict(_read_state(path)["agent"])
        with (path / REPLAY).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            agent.replay.load_state_dict(dict(arrays))
    except MALFORMED as error:
        raise _misfit(path, error) from None


def _complete(folder: Path, kind: Kind) -> list[Path]:
    return sorted(path for path in folder.glob(f"{kind}-*") if (path / MANIFEST).is_file())


def _write(folder: Path, agent: DQNAgent, kind: Kind, about: dict[str, Any]) -> None:
    tensors = io.BytesIO()  # writing to a file itself, torch hides a full disk behind a RuntimeError
    torch.save(agent.tensors(), tensors)
    (folder / TENSORS).write_bytes(tensors.getbuffer())
    state = {"agent": agent.state_dict(), "about": about}
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
    if kind == "step":
        np.savez(folder / REPLAY, allow_pickle=False, **agent.replay.state_dict())
    hashes = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    manifest = {"format": FORMAT, "steps": agent.steps, "sha256": hashes}
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


def _verify(path: Path, names: list[str]) -> None:
    """Raises `CheckpointError` unless the manifest vouches for every file, these among them."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {manifest['format']}, expected {FORMAT}.")
        hashes = manifest["sha256"]
        for name in {*names, *hashes}:
            if _sha256(path / Path(name).name) != hashes[name]:
                raise CheckpointError(f"{path / name} is damaged: its SHA-256 is not the manifest's.")
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
