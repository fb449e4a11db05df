"""One run from start to end: training with its curves, checkpoints and evaluations, then the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import torch
from tqdm import tqdm

from agents.agent import DQNAgent
from agents.checkpoint import (
    CheckpointError,
    find_checkpoint,
    read_about,
    read_weights,
    restore_checkpoint,
    save_checkpoint,
)
from agents.config import Config, ConfigError, EvaluationConfig, save_config
from agents.evaluation import Evaluation, evaluate
from agents.interrupts import Interrupts
from agents.loop import Exchanged, collect_and_learn
from agents.metrics import TensorBoardMetrics
from agents.networks import summary as model_summary
from agents.progress import Console
from agents.runs import RunFolder
from agents.summary import Summaries
from bridge import Bridge, EnvSpec, connect


class Training:
    """Trains an agent on an open bridge and keeps its run folder.

    Args:
        config: the resolved configuration.
        bridge: the training environment; it is closed by whoever opened it.
        agent: a new agent for that environment.
        run: an empty run folder, or with `resume` one with a checkpoint.

    Raises:
        CheckpointError: there is nothing to resume, or it does not fit.
        ConfigError: the run to resume has reached its limit.
    """

    def __init__(
        self, config: Config, bridge: Bridge, agent: DQNAgent, run: RunFolder, *, resume: bool = False
    ) -> None:
        torch.set_num_threads(config.training.torch_threads)
        self.config = config
        self.run = run
        self.agent = agent
        self._bridge = bridge
        if resume:
            restore_checkpoint(find_checkpoint(run.checkpoints, "latest"), self.agent)
            if self._finished():
                raise ConfigError(
                    f"run {run.path.name!r} has its {self.agent.steps:,} steps already: give a larger --steps."
                )
        save_config(config, run.config)
        self._resumed_at = self.agent.steps if resume else None
        self._saved_at = time.monotonic()
        self._evaluated = self.agent.steps
        self._evaluator = Evaluator(config)
        self._best = _best_score(run)

    def train(self, interrupts: Interrupts) -> None:
        """Until the limit of steps or episodes, or a signal. Always leaves a checkpoint of where it stopped.

        Raises:
            BridgeError: the environment was lost; the run can be resumed.
        """
        settings = self.config.training
        metrics = TensorBoardMetrics(self.run.path, self._resumed_at)
        unit = "step" if settings.steps else "episode"
        console = Console(settings.steps or settings.episodes or None, self._count(unit), unit)
        summaries = Summaries(self.agent, settings.summary_episodes)
        metrics.text("model", model_summary(self.agent.network))
        try:
            for event in collect_and_learn(self._bridge, self.agent):
                summary = summaries.observe(event)
                if summary is not None:
                    metrics.summary(summary)
                    console.summary(summary)
                if isinstance(event, Exchanged):
                    console.advance(self._count(unit))
                    began = time.perf_counter()
                    self._between_exchanges(metrics, console, interrupts)
                    summaries.leave_out(time.perf_counter() - began)
                    if interrupts.requested() or self._finished():
                        break
        finally:
            self._evaluator.close()
            console.close()
            metrics.close()
            self._save()

    def test(self, interrupts: Interrupts) -> Evaluation:
        """The final test, of the final or the best policy, in a fresh environment; saved with the run."""
        best = self.config.evaluation.policy == "best"
        checkpoint = find_checkpoint(self.run.checkpoints, "best" if best else "latest")
        self.agent.load_weights(read_weights(checkpoint))
        with open_test(self.config) as bridge:
            return run_test(self.config, bridge, self.agent, self.run, checkpoint.name, interrupts.requested)

    def _between_exchanges(self, metrics: TensorBoardMetrics, console: Console, interrupts: Interrupts) -> None:
        every = self.config.evaluation.every
        if every and self.agent.steps - self._evaluated >= every:
            self._evaluated = self.agent.steps
            try:
                evaluation = self._evaluator(self.agent, interrupts.requested)
            except InterruptedError:
                return
            metrics.evaluation(evaluation, self.agent.steps)
            console.lines([f"evaluation at step {self.agent.steps:,}: {evaluation.lines()[0]}"])
            # A later checkpoint as good as the best one has learned from more.
            if evaluation.mean >= self._best:
                self._best = evaluation.mean
                save_checkpoint(self.run.checkpoints, self.agent, "best", {"score": evaluation.mean})
        if time.monotonic() - self._saved_at >= self.config.training.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        save_checkpoint(self.run.checkpoints, self.agent, "step", {})
        self._saved_at = time.monotonic()

    def _finished(self) -> bool:
        settings = self.config.training
        enough_steps = bool(settings.steps) and self.agent.steps >= settings.steps
        return enough_steps or (bool(settings.episodes) and self.agent.episodes >= settings.episodes)

    def _count(self, unit: str) -> int:
        return self.agent.steps if unit == "step" else self.agent.episodes


class Evaluator:
    """Evaluations during training, always of the same episodes, in an environment that stays open in between."""

    def __init__(self, config: Config) -> None:
        # Apart from the seeds of training and of the final test.
        self._settings = config.evaluation.model_copy(update={"seed": config.evaluation.seed + 1, "epsilon": 0.0})
        self._config = config
        self._bridge: Bridge | None = None

    def __call__(self, agent: DQNAgent, should_stop: Callable[[], bool]) -> Evaluation:
        if self._bridge is None:
            # A worker id beside those of training, so that a player gets a port of its own.
            self._bridge = connect(
                _evaluation_spec(self._config, self._settings), worker=self._config.environment.num_envs
            )
        episodes = self._settings.every_episodes
        return evaluate(self._bridge, agent, self._settings, episodes=episodes, should_stop=should_stop)

    def close(self) -> None:
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None


def open_test(config: Config) -> Bridge:
    """A fresh environment for the test of `config.evaluation`."""
    return connect(_evaluation_spec(config, config.evaluation))


def run_test(
    config: Config, bridge: Bridge, agent: DQNAgent, run: RunFolder, checkpoint: str, should_stop: Callable[[], bool]
) -> Evaluation:
    """Plays the test of `config.evaluation` and saves the result as JSON beside the run.

    Raises:
        InterruptedError: `should_stop` said so.
    """
    settings = config.evaluation
    bar = tqdm(total=None if settings.steps else settings.episodes, unit="episode", desc="test", leave=False)
    with bar:
        evaluation = evaluate(
            bridge,
            agent,
            settings,
            episodes=settings.episodes,
            steps=settings.steps,
            progress=lambda ended: _advance(bar, ended),
            should_stop=should_stop,
        )
    about = {"run_id": run.path.name, "checkpoint": checkpoint, "environment": config.environment.target}
    evaluation = replace(evaluation, about=about)
    evaluation.save(run.evaluations / f"{checkpoint}-seed{settings.seed}.json")
    return evaluation


def _advance(bar: tqdm[NoReturn], count: int) -> None:
    bar.update(count - bar.n)


def _evaluation_spec(config: Config, settings: EvaluationConfig) -> EnvSpec:
    """The test's environment: training's, at the test's speed, number and seed."""
    changes = {"time_scale": settings.time_scale, "num_envs": settings.num_envs}
    return config.environment.model_copy(update=changes).spec(settings.seed)


def _best_score(run: RunFolder) -> float:
    try:
        return float(read_about(find_checkpoint(run.checkpoints, "best"))["score"])
    except CheckpointError:
        return -float("inf")
