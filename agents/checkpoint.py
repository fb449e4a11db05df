"""Checkpoints: folders that are complete or not there, with a SHA-256 of every file. No pickle is ever read.

checkpoints/step-000050000/   tensors.pt state.json replay.npz manifest.json   the latest; alone has the replay
checkpoints/best-000040000/   tensors.pt state.json manifest.json              the best evaluation so far
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from agents.agent import DQNAgent

FORMAT = 1
Kind = Literal["step", "best"]


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or another agent's; the message is one line."""


def save_checkpoint(folder: Path, agent: DQNAgent, kind: Kind, about: dict[str, Any]) -> Path:
    """Writes a checkpoint of the agent and drops the older ones of its kind.

    Args:
        folder: the run's `checkpoints`.
        kind: `step` with the replay, `best` without.
        about: JSON values kept beside, such as the evaluation that made it the best.
    """
    final = folder / f"{kind}-{agent.steps:09d}"
    if not final.exists():
        # Readers look for names that begin with a kind, so a half-written folder is never taken for a checkpoint.
        writing = folder / f".writing-{final.name}-{os.getpid()}"
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        try:
            _write(writing, agent, kind, about)
            writing.rename(final)
        finally:
            shutil.rmtree(writing, ignore_errors=True)
    for older in _complete(folder, kind):
        if older != final:
            shutil.rmtree(older)
    return final


def find_checkpoint(folder: Path, name: str) -> Path:
    """The `latest` or the `best` checkpoint of a run. Raises `CheckpointError` when there is none."""
    kind: Kind = "best" if name == "best" else "step"
    found = _complete(folder, kind)
    if not found:
        raise CheckpointError(f"{folder.parent.name} has no {name} checkpoint in {folder}.")
    return found[-1]


def read_weights(path: Path) -> dict[str, Any]:
    """The network's weights, verified."""
    _verify(path)
    weights: dict[str, Any] = _read_tensors(path)["network"]
    return weights


def read_about(path: Path) -> dict[str, Any]:
    """What was given as `about`."""
    about: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))["about"]
    return about


def restore_checkpoint(path: Path, agent: DQNAgent) -> None:
    """Puts an agent into the checkpoint's state: networks, optimiser, replay, counters, random states.

    Raises:
        CheckpointError: a file is damaged or missing, or the checkpoint is another agent's.
    """
    _verify(path)
    try:
        agent.load_tensors(_read_tensors(path))
        agent.load_state_dict(json.loads((path / "state.json").read_text(encoding="utf-8"))["agent"])
        with np.load(path / "replay.npz", allow_pickle=False) as arrays:
            agent.replay.load_state_dict(dict(arrays))
    except (RuntimeError, ValueError, KeyError, FileNotFoundError) as error:
        raise CheckpointError(f"{path} does not fit this agent: {' '.join(str(error).split())[:300]}") from None


def _complete(folder: Path, kind: Kind) -> list[Path]:
    return sorted(path for path in folder.glob(f"{kind}-*") if (path / "manifest.json").is_file())


def _write(folder: Path, agent: DQNAgent, kind: Kind, about: dict[str, Any]) -> None:
    torch.save(agent.tensors(), folder / "tensors.pt")
    state = {"agent": agent.state_dict(), "about": about}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    if kind == "step":
        np.savez(folder / "replay.npz", allow_pickle=False, **agent.replay.state_dict())
    hashes = {}
    for path in sorted(folder.iterdir()):
        hashes[path.name] = _sha256(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    manifest = {"format": FORMAT, "steps": agent.steps, "sha256": hashes}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _verify(path: Path) -> None:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {manifest['format']}, expected {FORMAT}.")
        for name, expected in manifest["sha256"].items():
            if _sha256(path / Path(name).name) != expected:
                raise CheckpointError(f"{path / name} is damaged: its SHA-256 is not the manifest's.")
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def _read_tensors(path: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = torch.load(path / "tensors.pt", weights_only=True, map_location="cpu")
    return tensors


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
