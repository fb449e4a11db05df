"""What environments report in `info`: masks and metrics; and reports that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from bridge import DataError, StepType, connect
from bridge.contract import play
from bridge.gymnasium.assembly import SUCCESS_KEYS
from tests.bridge.gymnasium.specs import own

# Masks


def test_masks_follow_the_environment() -> None:
    with connect(own("Masked")) as bridge:  # forbids action t % 3 in step t
        record = play(bridge, 5)
    assert [steps.mask[0][0].tolist() for steps in record[:3]] == [
        [False, True, True],
        [True, False, True],
        [True, True, False],
    ]
    assert record[5].step_type.tolist() == [StepType.LAST, StepType.FIRST]
    assert record[5].mask[0].tolist() == [[True, True, True], [False, True, True]]


@pytest.mark.parametrize("flat", [False, True])
def test_masks_of_several_branches(flat: bool) -> None:
    with connect(own("MaskedBranches", env_kwargs={"flat": flat})) as bridge:
        mask = bridge.reset().mask
    assert [allowed[0].tolist() for allowed in mask] == [[True, False, False], [True, True], [True, True, True, False]]


def test_masks_are_in_the_agents_actions() -> None:
    with connect(own("Masked", codec="offset", offset=1)) as bridge:
        record = play(bridge, 2)
    assert [steps.mask[0][0].tolist() for steps in record] == [[True, True], [False, True], [True, False]]


# Metrics


def test_success_and_named_entries_are_metrics() -> None:
    with connect(own("Succeeds", env_kwargs={"length": 2})) as bridge:
        record = play(bridge, 4)
    assert [sorted(steps.metrics) for steps in record] == [[], [], ["success"], [], ["success"]]
    np.testing.assert_array_equal(record[2].metrics["success"], [1.0, np.nan])
    np.testing.assert_array_equal(record[4].metrics["success"], [0.0, np.nan])
    with connect(own("Succeeds", metrics=["height"])) as bridge:
        assert [steps.metrics["height"].tolist() for steps in play(bridge, 2)] == [[0.0], [0.5], [1.0]]
    assert SUCCESS_KEYS == ("is_success", "success")


def test_an_environment_tells_of_its_episodes_where_they_end() -> None:
    with connect(own("Tells", num_envs=2, env_kwargs={"length": 0})) as bridge:
        record = play(bridge, 60)
    ended = 0
    for steps in record:
        last = steps.step_type == StepType.LAST
        assert bool(steps.metrics) == last.any()
        if last.any():
            times = steps.obs[0][last, 2]  # agent steps in the episode
            np.testing.assert_array_equal(steps.metrics["time"][last], times)
            even = steps.metrics.get("even", np.full(len(steps), np.nan))
            np.testing.assert_array_equal(even[last], np.where(times % 2 == 0, 1.0, np.nan))
            assert all(np.isnan(values[~last]).all() for values in steps.metrics.values())
            ended += int(last.sum())
    assert ended > 10


# Refusals


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("nan observation", "Broken-v0: observation 'observation' of episode 0 .* is not finite"),
        ("infinite observation", "Broken-v0: observation 'observation' of episode 0 .* is not finite"),
        ("nan reward", "Broken-v0: the reward of episode 0 .* is not finite"),
        ("no reward", "Broken-v0: the rewards are .*None.*, expected numbers"),
        ("shape", r"observation 'observation' is float64 of shape \(1,\), but its space declares float64 of shape"),
        ("mask size", r"info\['action_mask'\] has \(2,\) entries, expected \(3,\)"),
        ("mask of nothing", r"Broken-v0: info\['action_mask'\] allows no action in branch 0"),
    ],
)
def test_broken_reports_are_refused(kind: str, sentence: str) -> None:
    with connect(own("Broken", env_kwargs={"kind": kind})) as bridge:
        bridge.reset()
        bridge.step([[0]])
        with pytest.raises(DataError, match=sentence):
            bridge.step([[0]])
        bridge.reset()
        bridge.step([[0]])


def test_metrics_that_are_no_numbers_are_refused() -> None:
    with connect(own("TellsNonsense", env_kwargs={"length": 1})) as bridge:
        bridge.reset()
        with pytest.raises(DataError, match=r"info\['episode_metrics'\] is \{'height': 'tall'\}, expected numbers"):
            bridge.step([[0]])


def test_an_entry_of_info_that_is_no_number_is_refused() -> None:
    with (
        connect(own("TellsNonsense", metrics=["episode_metrics"])) as bridge,
        pytest.raises(DataError, match=r"info\['episode_metrics'\] is \{'height': 'tall'\}, expected a number\.$"),
    ):
        bridge.reset()
