"""The rules of the bays and the boxes."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from envs.depot import render
from envs.depot.rules import (
    CARRIER_MAX_STEP,
    CARRIER_STEP_REWARD,
    CRANE_MAX_STEP,
    CRANE_RADIUS,
    HEADINGS,
    Bay,
    Box,
    Counts,
    Crate,
    Floor,
    Outcome,
)
from envs.simulated.random import UnityRandom
from envs.simulated.scene import ImpossibleSceneError

NORTH, EAST, SOUTH, WEST = range(4)
#: Red in the north-west corner, green in the middle of the east side.
FLOOR = Floor(3, ((0, 2), (2, 1)), (1, 1), NORTH)


def bay(floor: Floor = FLOOR, wanted: Crate = Crate.RED) -> Bay:
    """A bay in this state."""
    made = Bay(floor.size, UnityRandom(1))
    made.floor, made.wanted = floor, wanted
    return made


@pytest.mark.parametrize(("move", "cell"), [(0, (1, 1)), (1, (1, 2)), (2, (1, 0)), (3, (0, 1)), (4, (1, 1))])
def test_a_move_goes_its_way_whatever_the_heading_and_a_crate_stops_it(move: int, cell: tuple[int, int]) -> None:
    for heading in range(4):
        game = bay(Floor(3, FLOOR.crates, (1, 1), heading))
        assert game.act(move, 0, 0) == Outcome(CARRIER_STEP_REWARD)
        assert (game.floor.carrier, game.floor.heading) == (cell, heading)


@pytest.mark.parametrize(("turn", "headings"), [(0, [0, 0, 0, 0]), (1, [3, 2, 1, 0]), (2, [1, 2, 3, 0])])
def test_left_is_counter_clockwise_and_right_is_clockwise(turn: int, headings: list[int]) -> None:
    game = bay()
    found = []
    for _ in range(4):
        game.act(0, turn, 0)
        found.append(game.floor.heading)
    assert found == headings
    assert [HEADINGS[heading] for heading in (NORTH, EAST, SOUTH, WEST)] == [(0, 1), (1, 0), (0, -1), (-1, 0)]


def test_a_move_and_a_turn_happen_in_one_action() -> None:
    game = bay()
    game.act(3, 2, 0)
    assert (game.floor.carrier, game.floor.heading) == ((0, 1), EAST)


def test_walls_stop_a_carrier() -> None:
    for move, cell in ((1, (1, 2)), (2, (1, 0)), (3, (0, 0)), (4, (2, 0))):
        game = bay(Floor(3, FLOOR.crates, cell, NORTH))
        game.act(move, 0, 0)
        assert game.floor.carrier == cell


@pytest.mark.parametrize(("wanted", "reward"), [(Crate.GREEN, 1.0), (Crate.RED, -1.0)])
def test_a_lift_takes_the_crate_ahead_before_anything_moves(wanted: Crate, reward: float) -> None:
    game = bay(Floor(3, FLOOR.crates, (1, 1), EAST), wanted)
    assert game.act(1, 1, 1) == Outcome(reward, terminated=True)
    assert (game.floor.carrier, game.floor.heading) == ((1, 1), EAST)


def test_a_lift_with_no_crate_ahead_does_nothing() -> None:
    game = bay()
    assert game.act(1, 0, 1) == Outcome(CARRIER_STEP_REWARD)
    assert game.floor.carrier == (1, 2)


def test_the_last_action_interrupts_unless_it_lifts() -> None:
    for lift, outcome in ((0, Outcome(CARRIER_STEP_REWARD, interrupted=True)), (1, Outcome(1.0, terminated=True))):
        game = bay(Floor(3, FLOOR.crates, (1, 1), EAST), Crate.GREEN)
        for _ in range(CARRIER_MAX_STEP - 1):
            assert game.act(0, 0, 0) == Outcome(CARRIER_STEP_REWARD)
        assert game.act(0, 0, lift) == outcome


def test_the_mask_forbids_moves_into_walls_and_crates_and_lifting_nothing() -> None:
    assert FLOOR.forbidden() == (False, False, False, False, True, False, False, False, False, True)
    corner = Floor(3, ((0, 1), (1, 2)), (0, 2), EAST)
    assert corner.forbidden() == (False, True, True, True, True, False, False, False, False, False)
    assert corner.crate_ahead is Crate.GREEN


@pytest.mark.parametrize("size", [2, 3])
def test_whatever_is_not_forbidden_has_its_effect(size: int) -> None:
    """And nothing else has: over all states."""
    for red, green, carrier in itertools.permutations(itertools.product(range(size), repeat=2), 3):
        for heading in range(4):
            floor = Floor(size, (red, green), carrier, heading)
            mask = floor.forbidden()
            moved = [bay(floor) for _ in range(5)]
            for move, game in enumerate(moved):
                game.act(move, 0, 0)
            assert list(mask[1:5]) == [game.floor.carrier == carrier for game in moved[1:]]
            assert mask[9] == (not bay(floor).act(0, 0, 1).terminated)
            assert not any((mask[0], *mask[5:9]))


def test_a_bay_draws_every_arrangement_alike() -> None:
    game = Bay(3, UnityRandom(5))
    seen: Counter[object] = Counter()
    episodes = 40_000
    for _ in range(episodes):
        game.reset()
        floor = game.floor
        assert len({*floor.crates, floor.carrier}) == 3
        seen.update([("red", floor.crates[0]), ("green", floor.crates[1]), ("carrier", floor.carrier)])
        seen.update([("heading", floor.heading), ("wanted", game.wanted)])
    for (what, _), times in seen.items():  # type: ignore[misc]
        chance = {"heading": 1 / 4, "wanted": 1 / 2}.get(what, 1 / 9)
        assert abs(times / episodes - chance) < 5 * math.sqrt(chance * (1 - chance) / episodes), what
    assert len(seen) == 9 * 3 + 4 + 2


@pytest.mark.parametrize(
    "values", [{"size": 1}, {"size": 9}, {"carriers": -1}, {"cranes": -1}, {"carriers": 0, "cranes": 0}]
)
def test_impossible_counts_are_one_sentence(values: dict[str, int]) -> None:
    with pytest.raises(ImpossibleSceneError, match="make no depot: it needs at least one agent"):
        Counts(**values)


def box(hook: tuple[float, float], target: tuple[float, float]) -> Box:
    made = Box(UnityRandom(1))
    made.hook, made.target = hook, target
    return made


@pytest.mark.parametrize(
    ("push", "hook"),
    [
        ((1, -1), (0.25, -0.25)),
        ((0.5, 0), (0.125, 0)),
        ((7, -7), (0.25, -0.25)),
        ((math.nan, math.inf), (0, 0.25)),
    ],
)
def test_a_push_moves_the_hook_and_the_distance_costs(push: tuple[float, float], hook: tuple[float, float]) -> None:
    game = box((0, 0), (1, 1))
    outcome = game.act(push)
    assert game.hook == hook
    assert outcome == Outcome(-0.1 * math.dist(hook, (1, 1)))


def test_the_hook_stays_in_the_box() -> None:
    game = box((0.9, -0.9), (0, 0))
    game.act((1, -1))
    assert game.hook == (1, -1)


def test_a_hook_that_is_near_has_reached_the_target_but_must_grab_where_it_can() -> None:
    assert box((0, 0), (0.25, CRANE_RADIUS - 0.01)).act((1, 0)) == Outcome(1.0, terminated=True)
    assert not box((0, 0), (0.25, CRANE_RADIUS + 0.01)).act((1, 0)).terminated
    game = box((0, 0), (0.25, 0))
    assert game.act((1, 0), grab=False) == Outcome(0.0)
    assert game.act((0, 0), grab=True) == Outcome(1.0, terminated=True)


def test_a_crane_is_interrupted_and_the_next_episode_is_another_one() -> None:
    game = box((-1, -1), (1, 1))
    outcomes = [game.act((0, 0)) for _ in range(CRANE_MAX_STEP)]
    assert [outcome.interrupted for outcome in outcomes] == [False] * (CRANE_MAX_STEP - 1) + [True]
    starts = []
    for _ in range(2000):
        game.reset()
        assert game.distance > CRANE_RADIUS
        assert game.steps == 0
        starts.append([*game.hook, *game.target])
    assert np.abs(starts).max() <= 1
    assert np.allclose(np.mean(starts, axis=0), 0, atol=0.06)
    assert np.allclose(np.std(starts, axis=0), 3**-0.5, atol=0.04)


def test_the_overview_shows_every_state_differently() -> None:
    seen = set()
    for red, green, carrier in itertools.permutations(itertools.product(range(3), repeat=2), 3):
        for heading in range(4):
            picture = render.overview(Floor(3, (red, green), carrier, heading))
            assert (picture.shape, picture.dtype) == ((24, 32, 3), np.uint8)
            seen.add(picture.tobytes())
    assert len(seen) == 9 * 8 * 7 * 4


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_the_overview_has_things_where_they_are(size: int) -> None:
    """North is up and west is left; the nose is on the side of the heading."""
    pixels = 24 / size

    def at(picture: np.ndarray, x: float, z: float) -> tuple[int, ...]:
        row, column = int(24 - (z + 0.5) * pixels), int(4 + (x + 0.5) * pixels)
        return tuple(picture[row, column].tolist())

    for heading, (dx, dz) in enumerate(HEADINGS):
        floor = Floor(size, ((0, 0), (size - 1, 0)), (0, size - 1), heading)
        picture = render.overview(floor)
        assert at(picture, 0, 0) == render.CRATES[Crate.RED]
        assert at(picture, size - 1, 0) == render.CRATES[Crate.GREEN]
        assert at(picture, 0 + 0.33 * dx, size - 1 + 0.33 * dz) == render.NOSE
        assert at(picture, 0 - 0.33 * dx, size - 1 - 0.33 * dz) == render.CARRIER
        assert at(picture, size - 1, size - 1) == render.FLOOR
        assert (picture[:, [0, 3, 28, 31]] == render.MARGIN).all()


def test_the_fork_shows_what_is_ahead() -> None:
    crates = ((0, 2), (2, 1))
    views = {
        "floor": render.fork(Floor(3, crates, (1, 1), NORTH)),
        "wall": render.fork(Floor(3, crates, (1, 2), NORTH)),
        "red": render.fork(Floor(3, crates, (1, 2), WEST)),
        "green": render.fork(Floor(3, crates, (1, 1), EAST)),
    }
    assert {view.shape for view in views.values()} == {(16, 16, 1)}
    middle_and_edge = {name: (int(view[8, 8, 0]), int(view[0, 0, 0])) for name, view in views.items()}
    assert middle_and_edge == {"floor": (40, 40), "wall": (100, 100), "red": (160, 40), "green": (230, 40)}
