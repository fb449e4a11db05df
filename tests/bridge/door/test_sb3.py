"""The adapter for Stable-Baselines3."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from bridge import EnvSpec, UnsupportedError, UsageError
from bridge.door import BridgeEnv, BridgeVectorEnv
from bridge.door.sb3 import BridgeVecEnv
from tests.bridge.door.specs import gridworld, own

ROOT = Path(__file__).parents[3]


def cartpole(**kwargs: int) -> EnvSpec:
    return EnvSpec("gym", "CartPole-v1", {"env_kwargs": kwargs})


def assert_equal(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype
        np.testing.assert_array_equal(values, other[name])


@pytest.mark.parametrize("limit", [{}, {"max_episode_steps": 9}], ids=["terminated", "truncated"])
def test_the_same_as_their_own_vector(limit: dict[str, int]) -> None:
    makers = [lambda: BridgeEnv(cartpole(**limit)) for _ in range(3)]
    ours = BridgeVecEnv(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))
    theirs = DummyVecEnv(makers)  # type: ignore[arg-type]
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    ends: Counter[bool] = Counter()
    rng = np.random.default_rng(0)
    for _ in range(2):
        ours.seed(3)
        theirs.seed(3)
        assert_equal(ours.reset(), theirs.reset())
        for _ in range(60):
            actions = rng.integers(2, size=3)
            obs, rewards, dones, infos = ours.step(actions)
            expected, expected_rewards, expected_dones, expected_infos = theirs.step(actions)
            assert_equal(obs, expected)
            assert rewards.dtype == expected_rewards.dtype
            np.testing.assert_array_equal(rewards, expected_rewards)
            np.testing.assert_array_equal(dones, expected_dones)
            for done, info, other in zip(dones, infos, expected_infos, strict=True):
                assert info.keys() == other.keys()
                assert info["TimeLimit.truncated"] is other["TimeLimit.truncated"]
                if done:
                    assert_equal(info["terminal_observation"], other["terminal_observation"])
                    ends[info["TimeLimit.truncated"]] += 1
    assert ends[bool(limit)] > 5
    ours.close()
    theirs.close()


def test_ppo_learns_from_all_agents_of_a_scene() -> None:
    vector = BridgeVectorEnv(gridworld("--areas", "9"), observations=("RenderTextureSensor", "VectorlSensor"))
    envs = VecMonitor(BridgeVecEnv(vector))
    model = PPO("MultiInputPolicy", envs, n_steps=16, batch_size=48, n_epochs=1, seed=0, device="cpu")
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(144)
    assert model.num_timesteps == 144
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))
    assert len(model.ep_info_buffer or ()) > 3
    envs.close()


def test_dqn_learns_from_one_agent() -> None:
    envs = BridgeVecEnv(BridgeVectorEnv(cartpole(), observations="observation"))
    model = DQN("MlpPolicy", envs, learning_starts=50, buffer_size=500, seed=0, device="cpu")
    model.learn(300)
    assert model.num_timesteps == 300
    buffer = model.replay_buffer
    assert buffer is not None
    ends = np.flatnonzero(buffer.dones[:300, 0])
    assert len(ends) > 3
    for end in ends[ends < 299]:
        # Behind an end stands the true last observation of the episode, not the first one of the next.
        assert np.abs(buffer.next_observations[end]).max() > 0.2
        assert np.abs(buffer.observations[end + 1]).max() < 0.06
    counted = VecMonitor(envs)
    scores, lengths = evaluate_policy(model, counted, n_eval_episodes=5, return_episode_rewards=True)
    assert scores == lengths  # CartPole's reward is 1
    counted.close()


def test_what_their_loggers_and_masks_ask_for() -> None:
    envs = BridgeVecEnv(
        BridgeVectorEnv(own("Succeeds", num_envs=2, env_kwargs={"length": 2}, render=True), render_mode="rgb_array")
    )
    envs.reset()
    infos = envs.step(np.array([0, 1]))[3]
    assert "is_success" not in infos[0]
    infos = envs.step(np.array([0, 1]))[3]
    assert [info["is_success"] for info in infos] == [1.0, 1.0]
    assert envs.has_attr("action_masks")
    assert [mask.tolist() for mask in envs.env_method("action_masks")] == [[True] * 3] * 2
    assert len(envs.env_method("action_masks", indices=[1])) == 1
    picture = envs.render()
    assert picture is not None
    assert picture.shape == (8, 12, 3)
    assert not envs.has_attr("no_such_attribute")
    with pytest.raises(UsageError, match="no method 'compute_reward'"):
        envs.env_method("compute_reward", 1)
    with pytest.raises(UsageError, match="cannot be set"):
        envs.set_attr("x", 1)
    envs.close()


def test_masks_reach_sb3_contrib_by_their_name() -> None:
    envs = BridgeVecEnv(BridgeVectorEnv(gridworld("--areas", "2")))
    envs.seed(1)
    envs.reset()
    masks = np.stack(envs.env_method("action_masks"))
    assert masks.shape == (2, 5)
    assert masks[:, 0].all()  # standing still is always allowed
    assert not masks.all()
    envs.close()


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    other = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])
    with pytest.raises(UsageError, match=r"resets by AutoresetMode.NEXT_STEP, expected AutoresetMode.SAME_STEP"):
        BridgeVecEnv(other)
    other.close()
    deep = BridgeVectorEnv(own("Noise", env_kwargs={"shape": (8, 8, 8)}, frame_stack=2))
    with pytest.raises(UnsupportedError, match=r"image 'observation' has shape \(16, 8, 8\): .*the first"):
        BridgeVecEnv(deep)
    deep.close()


def test_the_example_trains_and_tests(capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(ROOT / "examples" / "sb3_gridworld.py"))["main"]
    main(["--algorithm", "dqn", "--steps", "72", "--episodes", "2"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.match(r"dqn, seed 0, 72 agent steps in \d+ s: mean -?\d\.\d+, .* over 2 episodes \(seed 1000000\)", line)


def test_without_the_extra_nothing_of_it_is_imported() -> None:
    program = "import sys, bridge, bridge.door; print({'torch', 'stable_baselines3'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
