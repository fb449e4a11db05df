"""What the agents report, message for message, without a process: who, when, in which order, and what they observe."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.side_channel.incoming_message import IncomingMessage
from mlagents_envs.side_channel.stats_side_channel import StatsSideChannel
from PIL import Image

from envs.depot import render
from envs.depot.policies import best_carrier, best_crane
from envs.depot.rules import CARRIER_MAX_STEP, HEADINGS, Crate, Floor
from envs.depot.scene import ABSENCE, CARRIER_PERIODS, CRANE_PERIODS, DELIVERED, Depot
from envs.simulated.messages import AgentAction
from envs.simulated.scene import ImpossibleSceneError, Setup
from envs.simulated.sidechannels import STATS, Parameters, unpack

CARRIER, CRANE = "Carrier?team=0", "Crane?team=0"
NOTHING = AgentAction(discrete=[0, 0, 0])
Reports = dict[str, list[AgentInfoProto]]


class Driver:
    """A scene, and what it reports decoded with Google's classes."""

    def __init__(
        self, seed: int = 1, channels_first: bool = False, png: bool = True, hybrid: bool = False, **parameters: float
    ) -> None:
        self.parameters = Parameters()
        for name, value in parameters.items():
            self.parameters.set(name, value)
        self.setup = Setup(seed, channels_first, png, self.parameters)
        self.scene = Depot(self.setup, hybrid)
        self.chance = random.Random(0)

    def reset(self) -> Reports:
        self.scene.reset()
        return self.collect()

    def step(
        self, carriers: Sequence[AgentAction] | None = None, cranes: Sequence[AgentAction] | None = None
    ) -> Reports:
        """One step; without actions everybody does nothing."""
        actions = {CARRIER: carriers, CRANE: cranes}
        self.scene.step({name: chosen for name, chosen in actions.items() if chosen is not None})
        return self.collect()

    def collect(self) -> Reports:
        infos = self.scene.collect()
        return {name: [AgentInfoProto.FromString(info.encode()) for info in agents] for name, agents in infos.items()}

    def random_step(self, reports: Reports) -> Reports:
        """Random allowed actions for all that ask."""
        cranes = [AgentAction([self.chance.uniform(-1, 1) for _ in range(2)]) for _ in deciding(reports, CRANE)]
        carriers = []
        for info in deciding(reports, CARRIER):
            mask = list(info.action_mask)
            branches = (mask[:5], mask[5:8], mask[8:])
            allowed = ([index for index, no in enumerate(branch) if not no] for branch in branches)
            carriers.append(AgentAction(discrete=[self.chance.choice(actions) for actions in allowed]))
        return self.step(carriers, cranes)

    def best_step(self, reports: Reports) -> Reports:
        """What the best policies choose, from the numbers observed."""
        carriers = [AgentAction(discrete=list(best_carrier(*state_of(info)))) for info in deciding(reports, CARRIER)]
        cranes = []
        for info in deciding(reports, CRANE):
            x, z, to_x, to_z = numbers(info, 0)
            cranes.append(AgentAction(list(best_crane((x, z), (to_x, to_z)))))
        return self.step(carriers, cranes)


def deciding(reports: Reports, name: str) -> list[AgentInfoProto]:
    return [info for info in reports.get(name, ()) if not info.done]


def ended(reports: Reports, name: str) -> list[AgentInfoProto]:
    return [info for info in reports.get(name, ()) if info.done]


def numbers(info: AgentInfoProto, index: int) -> list[float]:
    return list(info.observations[index].float_data.data)


def state_of(info: AgentInfoProto) -> tuple[Floor, Crate]:
    """The state of a 3 x 3 bay, from the latest eight numbers and the goal."""
    x, z, *rest = (int(value) for value in numbers(info, 3)[-8:])
    dx, dz, red_x, red_z, green_x, green_z = rest
    crates = ((x + red_x, z + red_z), (x + green_x, z + green_z))
    return Floor(3, crates, (x, z), HEADINGS.index((dx, dz))), Crate(numbers(info, 1).index(1.0))


