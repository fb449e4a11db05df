"""The stamped player and environment play by their own rules, and the checker finds whatever does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bridge import EnvSpec, connect
from bridge.types import Steps, StepType
from tests.players.stamps import GYM_ID, PLAYER, Checker, Stamp

UNITY = EnvSpec("unity", str(PLAYER), {"timeout": 20.0, "env_args": ("--agents", "4")})
GYM = EnvSpec("gym", GYM_ID, {"num_envs": 4})

Exchange = tuple[Steps, npt.NDArray[np.int32]]


def play(spec: EnvSpec, exchanges: int) -> Iterator[Exchange]:
    """The rows of each exchange with the actions that answer them."""
    rng = np.random.default_rng(0)
    with connect(spec) as bridge:
        steps = bridge.reset()
        for _ in range(exchanges):
            actions = bridge.spec.actions.sample(steps.deciding.mask, rng)
            yield steps, actions
            steps = bridge.step(actions)
        yield steps, np.zeros((0, 2), np.int32)


def checked(exchanges: list[Exchange]) -> Checker:
    checker = Checker()
    for steps, actions in exchanges:
        checker.observe(steps)
        if len(actions):
            checker.act(actions)
    return checker


@pytest.mark.parametrize("spec", [UNITY, GYM], ids=["unity", "gym"])
def test_a_run_without_faults_is_exact(spec: EnvSpec) -> None:
    exchanges = list(play(spec, 200))
    checker = checked(exchanges)
    checker.verify()
    assert checker.decisions > 400
    assert (checker.lost, checker.losses) == (0, [])
    last = np.concatenate([steps.discount[steps.step_type == StepType.LAST] for steps, _ in exchanges])
    assert set(last) == {0.0, 1.0}, "terminated and truncated"


def test_a_reset_and_a_new_incarnation_lose_at_most_one_decision_of_each_agent() -> None:
    checker, rng = Checker(), np.random.default_rng(0)
    for incarnation in range(2):
        with connect(UNITY, incarnation=incarnation) as bridge:
            for seed in (None, None, 1):
                steps = bridge.reset(seed)
                for _ in range(20):
                    checker.observe(steps)
                    actions = bridge.spec.actions.sample(steps.deciding.mask, rng)
                    checker.act(actions)
                    steps = bridge.step(actions)
                checker.observe(steps)
                checker.reset()
    checker.verify()
    assert 0 < checker.lost <= 6 * 4


def swapped(steps: Steps) -> Steps:
    return replace(steps, obs=(steps.obs[0][::-1],))


def other_reward(steps: Steps) -> Steps:
    return replace(steps, reward=np.roll(steps.reward, 1))


def other_incarnation(steps: Steps) -> Steps:
    return replace(steps, incarnation=steps.incarnation - 1)


def truncated(steps: Steps) -> Steps:
    return replace(steps, discount=np.where(steps.discount == 0, 1, 0).astype(np.float32))


def other_process(steps: Steps) -> Steps:
    return replace(steps, obs=(steps.obs[0] + np.float32([1, 0, 0, 0]),))


@pytest.mark.parametrize(
    ("change", "counter"),
    [
        (swapped, "crossed"),
        (other_reward, "crossed"),
        (truncated, "crossed"),
        (other_process, "crossed"),
        (other_incarnation, "late"),
    ],
)
def test_each_kind_of_wrong_row_is_counted(change: Callable[[Steps], Steps], counter: str) -> None:
    exchanges = list(play(GYM, 40))
    middle = next(index for index, (steps, _) in enumerate(exchanges) if index > 9 and (steps.step_type == 1).sum() > 1)
    steps, actions = exchanges[middle]
    exchanges[middle] = change(steps), actions
    checker = checked(exchanges)
    assert getattr(checker, counter) > 0
    with pytest.raises(AssertionError, match=counter):
        checker.verify()


def test_lost_and_repeated_exchanges_are_counted() -> None:
    exchanges = list(play(EnvSpec("gym", GYM_ID), 40))
    lost = checked([exchanges[0], *exchanges[2:]])
    assert lost.missing == 1
    repeated = checked([exchanges[0], exchanges[1], exchanges[1], *exchanges[2:]])
    assert repeated.duplicated >= 1


def test_an_answer_that_comes_one_step_late_is_found() -> None:
    """What the stock client does after a timeout: each answer is taken for that to the next action."""
    exchanges = list(play(EnvSpec("gym", GYM_ID), 40))
    checker = checked([(steps, after) for (steps, _), (_, after) in itertools.pairwise(exchanges[:-1])])
    assert checker.crossed > 0


def test_stamps_are_exact() -> None:
    stamp = Stamp(2**22, 8, 2**20, 13)
    assert Stamp.of(np.array(stamp, np.float32)) == stamp
