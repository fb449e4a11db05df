"""What a person sees while a run goes on: a bar, and a line every few episodes."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

from agents.summary import Summary


class Console:
    """A progress bar with score, loss, epsilon, speed and time left, and lines above it.

    Args:
        total: of the unit counted; None when there is no limit.
        unit: what is counted: `step` or `episode`.
    """

    def __init__(self, total: int | None, initial: int, unit: str) -> None:
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            dynamic_ncols=True,
            mininterval=0.2 if sys.stderr.isatty() else 30.0,
        )

    def advance(self, count: int) -> None:
        """The count stands at this number now."""
        self._bar.update(count - self._bar.n)

    def summary(self, summary: Summary) -> None:
        loss = "-" if summary.loss is None else f"{summary.loss:.4g}"
        self._bar.set_postfix_str(f"score {summary.score:.3g} loss {loss} eps {summary.level:.3g}", refresh=False)
        self.lines(
            [
                f"episode {summary.episodes:,} | step {summary.steps:,} | score {summary.score:.3f} | loss {loss} | "
                f"epsilon {summary.level:.3f} | {summary.steps_per_second:,.0f} steps/s"
            ]
        )

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._bar.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        self._bar.close()
