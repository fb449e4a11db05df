"""One run of a Stable-Baselines3 agent, started by benchmarks/peers.py, which has the names of the task.

    python benchmarks/sb3_run.py '{"algorithm": "DQN", "env": "CartPole-v1", ...}' CURVE.json

writes its learning curve: agent steps, seconds of training without evaluations, mean and minimum of the scores of the
deterministic policy, in an environment of its own and always on the same episodes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from gymnasium import spaces
from gymnasium.wrappers import TransformAction, TransformObservation
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from bridge import EnvSpec, connect

Environment = gymnasium.Env[Any, Any]


def make_environment(name: str, codec: str | None) -> Environment:
    """With a codec of ours (`bridge.actions`), of one branch, its actions are those of that codec.

    Planes of true and false, [H, W, C] as in MinAtar, become the uint8 [C, H, W] that SB3 takes for an image.
    """
    env = gymnasium.make(name)
    if env.observation_space.dtype == np.bool_:
        rows, columns, planes = env.observation_space.shape or ()
        image = spaces.Box(0, 255, (planes, rows, columns), np.uint8)
        env = TransformObservation(env, lambda values: values.transpose(2, 0, 1) * np.uint8(255), image)
    if codec is None:
        return env
    with connect(EnvSpec("gym", name, {"codec": codec})) as bridge:
        (size,) = bridge.spec.actions.branches
        table = bridge.codec.encode(np.arange(size, dtype=np.int32)[:, None])
    return TransformAction(env, lambda action: table[int(action)], spaces.Discrete(size))


class Convolutions(BaseFeaturesExtractor):
    """Of images: (channels, kernel, stride) of each layer, ReLU after each."""

    def __init__(self, space: spaces.Box, layers: list[list[int]]) -> None:
        parts: list[nn.Module] = []
        channels = space.shape[0]
        for size, kernel, stride in layers:
            parts += [nn.Conv2d(channels, size, kernel, stride), nn.ReLU()]
            channels = size
        encode = nn.Sequential(*parts, nn.Flatten())
        super().__init__(space, features_dim=encode(torch.zeros(1, *space.shape)).shape[1])
        self.encode = encode

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.encode(images)
        return features


def make_model(task: dict[str, Any], env: Environment) -> BaseAlgorithm:
    """SB3 gives exploration as a part of the training; `exploration_steps` stay the same in one of another length."""
    settings = {name: value for name, value in task["settings"].items() if name != "codec"}
    if "exploration_steps" in settings:
        settings["exploration_fraction"] = min(1.0, settings.pop("exploration_steps") / task["steps"])
    policy = {"net_arch": settings.pop("net_arch")} if "net_arch" in settings else {}
    is_image = "convolutions" in settings
    if is_image:
        policy["features_extractor_class"] = Convolutions
        policy["features_extractor_kwargs"] = {"layers": settings.pop("convolutions")}
    if "noise" in settings:
        size = env.action_space.shape or ()
        settings["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, settings.pop("noise")))
    algorithm: type[BaseAlgorithm] = getattr(stable_baselines3, task["algorithm"])
    return algorithm(
        "CnnPolicy" if is_image else "MlpPolicy",
        env,
        seed=task["seed"],
        device="cpu",
        policy_kwargs=policy or None,
        **settings,
    )


def score(model: BaseAlgorithm, env: Environment, seed: int) -> float:
    """Of the deterministic policy in the episode of that seed."""
    observation, _ = env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        ended = terminated or truncated
    return total


class Evaluations(BaseCallback):
    """Evaluates every so many agent steps; `curve` is what the module's docstring says."""

    def __init__(self, task: dict[str, Any], env: Environment) -> None:
        super().__init__()
        self.curve: list[tuple[int, float, float, float]] = []
        self._task, self._env = task, env
        self._evaluating = 0.0

    def _on_training_start(self) -> None:
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        if self.num_timesteps // self._task["every"] > len(self.curve):
            began = time.perf_counter()
            seeds = range(self._task["evaluation_seed"], self._task["evaluation_seed"] + self._task["episodes"])
            scores = [score(self.model, self._env, seed) for seed in seeds]
            seconds = round(began - self._began - self._evaluating, 3)
            self.curve.append((self.num_timesteps, seconds, float(np.mean(scores)), min(scores)))
            self._evaluating += time.perf_counter() - began
        return True


def main(task: dict[str, Any], result: Path) -> None:
    torch.set_num_threads(1)
    codec = task["settings"].get("codec")
    with make_environment(task["env"], codec) as env, make_environment(task["env"], codec) as test:
        evaluations = Evaluations(task, test)
        make_model(task, env).learn(task["steps"], callback=evaluations)
    result.write_text(json.dumps(evaluations.curve), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
