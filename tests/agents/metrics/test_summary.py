"""Means over the latest episodes and updates."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch

from agents.episodes.scores import EpisodeResult
from agents.learning.agent import DQNAgent, Update
from agents.learning.loop import PHASES, EpisodeEnded, Exchanged, Updated, collect_and_learn
from agents.metrics import summary as summary_module
from agents.metrics.summary import Summaries, Summary
from bridge import EnvSpec, connect
from tests.agents.scripted import behavior, small_agent, small_config

SPEC = behavior()


def ended(score: float, length: int = 1, **metrics: float) -> EpisodeEnded:
    return EpisodeEnded(EpisodeResult(0, score, length, False, metrics))


def updated(loss: float) -> Updated:
    return Updated(Update(*(torch.tensor(loss * factor) for factor in (1.0, 2.0, 3.0, 4.0))))


def exchanged(*actions: int, seconds: float = 0.0) -> Exchanged:
    """Of agents with one branch."""
    return Exchanged(np.array(actions, np.int32).reshape(-1, 1), dict.fromkeys(PHASES, seconds))


class Clock:
    """Time that passes when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(summary_module.time, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def observed(summaries: Summaries, *events: Any) -> list[Summary]:
    """What comes of these events, of which each is followed by the end of the exchange."""
    pairs = [one for event in events for one in (event, exchanged())]
    return [found for event in pairs if (found := summaries.observe(event)) is not None]


def test_a_summary_comes_every_so_many_episodes_with_their_means() -> None:
    summaries = Summaries(small_agent(SPEC), 3)
    (first,) = observed(summaries, ended(1.0, 10), updated(0.5), ended(2.0, 20), updated(1.5), ended(6.0, 60))
    assert (first.score, first.length) == (3.0, 30.0)
    assert (first.loss, first.td_error, first.q, first.grad_norm) == (1.0, 2.0, 3.0, 4.0)
    (second,) = observed(summaries, ended(0.0), ended(0.0), updated(7.0), ended(3.0))
    assert (second.score, second.loss) == (1.0, 7.0), "means since the summary before"


def test_what_was_not_seen_is_none_and_never_nan() -> None:
    summaries = Summaries(small_agent(SPEC), 2)
    (found,) = observed(summaries, ended(1.0), ended(2.0))
    assert (found.loss, found.td_error, found.q, found.grad_norm) == (None, None, None, None)
    assert found.metrics == {}
    assert not any(isinstance(value, float) and math.isnan(value) for value in asdict(found).values())


def test_metrics_are_means_over_the_episodes_that_have_them() -> None:
    summaries = Summaries(small_agent(SPEC), 3)
    (found,) = observed(summaries, ended(0.0, success=1.0), ended(0.0), ended(0.0, success=0.0, height=2.0))
    assert found.metrics == {"success": 0.5, "height": 2.0}


def test_counters_and_level_are_the_agents() -> None:
    agent = small_agent(SPEC, exploration={"start": 0.8, "end": 0.0, "duration": 100})
    agent.steps, agent.updates, agent.episodes = 50, 20, 4
    (found,) = observed(Summaries(agent, 1), ended(1.0))
    assert (found.steps, found.updates, found.episodes) == (50, 20, 4)
    assert found.level == pytest.approx(0.4)
    assert found.replay_size == 0


def test_episodes_that_end_together_are_summed_up_together() -> None:
    summaries = Summaries(small_agent(SPEC), 2)
    assert [summaries.observe(ended(score)) for score in (1.0, 2.0, 6.0)] == [None] * 3
    summary = summaries.observe(exchanged())
    assert summary is not None
    assert summary.score == 3.0


def test_actions_are_counted_per_branch() -> None:
    summaries = Summaries(small_agent(behavior(branches=(3, 2))), 1)
    seconds = dict.fromkeys(PHASES, 0.0)
    for actions in ([[2, 0], [2, 1]], [[0, 1]], np.zeros((0, 2))):
        assert summaries.observe(Exchanged(np.array(actions, np.int32), seconds)) is None
    summaries.observe(ended(1.0))
    summary = summaries.observe(Exchanged(np.array([[2, 1]], np.int32), seconds))
    assert summary is not None
    assert summary.actions == [[1, 0, 3], [1, 3]]
    (second,) = observed(Summaries(small_agent(SPEC), 1), ended(1.0))
    assert second.actions == [[0, 0]]


def test_time_is_told_as_parts_of_the_whole(clock: Clock) -> None:
    summaries = Summaries(small_agent(SPEC), 1)
    summaries.observe(exchanged(0, seconds=1.0))
    clock.now += 10.0
    summaries.leave_out(2.0)
    summaries.observe(ended(1.0))
    summary = summaries.observe(exchanged(0, seconds=0.5))
    assert summary is not None
    assert summary.time_parts == dict.fromkeys(PHASES, pytest.approx(1.5 / 8))


def test_what_a_resumed_run_had_seen_counts() -> None:
    events = [ended(1.0, success=1.0), updated(0.1), exchanged(1), updated(0.7), ended(3.0), exchanged(0, 1)]
    summaries, resumed = (Summaries(small_agent(SPEC), 3) for _ in range(2))
    assert observed(summaries, *events) == []
    resumed.load_state_dict(json.loads(json.dumps(summaries.state_dict())))
    found = [observed(item, updated(0.3), ended(5.0))[0] for item in (summaries, resumed)]
    assert found[0].loss == pytest.approx(1.1 / 3)
    assert found[0].actions == [[1, 2]]
    without_clock = [replace(item, steps_per_second=0.0, time_parts={}) for item in found]
    assert without_clock[0] == without_clock[1]


def test_speed_is_steps_since_the_last_summary_over_time_without_evaluations(clock: Clock) -> None:
    agent = small_agent(SPEC)
    agent.steps = 1000  # of a resumed run
    summaries = Summaries(agent, 1)
    clock.now += 10.0
    agent.steps += 500
    summaries.leave_out(5.0)
    (first,) = observed(summaries, ended(1.0))
    assert first.steps_per_second == pytest.approx(100.0)
    clock.now += 2.0
    agent.steps += 60
    (second,) = observed(summaries, ended(1.0))
    assert second.steps_per_second == pytest.approx(30.0)


def test_a_clock_that_stands_still_is_no_division_by_zero(clock: Clock) -> None:
    summaries = Summaries(small_agent(SPEC), 1)
    (found,) = observed(summaries, ended(1.0))
    assert found.steps_per_second == 0.0


def test_a_real_run_before_and_after_learning_starts() -> None:
    """The loss is absent until the first update, then it is there; no number is ever NaN."""
    config = small_config(learner={"learning_starts": 60})
    found: list[Summary] = []
    with connect(EnvSpec("gym", "tests.agents.probes:Sign-v0")) as bridge:
        agent = DQNAgent(bridge.spec, config)
        summaries = Summaries(agent, 10)
        for event in collect_and_learn(bridge, agent):
            summary = summaries.observe(event)
            found += [] if summary is None else [summary]
            if len(found) == 12:
                break
    assert [summary.steps for summary in found] == list(range(10, 121, 10))
    assert [summary.loss is None for summary in found] == [True] * 6 + [False] * 6
    for summary in found:
        values = [value for value in asdict(summary).values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in values)
