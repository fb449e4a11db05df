"""Runs as they lie in their folders, and groups of those that differ in nothing but the seed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.settings.config import Config, ConfigError, sections
from agents.settings.files import load_config
from agents.storage.history import Line, read_history
from agents.storage.provenance import read_starts
from agents.storage.runs import RunFolder, existing_run

#: Settings that runs of one group may differ in: they change nothing but luck, or nothing at all.
FREE = frozenset({"training.seed", "environment.base_port", "environment.log_folder"})
#: What every evaluation's line may have under `eval`; the rest are metrics of the environment.
OWN_VALUES = frozenset({"eval/score", "eval/success", "eval/seconds"})


@dataclass(frozen=True)
class Run:
    """What a run's folder holds now.

    Attributes:
        settings: the values of `config` by their dotted names.
        history: its lines.
        starts: the entries of its `run.json`.
        tests: its `evaluations/*.json`.
        videos: of it, those of the latest checkpoint first.
    """

    folder: RunFolder
    config: Config
    settings: dict[str, Any]
    history: list[Line]
    starts: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    videos: list[Path]

    @property
    def name(self) -> str:
        return self.folder.path.resolve().name

    @property
    def seed(self) -> int:
        return self.config.training.seed

    @property
    def metrics(self) -> set[str]:
        """The names of what the environment said in evaluations, besides success."""
        said = {key for line in self.lines("evaluation") for key in line if key.startswith("eval/")}
        return {key.removeprefix("eval/") for key in said - OWN_VALUES}

    def lines(self, kind: str) -> list[Line]:
        return [line for line in self.history if line["kind"] == kind]


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seeds.

    Attributes:
        label: their name, or what their names begin with.
        number: of the group, from 0: its colour.
    """

    label: str
    number: int
    runs: list[Run]

    @property
    def legend(self) -> str:
        return self.label if len(self.runs) == 1 else f"{self.label} ({len(self.runs)} seeds)"


def find_run(name: str, results_dir: Path) -> RunFolder:
    """The run that a person means by its id or its folder. Raises `ConfigError` when there is none."""
    folder = RunFolder(Path(name))
    if folder.config.is_file():
        return folder
    if folder.path.name != name:
        raise ConfigError(f"there is no run in {name!r}: expected a run's id or its folder, which has a config.yaml.")
    return existing_run(results_dir, name)


def read_run(folder: RunFolder) -> Run:
    """Raises `ConfigError` when its configuration cannot be read."""
    config = load_config(folder.config)
    videos = sorted((folder.path / "videos").glob("*.mp4"), key=_film_order)
    return Run(
        folder,
        config,
        settings_of(config),
        read_history(folder.path),
        read_starts(folder),
        _read_tests(folder.evaluations),
        videos,
    )


def read_runs(names: Sequence[str], results_dir: Path) -> list[Run]:
    """Each run once, in the order in which they are named. Raises `ConfigError` as `find_run` and `read_run`."""
    folders = {folder.path.resolve(): folder for folder in (find_run(name, results_dir) for name in names)}
    return [read_run(folder) for folder in folders.values()]


def settings_of(config: Config) -> dict[str, Any]:
    """JSON values by their dotted names."""
    values = config.model_dump(mode="json")
    parts = {name: values.pop(name) for name in sections()}
    return values | {f"{section}.{name}": value for section, part in parts.items() for name, value in part.items()}


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Runs of one configuration together, in the order of their first ones."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        kept = {name: value for name, value in run.settings.items() if name not in FREE}
        found.setdefault(json.dumps(kept, sort_keys=True), []).append(run)
    groups: list[Group] = []
    for number, members in enumerate(found.values()):
        label = _common_name([run.name for run in members])
        if any(label == group.label for group in groups):
            label = members[0].name
        groups.append(Group(label, number, members))
    return groups


def _common_name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    common = os.path.commonprefix(names)  # noqa: RUF071 - of names, not of paths
    whole = re.sub(r"\d+$", "", common)  # without the first digits of numbers that differ
    return re.sub(r"([-_.+=](seeds?|s))?[-_.+=]*$", "", whole, flags=re.IGNORECASE) or names[0]


def _read_tests(folder: Path) -> list[dict[str, Any]]:
    """The results that are whole; another program's JSON is left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            test = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(test, dict) and {"mean", "scores", "action_counts", "checkpoint", "seed"} <= test.keys():
            found.append(test)
    return found


def _film_order(path: Path) -> tuple[bool, int, str, list[int]]:
    """`step-000005000-seed-1-episode-2`: those of a checkpoint before others, the latest first, by their episodes."""
    match = re.match(r"(step|best)-(\d+)", path.name)
    numbers = [int(number) for number in re.findall(r"\d+", path.stem)]
    return match is None, -int(match[2]) if match else 0, match[1] if match else "", numbers
