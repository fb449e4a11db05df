"""Levels that fall with a count."""

from __future__ import annotations

import pytest

from agents.learning.schedules import Schedule


def linear(start: float, end: float, duration: int, delay: int = 0) -> Schedule:
    return Schedule("linear", start, end, duration, 0.5, delay)


def exponential(start: float, end: float, decay: float, delay: int = 0) -> Schedule:
    return Schedule("exponential", start, end, 1, decay, delay)


def test_linear_goes_straight_to_the_end_and_stays() -> None:
    schedule = linear(1.0, 0.1, 40_000)
    assert schedule(0) == 1.0
    assert schedule(10_000) == pytest.approx(0.775)
    assert schedule(20_000) == pytest.approx(0.55)
    assert schedule(40_000) == schedule(10**9) == pytest.approx(0.1)


def test_linear_may_rise_or_stay() -> None:
    assert linear(0.0, 1.0, 4)(1) == 0.25
    assert linear(1.0, 1.0, 10_000)(77) == 1.0


def test_exponential_multiplies_per_unit_down_to_the_end() -> None:
    schedule = exponential(0.9, 0.01, 0.999)  # the CartPole study's
    level = 0.9
    for count in range(200):
        assert schedule(count) == pytest.approx(level)
        level *= 0.999
    assert schedule(4497) > 0.01
    assert schedule(4498) == 0.01  # 0.9 * 0.999^4498 < 0.01
    assert schedule(10**9) == 0.01


@pytest.mark.parametrize("schedule", [linear(1.0, 0.0, 10, delay=100), exponential(1.0, 0.0, 0.5, delay=100)])
def test_a_delay_moves_the_fall(schedule: Schedule) -> None:
    undelayed = Schedule(schedule.kind, schedule.start, schedule.end, schedule.duration, schedule.decay, 0)
    assert [schedule(count) for count in (0, 50, 100)] == [1.0, 1.0, 1.0]
    assert schedule(101) < 1.0
    assert [schedule(100 + count) for count in range(20)] == [undelayed(count) for count in range(20)]
