"""What the agents report, message for message, without a process: order, masks, observations, resets."""

from __future__ import annotations

import io
import random
import time

import numpy as np
import pytest
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from PIL import Image

from envs.gridworld import render
from envs.gridworld.rules import Things, forbidden
from envs.gridworld.scene import BEHAVIOR, GridWorld
from envs.simulated.messages import AgentAction
from envs.simulated.scene import ImpossibleSceneError, Setup
from envs.simulated.sidechannels import Parameters

UP, DOWN, LEFT, RIGHT = range(1, 5)


class Driver:
    """A scene, and what it reports decoded with Google's classes."""

    def __init__(self, seed: int = 1, areas: int = 1, channels_first: bool = False, png: bool = True) -> None:
        self.parameters = Parameters()
        self.scene = GridWorld(Setup(seed, channels_first, png, self.parameters), areas)

    def reset(self) -> list[AgentInfoProto]:
        self.scene.reset()
        return self.collect()

    def step(self, *actions: int) -> list[AgentInfoProto]:
        self.scene.step({BEHAVIOR.name: [AgentAction(discrete=[action]) for action in actions]})
        return self.collect()

    def collect(self) -> list[AgentInfoProto]:
        infos = self.scene.collect()
        assert set(infos) == {"GridWorld?team=0"}
        return [AgentInfoProto.FromString(info.encode()) for info in infos["GridWorld?team=0"]]


def picture(info: AgentInfoProto) -> np.ndarray:
    with Image.open(io.BytesIO(info.observations[0].compressed_data)) as image:
        return np.asarray(image)


def numbers(info: AgentInfoProto) -> list[int]:
    return [int(value) for value in info.observations[2].float_data.data]


def toward(info: AgentInfoProto, goal: str) -> int:
    """An action that leads to the plus or the ex and, where both lie in one line, not over the other."""
    agent, plus, ex = (tuple(numbers(info)[at : at + 2]) for at in (0, 2, 4))
    target, other = (plus, ex) if goal == "plus" else (ex, plus)
    moves = {UP: (0, 1), DOWN: (0, -1), LEFT: (-1, 0), RIGHT: (1, 0)}

    def rank(action: int) -> tuple[bool, int]:
        cell = (agent[0] + moves[action][0], agent[1] + moves[action][1])
        outside = not (0 <= cell[0] < 5 and 0 <= cell[1] < 5)
        return cell == other or outside, abs(cell[0] - target[0]) + abs(cell[1] - target[1])

    return min(moves, key=rank)


def test_observations_have_the_names_order_and_shapes_of_the_course_build() -> None:
    (info,) = Driver().reset()
    assert [(o.name, list(o.shape), list(o.dimension_properties), o.observation_type) for o in info.observations] == [
        ("RenderTextureSensor", [64, 84, 3], [2, 2, 1], 0),
        ("VectorlSensor", [2], [1], 1),
        ("VectorSensor_size6", [6], [1], 0),
    ]
    assert [o.compression_type for o in info.observations] == [1, 0, 0]
    (info,) = Driver(channels_first=True).reset()
    assert (list(info.observations[0].shape), list(info.observations[0].dimension_properties)) == (
        [3, 64, 84],
        [1, 2, 2],
    )


@pytest.mark.parametrize("channels_first", [False, True])
def test_png_and_floats_show_the_same_picture(channels_first: bool) -> None:
    (compressed,) = Driver(channels_first=channels_first).reset()
    (raw,) = Driver(channels_first=channels_first, png=False).reset()
    assert raw.observations[0].compression_type == 0
    floats = np.array(raw.observations[0].float_data.data, np.float32).reshape(raw.observations[0].shape)
    expected = picture(compressed).transpose(2, 0, 1) if channels_first else picture(compressed)
    assert (np.round(floats * 255).astype(np.uint8) == expected).all()
    assert (floats.min(), floats.max()) >= (0, 0)
    assert floats.max() <= 1


