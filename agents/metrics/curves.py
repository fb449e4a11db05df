"""Curves as TensorBoard events and as lines of `metrics.jsonl`, with the same names. x is agent steps throughout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.compat.proto.summary_pb2 import Summary as Values
from torch.utils.tensorboard.summary import histogram, histogram_raw, hparams, text

from agents.episodes.evaluation import Evaluation
from agents.filming.recording import Clip
from agents.metrics.events import EventFile
from agents.metrics.gif import gif_summary
from agents.metrics.summary import Summary
from agents.storage.history import History
from bridge import Fault

#: Curves whose last values stand beside the hyperparameters in the HParams tab.
RESULTS = ("run/score", "eval/score", "test/score")
#: Buckets of a histogram of weights.
BUCKETS = 64


class Metrics:
    """Writes a run's curves into its folder. `docs/runs.md` lists their names.

    Args:
        folder: of the run.
        resumed_at: agent steps of the checkpoint with which a run goes on; None for a new run.
        seconds: that the run has taken before.

    Every method may raise `OSError`: the disk is full, for instance.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None, seconds: float = 0.0) -> None:
        self.history = History(folder, resumed_at, seconds)
        self._is_new = resumed_at is None
        # What was written after the checkpoint happens again: TensorBoard drops it.
        self._events = EventFile(folder, None if resumed_at is None else resumed_at + 1)

    def start(
        self, steps: int, episodes: int, about: dict[str, Any], model: str, settings: Mapping[str, bool | float | str]
    ) -> None:
        """The run begins or goes on.

        Args:
            about: JSON values that say what is trained.
            model: a preformatted description.
            settings: hyperparameters, for the HParams tab.
        """
        self.history.append("start", steps, episodes, about)
        if self._is_new:
            self._events.add(text("model", "    " + model.replace("\n", "\n    ")), steps)  # type: ignore[no-untyped-call]
            experiment, session, _ = hparams(dict(settings), dict.fromkeys(RESULTS, 0.0))  # type: ignore[no-untyped-call]
            for summary in (experiment, session):
                self._events.add(summary, steps)

    def summary(self, summary: Summary) -> None:
        values = {
            **{f"run/{name}": value for name, value in summary.metrics.items()},
            "run/score": summary.score,
            "run/length": summary.length,
            "model/loss": summary.loss,
            "model/epsilon": summary.level,
            "model/q": summary.q,
            "model/td_error": summary.td_error,
            "model/grad_norm": summary.grad_norm,
            "model/updates": summary.updates,
            "replay/size": summary.replay_size,
            "speed/steps_per_second": summary.steps_per_second,
            **{f"time/{phase}": part for phase, part in summary.time_parts.items()},
        }
        known = {name: value for name, value in values.items() if value is not None}
        self.history.append("summary", summary.steps, summary.episodes, {**known, "actions": summary.actions})
        self._scalars({**known, "run/episodes": summary.episodes}, summary.steps)
        self._actions("actions", summary.actions, summary.steps)

    def evaluation(self, evaluation: Evaluation, steps: int, episodes: int, seconds: float, *, is_best: bool) -> None:
        """An evaluation in training, which took so long, and whether no earlier one was better."""
        said = {
            "eval/seconds": round(seconds, 3),
            "best": is_best,
            "scores": evaluation.scores,
            "actions": evaluation.action_counts,
        }
        self.history.append("evaluation", steps, episodes, {**_result("eval", evaluation), **said})
        self._scalars(_result("eval", evaluation), steps)
        self._actions("eval_actions", evaluation.action_counts, steps)

    def clip(self, clip: Clip, steps: int) -> None:
        """An episode of an evaluation in training, as an animation."""
        self._events.add(gif_summary("eval/episode", clip.pictures, clip.fps), steps)

    def test(self, evaluation: Evaluation, steps: int, episodes: int) -> None:
        """The test at the end of the run, which has learned from so many steps and episodes."""
        said = {
            "checkpoint": evaluation.about["checkpoint"],
            "epsilon": evaluation.epsilon,
            "seed": evaluation.seed,
            "scores": evaluation.scores,
            "actions": evaluation.action_counts,
        }
        self.history.append("test", steps, episodes, {**_result("test", evaluation), **said})
        self._scalars(_result("test", evaluation), steps)

    def histograms(self, weights: Mapping[str, torch.Tensor], steps: int) -> None:
        """The network's weights."""
        for name, values in weights.items():
            numbers = values.detach().cpu().numpy()
            if np.isfinite(numbers).all():
                self._events.add(histogram(f"weights/{name}", numbers, BUCKETS), steps)  # type: ignore[no-untyped-call]

    def fault(self, fault: Fault, count: int, lost: int, steps: int, episodes: int) -> None:
        """A fault of the training environment; so many there were, and so many transitions were lost, in all."""
        said = {
            "worker": fault.worker,
            "incarnation": fault.incarnation,
            "reason": fault.reason,
            "lost": fault.lost,
        }
        totals = {"faults/count": count, "faults/lost_transitions": lost}
        self.history.append("fault", steps, episodes, {**said, **totals})
        self._scalars(totals, steps)

    def end(self, steps: int, episodes: int, reason: str) -> None:
        """Training ends here, for now or for good."""
        self.history.append("end", steps, episodes, {"reason": reason})

    def _scalars(self, values: Mapping[str, float], steps: int) -> None:
        found = [Values.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._events.add(Values(value=found), steps)

    def _actions(self, group: str, counts: list[list[int]], steps: int) -> None:
        """A histogram per branch with one bucket per action."""
        for branch, taken in enumerate(counts):
            numbers = np.arange(len(taken))
            summary = histogram_raw(  # type: ignore[no-untyped-call]
                f"{group}/branch_{branch}",
                min=-0.5,
                max=len(taken) - 0.5,
                num=sum(taken),
                sum=float(numbers @ taken),
                sum_squares=float(numbers**2 @ taken),
                bucket_limits=(numbers + 0.5).tolist(),
                bucket_counts=taken,
            )
            self._events.add(summary, steps)


def _result(group: str, evaluation: Evaluation) -> dict[str, float]:
    values = {f"{group}/{name}": value for name, value in evaluation.metrics.items()}
    values[f"{group}/score"] = evaluation.mean
    if evaluation.success_rate is not None:
        values[f"{group}/success"] = evaluation.success_rate
    return values
