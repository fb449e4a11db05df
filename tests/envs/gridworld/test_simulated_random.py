"""Unity's random numbers: the algorithm, and that it is good enough for spawns over time and over seeds."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from envs.gridworld.rules import Area, Goal, Things
from envs.simulated.random import UnityRandom


def test_the_algorithm_is_marsaglias_xorshift128() -> None:
    """The initial state of the paper (2003), and the numbers that every implementation begins with from there."""
    rng = UnityRandom(0)
    rng._x, rng._y, rng._z, rng._w = 123456789, 362436069, 521288629, 88675123
    assert [rng.next() for _ in range(3)] == [3701687786, 458299110, 2500872618]


def test_the_state_is_seeded_by_a_linear_congruence() -> None:
    rng = UnityRandom(1)
    assert (rng._x, rng._y) == (1, 1812433254)
    assert rng._z == (1812433254 * 1812433253 + 1) % 2**32


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**32 - 1])
def test_any_seed_gives_numbers_within_the_range(seed: int) -> None:
    rng = UnityRandom(seed)
    assert {rng.range(3, 7) for _ in range(200)} == {3, 4, 5, 6}


def test_consecutive_seeds_begin_with_uniform_cells_and_goals() -> None:
    seeds = 10_000
    cells = [Counter[tuple[int, int]]() for _ in range(3)]
    exes = 0
    for seed in range(seeds):
        area = Area(Things(), UnityRandom(seed))
        exes += area.goal is Goal.EX
        for counter, cell in zip(cells, (area.board.pluses[0], area.board.exes[0], area.agent), strict=True):
            counter[cell] += 1
    assert abs(exes - seeds / 2) < 4 * math.sqrt(seeds / 4)
    for counter in cells:
        chi_square = sum((counter[cell] - seeds / 25) ** 2 / (seeds / 25) for cell in counter)
        assert len(counter) == 25
        assert chi_square < 24 + 4 * math.sqrt(2 * 24)
