"""The presets that ship. What the write-ups give is written out here and must not be lost."""

from __future__ import annotations

from typing import Any

import pytest

from agents.learning.agent import DQNAgent
from agents.learning.inputs import NetworkInputs
from agents.settings.config import Config, ConfigError, build_config, merged
from agents.settings.presets import load_preset, preset_by_kind, preset_for, preset_names
from bridge import ActionSpec, BehaviorSpec, ObsSpec
from tests.agents.scripted import VECTOR, behavior

#: What the GridWorld build shows its agents.
GRIDWORLD = BehaviorSpec(
    "GridWorld",
    (
        ObsSpec("goal_signal", "vector", (2,), is_goal=True),
        ObsSpec("picture", "image", (3, 64, 84)),
        ObsSpec("positions", "vector", (6,)),
    ),
    ActionSpec((4,)),
)

CARTPOLE = {
    "environment.backend": "gym",
    "environment.env": "CartPole-v1",
    "learner.double": False,
    "learner.n_step": 1,
}

SEED_A = {
    "environment.backend": "gym",
    "environment.env": "Pusher-v4",
    "environment.codec": "one_joint",
    "network.hidden": (224, 112, 56, 28),
    "network.activation": "relu",
    "network.layer_norm": False,
    "network.dueling": False,
    "network.normalize": False,
    "learner.batch_size": 100,
    "learner.learning_rate": 0.001,
    "learner.gamma": 0.97,
    "learner.loss": "mse",
    "learner.n_step": 1,
    "learner.double": False,
    "learner.target": "hard",
    "learner.target_period": 20,
    "learner.target_unit": "steps",
    "learner.target_rate": 1.0,
    "learner.updates_per_step": 0.25,
    "learner.learning_starts": 400,
    "learner.max_grad_norm": 0.0,
    "replay.capacity": 20_000,
    "exploration.kind": "epsilon",
    "exploration.schedule": "linear",
    "exploration.unit": "steps",
    "exploration.delay": 0,
    "exploration.hold": 1.0,
    "training.summary_episodes": 10,
    # A greedy episode every 20 episodes of 100 steps.
    "evaluation.every": 2000,
    "evaluation.every_episodes": 1,
    "evaluation.epsilon": 0.0,
}

SEEDS: dict[str, dict[str, Any]] = {
    "seed-a-phase1": {
        **SEED_A,
        "exploration.start": 1.0,
        "exploration.end": 0.8,
        "exploration.duration": 800_000,
        "training.steps": 0,
        "training.episodes": 8000,
    },
    "seed-a": {
        **SEED_A,
        "exploration.start": 0.5,
        "exploration.end": 0.3,
        "exploration.duration": 100_000,
        "training.steps": 0,
        "training.episodes": 1000,
    },
    "seed-b": {
        **CARTPOLE,
        "network.hidden": (32, 32),
        "network.activation": "relu",
        "learner.optimizer": "adam",
        "learner.loss": "mse",
        "learner.target": "none",
        "learner.target_rate": 0.9,
        "learner.gamma": 0.99,
        "learner.batch_size": 64,
        "learner.learning_starts": 192,
        "replay.capacity": 2000,
        "exploration.kind": "epsilon",
        "exploration.schedule": "exponential",
        "exploration.unit": "steps",
        "exploration.start": 0.9,
        "exploration.decay": 0.999,
        "exploration.end": 0.01,
        "training.steps": 0,
        "training.episodes": 100,
        "training.failure_reward": -100.0,
        "training.stop_score": 475.0,
        "evaluation.every_episodes": 5,
    },
    "seed-b-keras": {
        **CARTPOLE,
        "learner.double": True,
        "network.hidden": (24, 24),
        "learner.optimizer": "adam",
        "learner.learning_rate": 0.001,
        "learner.target": "polyak",
        "learner.polyak": 0.01,
        "learner.learning_starts": 10,
        "replay.capacity": 50_000,
        "exploration.kind": "boltzmann",
        "training.steps": 50_000,
        "training.episodes": 0,
        "training.failure_reward": None,
        "evaluation.episodes": 10,
        "evaluation.steps": 0,
    },
    "seed-c": {
        "environment.backend": "unity",
        "environment.build": "GridWorld",
        "environment.codec": "offset",
        "environment.offset": 1,
        "environment.time_scale": 12.0,
        "network.encoder": "nature",
        "network.goal": "gate",
        "network.hidden": (512,),
        "network.activation": "relu",
        "network.layer_norm": False,
        "network.dueling": False,
        "learner.batch_size": 32,
        "learner.learning_rate": 0.00025,
        "learner.optimizer": "adam",
        "learner.loss": "huber",
        "learner.gamma": 0.9,
        "learner.n_step": 1,
        "learner.double": False,
        "learner.target": "hard",
        "learner.target_period": 500,
        "learner.target_unit": "steps",
        "learner.target_rate": 1.0,
        "learner.updates_per_step": 1.0,
        "learner.learning_starts": 5000,
        "learner.max_grad_norm": 0.0,
        "replay.capacity": 10_000,
        "exploration.kind": "epsilon",
        "exploration.schedule": "linear",
        "exploration.unit": "updates",
        "exploration.start": 1.0,
        "exploration.end": 0.1,
        "exploration.duration": 40_000,
        "exploration.delay": 0,
        "training.steps": 50_000,
        "training.summary_episodes": 10,
        "training.checkpoint_episodes": 100,
        "evaluation.steps": 5000,
        "evaluation.epsilon": 0.05,
        "evaluation.time_scale": 1.0,
    },
    "seed-d": {
        **CARTPOLE,
        "network.hidden": (10, 10),
        "learner.optimizer": "rmsprop",
        "learner.learning_rate": 0.001,
        "learner.loss": "mse",
        "learner.gamma": 0.9,
        "learner.batch_size": 100,
        "learner.target": "hard",
        "learner.target_period": 1,
        "learner.target_unit": "episodes",
        "learner.learning_starts": 2000,
        "exploration.kind": "epsilon",
        "exploration.schedule": "exponential",
        "exploration.unit": "episodes",
        "exploration.start": 0.99,
        "exploration.decay": 0.995,
        "exploration.end": 0.01,
        "training.steps": 0,
        "training.episodes": 500,
        "training.checkpoint_episodes": 100,
        "training.histograms": True,
    },
    "seed-e": {
        **CARTPOLE,
        "learner.loss": "mse",
        "learner.gamma": 0.99,
        "learner.target": "hard",
        "learner.target_period": 10,
        "learner.target_unit": "updates",
        "learner.learning_starts": 10_000,
        "replay.capacity": 50_000,
        "training.stop_score": 350.0,
    },
}


