"""Actions that do not fit: all are refused, and nothing of them reaches the environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge import EnvSpec, connect
from bridge.errors import ActionError
from bridge.types import Steps
from tests.faults.counts import counts
from tests.faults.play import stamped
from tests.players.stamps import BRANCHES, GYM_ID, Checker


def bad_actions(steps: Steps, rng: np.random.Generator) -> Any:
    """An action array that must be refused, made from one that fits."""
    good = np.stack([[rng.choice(np.flatnonzero(row)) for row in mask] for mask in steps.deciding.mask], axis=1)
    row, branch = int(rng.integers(len(good))), int(rng.integers(len(BRANCHES)))
    kind = rng.integers(12)
    if kind == 0:  # outside the branch
        good[row, branch] = rng.choice([-1, -(2**31), BRANCHES[branch], BRANCHES[branch] + 5, 2**31, 2**40, 2**62])
        return good
    if kind == 1:  # masked
        forbidden = [np.flatnonzero(~mask[row]) for mask in steps.deciding.mask]
        branch = next(index for index, actions in enumerate(forbidden) if len(actions))
        good[row, branch] = rng.choice(forbidden[branch])
        return good
    if kind == 2:  # numbers that are no indices
        return good.astype(rng.choice(["float64", "float32", "float16", "complex64"]))
    if kind == 3:  # not finite
        floats = good.astype(np.float32)
        floats[row, branch] = rng.choice([np.nan, np.inf, -np.inf])
        return floats
    if kind == 4:  # other types
        return good.astype(rng.choice(["bool", "object", "str", "bytes", "datetime64[s]"]))
    if kind == 5:  # too few or too many rows
        rows = int(rng.choice([count for count in range(2 * len(good)) if count != len(good)]))
        return np.resize(good, (rows, len(BRANCHES)))
    if kind == 6:  # too few or too many branches
        return np.resize(good, (len(good), int(rng.choice([0, 1, 3, 4]))))
    if kind == 7:  # a dimension too few or too many
        return good.ravel() if rng.integers(2) else good[None]
    if kind == 8:  # one number for all
        return int(good[0, 0]) if rng.integers(2) else good[0, 0]
    if kind == 9:  # nothing
        return [None, [], "", {}, [[]] * len(good)][rng.integers(5)]
    if kind == 10:  # ragged
        ragged = good.tolist()
        ragged[row] = ragged[row][:1]
        return ragged
    wrong: list[list[object]] = good.tolist()  # one word among the numbers
    wrong[row][branch] = ["1", None, 0.5, float("nan"), 2**70][rng.integers(5)]
    return wrong


@counts(2000, 10_000)
@pytest.mark.parametrize("spec", [stamped(), EnvSpec("gym", GYM_ID, {"num_envs": 3})], ids=["unity", "gym"])
def test_bad_actions_are_refused_and_nothing_is_sent(spec: EnvSpec, count: int) -> None:
    rng = np.random.default_rng(0)
    checker = Checker()
    with connect(spec) as bridge:
        steps = bridge.reset()
        checker.observe(steps)
        for number in range(count):
            bad = bad_actions(steps, rng)
            with pytest.raises(ActionError) as caught:
                bridge.send(bad)
            assert "\n" not in str(caught.value)
            if number % 100 == 99:  # nothing has changed, so good ones fit
                actions = bridge.spec.actions.sample(steps.deciding.mask, rng)
                checker.act(actions)
                steps = bridge.step(actions)
                checker.observe(steps)
    checker.verify()
    assert checker.transitions >= count // 100
