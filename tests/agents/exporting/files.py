"""Agents that nobody trained, runs of them, and model files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto

from agents.exporting.model import PolicyModel
from agents.learning.agent import DQNAgent
from agents.settings.config import Config, build_config, merged
from agents.settings.files import save_config
from agents.settings.presets import load_preset
from agents.storage.checkpoint import save_checkpoint
from agents.storage.runs import RunFolder
from bridge import ActionCodec, BehaviorSpec, CodecSettings, NativeActions, ObsSpec, Steps, connect
from bridge.actions import make_codec

IMAGE = ObsSpec("camera", "image", (3, 44, 52))
SMALL_IMAGE = ObsSpec("map", "image", (1, 40, 40))
GOAL = ObsSpec("goal", "vector", (2,), is_goal=True)
NUMBERS = ObsSpec("numbers", "vector", (5,))
#: As a package that nobody would train on a GridWorld has it: offset 1 leaves 4 of 5 actions.
GRIDWORLD = make_codec(NativeActions(branches=(5,)), CodecSettings("offset", 1))


def spec_of(codec: ActionCodec, *observations: ObsSpec) -> BehaviorSpec:
    return BehaviorSpec("Scripted", observations, codec.spec)


def config_of(**sections: Any) -> Config:
    small = {"replay": {"capacity": 50}, "training": {"torch_device": "cpu"}, "network": {"hidden": [16]}}
    return build_config(merged(small, sections))


def untrained(spec: BehaviorSpec, config: Config, *, seed: int = 0) -> DQNAgent:
    """An agent with larger weights than it begins with, and norms that have seen something."""
    agent = DQNAgent(spec, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in agent.network.named_buffers():
            if name.endswith("mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
            elif name.endswith("var"):
                buffer.copy_(0.1 + 9 * torch.rand(buffer.shape, generator=generator))
    return agent


def model_of(agent: DQNAgent, codec: ActionCodec, *, plain: bool = False) -> ModelProto:
    model = PolicyModel(agent.network, agent.inputs, agent.spec, codec, {})
    return model.plain() if plain else model.unity()


def random_rows(spec: BehaviorSpec, codec: ActionCodec, rows: int, seed: int = 0) -> Steps:
    """Deciding rows with random observations and masks."""
    rng = np.random.default_rng(seed)
    obs = tuple(
        rng.integers(256, size=(rows, *item.shape)).astype(np.uint8)
        if item.kind == "image"
        else rng.normal(0, 3, (rows, *item.shape)).astype(np.float32)
        for item in spec.observations
    )
    mask = codec.all_allowed(rows)
    if codec.native.is_discrete:
        for allowed in mask:
            allowed[:] = rng.random(allowed.shape) < 0.5
            allowed[np.arange(rows), rng.integers(allowed.shape[1], size=rows)] = True
    return Steps(
        episode=np.arange(rows, dtype=np.int64),
        step_type=np.ones(rows, np.uint8),
        obs=obs,
        reward=np.zeros(rows, np.float32),
        discount=np.ones(rows, np.float32),
        mask=mask,
        worker=np.zeros(rows, np.int32),
        incarnation=np.zeros(rows, np.int32),
    )


def untrained_run(results_dir: Path, run_id: str, preset: str, **environment: Any) -> RunFolder:
    """The folder of a run whose agent nobody trained, with a best checkpoint."""
    values = merged(load_preset(preset), {"environment": environment})
    config = build_config(merged(values, {"replay": {"capacity": 50}, "training": {"torch_device": "cpu"}}))
    run = RunFolder(results_dir / run_id)
    run.path.mkdir(parents=True)
    save_config(config, run.config)
    with connect(config.environment.spec(config.training.seed)) as bridge:
        agent = untrained(bridge.spec, config)
    save_checkpoint(run.checkpoints, agent, "best", {"score": 0.0})
    return run