def picture(info: AgentInfoProto, index: int) -> np.ndarray:
    with Image.open(io.BytesIO(info.observations[index].compressed_data)) as image:
        return np.asarray(image)


def test_the_observations_have_the_names_order_and_shapes_that_unity_would_give_them() -> None:
    for channels_first, fork, overview, properties in (
        (False, [16, 16, 1], [24, 32, 3], [2, 2, 1]),
        (True, [1, 16, 16], [3, 24, 32], [1, 2, 2]),
    ):
        reports = Driver(channels_first=channels_first).reset()
        (carrier,) = reports[CARRIER]
        found = [
            (o.name, list(o.shape), list(o.dimension_properties), o.observation_type) for o in carrier.observations
        ]
        assert found == [
            ("ForkCamera", fork, properties, 0),
            ("GoalSensor", [2], [1], 1),
            ("OverviewCamera", overview, properties, 0),
            ("StackingSensor_size3_VectorSensor_size8", [24], [1], 0),
        ]
        assert [o.compression_type for o in carrier.observations] == [1, 0, 1, 0]
        for crane in reports[CRANE]:
            assert [(o.name, list(o.shape), list(o.dimension_properties)) for o in crane.observations] == [
                ("VectorSensor_size4", [4], [1])
            ]


def test_the_behaviours_and_their_actions() -> None:
    described = {b.name: (b.continuous, b.branches) for b in Driver().scene.behaviors}
    assert described == {CARRIER: (0, (5, 3, 2)), CRANE: (2, ())}
    hybrid = {b.name: (b.continuous, b.branches) for b in Driver(hybrid=True).scene.behaviors}
    assert hybrid == {CARRIER: (0, (5, 3, 2)), CRANE: (2, (2,))}


@pytest.mark.parametrize("channels_first", [False, True])
def test_png_and_floats_show_the_same_pictures(channels_first: bool) -> None:
    (compressed,) = Driver(channels_first=channels_first).reset()[CARRIER]
    (raw,) = Driver(channels_first=channels_first, png=False).reset()[CARRIER]
    for index, channels in ((0, 1), (2, 3)):
        message = raw.observations[index]
        floats = np.array(message.float_data.data, np.float32).reshape(message.shape)
        shown = picture(compressed, index)
        assert shown.shape[2] == 3, "Unity's PNG has three channels, also of a grayscale camera"
        expected = shown[:, :, :channels]
        found = np.rint(floats * 255).astype(np.uint8)
        assert (found == (expected.transpose(2, 0, 1) if channels_first else expected)).all()


def test_the_observations_tell_the_state() -> None:
    driver = Driver(seed=4, carriers=1, cranes=1)
    reports = driver.reset()
    seen = 0
    for _ in range(300):
        for info in deciding(reports, CARRIER):
            floor, wanted = state_of(info)
            task = driver.scene._agents[-1]._task
            assert (floor, wanted) == (task.floor, task.wanted)
            assert (picture(info, 2) == render.overview(floor)).all()
            assert (picture(info, 0) == render.fork(floor)).all()
            assert list(info.action_mask) == list(floor.forbidden())
            seen += 1
        for info in deciding(reports, CRANE):
            task = driver.scene._agents[0]._task
            assert numbers(info, 0) == pytest.approx([*task.hook, *task.target])
        reports = driver.random_step(reports)
    assert seen > 200


