"""What a person sees while a run goes on: a bar in a terminal, and a line every few episodes everywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

from agents.metrics.summary import Summary


class Bar:
    """A progress bar on stderr with speed and time left; nothing at all where stderr is no terminal.

    Args:
        total: of the unit counted; None when there is no limit.
        unit: what is counted: `step` or `episode`.
        name: in front of the bar.
        keep: whether it stays on the screen when it is closed.
    """

    def __init__(self, total: int | None, unit: str, *, initial: int = 0, name: str = "", keep: bool = True) -> None:
        self._total = total
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            desc=name or None,
            leave=keep,
            dynamic_ncols=True,
            mininterval=0.2,
            disable=None,  # tqdm's word for: unless it is a terminal
        )

    def advance(self, count: int) -> None:
        """The count stands at this number now."""
        shown = count if self._total is None else min(count, self._total)  # the last exchange may go past the limit
        self._bar.update(shown - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class Console(Bar):
    """A bar with score, loss and level of exploration, and lines above it on stdout.

    Args:
        level: what that is: epsilon, or temperature.
        label: in front of the bar; with one, there are no lines.
    """

    def __init__(self, total: int | None, unit: str, level: str, *, initial: int = 0, label: str = "") -> None:
        super().__init__(total, unit, initial=initial, name=label, keep=not label)
        self._level = level
        self._has_lines = not label

    def summary(self, summary: Summary) -> None:
        loss = "-" if summary.loss is None else f"{summary.loss:.4g}"
        level = f"{self._level} {summary.level:.3g}"
        self._bar.set_postfix_str(f"score {summary.score:.3g} loss {loss} {level}", refresh=False)
        self.lines(
            [
                f"episode {summary.episodes:,} | step {summary.steps:,} | score {summary.score:.3f} | loss {loss} | "
                f"{self._level} {summary.level:.3f} | {summary.steps_per_second:,.0f} steps/s"
            ]
        )

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines if self._has_lines else ():
            tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
