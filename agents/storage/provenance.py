"""Where a run comes from: `run.json`, with an entry for each of its starts. `docs/runs.md` is the format."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.settings.config import Config
from agents.storage.runs import RunFolder
from agents.system.files import sha256, write_whole
from bridge import Bridge, find_build

FORMAT = 1
#: What can change a figure.
PACKAGES = ("dqn-bridge", "torch", "numpy", "gymnasium", "mujoco", "mlagents-envs", "grpcio", "protobuf")


def note_start(run: RunFolder, config: Config, bridge: Bridge, device: str, steps: int, begins_with: str) -> None:
    """Adds this start to the run's `run.json`.

    Args:
        device: on which torch computes.
        steps: agent steps that the run has.
        begins_with: the checkpoint that it goes on with, or whose weights it begins with; empty for neither.

    Raises:
        OSError: the disk is full, for instance.
    """
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": steps,
        "begins_with": begins_with,
        "command": sys.orig_argv,
        "config_sha256": sha256(run.config),
        "seeds": {
            "training": config.training.seed,
            "evaluation": config.evaluation.seed + 1,
            "test": config.evaluation.seed,
        },
        "environment": _environment(config, bridge),
        "device": device,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    manifest = {"format": FORMAT, "run_id": run.path.name, "starts": [*read_starts(run), start]}
    write_whole(run.manifest, json.dumps(manifest, indent=1) + "\n")


def read_starts(run: RunFolder) -> list[dict[str, Any]]:
    """The entries of a run's `run.json`; none where it is missing or no such file."""
    try:
        starts = json.loads(run.manifest.read_text(encoding="utf-8"))["starts"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return starts if isinstance(starts, list) else []


def _environment(config: Config, bridge: Bridge) -> dict[str, Any]:
    settings = config.environment
    about = {"backend": settings.backend, "target": settings.target, "simulated": bridge.simulated}
    if settings.backend != "unity":
        return about
    build = find_build(bridge.env_spec)
    return about if build.is_editor else {**about, "build": _absolute(build.name), "build_sha256": _hashes(build.name)}


def _absolute(name: str) -> str:
    return str(Path(name).absolute())


def _hashes(name: str) -> dict[str, str]:
    """SHA-256 of every file of a build: of the executable and its `_Data` folder, or of a macOS bundle; by path."""
    build = Path(name)
    parts = [build, build.with_name(f"{build.stem}_Data")]
    files = [part for part in parts if part.is_file()]
    files += [file for part in parts if part.is_dir() for file in sorted(part.rglob("*")) if file.is_file()]
    return {file.relative_to(build.parent).as_posix(): sha256(file) for file in files}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
