"""The study: which settings come next, what became of them, and which are the best. Optuna chooses and remembers.

Every process that works on a study claims one trial after the other. What a process had claimed when it died is begun
again by the next one that asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from agents.settings.files import save_preset
from agents.system.processes import is_there, this_process
from agents.tuning.journal import JournalLock, open_storage
from agents.tuning.plan import Plan
from agents.tuning.space import Choices, Label, Range, labels_of

STUDY = "study"  # its name in the journal
BEST = "best.yaml"
#: How often a trial is begun whose process dies.
TRIES = 3
#: Of four trials at a milestone one goes on (ASHA); each milestone is four times as far as the one before.
REDUCTION = 4


@dataclass(frozen=True)
class Outcome:
    """What is known of a trial.

    Attributes:
        number: also in the names of its run folders; a trial that is begun again keeps it.
        score: mean over the seeds; of a pruned trial at its latest evaluation; None where there is none.
        steps: agent steps until its latest evaluation.
        why: it failed; empty otherwise.
    """

    number: int
    state: str
    score: float | None
    steps: int
    minutes: float
    labels: Mapping[str, Label]
    why: str


class Study:
    """A study in its folder. Every method raises `OSError` when the disk is full.

    Args:
        plan: what it was asked for.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self._lock = JournalLock(folder)
        self._space = plan.space
        self._study = optuna.create_study(
            storage=open_storage(folder, self._lock),
            study_name=STUDY,
            direction="maximize",
            pruner=_pruner(plan),
            load_if_exists=True,
        )
        with self._lock.held():
            if not self._trials():  # the settings that are searched around are worth the first trial
                self._study.enqueue_trial(labels_of(self._space, plan.config.model_dump(mode="json")))

    def claim(self, limit: int) -> Trial | None:
        """A trial for this process to run; None when the study has `limit` of them."""
        with self._lock.held():
            for running in self._trials(TrialState.RUNNING):
                owner = running.user_attrs.get("owner")
                if owner is None or not is_there(owner):
                    self._again(running, tries=running.user_attrs.get("tries", 0) + 1)
            waiting = len(self._trials(TrialState.WAITING))
            begun = len(self._current()) - waiting
            if not waiting and begun >= limit:
                return None
            # Apart from what other processes draw, and the same in a study that was stopped in between.
            entropy = np.random.SeedSequence([self.plan.seeds[0], begun])
            self._study.sampler = TPESampler(seed=int(entropy.generate_state(1)[0]))
            trial = self._study.ask({path: _distribution(searched) for path, searched in self._space.items()})
            trial.set_user_attr("owner", this_process())
            if "number" not in trial.user_attrs:
                trial.set_user_attr("number", begun)
            return trial

    def complete(self, trial: Trial, scores: Sequence[float]) -> None:
        """With the score of each seed. The best settings so far are written as a preset."""
        trial.set_user_attr("scores", list(scores))
        self._study.tell(trial, float(np.mean(scores)))
        self.save_best()

    def prune(self, trial: Trial) -> None:
        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, why: str) -> None:
        """Its settings do not work, whoever tries them."""
        trial.set_user_attr("why", why)
        self._study.tell(trial, state=TrialState.FAIL)

    def give_back(self, trial: Trial, *, is_failure: bool) -> None:
        """It is to be begun again, by whoever claims a trial next; after `TRIES` failures it is not."""
        with self._lock.held():
            frozen = next(found for found in self._trials() if found.number == trial.number)
            self._again(frozen, tries=frozen.user_attrs.get("tries", 0) + is_failure)

    def outcome(self, trial: Trial) -> Outcome:
        return _outcome(next(found for found in self._trials() if found.number == trial.number))

    def outcomes(self) -> list[Outcome]:
        """Of every trial: the complete ones from the best on, then the pruned ones, then the others."""
        order = ["complete", "pruned", "running", "waiting", "failed"]
        found = [_outcome(trial) for trial in self._current()]
        return sorted(found, key=lambda item: (order.index(item.state), -(item.score or 0.0), item.number))

    def best(self) -> Outcome | None:
        """None before a trial is complete."""
        return next((outcome for outcome in self.outcomes() if outcome.state == "complete"), None)

    def save_best(self) -> Path | None:
        """Writes the best settings as a preset. Returns its file, None before a trial is complete."""
        with self._lock.held():
            best = self.best()
            if best is None:
                return None
            about = f"Trial {best.number} of a study with {len(self._current())}: {best.score:g}, {self.plan.metric}."
            save_preset(self.plan.preset_of(best.labels), self.folder / BEST, about)
        return self.folder / BEST

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _current(self) -> list[FrozenTrial]:
        """All but those that were begun again as another one."""
        again = {trial.user_attrs.get("again") for trial in self._trials()}
        return [trial for trial in self._trials() if trial.number not in again]

    def _again(self, trial: FrozenTrial, tries: int) -> None:
        # In this order: a kill in between loses a trial, but never makes two of one.
        self._study.tell(trial.number, state=TrialState.FAIL)
        if tries < TRIES:
            about = {"again": trial.number, "number": number_of(trial), "tries": tries}
            self._study.enqueue_trial(trial.params, user_attrs=about)


def number_of(trial: Trial | FrozenTrial) -> int:
    """The number under which a person knows it, without those of trials that were begun again."""
    number: int = trial.user_attrs.get("number", trial.number)
    return number


def _outcome(trial: FrozenTrial) -> Outcome:
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}.get(
        trial.state, trial.state.name.lower()
    )
    why = trial.user_attrs.get("why", f"it ended its process {TRIES} times") if state == "failed" else ""
    duration = trial.duration
    return Outcome(
        number=number_of(trial),
        state=state,
        score=trial.value if trial.state.is_finished() else None,
        steps=trial.last_step or 0,
        minutes=duration.total_seconds() / 60 if duration is not None else 0.0,
        labels=trial.params,
        why=why,
    )


def _pruner(plan: Plan) -> BasePruner:
    if plan.pruning == "median":
        return MedianPruner(n_startup_trials=plan.startup, n_warmup_steps=plan.warmup)
    if plan.pruning == "asha":
        return SuccessiveHalvingPruner(min_resource=max(1, plan.warmup), reduction_factor=REDUCTION)
    return NopPruner()


def _distribution(searched: Range | Choices) -> BaseDistribution:
    if isinstance(searched, Choices):
        return CategoricalDistribution(searched.labels)
    bounds: dict[str, Any] = {"low": searched.low, "high": searched.high, "log": searched.log}
    if searched.is_whole:
        return IntDistribution(**bounds, step=int(searched.step or 1))
    return FloatDistribution(**bounds, step=searched.step)