def test_carriers_come_one_after_the_other_and_each_agent_asks_in_its_own_time() -> None:
    driver = Driver(carriers=4, cranes=3)
    asking = [{name: [info.id for info in infos] for name, infos in driver.reset().items()}]
    for _ in range(11):
        asking.append({name: [info.id for info in infos] for name, infos in driver.step().items()})
    assert asking == [
        {CRANE: [0, 1, 2], CARRIER: [3]},
        {CARRIER: [3, 4]},
        {CRANE: [0, 2], CARRIER: [3, 5]},
        {CRANE: [1], CARRIER: [3, 4, 6]},
        {CRANE: [0, 2], CARRIER: [3, 6]},
        {CARRIER: [3, 4, 5, 6]},
        {CRANE: [0, 1, 2], CARRIER: [3, 6]},
        {CARRIER: [3, 4, 6]},
        {CRANE: [0, 2], CARRIER: [3, 5, 6]},
        {CRANE: [1], CARRIER: [3, 4, 6]},
        {CRANE: [0, 2], CARRIER: [3, 6]},
        {CARRIER: [3, 4, 5, 6]},
    ]
    assert (CARRIER_PERIODS, CRANE_PERIODS) == ((1, 2, 3), (2, 3))


def test_time_in_which_nobody_has_anything_to_say_is_skipped() -> None:
    driver = Driver(carriers=0, cranes=1)
    assert [list(driver.reset()), list(driver.step()), list(driver.step())] == [[CRANE]] * 3
    assert driver.scene._tick == 4


def test_a_carrier_that_succeeds_leaves_and_another_one_comes() -> None:
    driver = Driver(carriers=1, cranes=0)
    reports = driver.reset()
    for agent_id in range(20):
        while not ended(reports, CARRIER):
            (info,) = reports[CARRIER]
            assert info.id == agent_id
            reports = driver.best_step(reports)
        (info,) = reports[CARRIER]
        assert (info.id, info.done, info.max_step_reached, info.reward) == (agent_id, True, False, 1.0)
        ending = driver.scene._tick - 1
        reports = driver.step()
        (info,) = reports[CARRIER]
        assert (info.id, info.done, info.reward) == (agent_id + 1, False, 0.0)
        assert driver.scene._tick == ending + ABSENCE


def lift_the_wrong_one(driver: Driver, reports: Reports) -> Reports:
    """Plays until a Carrier that is alone lifts the other crate."""
    while not ended(reports, CARRIER):
        ((floor, wanted),) = (state_of(info) for info in reports[CARRIER])
        reports = driver.step([AgentAction(discrete=list(best_carrier(floor, Crate(1 - wanted))))])
    return reports


def test_a_carrier_that_fails_stays_and_may_ask_in_the_same_message() -> None:
    driver = Driver(carriers=1, cranes=0)
    end, again = lift_the_wrong_one(driver, driver.reset())[CARRIER]
    assert (end.id, end.done, end.max_step_reached, end.reward) == (0, True, False, -1.0)
    assert (again.id, again.done, again.reward) == (0, False, 0.0)
    assert numbers(again, 3)[:16] == [0.0] * 16
    assert not driver.scene._expected


def test_an_agent_that_was_interrupted_may_ask_later() -> None:
    driver = Driver(carriers=2, cranes=0)
    driver.reset()
    interrupted = []
    for _ in range(3 * CARRIER_MAX_STEP):
        reports = driver.step()
        for info in ended(reports, CARRIER):
            assert (info.max_step_reached, info.reward) == (True, np.float32(-0.02))
            interrupted.append((info.id, info.id in [other.id for other in deciding(reports, CARRIER)]))
    assert interrupted == [(0, True), (0, True), (1, False), (0, True)]


def test_the_stack_moves_on_at_decisions_and_begins_with_zeros() -> None:
    driver = Driver(carriers=1, cranes=0)
    reports = driver.reset()
    history: list[list[float]] = []
    endings = 0
    for _ in range(200):
        for info in reports.get(CARRIER, ()):
            stacked = [numbers(info, 3)[start : start + 8] for start in (0, 8, 16)]
            if info.done:
                assert stacked[:2] == ([[0.0] * 8] * 2 + history)[-3:-1], "the newest entry was overwritten"
                history = []
                endings += 1
            else:
                history.append(stacked[2])
                assert stacked == ([[0.0] * 8] * 2 + history)[-3:]
        reports = driver.random_step(reports)
    assert endings > 5


