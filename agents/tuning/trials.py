"""One trial: a training for each seed, each in a run folder like any other, watched by the study."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from statistics import fmean

from optuna.trial import Trial

from agents.settings.config import ConfigError
from agents.storage.checkpoint import CheckpointError
from agents.storage.history import column, read_history
from agents.storage.runs import RunFolder, new_run
from agents.system.interrupts import Interrupts
from agents.training.beginning import begin
from agents.tuning.plan import Plan
from agents.tuning.study import Study, number_of
from bridge import UsageError, connect

#: Why a training ends that has come to its end.
ENDS = frozenset({"steps", "episodes", "minutes", "score", "patience"})


class Reporter:
    """Reports each evaluation of a training to the study, and says when it is hopeless.

    With several seeds a trial's steps and scores are those of its trainings so far: the second one goes on counting
    where the first one ended, and its evaluations count beside the first one's score.
    """

    def __init__(self, trial: Trial, plan: Plan, scores: Sequence[float]) -> None:
        self._trial = trial
        self._plan = plan
        self._scores = scores

    def __call__(self, steps: int, mean: float) -> bool:
        """An evaluation at that agent step had this mean. Returns whether the trial is to end."""
        self.report(steps, mean)
        return self._trial.should_prune()

    def report(self, steps: int, mean: float) -> None:
        before = len(self._scores) * self._plan.span
        self._trial.report(fmean([*self._scores, mean]), before + self._plan.on_grid(steps))


def run_trial(study: Study, trial: Trial, interrupts: Interrupts) -> None:
    """Trains and tells the study what came of it. A signal gives the trial back, and so does what is not its fault.

    Raises:
        BridgeError, OSError: the environment was lost, the disk is full, and so on: nothing that another trial mends.
    """
    scores: list[float] = []
    try:
        for seed in study.plan.seeds:
            end = _trained(study, trial, seed, scores, interrupts)
            if end == "pruned":
                study.prune(trial)
                return
            if end not in ENDS:
                study.give_back(trial, is_failure=False)
                return
    except BaseException as error:
        if not _is_its_fault(error, study.plan):
            study.give_back(trial, is_failure=True)
            raise
        study.fail(trial, str(error))
        return
    study.complete(trial, scores)


def run_name(number: int, seed: int) -> str:
    """Of the run folder of a trial's training."""
    return f"trial-{number:04d}-seed-{seed}"


def _is_its_fault(error: BaseException, plan: Plan) -> bool:
    """Whether a trial with other settings may do without it; an environment that cannot be used is the same for all,
    unless its settings are searched.
    """
    if isinstance(error, UsageError):
        return any(path.startswith("environment.") for path in plan.words)
    return isinstance(error, ConfigError | CheckpointError)


def _trained(study: Study, trial: Trial, seed: int, scores: list[float], interrupts: Interrupts) -> str:
    """Trains with this seed, unless that was done before the trial's process died; adds its score to the others'.

    Returns:
        Why it ended.
    """
    plan = study.plan
    number = number_of(trial)
    name = run_name(number, seed)
    run = RunFolder(study.folder / name)
    reporter = Reporter(trial, plan, scores)
    end = _end_of(run)
    if end in ENDS:
        for steps, mean in _evaluations(run):
            reporter.report(steps, mean)
    else:
        config = plan.config_of(trial.params, seed)
        make_folder = partial(new_run, study.folder, name, force=True)  # over what a process left that died
        with ExitStack() as held, connect(config.environment.spec(seed)) as bridge:
            label = f"trial {number}, seed {seed}"
            begin(config, bridge, make_folder, held, watch=reporter, label=label).train(interrupts)
        end = _end_of(run)
    if end in ENDS:
        scores.append(_score(run, plan))
    return end


def _end_of(run: RunFolder) -> str:
    """Why the training ended; empty when it did not."""
    ends = read_history(run.path, "start", "end")
    return str(ends[-1].get("reason", "")) if ends else ""


def _evaluations(run: RunFolder) -> list[tuple[int, float]]:
    steps, means = column(read_history(run.path, "evaluation"), "eval/score")
    return list(zip(steps, means, strict=True))


def _score(run: RunFolder, plan: Plan) -> float:
    means = [mean for _, mean in _evaluations(run)]
    if not means:
        raise ConfigError("it ended before its first evaluation: give a smaller --evaluation.every.")
    return max(means) if plan.config.evaluation.policy == "best" else means[-1]
