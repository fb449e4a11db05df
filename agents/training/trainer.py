"""The training of a run: its curves, checkpoints and evaluations, stopped and resumed at any moment, then the test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.episodes.evaluation import Evaluation
from agents.episodes.scores import Scores
from agents.learning.agent import DQNAgent
from agents.learning.loop import Exchanged, collect_and_learn
from agents.learning.networks import summary as model_summary
from agents.metrics.curves import Metrics
from agents.metrics.progress import Console
from agents.metrics.summary import Summaries
from agents.settings.config import Config, ConfigError
from agents.settings.files import save_config
from agents.storage.checkpoint import (
    CheckpointError,
    find_checkpoint,
    read_about,
    read_counters,
    restore_checkpoint,
    save_checkpoint,
)
from agents.storage.provenance import note_start
from agents.storage.runs import RunFolder
from agents.system.interrupts import Interrupts
from agents.training.session import Evaluator, checkpoint_to_test, open_test, prepare_torch, run_test
from agents.training.stopping import Stopping
from bridge import Bridge, BridgeError, ResumeError

#: Is told each evaluation's agent steps and mean, and says whether the training is to end: it is `pruned`.
Watch = Callable[[int, float], bool]


class Training:
    """Trains an agent on an open bridge and keeps its run folder.

    Args:
        config: the resolved configuration.
        bridge: the training environment; it is closed by whoever opened it.
        agent: a new agent for that environment.
        run: an empty run folder, or that of the checkpoint.
        checkpoint: of this run, to go on with.
        begins_with: the checkpoint whose weights the agent of a new run has.
        watch: follows the evaluations.
        label: in front of the progress bar, which is all that is shown then.

    Attributes:
        resumed: how the run goes on, in words; empty for a new one.

    Raises:
        CheckpointError: the checkpoint does not fit.
        ConfigError: the run to resume has ended by itself.
    """

    def __init__(
        self,
        config: Config,
        bridge: Bridge,
        agent: DQNAgent,
        run: RunFolder,
        checkpoint: Path | None = None,
        *,
        begins_with: str = "",
        watch: Watch | None = None,
        label: str = "",
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
        self._seconds = 0.0  # that the run had taken when it was resumed
        self._earlier_faults: list[dict[str, Any]] = []  # before the run was resumed
        self._faults_told = 0
        self._shows_episodes = config.evaluation.clip
        self._scores = Scores()
        self._summaries = Summaries(agent, config.training.summary_episodes)
        self._stopping = Stopping(config.training)
        self._watch = watch
        self._is_pruned = False
        self._label = label
        self._goes_on = False
        self.resumed = ""
        self._begins_with = begins_with
        self._saved_at = -float("inf")  # a new run has its first checkpoint at once
        if checkpoint is not None:
            self._restore(checkpoint)
            self._begins_with, self._saved_at = checkpoint.name, time.monotonic()
        self._saved_episodes = agent.episodes
        save_config(config, run.config)
        self._evaluator = Evaluator(config)
        self._best = _best_score(run)

    def _restore(self, checkpoint: Path) -> None:
        lost = restore_checkpoint(checkpoint, self.agent)
        about = _about_of(checkpoint)
        self._starts = about["starts"] + 1
        self._evaluated = about["evaluated"]
        self._earlier_faults = about["faults"]
        self._seconds = about["seconds"]
        self._stopping.load_state_dict(about["stopping"])
        self._refuse_ended()
        self._resumed_at = self.agent.steps
        self._summaries = Summaries(self.agent, self.config.training.summary_episodes)
        self._summaries.load_state_dict(about["summaries"])
        self.resumed = f"resumed at step {self.agent.steps:,} {self._go_on(about, lost)}"

    def _refuse_ended(self) -> None:
        reason = self._stopping.reason(self.agent.steps, self.agent.episodes, self._seconds)
        if reason is not None:
            settings = self.config.training
            said = {
                "steps": f"has its {self.agent.steps:,} steps already: give a larger --steps",
                "episodes": f"has its {self.agent.episodes:,} episodes already: give a larger --episodes",
                "minutes": f"has its {settings.minutes:g} minutes already: give larger --training.minutes, or 0",
                "score": f"has reached its score of {settings.stop_score}: give another --training.stop-score, or none",
                "patience": f"had {settings.patience} evaluations without a better one: give a larger "
                "--training.patience, or 0",
            }
            raise ConfigError(f"run {self.run.path.name!r} {said[reason]}.")

    def _go_on(self, about: dict[str, Any], lost: int) -> str:
        """Puts the environment back to where the checkpoint was written, if it can be; says how that went."""
        if not about["replay"]:
            why = "the run keeps its replay out of its checkpoints"
        elif about["environment"] is None:
            why = "this environment cannot be put back into a state"
        else:
            try:
                self.agent.go_on(self._bridge.resume(about["environment"]))
                self._scores.load_state_dict(about["scores"])
                self._goes_on = True
                return "exactly where it was"
            except ResumeError as error:
                why = str(error).rstrip(".")
        lost += self.agent.lose_open_episodes()
        empty = "" if about["replay"] else " and an empty replay"
        return f"with new episodes{empty}, {lost} open transition{'' if lost == 1 else 's'} lost ({why})"

    def train(self, interrupts: Interrupts) -> None:
        """Until the limit of steps or episodes, or a signal. Leaves a checkpoint of where it stopped.

        Raises:
            BridgeError: the environment was lost; the run can be resumed.
            OSError: the disk is full, for instance; the run can be resumed, perhaps from an earlier checkpoint.
        """
        settings = self.config.training
        unit = "step" if settings.steps else "episode"
        device = str(self.agent.device)
        note_start(self.run, self.config, self._bridge, device, self.agent.steps, self._begins_with)
        with contextlib.ExitStack() as stack:
            metrics = self._metrics = Metrics(self.run.path, self._resumed_at, self._seconds)
            limit = settings.steps or settings.episodes or None
            level = "epsilon" if self.config.exploration.kind == "epsilon" else "temperature"
            bar = Console(limit, unit, level, initial=self._count(unit), label=self._label)
            console = stack.enter_context(contextlib.closing(bar))
            stack.enter_context(contextlib.closing(self._evaluator))
            about, model = self._about(), model_summary(self.agent.network)
            metrics.start(self.agent.steps, self.agent.episodes, about, model, hyperparameters(self.config))
            try:
                reason = self._collect(console, interrupts)
            except (BridgeError, OSError):
                self._save()  # the agent is whole; after any other failure it may not be
                self._tell_faults()
                metrics.end(self.agent.steps, self.agent.episodes, "failed")
                raise
            self._save()
            metrics.end(self.agent.steps, self.agent.episodes, reason)

    def _collect(self, console: Console, interrupts: Interrupts) -> str:
        """Returns why it ended."""
        unit = "step" if self.config.training.steps else "episode"
        for event in collect_and_learn(self._bridge, self.agent, self._scores, goes_on=self._goes_on):
            summary = self._summaries.observe(event)
            if summary is not None:
                self._metrics.summary(summary)
                if self.config.training.histograms:
                    self._metrics.histograms(self.agent.weights(), self.agent.steps)
                console.summary(summary)
            if isinstance(event, Exchanged):
                console.advance(self._count(unit))
                began = time.perf_counter()
                self._between_exchanges(console, interrupts)
                self._summaries.leave_out(time.perf_counter() - began)
                if interrupts.requested():
                    return "interrupted"
                seconds = self._metrics.history.seconds
                reason = self._stopping.reason(self.agent.steps, self.agent.episodes, seconds)
                if reason is not None:
                    return reason
                if self._is_pruned:
                    return "pruned"
        raise AssertionError("the loop has no end of its own")

    def test(self, interrupts: Interrupts) -> Evaluation:
        """The final test, of the final or the best policy, in a fresh environment; saved with the run.

        Raises:
            InterruptedError, KeyboardInterrupt: a signal came.
        """
        checkpoint = checkpoint_to_test(self.config, self.run)
        with open_test(self.config) as bridge, interrupts.held():
            evaluation = run_test(self.config, bridge, self.agent, self.run, checkpoint, interrupts.requested)
        self._metrics.test(evaluation, self.agent.steps, self.agent.episodes)
        return evaluation

    def _between_exchanges(self, console: Console, interrupts: Interrupts) -> None:
        self._tell_faults()
        every, steps = self.config.evaluation.every, self.agent.steps
        if every and steps // every > self._evaluated // every:
            began = time.perf_counter()
            try:
                evaluation = self._evaluator(self.agent, interrupts.requested)
            except InterruptedError:
                return  # it comes again when the run is resumed
            seconds = time.perf_counter() - began
            self._evaluated = steps
            self._stopping.evaluated(evaluation.mean)
            self._is_pruned = self._watch is not None and self._watch(steps, evaluation.mean)
            # A later checkpoint as good as the best one has learned from more.
            is_best = evaluation.mean >= self._best
            self._metrics.evaluation(evaluation, steps, self.agent.episodes, seconds, is_best=is_best)
            console.lines([f"evaluation at step {steps:,}: {evaluation.lines()[0]}"])
            if is_best:
                self._best = evaluation.mean
                save_checkpoint(self.run.checkpoints, self.agent, "best", {"score": evaluation.mean})
                self._show_episode(console)
        settings = self.config.training
        is_due = time.monotonic() - self._saved_at >= settings.checkpoint_seconds
        period = settings.checkpoint_episodes
        if is_due or (period and self.agent.episodes // period > self._saved_episodes // period):
            self._save()

    def _show_episode(self, console: Console) -> None:
        if not self._shows_episodes:
            return
        try:
            self._metrics.clip(self._evaluator.clip(self.agent), self.agent.steps)
        except BridgeError as error:  # training goes on without
            self._shows_episodes = False
            console.lines([f"no animations of evaluations: {error}"])

    def _tell_faults(self) -> None:
        """What the training environment has lost since this was last called."""
        faults, before = self._bridge.ledger.faults, len(self._earlier_faults)
        for index in range(self._faults_told, len(faults)):
            lost = sum(fault["lost"] for fault in self.faults[: before + index + 1])
            self._metrics.fault(faults[index], before + index + 1, lost, self.agent.steps, self.agent.episodes)
        self._faults_told = len(faults)

    def _about(self) -> dict[str, Any]:
        """What the history says about each start."""
        environment = self.config.environment
        return {
            "preset": self.config.preset,
            "backend": environment.backend,
            "environment": environment.target,
            "simulated": self._bridge.simulated,
            "seed": self.config.training.seed,
            "begins_with": self._begins_with,
            "resumed": self.resumed,
        }

    def _save(self) -> None:
        settings = self.config.training
        # A restarted worker has used up a random stream, which a resumed run must not use again.
        starts = self._starts + len(self._bridge.ledger)
        about = {
            "starts": starts,
            "evaluated": self._evaluated,
            "seconds": self._metrics.history.seconds,
            "faults": self.faults,
            "scores": self._scores.state_dict(),
            "summaries": self._summaries.state_dict(),
            "stopping": self._stopping.state_dict(),
            "replay": settings.save_replay,
            "environment": self._bridge.snapshot(),
        }
        folder, keep = self.run.checkpoints, settings.keep_checkpoints
        save_checkpoint(folder, self.agent, "step", about, keep=keep, replay=settings.save_replay)
        self._saved_at, self._saved_episodes = time.monotonic(), self.agent.episodes

    @property
    def faults(self) -> list[dict[str, Any]]:
        """The `Fault`s of the training environment in the whole run, as JSON values."""
        return self._earlier_faults + [asdict(fault) for fault in self._bridge.ledger.faults]

    def _count(self, unit: str) -> int:
        return self.agent.steps if unit == "step" else self.agent.episodes


def starts_of(checkpoint: Path) -> int:
    """How often the training of its run was started. Raises `CheckpointError` when it cannot be read."""
    starts: int = _about_of(checkpoint)["starts"]
    return starts


def has_ended(config: Config, checkpoint: Path) -> bool:
    """Whether a run with these settings is at its end with that checkpoint. Raises `CheckpointError`."""
    about = _about_of(checkpoint)
    stopping = Stopping(config.training)
    stopping.load_state_dict(about["stopping"])
    return stopping.reason(*read_counters(checkpoint), about["seconds"]) is not None


def hyperparameters(config: Config) -> dict[str, bool | float | str]:
    """What a run can be compared by: the settings of environment, network, learner, replay and exploration."""
    values = {"environment": config.environment.target, "seed": config.training.seed}
    for section in ("network", "learner", "replay", "exploration"):
        values |= {f"{section}.{name}": value for name, value in getattr(config, section).model_dump().items()}
    return {name: value if isinstance(value, bool | int | float) else str(value) for name, value in values.items()}


def _about_of(checkpoint: Path) -> dict[str, Any]:
    about = read_about(checkpoint)
    names = {"starts", "evaluated", "seconds", "faults", "stopping", "summaries", "replay", "scores", "environment"}
    if missing := names - about.keys():
        raise CheckpointError(
            f"{checkpoint} does not say {min(missing)!r}: an older version wrote it, and its run cannot go on; begin "
            "another one with --initialize-from."
        )
    return about


def _best_score(run: RunFolder) -> float:
    try:
        return float(read_about(find_checkpoint(run.checkpoints, "best"))["score"])
    except CheckpointError:
        return -float("inf")
