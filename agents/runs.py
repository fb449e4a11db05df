"""The run folder: where everything that one run writes lies.

runs/<run-id>/config.yaml    the resolved configuration
runs/<run-id>/events.out...  curves, for `tensorboard --logdir runs`
runs/<run-id>/checkpoints/   see `agents.checkpoint`
runs/<run-id>/evaluations/   results of tests, JSON
runs/<run-id>/player/        logs of Unity players
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agents.config import ConfigError

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,120}")


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"


def default_run_id(target: str, results_dir: Path) -> str:
    """The environment's name and the time; a number follows when that is taken."""
    name = target.replace("\\", "/").rstrip("/").split("/")[-1].split(":")[-1].split(".")[0]
    stem = f"{re.sub(r'[^A-Za-z0-9-]+', '-', name).strip('-')}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(name for name in candidates if not (results_dir / name).exists())


def check_free(results_dir: Path, run_id: str, *, force: bool) -> None:
    """Raises `ConfigError` when the id is no plain name, or is taken and not `force`."""
    path = _path(results_dir, run_id)
    if not path.exists():
        return
    if not force:
        raise ConfigError(
            f"run {run_id!r} exists in {results_dir}: add --resume to go on with it, --force to overwrite it, "
            "or choose another --run-id."
        )
    if not path.is_dir() or (any(path.iterdir()) and not RunFolder(path).config.is_file()):
        raise ConfigError(f"{path} is no run folder (it has no config.yaml): --force does not delete it.")


def new_run(results_dir: Path, run_id: str, *, force: bool) -> RunFolder:
    """An empty folder for a new run; with `force` an old one is deleted. Raises `ConfigError` as `check_free`."""
    check_free(results_dir, run_id, force=force)
    path = _path(results_dir, run_id)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return RunFolder(path)


def existing_run(results_dir: Path, run_id: str) -> RunFolder:
    """The folder of a run. Raises `ConfigError` when there is none."""
    run = RunFolder(_path(results_dir, run_id))
    if not run.config.is_file():
        known = sorted(path.parent.name for path in results_dir.glob("*/config.yaml"))
        hint = f"there are {', '.join(known[-10:])}" if known else "there is none yet"
        raise ConfigError(f"no run {run_id!r} in {results_dir}; {hint}.")
    return run


def _path(results_dir: Path, run_id: str) -> Path:
    if not _RUN_ID.fullmatch(run_id):
        raise ConfigError(f"run id {run_id!r} is no plain name: use letters, digits and . _ - + = only.")
    return results_dir / run_id