def test_the_observations_tell_the_state() -> None:
    driver = Driver(seed=4)
    for info in [*driver.reset(), *(driver.step(action)[-1] for action in (1, 2, 3, 4) * 20)]:
        area = driver.scene._agents[0].area
        cells = [*area.agent, *area.board.pluses[0], *area.board.exes[0]]
        assert numbers(driver.collect()[0]) == cells
        assert list(info.observations[1].float_data.data) in ([1.0, 0.0], [0.0, 1.0])
    assert (picture(driver.collect()[0]) == render.rgb(area.board, area.agent)).all()


def test_numbers_of_other_goal_counts_are_cut_or_padded_to_six() -> None:
    driver = Driver()
    driver.parameters.set("numPlusGoals", 3)
    (info,) = driver.reset()
    area = driver.scene._agents[0].area
    assert numbers(info) == [*area.agent, *area.board.pluses[0], *area.board.pluses[1]]
    driver.parameters.set("numPlusGoals", 0)
    (info,) = driver.reset()
    assert numbers(info)[2:] == [*area.board.exes[0], 0, 0]


def test_a_message_has_ended_episodes_first_and_then_every_decision_in_the_order_of_the_ids() -> None:
    driver = Driver(seed=2, areas=9)
    decisions = driver.reset()
    assert [info.id for info in decisions] == list(range(9))
    chance = random.Random(0)
    endings = 0
    for _ in range(300):
        infos = driver.step(*(chance.randrange(5) for _ in range(9)))
        ended = [info.id for info in infos if info.done]
        assert ended == sorted(set(ended))
        assert [info.done for info in infos] == [True] * len(ended) + [False] * 9
        assert [info.id for info in infos[len(ended) :]] == list(range(9))
        for info in infos[len(ended) :]:
            assert info.reward == (0.0 if info.id in ended else np.float32(-0.01))
        endings += len(ended)
    assert endings > 50


def test_areas_draw_from_one_stream_in_their_order() -> None:
    one, nine = Driver(seed=9), Driver(seed=9, areas=9)
    cells = [numbers(info) for info in nine.reset()]
    assert numbers(one.reset()[0]) == cells[0]
    for expected in cells[1:]:
        one.scene._agents[0].area.reset(Things())
        assert numbers(one.collect()[0]) == expected


@pytest.mark.parametrize("goal", ["plus", "ex"])
def test_reaching_a_goal_reports_the_end_with_the_picture_of_before_and_the_numbers_of_after(goal: str) -> None:
    driver = Driver(seed=3)
    (info,) = driver.reset()
    for _ in range(20):
        before = info
        action = toward(info, goal)
        infos = driver.step(action)
        info = infos[-1]
        if len(infos) == 2:
            break
    ended, fresh = infos
    right = list(before.observations[1].float_data.data) == ([1, 0] if goal == "plus" else [0, 1])
    assert (ended.done, ended.max_step_reached, ended.reward) == (True, False, 1.0 if right else -1.0)
    assert (ended.id, fresh.id) == (0, 0)
    assert (picture(ended) == picture(before)).all()
    assert ended.observations[1] == before.observations[1]
    at = 2 if goal == "plus" else 4
    assert numbers(ended)[:2] == numbers(ended)[at : at + 2] == numbers(before)[at : at + 2]
    assert ended.action_mask == before.action_mask
    assert (fresh.done, fresh.reward) == (False, 0.0)


def test_max_step_interrupts_after_100_actions_and_the_next_episode_has_100_again() -> None:
    driver = Driver(seed=1)
    (info,) = driver.reset()
    for _ in range(2):
        rewards = []
        for count in range(1, 101):
            infos = driver.step(0)
            assert len(infos) == (2 if count == 100 else 1)
            rewards.append(infos[0].reward)
            before, info = info, infos[-1]
        ended = infos[0]
        assert (ended.done, ended.max_step_reached) == (True, True)
        assert sum(rewards) == pytest.approx(-1.0)
        assert numbers(ended) == numbers(before)


def test_the_mask_is_empty_until_a_wall_is_first_met_and_complete_from_then_on() -> None:
    driver = Driver(seed=1)
    (info,) = driver.reset()
    chance = random.Random(3)
    met = False
    empty = complete = 0
    for _ in range(400):
        x, z = numbers(info)[:2]
        expected = list(forbidden((x, z), 5))
        met = met or any(expected)
        assert list(info.action_mask) == (expected if met else [])
        empty, complete = empty + (not met), complete + met
        info = driver.step(chance.randrange(5))[-1]
    assert empty
    assert complete > 300


