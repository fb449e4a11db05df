"""When training ends by itself: limits of length and time, a score that is reached, patience that is at its end.

Scores are means of *evaluations*, without exploration and on episodes of their own: a rule on training's own episodes
fires on one lucky one.
"""

from __future__ import annotations

from collections import deque
from statistics import fmean
from typing import Any, Literal

from agents.settings.config import TrainingConfig

Reason = Literal["steps", "episodes", "minutes", "score", "patience"]


class Stopping:
    """Follows a run's evaluations and says when to stop."""

    def __init__(self, settings: TrainingConfig) -> None:
        self._settings = settings
        self._latest: deque[float] = deque(maxlen=settings.stop_window)
        self._best = -float("inf")
        self._without_better = 0

    def evaluated(self, mean: float) -> None:
        """The latest evaluation had this mean score."""
        self._latest.append(mean)
        self._without_better = 0 if mean > self._best else self._without_better + 1
        self._best = max(self._best, mean)

    def reason(self, steps: int, episodes: int, seconds: float) -> Reason | None:
        """Why a run that has come so far is to stop; None when it is not.

        Args:
            steps: agent steps.
            episodes: that ended.
            seconds: of wall clock.
        """
        settings = self._settings
        if settings.steps and steps >= settings.steps:
            return "steps"
        if settings.episodes and episodes >= settings.episodes:
            return "episodes"
        if settings.minutes and seconds >= 60 * settings.minutes:
            return "minutes"
        is_full = len(self._latest) == settings.stop_window
        if settings.stop_score is not None and is_full and fmean(self._latest) >= settings.stop_score:
            return "score"
        if settings.patience and self._without_better >= settings.patience:
            return "patience"
        return None

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        best = self._best if self._latest else None
        return {"latest": list(self._latest), "best": best, "without_better": self._without_better}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._latest.clear()
        self._latest.extend(state["latest"])
        self._best = -float("inf") if state["best"] is None else state["best"]
        self._without_better = state["without_better"]
