"""Means over the latest episodes and updates."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest
import torch

from agents import summary as summary_module
from agents.agent import DQNAgent, Update
from agents.loop import EpisodeEnded, Exchanged, Updated, collect_and_learn
from agents.scores import EpisodeResult
from agents.summary import Summaries, Summary
from bridge import EnvSpec, connect
from tests.agents.scripted import behavior, small_agent, small_config

SPEC = behavior()


def ended(score: float, length: int = 1, **metrics: float) -> EpisodeEnded:
    return EpisodeEnded(EpisodeResult(0, score, length, False, metrics))


def updated(loss: float) -> Updated:
    return Updated(Update(*(torch.tensor(loss * factor) for factor in (1.0, 2.0, 3.0, 4.0))))


class Clock:
    """Time that passes when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(summary_module.time, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def observed(summaries: Summaries, *events: Any) -> list[Summary]:
    return [found for event in events if (found := summaries.observe(event)) is not None]


def test_a_summary_comes_every_so_many_episodes_with_their_means() -> None:
    summaries = Summaries(small_agent(SPEC), 3)
    (first,) = observed(
        summaries, ended(1.0, 10), updated(0.5), Exchanged(), ended(2.0, 20), updated(1.5), ended(6.0, 60)
    )
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
            found += observed(summaries, event)
            if len(found) == 12:
                break
    assert [summary.steps for summary in found] == list(range(10, 121, 10))
    assert [summary.loss is None for summary in found] == [True] * 6 + [False] * 6
    for summary in found:
        values = [value for value in asdict(summary).values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in values)
