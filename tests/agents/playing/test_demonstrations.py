"""A person's episodes as a file, and what they become in a replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.episodes.players import Episode, RandomPlayer, episodes
from agents.learning.agent import DQNAgent
from agents.playing.demonstrations import load_demonstrations, remember, save_demonstrations
from agents.settings.config import Config, ConfigError, build_config
from bridge import Bridge, EnvSpec, connect

UNITY = EnvSpec("unity", "simulated/GridWorld", {"codec": "offset"})


def gym(name: str, **env_kwargs: Any) -> EnvSpec:
    return EnvSpec("gym", name, {"env_kwargs": env_kwargs})


def config(**learner: Any) -> Config:
    return build_config(
        {
            "environment": {"env": "any"},
            "network": {"hidden": [4], "normalize": True},
            "learner": {"learning_starts": 0, **learner},
            "replay": {"capacity": 400},
            "training": {"torch_device": "cpu", "failure_reward": -100.0},
        }
    )


def recorded(bridge: Bridge, count: int, path: Path) -> list[Episode]:
    found = list(islice(episodes(bridge, RandomPlayer(bridge, 1), seed=5), count))
    save_demonstrations(path, bridge, found, seed=5)
    return found


def replay_of(agent: DQNAgent) -> dict[str, bytes]:
    """Its transitions; the order in which they were completed does not count."""
    state = agent.replay.state_dict()
    ready = np.sort(state["ready"])
    columns = {name: values for name, values in state.items() if name not in ("ready", "place", "frames")}
    return {name: values[ready].tobytes() for name, values in columns.items()}


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize(
    "spec",
    [
        gym("tests.environments:MaskedBranches-v0"),
        gym("tests.environments:Counter-v0", length=0, ends="terminated"),
        gym("tests.environments:Counter-v0", length=0, ends="truncated"),
    ],
    ids=["branches", "terminated", "truncated"],
)
def test_the_replay_is_that_of_an_agent_that_lived_it(spec: EnvSpec, n_step: int, tmp_path: Path) -> None:
    settings = config(n_step=n_step, gamma=0.9)
    with connect(spec) as bridge:
        found = recorded(bridge, 12, tmp_path / "mine.npz")
        learner, lived = (DQNAgent(bridge.spec, settings) for _ in range(2))
        before = learner.state_dict()
        added = remember(learner, load_demonstrations(tmp_path / "mine.npz", bridge))
    for episode in found:
        for row, actions in zip(episode.rows, [*episode.actions, None], strict=True):
            lived.observe(row)
            if actions is not None:
                lived.act()
                lived._nstep._open[int(row.episode[0])][-1].action = actions[0].tolist()
    assert added == sum(episode.result.length for episode in found) == len(learner.replay)
    assert replay_of(learner) == replay_of(lived)
    assert learner.state_dict() == before, "what others did was counted"
    norms, theirs = (agent.network.norms["0"].state_dict() for agent in (learner, lived))
    assert norms["count"] == theirs["count"]
    np.testing.assert_allclose(norms["mean"], theirs["mean"], rtol=1e-5)


def test_a_file_of_pictures_and_goals(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with connect(UNITY) as bridge:
        found = recorded(bridge, 3, path)
        loaded = load_demonstrations(path, bridge)
    rows = [row for episode in found for row in episode.rows]
    for index in range(3):
        assert np.array_equal(loaded.steps.obs[index], np.concatenate([row.obs[index] for row in rows]))
    assert np.array_equal(loaded.steps.mask[0], np.concatenate([row.mask[0] for row in rows]))
    assert sorted(tmp_path.iterdir()) == [path]
    with np.load(path, allow_pickle=False) as arrays:  # as docs/play.md says
        about = json.loads(str(arrays["about"]))
        assert arrays["format"] == 1
        assert arrays["observation_0"].dtype == np.uint8
        assert arrays["table_0"].ravel().tolist() == [1, 2, 3, 4]
    assert about["scores"] == [pytest.approx(episode.result.score) for episode in found]
    assert (about["environment"], about["seed"]) == ("simulated/GridWorld", 5)
    with connect(EnvSpec("unity", "simulated/GridWorld")) as bridge, pytest.raises(ConfigError) as error:
        load_demonstrations(path, bridge)
    assert "was played with actions in branches of [4], expected [5] with the same meaning" in str(error.value)


Arrays = dict[str, Any]


def changed(**values: Any) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, **values}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(format=np.array(2)), "has format 2, expected 1"),
        (lambda arrays: {name: arrays[name] for name in arrays if name != "reward"}, "'reward' is missing"),
        (changed(observation_0=np.zeros((12, 5), np.float32)), r"observations \[\(5,\)\], expected \[\(4,\)\]"),
        (changed(reward=np.full(12, np.nan, np.float32)), "numbers that are not finite"),
        (changed(reward=np.zeros(3, np.float32)), "its arrays have different lengths"),
        (changed(mask_0=np.ones((12, 4), np.bool_)), "its masks have other sizes"),
        (changed(step_type=np.full(12, 1, np.uint8)), "no whole episodes"),
        (changed(episode=np.zeros(12, np.int64)), "no whole episodes"),
        (changed(action=np.full((12, 1), 3, np.int32)), "actions that do not exist"),
        (changed(reward=np.array([None] * 12)), "Object arrays cannot be loaded"),
    ],
)
def test_a_file_that_does_not_fit(change: Callable[[Arrays], Arrays], message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with connect(gym("tests.environments:Counter-v0")) as bridge:
        recorded(bridge, 2, path)
        with np.load(path) as arrays:
            found = dict(arrays)
        np.savez(path, **change(found))
        with pytest.raises(ConfigError, match=message):
            load_demonstrations(path, bridge)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with connect(gym("tests.environments:Counter-v0")) as bridge:
        with pytest.raises(ConfigError, match="is no file of demonstrations"):
            load_demonstrations(path, bridge)
        with pytest.raises(ConfigError, match="is no file of demonstrations"):
            load_demonstrations(tmp_path / "none.npz", bridge)
