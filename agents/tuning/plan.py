"""What a study was asked for: `study.json` in its folder, written once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agents.settings.config import Config, ConfigError, build_config, merged
from agents.system.files import write_whole
from agents.tuning.space import Label, Space, Words, nested, read_space

NAME = "study.json"
FORMAT = 1
#: Evaluations in a training whose length nobody chose another number for.
EVALUATIONS = 10

Pruning = Literal["median", "asha", "none"]


@dataclass(frozen=True)
class Plan:
    """What every trial of a study has in common.

    Attributes:
        asked: the configuration that the command line and the preset ask for, before the environment was opened.
        config: the resolved one, which the trials change.
        words: what is searched, as it was written.
        seeds: of training, for each trial.
        trials: how many, where the command line does not say.
        pruning: how hopeless trials are found.
        startup: trials that are complete before the first one is pruned (median).
        warmup: agent steps before which no trial is pruned.
    """

    asked: dict[str, Any]
    config: Config
    words: Words
    seeds: tuple[int, ...]
    trials: int
    pruning: Pruning
    startup: int
    warmup: int

    @property
    def space(self) -> Space:
        return read_space(self.words, self.config.model_dump())

    @property
    def metric(self) -> str:
        """What a trial's score is, in words."""
        seeds = "" if len(self.seeds) == 1 else f", over {len(self.seeds)} seeds"
        return f"mean of the {self.config.evaluation.policy} evaluation in training{seeds}"

    @property
    def span(self) -> int:
        """Agent steps of one training up to its last evaluation."""
        return self.on_grid(self.config.training.steps)

    def on_grid(self, steps: int) -> int:
        """The step at which an evaluation was due that came at `steps`: the same one for every trial."""
        return steps // self.config.evaluation.every * self.config.evaluation.every

    def config_of(self, labels: Mapping[str, Label], seed: int) -> Config:
        """A trial's configuration. Raises `ConfigError` when the values do not fit together."""
        values = merged(self.config.model_dump(), nested(self.space, labels))
        return build_config(merged(values, {"training": {"seed": seed}}))

    def preset_of(self, labels: Mapping[str, Label]) -> Config:
        """A trial's configuration without what belongs to the runs of a study: seed, and what checkpoints hold."""
        config = self.config_of(labels, 0)
        return config.model_copy(update={"training": config.training.model_copy(update={"save_replay": True})})

    def save(self, folder: Path) -> None:
        config = self.config.model_dump(mode="json")
        values = {"format": FORMAT, **asdict(self), "config": config, "seeds": list(self.seeds)}
        write_whole(folder / NAME, json.dumps(values, indent=1) + "\n")


def load_plan(folder: Path) -> Plan:
    """Raises `ConfigError` when there is no study, or its file is damaged."""
    path = folder / NAME
    if not path.is_file():
        known = sorted(found.parent.name for found in folder.parent.glob(f"*/{NAME}"))
        hint = f"there are {', '.join(known[-10:])}" if known else "there is none yet"
        raise ConfigError(f"no study {folder.name!r} in {folder.parent}; {hint}.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("another version wrote it")
        plan = Plan(**{**values, "config": build_config(values["config"]), "seeds": tuple(values["seeds"])})
        _ = plan.space
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    return plan


def check_same(saved: Plan, asked: Plan, name: str) -> None:
    """Raises `ConfigError` when a study would go on with something else than it began with."""
    for what, before, after in _compared(saved, asked):
        if before != after:
            raise ConfigError(
                f"study {name!r} has {what} {before}, found {after}: leave everything but --trials as it was, or "
                "choose another --study."
            )


def with_evaluations(config: Config, *, is_chosen: bool) -> Config:
    """The configuration with evaluations in training, which tell how good a trial is.

    Args:
        is_chosen: a person gave `evaluation.every`, so that it stays.

    Raises:
        ConfigError: there would be none, or the training has no number of steps.
    """
    steps, every = config.training.steps, config.evaluation.every
    if not steps:
        raise ConfigError("trials are compared at equal agent steps: give --steps instead of --episodes.")
    if is_chosen and not 0 < every <= steps:
        raise ConfigError(
            f"evaluation.every is {every} in a training of {steps} steps: give a number from 1 to {steps}, for an "
            "evaluation is what tells how good a trial is."
        )
    if 0 < every <= steps:
        return config
    every = max(1, steps // EVALUATIONS)
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"every": every})})


def _compared(saved: Plan, asked: Plan) -> list[tuple[str, Any, Any]]:
    before, after = saved.asked, asked.asked
    compared: list[tuple[str, Any, Any]] = [("the preset", before["preset"] or "none", after["preset"] or "none")]
    for section in (name for name, value in before.items() if isinstance(value, dict)):
        compared += [(f"{section}.{name}", value, after[section].get(name)) for name, value in before[section].items()]
    spaces = [saved.space, asked.space]
    for path in sorted({*spaces[0], *spaces[1]}):
        first, second = (str(space[path]) if path in space else "not searched" for space in spaces)
        compared.append((f"--search {path}", first, second))
    for option in ("seeds", "pruning", "startup", "warmup"):
        compared.append((option, getattr(saved, option), getattr(asked, option)))
    return compared
