"""Tests of a run's agent, in environments of their own: during training, at its end, and whenever somebody asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from agents.episodes.evaluation import Evaluation, Player, evaluate
from agents.filming.recording import Clip, clip, recording_spec
from agents.learning.agent import DQNAgent
from agents.metrics.progress import Bar
from agents.settings.config import Config, ConfigError, EvaluationConfig
from agents.settings.files import load_config
from agents.storage.checkpoint import CheckpointError, find_checkpoint, is_checkpoint, restore_weights
from agents.storage.runs import RunFolder, existing_run
from bridge import Bridge, EnvSpec, connect


def prepare_torch(config: Config) -> None:
    """Settings of torch that belong to the process."""
    torch.set_num_threads(config.training.torch_threads)
    # Optimiser moments of unused weights fade into denormal numbers, which the CPU computes 10 to 100 times slower.
    torch.set_flush_denormal(True)


class Evaluator:
    """Evaluations during training, always of the same episodes, in an environment that stays open in between."""

    def __init__(self, config: Config) -> None:
        # Apart from the seed of the test, which must not have chosen the policy that it tests.
        self._settings = config.evaluation.model_copy(update={"seed": config.evaluation.seed + 1, "epsilon": 0.0})
        self._config = config
        self._bridge: Bridge | None = None
        self._drawing: Bridge | None = None

    def __call__(self, agent: DQNAgent, should_stop: Callable[[], bool]) -> Evaluation:
        if self._bridge is None:
            # A worker id beside those of training, so that a player gets a port of its own.
            self._bridge = connect(
                _evaluation_spec(self._config, self._settings), worker=self._config.environment.num_envs
            )
        episodes = self._settings.every_episodes
        return evaluate(self._bridge, agent, self._settings, episodes=episodes, should_stop=should_stop)

    def clip(self, agent: DQNAgent) -> Clip:
        """An episode in pictures.

        Raises:
            BridgeError: the environment cannot draw here, or was lost.
        """
        if self._drawing is None:
            config = self._config.model_copy(update={"evaluation": self._settings})
            self._drawing = connect(recording_spec(config, None), worker=self._config.environment.num_envs + 1)
        seed = self._settings.seed
        rng = np.random.default_rng(seed)
        return clip(self._drawing, lambda rows: agent.choose(rows, 0.0, rng), seed)

    def close(self) -> None:
        for bridge in (self._bridge, self._drawing):
            if bridge is not None:
                bridge.close()
        self._bridge = self._drawing = None


def check_seed(config: Config, trained: Config) -> None:
    """Raises `ConfigError` when the test of `config` would play the episodes that a run of `trained` learns from."""
    if config.evaluation.seed == trained.training.seed:
        raise ConfigError(
            f"seed {config.evaluation.seed} is that of training: test on another one, or the test shows nothing new."
        )


def open_test(config: Config) -> Bridge:
    """A fresh environment for the test of `config.evaluation`."""
    return connect(_evaluation_spec(config, config.evaluation))


def checkpoint_to_test(config: Config, run: RunFolder, named: str | None = None) -> Path:
    """What the test plays: the best checkpoint where the settings want that and there is one, else the latest.

    Args:
        named: `latest` or `best`, where a person wants that one.

    Raises:
        CheckpointError: there is none.
    """
    if named:
        return find_checkpoint(run.checkpoints, named)
    if config.evaluation.policy == "best":
        with contextlib.suppress(CheckpointError):
            return find_checkpoint(run.checkpoints, "best")
    return find_checkpoint(run.checkpoints, "latest")


def find_weights(name: str, results_dir: Path) -> Path:
    """The checkpoint that a person means by a run id, a run's folder or a checkpoint's folder.

    Of a run it is the one that its test plays.

    Raises:
        CheckpointError, ConfigError: there is none.
    """
    path = Path(name)
    if is_checkpoint(path):
        return path
    is_folder = RunFolder(path).config.is_file()
    if not is_folder and path.name != name:
        raise ConfigError(f"there is no run and no checkpoint in {name!r}.")
    run = RunFolder(path) if is_folder else existing_run(results_dir, name)
    return checkpoint_to_test(load_config(run.config), run)


def play_test(
    bridge: Bridge, player: Player, settings: EvaluationConfig, should_stop: Callable[[], bool]
) -> Evaluation:
    """Plays the test of `settings` below a progress bar. Raises `InterruptedError` when `should_stop` said so."""
    bar = Bar(None if settings.steps else settings.episodes, "episode", name="test", keep=False)
    with contextlib.closing(bar):
        return evaluate(
            bridge,
            player,
            settings,
            episodes=settings.episodes,
            steps=settings.steps,
            progress=bar.advance,
            should_stop=should_stop,
        )


def run_test(
    config: Config, bridge: Bridge, agent: DQNAgent, run: RunFolder, checkpoint: Path, should_stop: Callable[[], bool]
) -> Evaluation:
    """Plays the test of `config.evaluation` with a checkpoint's weights; saves the result as JSON beside the run.

    Raises:
        CheckpointError: it is damaged or does not fit.
        InterruptedError: `should_stop` said so.
    """
    prepare_torch(config)
    restore_weights(checkpoint, agent)
    evaluation = play_test(bridge, agent, config.evaluation, should_stop)
    about = {
        "run_id": run.path.name,
        "checkpoint": checkpoint.name,
        "environment": config.environment.target,
        "simulated": bridge.simulated,
    }
    evaluation = replace(evaluation, about=about)
    evaluation.save(result_file(config, run, checkpoint))
    return evaluation


def result_file(config: Config, run: RunFolder, checkpoint: Path) -> Path:
    """Where the result of that test lies."""
    return run.evaluations / result_name(checkpoint.name, config.evaluation)


def result_name(what: str, settings: EvaluationConfig) -> str:
    """The name of the file with the result of a test of `what`; another length or seed is another test."""
    length = f"{settings.steps}-steps" if settings.steps else f"{settings.episodes}-episodes"
    return f"{what}-{length}-seed-{settings.seed}.json"


def result_text(what: str, evaluation: Evaluation, file: Path) -> str:
    """What a test of `what` found and where that lies, in lines for a person."""
    return "\n".join([f"test of {what}:", *evaluation.lines(), f"saved as {file}"]) + "\n"


def _evaluation_spec(config: Config, settings: EvaluationConfig) -> EnvSpec:
    """The test's environment: training's, at the test's speed, number and seed."""
    changes = {
        "time_scale": settings.time_scale,
        "num_envs": settings.num_envs,
        "workers": min(config.environment.workers, settings.num_envs),
    }
    return config.environment.model_copy(update=changes).spec(settings.seed)
