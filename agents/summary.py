"""Means over the latest episodes and updates, from the loop's events: what curves, bars and lines show."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import fmean

import torch

from agents.agent import DQNAgent, Update
from agents.loop import EpisodeEnded, Event, Updated
from agents.scores import EpisodeResult


@dataclass(frozen=True)
class Summary:
    """Means since the previous summary; a value that nothing was seen for is None, never NaN.

    Attributes:
        steps, updates, episodes: the agent's counters.
        level: epsilon, or temperature.
        steps_per_second: wall clock, evaluations left out.
        metrics: means of what the environment said at the ends of episodes.
    """

    steps: int
    updates: int
    episodes: int
    score: float
    length: float
    level: float
    replay_size: int
    steps_per_second: float
    loss: float | None
    td_error: float | None
    q: float | None
    grad_norm: float | None
    metrics: dict[str, float] = field(default_factory=dict)


class Summaries:
    """Makes a `Summary` every so many episodes."""

    def __init__(self, agent: DQNAgent, episodes: int) -> None:
        self._agent = agent
        self._episodes = episodes
        self._results: list[EpisodeResult] = []
        self._updates: list[Update] = []
        self._began = time.perf_counter()
        self._began_steps = agent.steps

    def observe(self, event: Event) -> Summary | None:
        if isinstance(event, Updated):
            self._updates.append(event.update)
        elif isinstance(event, EpisodeEnded):
            self._results.append(event.result)
            if len(self._results) >= self._episodes:
                return self._summarised()
        return None

    def leave_out(self, seconds: float) -> None:
        """That time was spent on something other than training."""
        self._began += seconds

    def _summarised(self) -> Summary:
        agent, results = self._agent, self._results
        now = time.perf_counter()
        names = {name for result in results for name in result.metrics}
        summary = Summary(
            steps=agent.steps,
            updates=agent.updates,
            episodes=agent.episodes,
            score=fmean(result.score for result in results),
            length=fmean(result.length for result in results),
            level=agent.exploration_level,
            replay_size=len(agent.replay),
            steps_per_second=(agent.steps - self._began_steps) / max(now - self._began, 1e-9),
            loss=self._mean("loss"),
            td_error=self._mean("td_error"),
            q=self._mean("q"),
            grad_norm=self._mean("grad_norm"),
            metrics={name: fmean(r.metrics[name] for r in results if name in r.metrics) for name in names},
        )
        self._results, self._updates = [], []
        self._began, self._began_steps = now, agent.steps
        return summary

    def _mean(self, name: str) -> float | None:
        values = [getattr(update, name) for update in self._updates]
        return float(torch.stack(values).mean()) if values else None