def test_the_end_shows_the_last_state_and_repeats_the_mask() -> None:
    driver = Driver(carriers=1, cranes=0)
    (before,) = driver.reset()[CARRIER]
    for turn in range(CARRIER_MAX_STEP):
        reports = driver.step([AgentAction(discrete=[0, 2, 0])])
        end = reports[CARRIER][0]
        assert end.done == (turn == CARRIER_MAX_STEP - 1)
        if not end.done:
            before = end
    (last, _), (state, _) = state_of(before), state_of(end)
    assert state == last.after(0, 2)
    assert (picture(end, 2) == render.overview(state)).all()
    assert end.action_mask == before.action_mask


def test_a_reset_reports_that_everybody_left_and_everybody_is_new() -> None:
    driver = Driver()
    reports = driver.reset()
    known: dict[str, set[int]] = {CARRIER: set(), CRANE: set()}
    for exchange in range(30):
        for name, ids in known.items():
            ids -= {info.id for info in ended(reports, name)}
            ids |= {info.id for info in deciding(reports, name)}
        reports = driver.random_step(reports) if exchange < 29 else driver.reset()
    for name, ids in known.items():
        assert {info.id for info in ended(reports, name)} == ids
        assert all((info.max_step_reached, info.reward) == (False, 0.0) for info in ended(reports, name))
        fresh = [info.id for info in deciding(reports, name)]
        assert min(fresh) > max(known[CARRIER] | known[CRANE])
        assert all(info.reward == 0.0 for info in deciding(reports, name))


def test_an_agent_that_nobody_has_heard_of_leaves_without_a_word() -> None:
    """Bay 1's Carrier was interrupted and has not asked again."""
    driver = Driver(carriers=2, cranes=0)
    reports = driver.reset()
    while 1 not in [info.id for info in ended(reports, CARRIER)]:
        reports = driver.step()
    assert [info.id for info in ended(driver.reset(), CARRIER)] == [0]


def test_parameters_take_effect_at_the_next_reset() -> None:
    driver = Driver()
    driver.reset()
    for name, value in (("carriers", 5.9), ("cranes", 4.0), ("size", 6.0)):
        driver.parameters.set(name, value)
    assert len(deciding(driver.step(), CARRIER)) == 2
    assert len(driver.scene._agents) == 2 + 2
    reports = driver.reset()
    assert len(deciding(reports, CRANE)) == 4
    for _ in range(5):
        driver.step()
    carriers = [agent for agent in driver.scene._agents if agent.behavior.name == CARRIER]
    assert [agent._task.floor.size for agent in carriers] == [6] * 5
    for name, value in (("size", 1.0), ("carriers", float("nan"))):
        driver.parameters.set(name, value)
        with pytest.raises(ImpossibleSceneError):
            driver.reset()


def test_actions_reach_their_agents_in_the_order_of_the_decisions() -> None:
    driver = Driver(carriers=2, cranes=2)
    driver.reset()
    reports = driver.step(cranes=[AgentAction([1.0, 0.0]), AgentAction([0.0, -1.0])])
    hooks = [agent._task.hook for agent in driver.scene._agents[:2]]
    left, right = AgentAction(discrete=[0, 1, 0]), AgentAction(discrete=[0, 2, 0])
    before = {info.id: state_of(info)[0] for info in deciding(reports, CARRIER)}
    driver.step([left, right])
    after = {agent._id: agent._task.floor for agent in driver.scene._agents[2:]}
    assert [after[agent].heading for agent in before] == [
        (before[2].heading - 1) % 4,
        (before[3].heading + 1) % 4,
    ]
    driver = Driver(carriers=2, cranes=2)
    driver.reset()
    starts = [agent._task.hook for agent in driver.scene._agents[:2]]
    assert hooks[0] == pytest.approx((min(starts[0][0] + 0.25, 1), starts[0][1]))
    assert hooks[1] == pytest.approx((starts[1][0], max(starts[1][1] - 0.25, -1)))


