"""Collect and learn: one generator of events that knows nothing of logging, checkpoints or evaluation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agents.episodes.scores import EpisodeResult, Scores
from agents.learning.agent import DQNAgent, Update
from bridge import Bridge

#: Where the time of an exchange goes: choosing actions; sending them and waiting for the answer; gradient steps;
#: putting the answer into the replay. A GPU still works while the CPU goes on, so there the borders are blurred.
PHASES = ("acting", "environment", "learning", "storing")


@dataclass(frozen=True)
class Updated:
    """The agent made one gradient step."""

    update: Update


@dataclass(frozen=True)
class EpisodeEnded:
    """An episode of one of the environment's agents ended."""

    result: EpisodeResult


@dataclass(frozen=True)
class Exchanged:
    """Every deciding agent acted and the environment answered; `agent.steps` has grown. Between two of these the
    agent and the environment are in a consistent state: a checkpoint may be written, the run may stop.

    Attributes:
        actions: that were sent, int32 [M, branches].
        seconds: spent in each of `PHASES`.
    """

    actions: npt.NDArray[np.int32]
    seconds: dict[str, float]


Event = Updated | EpisodeEnded | Exchanged


def collect_and_learn(
    bridge: Bridge, agent: DQNAgent, scores: Scores | None = None, *, goes_on: bool = False
) -> Iterator[Event]:
    """Trains for ever; whoever iterates decides when to stop.

    The agent learns between `send` and `receive`, while the environment computes.

    Args:
        scores: keeps the scores of open episodes.
        goes_on: bridge, agent and scores stand between two exchanges of a resumed run; otherwise the bridge is reset.
    """
    scores = scores if scores is not None else Scores()
    if not goes_on:
        agent.lose_open_episodes()
        steps = bridge.reset()
        scores.observe(steps)
        agent.observe(steps)
    while True:
        clock = [time.perf_counter()]
        actions = agent.act()
        clock.append(time.perf_counter())
        bridge.send(actions)
        clock.append(time.perf_counter())
        for update in agent.learn():
            yield Updated(update)
        clock.append(time.perf_counter())
        steps = bridge.receive()
        clock.append(time.perf_counter())
        agent.observe(steps)
        clock.append(time.perf_counter())
        acting, sending, learning, receiving, storing = (end - start for start, end in pairwise(clock))
        seconds = dict(zip(PHASES, (acting, sending + receiving, learning, storing), strict=True))
        for result in scores.observe(steps):
            yield EpisodeEnded(result)
        yield Exchanged(actions, seconds)
