"""Collect and learn: one generator of events that knows nothing of logging, checkpoints or evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agents.agent import DQNAgent, Update
from agents.scores import EpisodeResult, Scores
from bridge import Bridge


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
    agent and the environment are in a consistent state: a checkpoint may be written, the run may stop."""


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
        bridge.send(agent.act())
        for update in agent.learn():
            yield Updated(update)
        steps = bridge.receive()
        agent.observe(steps)
        for result in scores.observe(steps):
            yield EpisodeEnded(result)
        yield Exchanged()
