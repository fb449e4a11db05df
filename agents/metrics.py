"""Curves as TensorBoard events. x is agent steps throughout."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from agents.evaluation import Evaluation
from agents.summary import Summary
from bridge import Ledger

#: Curves are at most so far behind.
FLUSH_SECONDS = 10


class TensorBoardMetrics:
    """Writes a run's curves into its folder.

    Tags: `run/score`, `run/length`, `run/episodes`, `model/loss`, `model/epsilon` (the temperature, for Boltzmann),
    `model/q`, `model/td_error`, `model/grad_norm`, `model/updates`, `replay/size`, `speed/steps_per_second`,
    `eval/score`, `eval/success`, `faults/count` and `faults/lost_transitions` from the first fault on, and
    `run/<metric>` for what the environment says besides.

    Args:
        folder: of the run.
        resumed_at: agent steps of the checkpoint with which a run goes on; None for a new run.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        # What was written after the checkpoint happens again: TensorBoard drops it, from the purge step on.
        purge_step = None if resumed_at is None else resumed_at + 1
        self._writer = SummaryWriter(str(folder), purge_step=purge_step, flush_secs=FLUSH_SECONDS)

    def summary(self, summary: Summary) -> None:
        values = {
            **{f"run/{name}": value for name, value in summary.metrics.items()},
            "run/score": summary.score,
            "run/length": summary.length,
            "run/episodes": summary.episodes,
            "model/loss": summary.loss,
            "model/epsilon": summary.level,
            "model/q": summary.q,
            "model/td_error": summary.td_error,
            "model/grad_norm": summary.grad_norm,
            "model/updates": summary.updates,
            "replay/size": summary.replay_size,
            "speed/steps_per_second": summary.steps_per_second,
        }
        for tag, value in values.items():
            if value is not None:
                self._writer.add_scalar(tag, value, summary.steps)

    def faults(self, ledger: Ledger, steps: int) -> None:
        """What the training environment has lost so far."""
        if len(ledger):
            self._writer.add_scalar("faults/count", len(ledger), steps)
            self._writer.add_scalar("faults/lost_transitions", ledger.lost, steps)

    def evaluation(self, evaluation: Evaluation, steps: int) -> None:
        self._writer.add_scalar("eval/score", evaluation.mean, steps)
        if evaluation.success_rate is not None:
            self._writer.add_scalar("eval/success", evaluation.success_rate, steps)

    def text(self, tag: str, text: str) -> None:
        """A preformatted block in the Text tab."""
        self._writer.add_text(tag, "    " + text.replace("\n", "\n    "))

    def close(self) -> None:
        self._writer.close()
