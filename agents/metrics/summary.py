"""Means over the latest episodes and updates, from the loop's events: what curves, bars and lines show."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
import torch

from agents.episodes.scores import EpisodeResult
from agents.learning.agent import DQNAgent
from agents.learning.loop import PHASES, EpisodeEnded, Event, Exchanged, Updated

#: What an `Update` says, in the order in which it is summed up.
UPDATE_VALUES = ("loss", "td_error", "q", "grad_norm")


@dataclass(frozen=True)
class Summary:
    """Means since the previous summary; a value that nothing was seen for is None, never NaN.

    Attributes:
        steps, updates, episodes: the agent's counters.
        level: epsilon, or temperature.
        steps_per_second: wall clock, evaluations left out.
        metrics: means of what the environment said at the ends of episodes.
        actions: per branch, how often each action was taken.
        time_parts: fractions of the wall clock spent in each phase of the loop (`agents.learning.loop.PHASES`).
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
    actions: list[list[int]] = field(default_factory=list)
    time_parts: dict[str, float] = field(default_factory=dict)


class Summaries:
    """Makes a `Summary` every so many episodes."""

    def __init__(self, agent: DQNAgent, episodes: int) -> None:
        self._agent = agent
        self._episodes = episodes
        self._dtype = torch.float32 if agent.device.type == "mps" else torch.float64  # which has no other
        self._began = time.perf_counter()
        self._began_steps = agent.steps
        self._clear()

    def _clear(self) -> None:
        self._results: list[EpisodeResult] = []
        self._updates = 0
        self._sums = torch.zeros(len(UPDATE_VALUES), dtype=self._dtype, device=self._agent.device)
        self._actions = np.zeros(self._agent.layout.total, np.int64)
        self._seconds = dict.fromkeys(PHASES, 0.0)

    def observe(self, event: Event) -> Summary | None:
        if isinstance(event, Updated):
            # On the agent's device, where nobody waits for it.
            self._sums += torch.stack([getattr(event.update, name) for name in UPDATE_VALUES])
            self._updates += 1
        elif isinstance(event, EpisodeEnded):
            self._results.append(event.result)
        else:
            self._exchanged(event)
            if len(self._results) >= self._episodes:
                return self._summarised()
        return None

    def _exchanged(self, event: Exchanged) -> None:
        layout = self._agent.layout
        self._actions += np.bincount((event.actions + layout.offsets).ravel(), minlength=layout.total)
        for phase, seconds in event.seconds.items():
            self._seconds[phase] += seconds

    def leave_out(self, seconds: float) -> None:
        """That time was spent on something other than training."""
        self._began += seconds

    def state_dict(self) -> dict[str, Any]:
        """What was seen since the latest summary, as JSON values; the clock is left out."""
        return {
            "results": [asdict(result) for result in self._results],
            "updates": self._updates,
            "sums": self._sums.tolist(),
            "actions": self._actions.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._results = [EpisodeResult(**values) for values in state["results"]]
        self._updates = state["updates"]
        self._sums = torch.tensor(state["sums"], dtype=self._dtype, device=self._agent.device)
        self._actions = np.array(state["actions"], np.int64)

    def _summarised(self) -> Summary:
        agent, results = self._agent, self._results
        now = time.perf_counter()
        seconds = max(now - self._began, 1e-9)
        names = sorted({name for result in results for name in result.metrics})
        means = dict.fromkeys(UPDATE_VALUES)
        if self._updates:
            means = dict(zip(UPDATE_VALUES, (self._sums / self._updates).tolist(), strict=True))
        summary = Summary(
            steps=agent.steps,
            updates=agent.updates,
            episodes=agent.episodes,
            score=fmean(result.score for result in results),
            length=fmean(result.length for result in results),
            level=agent.exploration_level,
            replay_size=len(agent.replay),
            steps_per_second=(agent.steps - self._began_steps) / seconds,
            **means,
            metrics={name: fmean(r.metrics[name] for r in results if name in r.metrics) for name in names},
            actions=[part.tolist() for part in np.split(self._actions, agent.layout.offsets[1:])],
            time_parts={phase: spent / seconds for phase, spent in self._seconds.items()},
        )
        self._clear()
        self._began, self._began_steps = now, agent.steps
        return summary