def preset(name: str) -> Config:
    return build_config(load_preset(name))


def value(config: Config, path: str) -> Any:
    section, field = path.split(".")
    return getattr(getattr(config, section), field)


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_a_seeds_preset_has_what_its_write_up_says(name: str) -> None:
    config = preset(name)
    assert {path: value(config, path) for path in SEEDS[name]} == SEEDS[name]


def test_there_is_a_preset_for_every_write_up() -> None:
    assert {name for name in preset_names() if name.startswith("seed-")} == set(SEEDS)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    assert preset(name).preset == name
    assert "environments" not in load_preset(name), "what a preset is for is no setting"


@pytest.mark.parametrize("name", ["gridworld", "seed-c"])
def test_gridworld_is_seen_through_its_picture_and_its_goal_never_through_its_positions(name: str) -> None:
    config = preset(name)
    used = [item.name for item in NetworkInputs(GRIDWORLD, config.network.observations, 1).specs]
    assert used == ["goal_signal", "picture"]
    small = build_config(merged(load_preset(name), {"replay": {"capacity": 100}, "training": {"torch_device": "cpu"}}))
    agent = DQNAgent(GRIDWORLD, small)
    assert [item.name for item in agent.network.observations] == used
    assert agent.replay.nbytes < 100 * (3 * 64 * 84 + 2 * 4 + 64), "the positions are not even stored"


@pytest.mark.parametrize("name", [name for name in preset_names() if "gridworld" in name or name == "seed-c"])
def test_gridworlds_action_0_does_nothing_and_is_left_out(name: str) -> None:
    environment = preset(name).environment
    assert (environment.codec, environment.offset) == ("offset", 1)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("GridWorld", "gridworld"),
        ("unity_builds/simulated/GridWorld.x86_64", "gridworld"),
        ("/builds/GridWorld.app/", "gridworld"),
        ("C:\\builds\\GridWorld.exe", "gridworld"),
        ("CartPole-v1", "cartpole"),
        ("some.module:CartPole-v1", "cartpole"),
        ("Pusher-v4", "pusher"),
        ("envs.pusher:PusherContact-v5", "pusher"),
        ("Pusher-v5", "pusher"),
        ("Acrobot-v1", "acrobot"),
        ("envs.minatar:MinAtar/Breakout-v1", "minatar"),
        ("ale_py:ALE/Breakout-v5", None),
        ("LunarLander-v3", "lunarlander"),
        ("MountainCar-v0", "mountaincar"),
        ("Pendulum-v1", None),
        ("GridWorldTwo", None),
        ("3DBall", None),
    ],
)
def test_the_preset_of_an_environment_is_found_by_its_name(target: str, name: str | None) -> None:
    assert preset_for(target) == name


def test_the_preset_of_another_environment_goes_by_what_it_observes() -> None:
    assert preset_by_kind(behavior(VECTOR)) == "vector"
    assert preset_by_kind(GRIDWORLD) == "image"


@pytest.mark.parametrize("name", ["vector", "image"])
def test_a_general_preset_fits_any_environment_of_its_kind(name: str) -> None:
    spec = behavior(VECTOR) if name == "vector" else behavior(ObsSpec("picture", "image", (1, 84, 84)), VECTOR)
    config = build_config(merged(load_preset(name), {"replay": {"capacity": 100}, "training": {"torch_device": "cpu"}}))
    assert DQNAgent(spec, config).network is not None


def test_an_environment_without_what_a_preset_looks_at_is_refused() -> None:
    """Seed C on a build that tells no goal."""
    spec = BehaviorSpec("Other", GRIDWORLD.observations[1:], GRIDWORLD.actions)
    with pytest.raises(ConfigError, match="this environment has no 'goal'; there are picture, positions"):
        DQNAgent(spec, preset("seed-c"))
