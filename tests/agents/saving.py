"""Agents with a past, and a process that does nothing but save one."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from agents.learning.agent import DQNAgent
from agents.learning.loop import Event, collect_and_learn
from agents.settings.config import Config, build_config
from agents.storage.checkpoint import find_checkpoint, read_about, restore_checkpoint, save_checkpoint
from bridge import Bridge, EnvSpec, connect
from tests.agents.scripted import behavior, small_agent

#: Everything that has a state: running norms, a target, several branches, held actions, n steps.
CONFIG = build_config(
    {
        "environment": {"env": "tests.environments:ManyBranches-v0", "num_envs": 3},
        "network": {"hidden": [8], "normalize": True, "dueling": True},
        "learner": {"batch_size": 8, "learning_starts": 10, "updates_per_step": 0.4, "n_step": 3},
        "replay": {"capacity": 100},
        "exploration": {"hold": 3, "duration": 200},
        "training": {"torch_device": "cpu"},
    }
)


def open_training(config: Config = CONFIG, seed: int = 0) -> Bridge:
    return connect(EnvSpec("gym", config.environment.env, {"num_envs": config.environment.num_envs}, seed))


def practise(agent: DQNAgent, bridge: Bridge, events: int) -> list[Event]:
    return list(islice(collect_and_learn(bridge, agent), events))


def experienced(events: int = 300) -> DQNAgent:
    """An agent that has learned from so many events."""
    with open_training() as bridge:
        agent = DQNAgent(bridge.spec, CONFIG)
        practise(agent, bridge, events)
    return agent


def fresh() -> DQNAgent:
    """An agent for the same environment, with another seed and no past."""
    with open_training() as bridge:
        training = CONFIG.training.model_copy(update={"seed": 7})
        return DQNAgent(bridge.spec, CONFIG.model_copy(update={"training": training}))


def state_of(agent: DQNAgent) -> dict[str, Any]:
    """All that it knows, as bytes and numbers that can be compared."""
    replay = {name: values.tobytes() for name, values in agent.replay.state_dict().items()}
    return {
        "tensors": _flat(agent.tensors()),
        "counters": _flat(agent.state_dict()),
        "replay": replay,
        "level": agent.exploration_level,
    }


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, item in items for name, leaf in _flat(item, f"{path}/{key}").items()}
    return {path: np.asarray(value).tobytes() if hasattr(value, "shape") else value}


def save_for_ever(folder: Path, agent: DQNAgent) -> None:
    """Until somebody kills it."""
    while True:
        agent.steps += 1
        save_checkpoint(folder, agent, "step", {"steps": agent.steps})


def kill_while_saving(folder: Path, times: int) -> None:
    """Lets a process of its own save and kills it, so many times; prints what it left: its step, and half a folder."""
    agent = small_agent(behavior())
    save_checkpoint(folder, agent, "step", {"steps": 0})
    rng = random.Random(0)
    for _ in range(times):
        before = find_checkpoint(folder, "latest")
        child = os.fork()
        if not child:
            save_for_ever(folder, agent)
        while find_checkpoint(folder, "latest") == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        latest = find_checkpoint(folder, "latest")
        restore_checkpoint(latest, agent)
        assert read_about(latest) == {"steps": agent.steps}
        print(agent.steps, len(list(folder.glob(".partial-*"))))  # noqa: T201


if __name__ == "__main__":
    kill_while_saving(Path(sys.argv[1]), int(sys.argv[2]))
