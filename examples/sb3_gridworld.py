"""Stable-Baselines3 on the simulated GridWorld build, through the door (`docs/door.md`).

    pip install -e ".[sb3]"
    python examples/sb3_gridworld.py --algorithm ppo --steps 50000 --seed 0

trains on the picture and the goal, never on the six numbers, and then tests the deterministic policy on the episodes
on which `python -m agents.train` tests: one area, seed 1000000.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch import nn

from bridge import EnvSpec
from bridge.door import BridgeVectorEnv
from bridge.door.sb3 import BridgeVecEnv

IMAGE, GOAL = "RenderTextureSensor", "VectorlSensor"  # Unity's spelling
TEST_SEED = 1_000_000


class GoalProduct(BaseFeaturesExtractor):
    """The encoded half-size picture once per goal, the others 0: our encoder `small` with goal `product`.

    SB3's own extractor appends the goal's two numbers to 256 features of the picture, and 50,000 steps are too few to
    find out what they are for.
    """

    def __init__(self, space: spaces.Dict, features_dim: int = 128) -> None:
        super().__init__(space, features_dim)
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2), nn.ReLU(), nn.Flatten()
        )
        with torch.no_grad():
            size = self._encoded(torch.zeros(1, *(space[IMAGE].shape or ()))).shape[1]
        self.joined = nn.Sequential(nn.Linear(2 * size, features_dim), nn.ReLU())

    def _encoded(self, image: torch.Tensor) -> torch.Tensor:
        encoded: torch.Tensor = self.encoder(image[:, :, ::2, ::2])
        return encoded

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        product = observations[GOAL][:, :, None] * self._encoded(observations[IMAGE])[:, None, :]
        joined: torch.Tensor = self.joined(product.flatten(1))
        return joined


def gridworld(areas: int, seed: int) -> VecEnv:
    """So many areas as so many environments. The codec leaves out "do nothing", as our own preset does."""
    options = {"env_args": ("--areas", str(areas)), "codec": "offset"}
    spec = EnvSpec("unity", "simulated/GridWorld", options, seed)
    return VecMonitor(BridgeVecEnv(BridgeVectorEnv(spec, observations=(IMAGE, GOAL))))


def make(algorithm: str, envs: VecEnv, seed: int) -> BaseAlgorithm:
    """The library's defaults but for what is named here. gamma is that of ML-Agents' configuration of GridWorld."""
    policy = {"features_extractor_class": GoalProduct}
    if algorithm == "ppo":  # rollouts and epochs as usual for pictures; 10 epochs fit each rollout and learn nothing
        return PPO(
            "MultiInputPolicy",
            envs,
            n_steps=128,
            batch_size=128,
            n_epochs=4,
            ent_coef=0.01,
            gamma=0.9,
            policy_kwargs=policy,
            seed=seed,
            verbose=1,
            device="cpu",
        )
    return DQN(
        "MultiInputPolicy",
        envs,
        learning_rate=5e-4,
        buffer_size=50_000,  # 32 kB per transition
        learning_starts=1000,
        gamma=0.9,
        gradient_steps=envs.num_envs,  # after every fourth step of all agents: an update per four agent steps
        target_update_interval=1000,
        exploration_fraction=0.6,
        exploration_final_eps=0.1,
        policy_kwargs=policy,
        seed=seed,
        verbose=1,
        device="cpu",
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", choices=("ppo", "dqn"), default="ppo")
    parser.add_argument("--steps", type=int, default=50_000, help="agent steps of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", type=int, default=9, help="agents in training")
    parser.add_argument("--episodes", type=int, default=100, help="of the test")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)

    envs = gridworld(args.areas, args.seed)
    try:
        model = make(args.algorithm, envs, args.seed)
        began = time.monotonic()
        model.learn(args.steps, log_interval=10 if args.algorithm == "ppo" else 100)
        seconds = time.monotonic() - began
    finally:
        envs.close()

    test = gridworld(1, TEST_SEED)
    try:
        returns, _ = evaluate_policy(model, test, args.episodes, deterministic=True, return_episode_rewards=True)
    finally:
        test.close()
    scores = np.array(returns)
    sys.stdout.write(
        f"{args.algorithm}, seed {args.seed}, {model.num_timesteps:,} agent steps in {seconds:.0f} s: "
        f"mean {scores.mean():.3f}, deviation {scores.std():.3f}, minimum {scores.min():.3f}, "
        f"success {(scores > 0).mean():.1%} over {len(scores)} episodes (seed {TEST_SEED})\n"
    )


if __name__ == "__main__":
    main()
