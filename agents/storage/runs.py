"""The run folder: where everything that one run writes lies.

runs/<run-id>/run.json       where it comes from, see `agents.storage.provenance`
runs/<run-id>/config.yaml    the resolved configuration
runs/<run-id>/metrics.jsonl  what happened, see `agents.storage.history`
runs/<run-id>/events.out...  curves, for `tensorboard --logdir runs`
runs/<run-id>/checkpoints/   see `agents.storage.checkpoint`
runs/<run-id>/evaluations/   results of tests, JSON
runs/<run-id>/.lock          held by the process that trains it
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agents.settings.config import ConfigError
from agents.system.locks import HeldError, lock

LOCK = ".lock"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,120}")


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        return self.path / "run.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else trains or overwrites the run meanwhile. Whoever only reads it need not ask.

        Raises:
            ConfigError: somebody does.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock(self.path / LOCK))
            except HeldError as error:
                raise ConfigError(
                    f"run {self.path.name!r} in {self.path.parent} is being trained by {error}: wait for its end or "
                    "stop it, or choose another --run-id."
                ) from None
            yield

    def is_empty(self) -> bool:
        return not any(self._content())

    def clear(self) -> None:
        """Deletes all but the lock, which must be held."""
        for path in self._content():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _content(self) -> list[Path]:
        return [path for path in self.path.iterdir() if path.name != LOCK]


def check_free(results_dir: Path, run_id: str, *, force: bool) -> None:
    """Raises `ConfigError` when the id is no plain name, or is taken and not `force`."""
    path = folder_of(results_dir, run_id)
    if not os.path.lexists(path):
        return
    if not force:
        raise _taken(results_dir, run_id)
    run = RunFolder(path)
    is_run = path.is_dir() and not path.is_symlink() and (run.config.is_file() or run.is_empty())
    if not is_run:
        raise ConfigError(f"{path} is no run folder (it has no config.yaml): --force does not delete it.")


def new_run(results_dir: Path, run_id: str, *, force: bool) -> RunFolder:
    """An empty folder for a new run; with `force` an old one is deleted.

    Raises:
        ConfigError: as `check_free`, or the old one is being trained, or no folder can be made there.
    """
    check_free(results_dir, run_id, force=force)
    run = RunFolder(folder_of(results_dir, run_id))
    if run.path.exists():
        with run.held():
            run.clear()
    elif not make_folder(run.path):
        raise _taken(results_dir, run_id)
    return run


def new_run_of(target: str, results_dir: Path) -> RunFolder:
    """An empty folder named by the environment and the time; a number follows when that is taken.

    Raises:
        ConfigError: no folder can be made there.
    """
    stem = timed_name(target)
    # Runs that begin in the same second race for a name: whoever makes the folder has it.
    paths = (results_dir / (stem if number == 1 else f"{stem}-{number}") for number in itertools.count(1))
    return RunFolder(next(path for path in paths if make_folder(path)))


def timed_name(target: str) -> str:
    """The environment and the time."""
    return f"{name_of(target)}-{datetime.now():%Y%m%d-%H%M%S}"


def name_of(target: str) -> str:
    """What an environment is called in the name of a folder."""
    name = target.replace("\\", "/").rstrip("/").split("/")[-1].split(":")[-1].split(".")[0]
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:80] or "run"


def existing_run(results_dir: Path, run_id: str) -> RunFolder:
    """The folder of a run. Raises `ConfigError` when there is none."""
    run = RunFolder(folder_of(results_dir, run_id))
    if not run.config.is_file():
        known = sorted(path.parent.name for path in results_dir.glob("*/config.yaml"))
        hint = f"there are {', '.join(known[-10:])}" if known else "there is none yet"
        raise ConfigError(f"no run {run_id!r} in {results_dir}; {hint}.")
    return run


def make_folder(path: Path) -> bool:
    """Makes a folder; False when it exists. Raises `ConfigError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--results-dir {path.parent} cannot be made: {error.strerror}.") from None
    try:
        path.mkdir()
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(f"no run can be written to --results-dir {path.parent}: {error.strerror}.") from None
    return True


def _taken(results_dir: Path, run_id: str) -> ConfigError:
    return ConfigError(
        f"run {run_id!r} exists in {results_dir}: add --resume to go on with it, --force to overwrite it, "
        "or choose another --run-id."
    )


def folder_of(results_dir: Path, name: str, what: str = "run id") -> Path:
    """Where the run, or something else of that name, lies. Raises `ConfigError` when it is no plain name."""
    if not _RUN_ID.fullmatch(name):
        raise ConfigError(f"{what} {name!r} is no plain name: use letters, digits and . _ - + = only.")
    return results_dir / name
