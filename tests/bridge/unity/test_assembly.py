"""Agent infos to rows, rule by rule; `tests/faults/test_scripts.py` has them all at once, at random."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.actions import CodecSettings
from bridge.errors import DataError, UsageError
from bridge.types import StepType, first_episode_id
from bridge.unity.assembly import Assembly
from bridge.unity.behavior import Behavior
from tests.bridge.unity.scripted import brain, info, vector

FIRST, MID, LAST = StepType.FIRST, StepType.MID, StepType.LAST


def assembly(*branches: int, codec: CodecSettings | None = None, worker: int = 0, incarnation: int = 0) -> Assembly:
    behavior = Behavior.of(brain("B?team=0", *branches or (3,)), info(0))
    return Assembly(behavior, behavior.codec(codec or CodecSettings()), worker, incarnation)


def test_ids_are_of_this_worker_and_never_come_back() -> None:
    subject = assembly(worker=3, incarnation=2)
    start = first_episode_id(3, 2)
    assert subject.steps([info(7), info(8)]).episode.tolist() == [start, start + 1]
    steps = subject.steps([info(7, done=True), info(7), info(8)])
    assert steps.episode.tolist() == [start, start + 2, start + 1]
    assert steps.step_type.tolist() == [LAST, FIRST, MID]
    subject.forget()
    steps = subject.steps([info(7)])
    assert steps.episode.tolist() == [start + 3]
    assert (steps.worker.tolist(), steps.incarnation.tolist()) == ([3], [2])


def test_interrupted_is_truncation() -> None:
    subject = assembly()
    subject.steps([info(0), info(1)])
    steps = subject.steps([info(0, done=True, interrupted=True, reward=-0.5), info(1, done=True, reward=1)])
    assert steps.step_type.tolist() == [LAST, LAST]
    assert steps.discount.tolist() == [1, 0]
    assert steps.reward.tolist() == [-0.5, 1]


def test_the_reward_before_the_first_action_is_dropped_and_a_groups_reward_added() -> None:
    subject = assembly()
    assert subject.steps([info(0, reward=-0.01)]).reward.tolist() == [0]
    assert subject.steps([info(0, reward=0.5, group_reward=2)]).reward.tolist() == [2.5]
    assert subject.steps([info(0, done=True, group_reward=-1)]).reward.tolist() == [-1]


def test_an_agent_that_ends_without_having_decided_is_skipped() -> None:
    assert len(assembly().steps([info(5, done=True, reward=3)])) == 0


def test_masks_are_turned_and_split_by_branch() -> None:
    subject = assembly(2, 3)
    steps = subject.steps([info(0, mask=[True, False, False, True, False]), info(1)])
    assert [mask.tolist() for mask in steps.mask] == [
        [[False, True], [True, True]],
        [[True, False, True], [True, True, True]],
    ]
    steps = subject.steps([info(0, done=True, mask=[True] * 5)])
    assert all(mask.all() for mask in steps.mask), "the last row's mask means nothing"


def test_a_mask_that_forbids_everything_is_refused() -> None:
    offset = CodecSettings("offset", offset=1)
    assert assembly(3, codec=offset).steps([info(0, mask=[False, True, False])]).mask[0].tolist() == [[False, True]]
    with pytest.raises(UsageError, match=r"branch 0 is masked.*use the codec identity"):
        assembly(3, codec=offset).steps([info(0, mask=[False, True, True])])
    with pytest.raises(DataError, match="branch 1 is masked; expected at least one allowed"):
        assembly(3, 2).steps([info(0, mask=[False, False, False, True, True])])
    with pytest.raises(DataError, match=r"mask of 2 came, expected 3"):
        assembly(3).steps([info(0, mask=[False, True])])


def test_agents_with_other_sensors_are_refused() -> None:
    with pytest.raises(DataError, match="sent 2 observations, expected 1"):
        assembly().steps([info(0), info(1, vector(1), vector(2))])


def test_metrics_go_to_the_first_row() -> None:
    steps = assembly().steps([info(0), info(1)], {"Goals/Correct": 0.5})
    np.testing.assert_array_equal(steps.metrics["Goals/Correct"], np.array([0.5, np.nan], np.float32))
