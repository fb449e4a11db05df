"""The rules of GridWorld, and the episodes of the recording retold by them."""

from __future__ import annotations

import csv
import itertools
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.gridworld.rules import Area, Board, Goal, Things, forbidden, move
from envs.simulated.random import UnityRandom
from envs.simulated.scene import ImpossibleSceneError

NOTHING, UP, DOWN, LEFT, RIGHT = range(5)


def area(agent: tuple[int, int], plus: tuple[int, int], ex: tuple[int, int], goal: Goal, size: int = 5) -> Area:
    """An area in a given state."""
    made = Area(Things(size), UnityRandom(0))
    made.board, made.agent, made.goal, made.steps = Board(size, (plus,), (ex,)), agent, goal, 0
    return made


@pytest.mark.parametrize(
    ("action", "cell"), [(NOTHING, (2, 2)), (UP, (2, 3)), (DOWN, (2, 1)), (LEFT, (1, 2)), (RIGHT, (3, 2))]
)
def test_each_action_moves_its_way_and_costs_a_hundredth(action: int, cell: tuple[int, int]) -> None:
    game = area((2, 2), (0, 0), (4, 4), Goal.PLUS)
    outcome = game.act(action)
    assert game.agent == cell
    assert (outcome.reward, outcome.terminated, outcome.interrupted) == (-0.01, False, False)


@pytest.mark.parametrize("size", range(2, 11))
def test_mask_forbids_exactly_the_moves_that_a_wall_stops(size: int) -> None:
    for cell in itertools.product(range(size), repeat=2):
        stopped = [action != NOTHING and move(cell, action, size) == cell for action in range(5)]
        assert list(forbidden(cell, size)) == stopped


@pytest.mark.parametrize("action", [-1, 5, 2**31 - 1])
def test_a_value_that_is_no_action_leaves_the_agent_in_place_at_the_cost_of_a_step(action: int) -> None:
    game = area((2, 2), (0, 0), (4, 4), Goal.PLUS)
    assert game.act(action).reward == -0.01
    assert game.agent == (2, 2)


@pytest.mark.parametrize(
    ("goal", "action", "reward"),
    [(Goal.PLUS, UP, 1.0), (Goal.PLUS, RIGHT, -1.0), (Goal.EX, UP, -1.0), (Goal.EX, RIGHT, 1.0)],
)
def test_a_goal_ends_the_episode_and_its_reward_replaces_the_cost(goal: Goal, action: int, reward: float) -> None:
    game = area((1, 1), plus=(1, 2), ex=(2, 1), goal=goal)
    outcome = game.act(action)
    assert (outcome.reward, outcome.terminated, outcome.interrupted) == (reward, True, False)


def test_action_100_interrupts() -> None:
    game = area((2, 2), (0, 0), (4, 4), Goal.PLUS)
    outcomes = [game.act(NOTHING) for _ in range(100)]
    assert [outcome.interrupted for outcome in outcomes] == [False] * 99 + [True]
    assert not any(outcome.terminated for outcome in outcomes)
    assert sum(outcome.reward for outcome in outcomes) == pytest.approx(-1.0)


def test_a_goal_on_action_100_ends_without_interruption() -> None:
    game = area((2, 2), (2, 3), (4, 4), Goal.PLUS)
    for _ in range(99):
        game.act(NOTHING)
    outcome = game.act(UP)
    assert (outcome.reward, outcome.terminated, outcome.interrupted) == (1.0, True, False)


@given(st.integers(0, 2**32 - 1), st.integers(2, 10), st.integers(0, 2), st.integers(0, 1))
def test_an_episode_begins_with_its_things_on_distinct_cells(seed: int, size: int, pluses: int, exes: int) -> None:
    game = Area(Things(size, pluses, exes), UnityRandom(seed))
    cells = [*game.board.pluses, *game.board.exes, game.agent]
    assert (len(game.board.pluses), len(game.board.exes)) == (pluses, exes)
    assert len(set(cells)) == pluses + exes + 1
    assert all(0 <= coordinate < size for cell in cells for coordinate in cell)


def test_spawns_are_uniform_over_ordered_triples_of_distinct_cells() -> None:
    rng = UnityRandom(11)
    game = Area(Things(3), rng)
    triples: Counter[object] = Counter()
    goals: Counter[Goal] = Counter()
    episodes = 504 * 60
    for _ in range(episodes):
        game.reset(Things(3))
        triples[game.board.pluses, game.board.exes, game.agent] += 1
        goals[game.goal] += 1
    assert len(triples) == 9 * 8 * 7
    chi_square = sum((count - 60) ** 2 / 60 for count in triples.values())
    assert abs(chi_square - 503) < 4 * math.sqrt(2 * 503)
    assert abs(goals[Goal.EX] - episodes / 2) < 4 * math.sqrt(episodes / 4)


def test_draws_are_for_pluses_then_exes_then_agent_then_goal_with_x_in_front() -> None:
    class Script:
        """Hands out prepared draws."""

        def __init__(self, *draws: int) -> None:
            self.draws = list(draws)

        def range(self, low: int, high: int) -> int:
            assert (low, high) == ((0, 25) if len(self.draws) > 1 else (0, 2))
            return self.draws.pop(0)

    game = Area(Things(), Script(7, 7, 13, 7, 24, 1))  # type: ignore[arg-type]
    assert game.board == Board(5, pluses=((1, 2),), exes=((2, 3),))
    assert (game.agent, game.goal) == ((4, 4), Goal.EX)


@pytest.mark.parametrize(
    "things",
    [(1.0, 1, 1), (2, 2, 2), (0, 0, 0), (-3, 1, 1), (5, -1, 1), (5, 1, -1), (math.nan, 1, 1), (math.inf, 1, 1)],
)
def test_counts_that_make_no_area_are_refused(things: tuple[float, float, float]) -> None:
    with pytest.raises(ImpossibleSceneError):
        Things.of(*things)


def test_parameters_are_cut_to_integers_as_csharp_casts() -> None:
    assert Things.of(4.9, 2.9, 0.9) == Things(4, 2, 0)


def test_the_recorded_episodes_follow_from_the_rules() -> None:
    """53 states recorded from Unity: 39 transitions, each explained by an action with its reward and its end."""
    with (Path(__file__).parent / "demo_states.csv").open() as file:
        rows = list(csv.DictReader(file))
    transitions = 0
    for before, after in itertools.pairwise(rows):
        if before["episode"] != after["episode"]:
            continue
        transitions += 1
        agent, plus, ex = ((int(before[f"{thing}_x"]), int(before[f"{thing}_z"])) for thing in ("agent", "plus", "ex"))
        arrived = (int(after["agent_x"]), int(after["agent_z"]))
        explained = []
        for action in range(5):
            game = area(agent, plus, ex, Goal.PLUS)
            outcome = game.act(action)
            seen = (arrived, float(after["reward"]), after["done"] == "1")
            explained.append((game.agent, outcome.reward, outcome.terminated) == seen)
        assert any(explained)
    assert transitions == 39
