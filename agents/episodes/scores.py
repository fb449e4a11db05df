"""Returns and lengths of episodes, from interleaved rows. numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge import Steps, StepType


@dataclass(frozen=True)
class EpisodeResult:
    """One ended episode.

    Attributes:
        episode: its id; a worker's ids rise in the order of the episodes' starts.
        score: sum of the environment's own rewards, unshaped and undiscounted.
        length: agent steps.
        truncated: a limit ended it, not the environment.
        metrics: what the environment said on its last row, finite numbers.
    """

    episode: int
    score: float
    length: int
    truncated: bool
    metrics: dict[str, float] = field(default_factory=dict)


class Scores:
    """Sums up the open episodes and reports those that end."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[float, int]] = {}  # episode -> score, length

    @property
    def open_episodes(self) -> frozenset[int]:
        return frozenset(self._open)

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {str(episode): list(values) for episode, values in self._open.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._open = {int(episode): (score, length) for episode, (score, length) in state.items()}

    def observe(self, steps: Steps) -> list[EpisodeResult]:
        """Takes in one exchange's rows; returns the episodes that ended in it. Lost ones have no score."""
        results = []
        for episode in steps.lost.tolist():
            self._open.pop(episode, None)
        columns = (steps.episode, steps.step_type, steps.reward, steps.discount)
        for row, (episode, kind, reward, discount) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            if kind == StepType.FIRST:
                self._open[episode] = (0.0, 0)
                continue
            score, length = self._open[episode]
            self._open[episode] = (score + reward, length + 1)
            if kind == StepType.LAST:
                del self._open[episode]
                said = {name: float(values[row]) for name, values in steps.metrics.items()}
                metrics = {name: value for name, value in said.items() if np.isfinite(value)}
                results.append(EpisodeResult(episode, score + reward, length + 1, discount > 0, metrics))
        return results