def test_the_terminal_report_repeats_the_last_mask() -> None:
    driver = Driver(seed=6)
    (info,) = driver.reset()
    chance = random.Random(3)
    endings = 0
    for _ in range(1000):
        before = info
        *ended, info = driver.step(chance.randrange(5))
        for end in ended:
            assert end.action_mask == before.action_mask
            endings += 1
    assert endings > 10


def test_a_later_reset_reports_no_end_and_costs_one_step_that_does_not_count() -> None:
    driver = Driver(seed=1, areas=2)
    assert [info.reward for info in driver.reset()] == [0.0, 0.0]
    for _ in range(40):
        driver.step(0, 0)
    infos = driver.reset()
    assert [(info.id, info.done) for info in infos] == [(0, False), (1, False)]
    assert [info.reward for info in infos] == [np.float32(-0.01)] * 2
    lengths = [len(driver.step(0, 0)) for _ in range(100)]
    assert lengths == [2] * 99 + [4]


def test_a_parameter_takes_effect_at_the_next_reset_and_in_the_mask_at_once() -> None:
    driver = Driver(seed=1)
    driver.reset()
    area = driver.scene._agents[0].area
    area.agent = (2, 2)
    driver.parameters.set("gridSize", 3.0)
    (info,) = driver.collect()
    assert list(info.action_mask) == [False, True, False, False, True]
    assert area.board.size == 5
    driver.reset()
    assert area.board.size == 3


def test_a_sampler_is_drawn_once_per_reset_and_masks_obey_the_drawn_size() -> None:
    driver = Driver(seed=1, areas=3)
    sizes = iter([3.7, 4.2, 10.9, 5.0, 6.0, 7.0])
    driver.parameters.set("gridSize", lambda: next(sizes))
    for expected in ([3, 4, 10], [5, 6, 7]):
        infos = driver.reset()
        areas = [agent.area for agent in driver.scene._agents]
        assert [area.board.size for area in areas] == expected
        for info, area in zip(infos, areas, strict=True):
            assert list(info.action_mask) in ([], list(forbidden(area.agent, area.board.size)))


def test_impossible_parameters_are_refused_at_the_reset() -> None:
    driver = Driver()
    driver.parameters.set("numExGoals", 24.0)
    with pytest.raises(ImpossibleSceneError, match="26 cells of 5 x 5"):
        driver.reset()


def test_an_agent_without_an_action_does_nothing() -> None:
    driver = Driver(seed=1, areas=2)
    before = [numbers(info) for info in driver.reset()]
    driver.scene.step({})
    driver.scene.step({BEHAVIOR.name: [AgentAction()]})
    infos = driver.step(0)
    assert [numbers(info) for info in infos] == before


def test_a_value_that_is_no_action_is_logged_and_the_agent_stays(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(seed=1)
    (before,) = driver.reset()
    (info,) = driver.step(9)
    assert numbers(info) == numbers(before)
    assert info.reward == np.float32(-0.01)
    assert "9 is no action" in caplog.text


def test_the_same_seed_and_actions_give_the_same_bytes() -> None:
    chance = random.Random(1)
    actions = [chance.randrange(5) for _ in range(300)]
    runs = []
    for seed in (5, 5, 6):
        driver = Driver(seed)
        reports = [*driver.reset(), *(info for action in actions for info in driver.step(action))]
        runs.append([info.SerializeToString() for info in reports])
    assert runs[0] == runs[1] != runs[2]


def test_a_step_with_cached_pictures_takes_a_fraction_of_a_millisecond() -> None:
    driver = Driver(seed=1)
    driver.reset()

    def seconds(steps: int) -> float:
        begin = time.perf_counter()
        for _ in range(steps):
            driver.scene.step({BEHAVIOR.name: [AgentAction(discrete=[0])]})
            assert all(info.encode() for info in driver.scene.collect()[BEHAVIOR.name])
        return (time.perf_counter() - begin) / steps

    assert min(seconds(99) for _ in range(10)) < 0.3e-3
