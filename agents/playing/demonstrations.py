"""Episodes that a person played, as a file, and from there into an agent's replay.

A `.npz` file without pickles. Its arrays have one entry per row, in the order in which they were played:

    format        int, `FORMAT`
    about         JSON: environment, behavior, seed, scores, names of the observations
    episode       int64 [N], from 0
    step_type     uint8 [N], see `bridge.StepType`; each episode runs from FIRST to LAST
    reward        float32 [N], earned since the row before; 0 on FIRST
    discount      float32 [N], 0 only where the episode terminated
    action        int32 [N, branches], the answer to the row; -1 on LAST
    observation_K [N, ...], one array per observation of the environment
    mask_K        bool [N, size], one array per branch
    table_K       [size, dims], one array per branch: what the actions mean (see `bridge.ActionCodec`)
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.episodes.players import Episode
from agents.learning.agent import DQNAgent
from agents.learning.nstep import NStep
from agents.settings.config import ConfigError
from bridge import Bridge, Steps, StepType

FORMAT = 1


@dataclass(frozen=True)
class Demonstrations:
    """Whole episodes, one after the other.

    Attributes:
        steps: their rows; `episode` counts from 0.
        actions: int32 [N, branches], -1 on LAST rows.
    """

    steps: Steps
    actions: npt.NDArray[np.int32]


def save_demonstrations(path: Path, bridge: Bridge, episodes: Sequence[Episode], seed: int) -> None:
    """Writes the file, or leaves what was there. Raises `OSError`."""
    rows = [row for episode in episodes for row in episode.rows]
    last = np.full((1, len(bridge.spec.actions.branches)), -1, np.int32)
    about = {
        "environment": bridge.env_spec.target,
        "behavior": bridge.spec.name,
        "seed": seed,
        "scores": [episode.result.score for episode in episodes],
        "observations": [spec.name for spec in bridge.spec.observations],
    }
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "about": np.array(json.dumps(about)),
        "episode": np.repeat(np.arange(len(episodes)), [len(episode.rows) for episode in episodes]),
        "action": np.concatenate([action for episode in episodes for action in (*episode.actions, last)]),
    }
    for name in ("step_type", "reward", "discount"):
        arrays[name] = np.concatenate([getattr(row, name) for row in rows])
    for index in range(len(bridge.spec.observations)):
        arrays[f"observation_{index}"] = np.concatenate([row.obs[index] for row in rows])
    for branch, table in enumerate(bridge.codec.tables):
        arrays[f"mask_{branch}"] = np.concatenate([row.mask[branch] for row in rows])
        arrays[f"table_{branch}"] = table
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    partial.replace(path)


def load_demonstrations(path: Path, bridge: Bridge) -> Demonstrations:
    """The episodes of a file, for the environment that is trained on.

    Raises:
        ConfigError: the file cannot be read, or was played with other observations or actions.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
        if found["format"] != FORMAT:
            raise ConfigError(f"{path} has format {found['format']}, expected {FORMAT}.")
        _check(path, found, bridge)
        return _read(found, bridge)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ConfigError(f"{path} is no file of demonstrations: {reason}.") from None


def remember(agent: DQNAgent, demonstrations: Demonstrations) -> int:
    """Puts the episodes into the agent's replay as the n-step transitions that its own would become.

    Neither steps nor updates are counted: the agent only finds them when it samples. They are the oldest rows of the
    ring and are the first to make room.

    Returns:
        the number of transitions added.
    """
    steps, actions = demonstrations.steps, demonstrations.actions
    settings = agent.config.learner
    nstep = NStep(settings.n_step, settings.gamma, actions.shape[1])
    frames = agent.store(steps)
    rewards = agent.shaped(steps)
    before = len(agent.replay)
    for place in range(len(steps)):
        row = slice(place, place + 1)
        done = nstep.reported(steps.episode[row], steps.step_type[row], rewards[row], steps.discount[row], frames[row])
        agent.replay.complete(done)
        if steps.step_type[place] != StepType.LAST:
            nstep.decided(steps.episode[row], frames[row], actions[row])
    return len(agent.replay) - before


def _check(path: Path, found: dict[str, Any], bridge: Bridge) -> None:
    spec = bridge.spec
    seen = [found[f"observation_{index}"] for index in range(sum(name.startswith("observation_") for name in found))]
    if [(array.shape[1:], array.dtype) for array in seen] != [(item.shape, item.dtype) for item in spec.observations]:
        shapes = [array.shape[1:] for array in seen]
        expected = [item.shape for item in spec.observations]
        raise ConfigError(
            f"{path} was played with observations {shapes}, expected {expected}: it is another environment's."
        )
    tables = [found[f"table_{branch}"] for branch in range(sum(name.startswith("table_") for name in found))]
    same = len(tables) == len(bridge.codec.tables) and all(
        np.array_equal(mine, theirs) for mine, theirs in zip(tables, bridge.codec.tables, strict=True)
    )
    if not same:
        raise ConfigError(
            f"{path} was played with actions in branches of {[len(table) for table in tables]}, expected "
            f"{list(spec.actions.branches)} with the same meaning: play and train with one codec, offset and levels."
        )


def _read(found: dict[str, Any], bridge: Bridge) -> Demonstrations:
    """Raises `ValueError` for arrays that do not belong together."""
    branches = bridge.spec.actions.branches
    count = len(found["episode"])
    worker = np.zeros(count, np.int32)
    steps = Steps(
        episode=found["episode"].astype(np.int64),
        step_type=found["step_type"].astype(np.uint8),
        obs=tuple(found[f"observation_{index}"] for index in range(len(bridge.spec.observations))),
        reward=found["reward"].astype(np.float32),
        discount=found["discount"].astype(np.float32),
        mask=tuple(found[f"mask_{branch}"].astype(np.bool_) for branch in range(len(branches))),
        worker=worker,
        incarnation=worker,
    )
    actions = found["action"].astype(np.int32)
    columns = (steps.step_type, steps.reward, steps.discount, actions, *steps.obs, *steps.mask)
    if any(len(column) != count for column in columns) or actions.shape != (count, len(branches)):
        raise ValueError("its arrays have different lengths")
    if any(mask.shape != (count, size) for mask, size in zip(steps.mask, branches, strict=True)):
        raise ValueError("its masks have other sizes than the branches")
    numbers = (steps.reward, steps.discount, *(obs for obs in steps.obs if obs.dtype == np.float32))
    if not all(np.isfinite(values).all() for values in numbers):
        raise ValueError("it has numbers that are not finite")
    _check_order(steps, actions, branches)
    return Demonstrations(steps, actions)


def _check_order(steps: Steps, actions: npt.NDArray[np.int32], branches: tuple[int, ...]) -> None:
    """Each episode is FIRST, any number of MID, LAST; actions answer all but LAST. Raises `ValueError`."""
    first, last = steps.step_type == StepType.FIRST, steps.step_type == StepType.LAST
    follows_last = np.concatenate([[True], last[:-1]]) if len(last) else last
    changes = np.diff(steps.episode, prepend=-1)
    whole = (first == follows_last).all() and last[-1:].all() and (changes == first).all()
    if not whole or (steps.step_type > StepType.LAST).any():
        raise ValueError("its rows are no whole episodes")
    answered = actions[~last]
    if (answered < 0).any() or (answered >= np.array(branches)).any():
        raise ValueError("it has actions that do not exist")