@pytest.mark.parametrize("action", [[5, 0, 0], [0, 3, 0], [0, 0, 2], [-1, 0, 0]])
def test_a_value_that_is_no_action_is_logged_and_nothing_happens(
    action: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(carriers=1, cranes=0)
    (before,) = driver.reset()[CARRIER]
    (info,) = driver.step([AgentAction(discrete=action)])[CARRIER]
    assert state_of(info) == state_of(before)
    assert info.reward == np.float32(-0.02)
    assert "is no action of branches (5, 3, 2)" in caplog.text


def test_a_hybrid_crane_has_to_grab() -> None:
    ends = {}
    for grab in (0, 1):
        driver = Driver(hybrid=True, carriers=0, cranes=1)
        reports = driver.reset()
        while not ended(reports, CRANE):
            x, z, to_x, to_z = numbers(deciding(reports, CRANE)[0], 0)
            reports = driver.step(cranes=[AgentAction(list(best_crane((x, z), (to_x, to_z))), [grab])])
        ends[grab] = ended(reports, CRANE)[0].max_step_reached
    assert ends == {0: True, 1: False}


def recorded(driver: Driver) -> list[float]:
    """The values of the statistic since the last call, read by the stock client's own channel."""
    channel = StatsSideChannel()
    for identity, payload in unpack(driver.setup.statistics.take()):
        assert identity == STATS
        channel.on_message_received(IncomingMessage(payload))
    return [value for value, _ in channel.get_and_reset_stats().get(DELIVERED, ())]


def test_the_statistic_tells_which_carriers_delivered() -> None:
    driver = Driver(seed=3)
    reports = driver.reset()
    counted: defaultdict[float, int] = defaultdict(int)
    for _ in range(600):
        reports = driver.random_step(reports)
        ends = [float(info.reward == 1.0) for info in ended(reports, CARRIER)]
        assert recorded(driver) == ends
        for value in ends:
            counted[value] += 1
    assert min(counted[0.0], counted[1.0]) > 20


def test_the_ends_come_before_the_decisions_and_ids_rise() -> None:
    driver = Driver(seed=2, carriers=6, cranes=3)
    reports = driver.reset()
    with_both = without_decision = 0
    highest = 0
    for _ in range(400):
        reports = driver.random_step(reports)
        for name, infos in reports.items():
            assert infos
            done = [info.done for info in infos]
            assert done == sorted(done, reverse=True)
            for group in (ended(reports, name), deciding(reports, name)):
                ids = [info.id for info in group]
                assert ids == sorted(set(ids))
        ends, asks = ({info.id for info in group(reports, CARRIER)} for group in (ended, deciding))
        with_both += bool(ends & asks)
        without_decision += CRANE not in reports
        highest = max([highest, *asks])
    assert with_both > 5
    assert without_decision > 20
    assert highest > 20


def test_the_same_seed_and_actions_give_the_same_bytes() -> None:
    runs = []
    for seed in (5, 5, 6):
        driver = Driver(seed)
        reports = driver.reset()
        found = []
        for _ in range(200):
            found.append({name: [info.SerializeToString() for info in infos] for name, infos in reports.items()})
            reports = driver.random_step(reports)
        runs.append(found)
    assert runs[0] == runs[1] != runs[2]


def test_the_best_policies_solve_it_from_the_numbers_alone() -> None:
    driver = Driver(seed=8)
    reports = driver.reset()
    rewards = {CARRIER: 0.0, CRANE: 0.0}
    ends = {CARRIER: 0, CRANE: 0}
    for _ in range(1500):
        reports = driver.best_step(reports)
        for name, infos in reports.items():
            rewards[name] += sum(info.reward for info in infos)
            ends[name] += len(ended(reports, name))
    assert rewards[CARRIER] / ends[CARRIER] == pytest.approx(0.9713, abs=0.005)
    assert rewards[CRANE] / ends[CRANE] == pytest.approx(0.823, abs=0.05)
