"""The bridge on the simulated Depot: two behaviours, agents that come and go, several branches, continuous actions."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from bridge import EnvSpec, connect
from bridge.base import Bridge
from bridge.contract import BridgeContract
from bridge.errors import UnsupportedError, UsageError
from bridge.types import ObsSpec, Steps, StepType
from envs.depot.policies import best_carrier
from envs.depot.rules import CRANE_REACH, HEADINGS, Crate, Floor
from envs.depot.scene import DELIVERED


def depot(behavior: str | None = None, *args: str, **options: object) -> EnvSpec:
    return EnvSpec("unity", "simulated/Depot", {"behavior": behavior, "env_args": args, "timeout": 20.0, **options})


class TestCarrierHwcPng(BridgeContract):
    env_spec = depot("Carrier", "--layout", "hwc", "--compression", "png")


class TestCarrierChwFloat(BridgeContract):
    env_spec = depot("Carrier", "--layout", "chw", "--compression", "none", env_params={"carriers": 7, "cranes": 0})


class TestCrane(BridgeContract):
    env_spec = depot("Crane?team=0", levels=(-1.0, -0.5, 0.0, 0.5, 1.0))


def test_two_behaviours_ask_for_a_choice() -> None:
    with pytest.raises(UsageError, match=r"the behaviours Carrier\?team=0, Crane\?team=0; .* the option behavior"):
        connect(depot())


def test_hybrid_actions_are_refused_in_a_sentence_and_do_not_disturb_the_other_behaviour() -> None:
    with pytest.raises(UnsupportedError, match=r"'Crane' has hybrid actions \(2 continuous and 1 discrete\)"):
        connect(depot("Crane", "--hybrid"))
    with connect(depot("Carrier", "--hybrid")) as bridge:
        ends = sum(int((steps.step_type == StepType.LAST).sum()) for steps in played(bridge, 100))
    assert ends


@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("compression", ["png", "none"])
def test_what_a_carrier_observes(layout: str, compression: str) -> None:
    with connect(depot("Carrier", "--layout", layout, "--compression", compression)) as bridge:
        assert bridge.simulated
        assert bridge.spec.actions.branches == (5, 3, 2)
        assert bridge.spec.observations == (
            ObsSpec("ForkCamera", "image", (1, 16, 16)),
            ObsSpec("GoalSensor", "vector", (2,), is_goal=True),
            ObsSpec("OverviewCamera", "image", (3, 24, 32)),
            ObsSpec("StackingSensor_size3_VectorSensor_size8", "vector", (24,)),
        )
        steps = bridge.reset()
    fork, goal, overview, stacked = (array[0] for array in steps.obs)
    assert set(np.unique(fork)) <= {40, 100, 160, 230}
    assert sorted(goal) == [0, 1]
    assert overview[:, 0, 0].tolist() == [130, 132, 136]
    assert (stacked[:16] == 0).all()


def test_the_numbers_of_agents_and_of_asking_ones_vary() -> None:
    with connect(depot("Carrier")) as bridge:
        record = played(bridge, 600)
    sizes = {(len(steps), int(steps.wants_action.sum())) for steps in record}
    assert {rows for rows, _ in sizes} >= {0, 1, 2, 3, 4}
    assert any(asking == 0 and rows for rows, asking in sizes), "an end alone"
    with connect(depot("Crane")) as bridge:
        record = played(bridge, 100)
    assert {len(steps) for steps in record} >= {0, 1, 2}


def played(bridge: Bridge, exchanges: int) -> list[Steps]:
    """Random allowed actions."""
    rng = np.random.default_rng(0)
    record = [bridge.reset()]
    for _ in range(exchanges):
        record.append(bridge.step(bridge.spec.actions.sample(record[-1].deciding.mask, rng)))
    return record


def returns_of(record: list[Steps]) -> list[float]:
    """Of the episodes that ended."""
    totals: defaultdict[int, float] = defaultdict(float)
    finished = []
    for steps in record:
        for episode, kind, reward in zip(
            steps.episode.tolist(), steps.step_type.tolist(), steps.reward.tolist(), strict=True
        ):
            totals[episode] += reward
            if kind == StepType.LAST:
                finished.append(totals.pop(episode))
    return finished


def carrier_actions(steps: Steps) -> np.ndarray:
    """The best actions, from the vectors and the goal alone."""
    _, goals, _, stacked = steps.deciding.obs
    actions = np.zeros((len(goals), 3), np.int32)
    for row, (goal, values) in enumerate(zip(goals, stacked[:, -8:].astype(int).tolist(), strict=True)):
        x, z, dx, dz, red_x, red_z, green_x, green_z = values
        crates = ((x + red_x, z + red_z), (x + green_x, z + green_z))
        floor = Floor(3, crates, (x, z), HEADINGS.index((dx, dz)))
        actions[row] = best_carrier(floor, Crate(int(goal.argmax())))
    return actions


def crane_actions(steps: Steps) -> np.ndarray:
    """For each axis the nearest of five levels."""
    (points,) = steps.deciding.obs
    push = np.clip((points[:, 2:] - points[:, :2]) / CRANE_REACH, -1, 1)
    return np.rint(push * 2 + 2).astype(np.int32)


@pytest.mark.parametrize(
    ("behavior", "choose", "expected", "tolerance"),
    [("Carrier", carrier_actions, 0.9713, 0.006), ("Crane", crane_actions, 0.82, 0.05)],
)
def test_the_best_policies_earn_over_the_wire_what_the_rules_promise(
    behavior: str, choose: object, expected: float, tolerance: float
) -> None:
    assert callable(choose)
    with connect(depot(behavior)) as bridge:
        record = [bridge.reset()]
        for _ in range(900):
            record.append(bridge.step(choose(record[-1])))
    scores = returns_of(record)
    assert len(scores) > 100
    assert np.mean(scores) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("fault", ["late-behavior:3", "no-agents-after-steps:4:3", "stats"])
def test_faults_that_can_be_lived_with(fault: str) -> None:
    with connect(depot("Carrier", "--fail", fault)) as bridge:
        record = played(bridge, 100)
    with connect(depot("Carrier")) as bridge:
        undisturbed = played(bridge, 100)
    scores = returns_of(undisturbed)
    assert returns_of(record) == scores[: len(returns_of(record))]
    assert len(scores) > 10


def test_the_statistic_arrives_with_the_ends() -> None:
    with connect(depot("Carrier", env_params={"carriers": 1, "cranes": 0})) as bridge:
        record = played(bridge, 400)
    told = 0
    for steps in record:
        last = steps.step_type == StepType.LAST
        assert (DELIVERED in steps.metrics) == last.any()
        if last.any():
            assert steps.metrics[DELIVERED][0] == (steps.reward[0] == 1.0)
            told += 1
    assert told > 20
