"""Levels that fall with a count: epsilons and temperatures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """From `start` to `end`: linear over `duration` units, or times `decay` per unit, after `delay` units."""

    kind: str
    start: float
    end: float
    duration: int
    decay: float
    delay: int

    def __call__(self, count: int) -> float:
        passed = max(0, count - self.delay)
        if self.kind == "exponential":
            return max(self.end, self.start * self.decay**passed)
        part = min(1.0, passed / self.duration)
        return self.start + part * (self.end - self.start)
