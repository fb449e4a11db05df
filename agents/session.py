"""One run from start to end: training with its curves, checkpoints and evaluations, then the test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from agents.agent import DQNAgent
from agents.checkpoint import (
    CheckpointError,
    find_checkpoint,
    read_about,
    restore_checkpoint,
    restore_weights,
    save_checkpoint,
)
from agents.config import Config, ConfigError, EvaluationConfig, save_config
from agents.evaluation import Evaluation, evaluate
from agents.interrupts import Interrupts
from agents.loop import Exchanged, collect_and_learn
from agents.metrics import TensorBoardMetrics
from agents.networks import summary as model_summary
from agents.progress import Bar, Console
from agents.runs import RunFolder
from agents.scores import Scores
from agents.summary import Summaries
from bridge import Bridge, BridgeError, EnvSpec, ResumeError, connect


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
        prepare_torch(config)
        self.config = config
        self.run = run
        self.agent = agent
        self._bridge = bridge
        self.engine = " (simulated build)" if bridge.simulated else ""
        self._starts = 1
        self._evaluated = 0  # agent steps at the latest evaluation
        self._resumed_at: int | None = None
        self._earlier_faults: list[dict[str, Any]] = []  # before the run was resumed
        self._scores = Scores()
        self._goes_on = False
        self.resumed = ""
        if resume:
            self._restore(find_checkpoint(run.checkpoints, "latest"))
        _save_config(config, run)
        self._saved_at = time.monotonic()
        self._evaluator = Evaluator(config)
        self._best = _best_score(run)

    def _restore(self, checkpoint: Path) -> None:
        restore_checkpoint(checkpoint, self.agent)
        if self._finished():
            limit = self.config.training.steps
            unit = "steps" if limit and self.agent.steps >= limit else "episodes"
            count = self._count(unit.removesuffix("s"))
            raise ConfigError(f"run {self.run.path.name!r} has its {count:,} {unit} already: give a larger --{unit}.")
        about = read_about(checkpoint)
        self._starts = about["starts"] + 1
        self._evaluated = about["evaluated"]
        self._earlier_faults = about["faults"]
        self._resumed_at = self.agent.steps
        self.resumed = f"resumed at step {self.agent.steps:,} {self._go_on(about)}"

    def _go_on(self, about: dict[str, Any]) -> str:
        """Puts the environment back to where the checkpoint was written, if it can be; says how that went."""
        if about["environment"] is None:
            why = "this environment cannot be put back into a state"
        else:
            try:
                self.agent.go_on(self._bridge.resume(about["environment"]))
                self._scores.load_state_dict(about["scores"])
                self._goes_on = True
                return "exactly where it was"
            except ResumeError as error:
                why = str(error).rstrip(".")
        lost = self.agent.lose_open_episodes()
        return f"with new episodes, {lost} open transition{'' if lost == 1 else 's'} lost ({why})"

    def train(self, interrupts: Interrupts) -> None:
        """Until the limit of steps or episodes, or a signal. Leaves a checkpoint of where it stopped.

        Raises:
            BridgeError: the environment was lost; the run can be resumed.
            OSError: the disk is full, for instance; the run can be resumed, perhaps from an earlier checkpoint.
        """
        settings = self.config.training
        unit = "step" if settings.steps else "episode"
        with contextlib.ExitStack() as stack:
            metrics = stack.enter_context(contextlib.closing(TensorBoardMetrics(self.run.path, self._resumed_at)))
            bar = Console(settings.steps or settings.episodes or None, unit, initial=self._count(unit))
            console = stack.enter_context(contextlib.closing(bar))
            stack.enter_context(contextlib.closing(self._evaluator))
            if self._resumed_at is None:
                metrics.text("model", model_summary(self.agent.network))
            try:
                self._collect(metrics, console, interrupts)
            except (BridgeError, OSError):
                self._save()  # the agent is whole; after any other failure it may not be
                raise
            finally:
                metrics.faults(self._bridge.ledger, self.agent.steps)
            self._save()

    def _collect(self, metrics: TensorBoardMetrics, console: Console, interrupts: Interrupts) -> None:
        unit = "step" if self.config.training.steps else "episode"
        summaries = Summaries(self.agent, self.config.training.summary_episodes)
        for event in collect_and_learn(self._bridge, self.agent, self._scores, goes_on=self._goes_on):
            summary = summaries.observe(event)
            if summary is not None:
                metrics.summary(summary)
                metrics.faults(self._bridge.ledger, self.agent.steps)
                console.summary(summary)
            if isinstance(event, Exchanged):
                console.advance(self._count(unit))
                began = time.perf_counter()
                self._between_exchanges(metrics, console, interrupts)
                summaries.leave_out(time.perf_counter() - began)
                if interrupts.requested() or self._finished():
                    return

    def test(self, interrupts: Interrupts) -> Evaluation:
        """The final test, of the final or the best policy, in a fresh environment; saved with the run.

        Raises:
            InterruptedError, KeyboardInterrupt: a signal came.
        """
        checkpoint = checkpoint_to_test(self.config, self.run)
        with open_test(self.config) as bridge, interrupts.held():
            return run_test(self.config, bridge, self.agent, self.run, checkpoint, interrupts.requested)

    def _between_exchanges(self, metrics: TensorBoardMetrics, console: Console, interrupts: Interrupts) -> None:
        every, steps = self.config.evaluation.every, self.agent.steps
        if every and steps // every > self._evaluated // every:
            try:
                evaluation = self._evaluator(self.agent, interrupts.requested)
            except InterruptedError:
                return  # it comes again when the run is resumed
            self._evaluated = steps
            metrics.evaluation(evaluation, steps)
            console.lines([f"evaluation at step {steps:,}: {evaluation.lines()[0]}"])
            # A later checkpoint as good as the best one has learned from more.
            if evaluation.mean >= self._best:
                self._best = evaluation.mean
                save_checkpoint(self.run.checkpoints, self.agent, "best", {"score": evaluation.mean})
        if time.monotonic() - self._saved_at >= self.config.training.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        # A restarted worker has used up a random stream, which a resumed run must not use again.
        starts = self._starts + len(self._bridge.ledger)
        about = {
            "starts": starts,
            "evaluated": self._evaluated,
            "faults": self.faults,
            "scores": self._scores.state_dict(),
            "environment": self._bridge.snapshot(),
        }
        save_checkpoint(self.run.checkpoints, self.agent, "step", about)
        self._saved_at = time.monotonic()

    @property
    def faults(self) -> list[dict[str, Any]]:
        """The `Fault`s of the training environment in the whole run, as JSON values."""
        return self._earlier_faults + [asdict(fault) for fault in self._bridge.ledger.faults]

    def _finished(self) -> bool:
        settings = self.config.training
        enough_steps = bool(settings.steps) and self.agent.steps >= settings.steps
        return enough_steps or (bool(settings.episodes) and self.agent.episodes >= settings.episodes)

    def _count(self, unit: str) -> int:
        return self.agent.steps if unit == "step" else self.agent.episodes


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


def starts_of(run: RunFolder) -> int:
    """How often the training of this run was started. Raises `CheckpointError` when it left no checkpoint."""
    starts: int = read_about(find_checkpoint(run.checkpoints, "latest"))["starts"]
    return starts


def check_seed(config: Config, trained: Config) -> None:
    """Raises `ConfigError` when the test of `config` would play the episodes that a run of `trained` learns from."""
    if config.evaluation.seed == trained.training.seed:
        raise ConfigError(
            f"seed {config.evaluation.seed} is that of training: test on another one, or the test shows nothing new."
        )


def open_test(config: Config) -> Bridge:
    """A fresh environment for the test of `config.evaluation`."""
    return connect(_evaluation_spec(config, config.evaluation))


def checkpoint_to_test(config: Config, run: RunFolder) -> Path:
    """What the test plays: the best checkpoint where the settings want that and there is one, else the latest.

    Raises:
        CheckpointError: there is none.
    """
    if config.evaluation.policy == "best":
        with contextlib.suppress(CheckpointError):
            return find_checkpoint(run.checkpoints, "best")
    return find_checkpoint(run.checkpoints, "latest")


def run_test(
    config: Config, bridge: Bridge, agent: DQNAgent, run: RunFolder, checkpoint: Path, should_stop: Callable[[], bool]
) -> Evaluation:
    """Plays the test of `config.evaluation` with a checkpoint's weights; saves the result as JSON beside the run.

    Raises:
        CheckpointError: it is damaged or does not fit.
        InterruptedError: `should_stop` said so.
    """
    settings = config.evaluation
    prepare_torch(config)
    restore_weights(checkpoint, agent)
    bar = Bar(None if settings.steps else settings.episodes, "episode", name="test", keep=False)
    with contextlib.closing(bar):
        evaluation = evaluate(
            bridge,
            agent,
            settings,
            episodes=settings.episodes,
            steps=settings.steps,
            progress=bar.advance,
            should_stop=should_stop,
        )
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
    """Where the result of that test lies; another length or seed is another test."""
    settings = config.evaluation
    length = f"{settings.steps}-steps" if settings.steps else f"{settings.episodes}-episodes"
    return run.evaluations / f"{checkpoint.name}-{length}-seed-{settings.seed}.json"


def _evaluation_spec(config: Config, settings: EvaluationConfig) -> EnvSpec:
    """The test's environment: training's, at the test's speed, number and seed."""
    changes = {"time_scale": settings.time_scale, "num_envs": settings.num_envs}
    return config.environment.model_copy(update=changes).spec(settings.seed)


def _save_config(config: Config, run: RunFolder) -> None:
    partial = run.config.with_suffix(".partial")
    save_config(config, partial)
    partial.replace(run.config)


def _best_score(run: RunFolder) -> float:
    try:
        return float(read_about(find_checkpoint(run.checkpoints, "best"))["score"])
    except CheckpointError:
        return -float("inf")
