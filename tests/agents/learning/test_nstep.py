"""n-step assembly, with numbers worked out by hand. `test_transitions.py` has the oracle."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agents.learning.nstep import NStep, Transitions
from bridge import StepType

FIRST, MID, LAST = StepType.FIRST, StepType.MID, StepType.LAST


def report(nstep: NStep, *rows: tuple[int, StepType, float, float, int]) -> Transitions:
    """rows of (episode, step type, reward, discount, frame)."""
    episode, step_type, reward, discount, frame = zip(*rows, strict=True) if rows else ((),) * 5
    return nstep.reported(
        np.array(episode, np.int64),
        np.array(step_type, np.uint8),
        np.array(reward, np.float32),
        np.array(discount, np.float32),
        np.array(frame, np.int64),
    )


def decide(nstep: NStep, *decisions: tuple[int, int, int]) -> None:
    """decisions of (episode, frame, action)."""
    episode, frame, action = zip(*decisions, strict=True)
    nstep.decided(np.array(episode, np.int64), np.array(frame, np.int64), np.array(action, np.int32)[:, None])


def shown(transitions: Transitions) -> list[tuple[int, int, float, float, int]]:
    """(frame_tm1, action, reward, discount, frame_t) of each."""
    return [
        (int(frame), int(action[0]), pytest.approx(float(reward)), pytest.approx(float(discount)), int(following))
        for frame, action, reward, discount, following in zip(
            transitions.frame_tm1,
            transitions.action_tm1,
            transitions.reward_t,
            transitions.discount_t,
            transitions.frame_t,
            strict=True,
        )
    ]


def three_steps(nstep: NStep, episode: int = 0) -> list[Transitions]:
    """Frames 0 to 3 with actions 10, 11, 12 and rewards 1, 2, 4; the next decision, at frame 3, is still to come."""
    found = [report(nstep, (episode, FIRST, 0, 1, 0))]
    for frame, reward in enumerate((1, 2, 4)):
        decide(nstep, (episode, frame, 10 + frame))
        found.append(report(nstep, (episode, MID, reward, 1, frame + 1)))
    return found


def test_one_step_is_plain() -> None:
    found = three_steps(NStep(1, 0.5, 1))
    assert [shown(each) for each in found] == [
        [],
        [(0, 10, 1, 0.5, 1)],
        [(1, 11, 2, 0.5, 2)],
        [(2, 12, 4, 0.5, 3)],
    ]


def test_three_steps_sum_discounted_rewards() -> None:
    found = three_steps(NStep(3, 0.5, 1))
    assert [shown(each) for each in found] == [[], [], [], [(0, 10, 1 + 0.5 * 2 + 0.25 * 4, 0.125, 3)]]


def test_a_terminated_episode_gives_its_tail_without_a_future() -> None:
    nstep = NStep(3, 0.5, 1)
    three_steps(nstep)
    decide(nstep, (0, 3, 13))
    assert shown(report(nstep, (0, LAST, 8, 0, -1))) == [
        (1, 11, 2 + 0.5 * 4 + 0.25 * 8, 0, 1),
        (2, 12, 4 + 0.5 * 8, 0, 2),
        (3, 13, 8, 0, 3),
    ]


def test_a_truncated_episode_gives_its_tail_with_what_follows() -> None:
    nstep = NStep(3, 0.5, 1)
    three_steps(nstep)
    decide(nstep, (0, 3, 13))
    assert shown(report(nstep, (0, LAST, 8, 1, 4))) == [
        (1, 11, 2 + 0.5 * 4 + 0.25 * 8, 0.125, 4),
        (2, 12, 4 + 0.5 * 8, 0.25, 4),
        (3, 13, 8, 0.5, 4),
    ]


def test_nothing_crosses_from_one_episode_into_the_next() -> None:
    nstep = NStep(2, 0.5, 1)
    report(nstep, (0, FIRST, 0, 1, 0))
    decide(nstep, (0, 0, 7))
    ended = report(nstep, (0, LAST, 1, 0, -1), (1, FIRST, 0, 1, 1))
    decide(nstep, (1, 1, 8))
    later = report(nstep, (1, LAST, 100, 1, 2))
    assert shown(ended) == [(0, 7, 1, 0, 0)]
    assert shown(later) == [(1, 8, 100, 0.5, 2)]


def test_an_agent_that_does_not_report_waits() -> None:
    nstep = NStep(1, 0.5, 1)
    report(nstep, (0, FIRST, 0, 1, 0), (1, FIRST, 0, 1, 1))
    decide(nstep, (0, 0, 5), (1, 1, 6))
    assert shown(report(nstep, (1, MID, 3, 1, 2))) == [(1, 6, 3, 0.5, 2)]
    assert shown(report(nstep)) == []
    assert shown(report(nstep, (0, LAST, 4, 0, -1))) == [(0, 5, 4, 0, 0)]


def test_a_discount_of_0_leaves_no_future() -> None:
    nstep = NStep(2, 0.0, 1)
    report(nstep, (0, FIRST, 0, 1, 0))
    decide(nstep, (0, 0, 5))
    report(nstep, (0, MID, 1, 1, 1))
    decide(nstep, (0, 1, 6))
    assert shown(report(nstep, (0, MID, 50, 1, 2))) == [(0, 5, 1, 0, 0)]


def test_an_ended_episode_is_not_kept() -> None:
    nstep = NStep(3, 0.5, 1)
    three_steps(nstep)
    decide(nstep, (0, 3, 13))
    report(nstep, (0, LAST, 8, 1, 4))
    assert nstep.state_dict() == {"open": {}}


def test_types_and_shapes_also_of_nothing() -> None:
    nothing = report(NStep(3, 0.9, 2))
    assert len(nothing) == 0
    assert nothing.action_tm1.shape == (0, 2)
    for name, dtype in (
        ("frame_tm1", np.int64),
        ("action_tm1", np.int32),
        ("reward_t", np.float32),
        ("discount_t", np.float32),
        ("frame_t", np.int64),
    ):
        assert getattr(nothing, name).dtype == dtype


def test_a_lost_episode_gives_what_was_known_before_its_last_decision() -> None:
    nstep = NStep(3, 0.5, 1)
    three_steps(nstep)
    decide(nstep, (0, 3, 13))
    assert (nstep.open_episodes.tolist(), nstep.pending) == ([0], 1)
    lost = nstep.lost(np.array([0, 77]))
    assert shown(lost) == [(1, 11, 2 + 0.5 * 4, 0.25, 3), (2, 12, 4, 0.5, 3)], "bootstrapped from what came last"
    assert (nstep.open_episodes.tolist(), nstep.pending) == ([], 0)
    assert shown(report(nstep, (0, LAST, 8, 0, -1))) == []


def test_an_episode_that_is_lost_before_its_next_decision_loses_nothing() -> None:
    nstep = NStep(3, 0.5, 1)
    three_steps(nstep)
    assert nstep.pending == 0
    assert shown(nstep.lost(nstep.open_episodes)) == [(1, 11, 2 + 0.5 * 4, 0.25, 3), (2, 12, 4, 0.5, 3)]


def test_the_state_goes_through_json_and_goes_on() -> None:
    first, second = NStep(3, 0.5, 1), NStep(3, 0.5, 1)
    three_steps(first)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for nstep in (first, second):
        decide(nstep, (0, 3, 13))
    expected = shown(report(first, (0, LAST, 8, 1, 4)))
    assert len(expected) == 3
    assert shown(report(second, (0, LAST, 8, 1, 4))) == expected
