"""Tests of an agent: in an environment of its own, without learning, on fixed seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agents.episodes.scores import EpisodeResult, Scores
from agents.settings.config import EvaluationConfig
from agents.system.files import write_whole
from bridge import Bridge, Steps


class Player(Protocol):
    """What is tested: an agent, or whatever else chooses actions."""

    def choose(self, rows: Steps, epsilon: float, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """Actions for deciding rows without any memory, at random with probability epsilon. int32 [N, branches]."""


@dataclass(frozen=True)
class Evaluation:
    """What a test found.

    Attributes:
        results: one per counted episode, in the order of their starts.
        action_counts: per branch, how often each action was taken.
        success_score: an episode with at least this score is a success; None: only the environment can tell.
    """

    results: list[EpisodeResult]
    action_counts: list[list[int]]
    epsilon: float
    seed: int
    success_score: float | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> list[float]:
        return [result.score for result in self.results]

    @property
    def mean(self) -> float:
        return fmean(self.scores)

    @property
    def success_rate(self) -> float | None:
        """By the environment's own `success`, else by `success_score`; None when there is neither."""
        said = [result.metrics["success"] for result in self.results if "success" in result.metrics]
        if said:
            return fmean(said)
        if self.success_score is None:
            return None
        return fmean(score >= self.success_score for score in self.scores)

    @property
    def metrics(self) -> dict[str, float]:
        """What else the environment said at the ends of episodes, by name: means over those in which it did."""
        return {name: fmean(values) for name, values in self._said().items()}

    def _said(self) -> dict[str, list[float]]:
        names = sorted({name for result in self.results for name in result.metrics} - {"success"})
        return {name: [r.metrics[name] for r in self.results if name in r.metrics] for name in names}

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **self.about,
            "episodes": len(self.results),
            "mean": self.mean,
            "deviation": pstdev(self.scores),
            "minimum": min(self.scores),
            "maximum": max(self.scores),
            "mean_length": fmean(result.length for result in self.results),
            "success_rate": self.success_rate,
            "metrics": self.metrics,
            "action_counts": self.action_counts,
            "epsilon": self.epsilon,
            "seed": self.seed,
            "scores": self.scores,
            "episode_metrics": [result.metrics for result in self.results],
        }

    def lines(self) -> list[str]:
        """For a person."""
        rate = "" if self.success_rate is None else f", success {self.success_rate:.1%}"
        count = len(self.results)
        lines = [
            f"mean {self.mean:.3f}, deviation {pstdev(self.scores):.3f}, minimum {min(self.scores):.3f}, "
            f"maximum {max(self.scores):.3f}{rate} over {count} episode{'s' if count > 1 else ''} "
            f"(epsilon {self.epsilon:g}, seed {self.seed})"
        ]
        if said := self._said():
            lines.append(
                ", ".join(
                    f"{name} {fmean(values):.4g}" + f" (in {len(values)} episodes)" * (len(values) < count)
                    for name, values in said.items()
                )
            )
        for branch, counts in enumerate(self.action_counts):
            name = "actions taken" if len(self.action_counts) == 1 else f"actions taken in branch {branch}"
            lines.append(f"{name}: " + ", ".join(f"{action}: {count}" for action, count in enumerate(counts)))
        return lines

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(self.as_dict(), indent=1) + "\n")


def evaluate(
    bridge: Bridge,
    player: Player,
    settings: EvaluationConfig,
    *,
    episodes: int,
    steps: int = 0,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Plays the first `episodes` episodes that start (not that end: short ones would count too often), or `steps`
    agent steps and the episodes that ended in them (at least one).

    Raises:
        InterruptedError: `should_stop` said so before there was a result.
    """
    rng = np.random.default_rng(settings.seed)
    scores = Scores()
    rows = bridge.reset(settings.seed)
    scores.observe(rows)
    started = sorted(scores.open_episodes)  # in the order of their starts, which ids have within one worker only
    ended: dict[int, EpisodeResult] = {}
    counts = [np.zeros(size, np.int64) for size in bridge.spec.actions.branches]
    taken = 0
    while True:
        if should_stop is not None and should_stop():
            raise InterruptedError("the evaluation was interrupted.")
        deciding = rows.deciding
        actions = player.choose(deciding, settings.epsilon, rng)
        for branch, count in enumerate(counts):
            count += np.bincount(actions[:, branch], minlength=len(count))
        rows = bridge.step(actions)
        taken += len(actions)
        ended.update({result.episode: result for result in scores.observe(rows)})
        if len(rows.lost):  # they do not count, and others take their places
            started = [episode for episode in started if episode not in rows.lost]
        started += sorted(scores.open_episodes.difference(started))
        if progress is not None:
            progress(len(ended))
        counted = started if steps else started[:episodes]
        finished = taken >= steps and ended if steps else len(counted) == episodes and ended.keys() >= set(counted)
        if finished:
            break
    results = [ended[episode] for episode in counted if episode in ended]
    return Evaluation(
        results, [count.tolist() for count in counts], settings.epsilon, settings.seed, settings.success_score
    )
