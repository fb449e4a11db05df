"""Optimal and random play reach the returns that the rules imply; computed here a second way, from the rules' text."""

from __future__ import annotations

import itertools
import math
import random
from collections import deque

import numpy as np
import pytest

from envs.gridworld.rules import MAX_STEP, Area, Goal, Things
from envs.simulated.random import UnityRandom

# gridSize: optimal return, optimal length, uniform random return, length, P(right), P(timeout)
EXACT = {
    3: (0.9895, 2.048, -0.0930, 10.30, 0.4998, 0.0004),
    4: (0.9830, 2.705, -0.1863, 19.61, 0.4932, 0.0137),
    5: (0.97638, 3.3623, -0.29631, 30.568, 0.46866, 0.06267),
    6: (0.9698, 4.022, -0.4042, 41.28, 0.4274, 0.1453),
    7: (0.9632, 4.684, -0.4991, 50.67, 0.3790, 0.2421),
    8: (0.9565, 5.348, -0.5780, 58.46, 0.3314, 0.3372),
    9: (0.9499, 6.012, -0.6422, 64.80, 0.2886, 0.4228),
    10: (0.9432, 6.677, -0.6942, 69.92, 0.2516, 0.4968),
}
STEPS = ((0, 1), (0, -1), (-1, 0), (1, 0))


def distances(size: int, right: tuple[int, int], wrong: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Breadth-first: steps from each cell to the right goal around the wrong one."""
    found = {right: 0}
    queue = deque([right])
    while queue:
        x, z = queue.popleft()
        for dx, dz in STEPS:
            cell = (x + dx, z + dz)
            if cell not in found and cell != wrong and 0 <= cell[0] < size and 0 <= cell[1] < size:
                found[cell] = found[x, z] + 1
                queue.append(cell)
    return found


def optimal(size: int) -> tuple[float, float]:
    """Mean return and length of optimal play over all starts."""
    cells = list(itertools.product(range(size), repeat=2))
    best = [
        away
        for right, wrong in itertools.permutations(cells, 2)
        for cell, away in distances(size, right, wrong).items()
        if cell != right
    ]
    assert len(best) == len(cells) * (len(cells) - 1) * (len(cells) - 2)
    length = sum(best) / len(best)
    return 1 - 0.01 * (length - 1), length


def uniform_random(size: int) -> tuple[float, float, float, float]:
    """Return, length, P(right) and P(timeout) of five equally likely actions, by propagating the distribution."""
    cells = list(itertools.product(range(size), repeat=2))
    index = {cell: number for number, cell in enumerate(cells)}
    chain = np.zeros((len(cells), len(cells)))
    for x, z in cells:
        for dx, dz in ((0, 0), *STEPS):
            chain[index[x, z], index.get((x + dx, z + dz), index[x, z])] += 0.2
    sums = np.zeros(4)
    for right, wrong in itertools.permutations(range(len(cells)), 2):
        absorbing = chain.copy()
        absorbing[[right, wrong]] = 0
        alive = np.ones(len(cells))
        alive[[right, wrong]] = 0
        reached, length = 0.0, 0.0
        for _ in range(MAX_STEP):
            length += alive.sum()
            alive = alive @ absorbing
            reached += alive[right]
            missed = alive[wrong]
            sums[0] += alive[right] - missed
            alive[[right, wrong]] = 0
            sums[0] -= 0.01 * alive.sum()
        sums[1:] += length, reached, alive.sum()
    value, length, reached, timeout = sums / (len(cells) * (len(cells) - 1) * (len(cells) - 2))
    return float(value), float(length), float(reached), float(timeout)


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7])
def test_reference_numbers_follow_from_the_rules(size: int) -> None:
    assert optimal(size) == pytest.approx(EXACT[size][:2], abs=6e-4)
    if size <= 6:
        assert uniform_random(size) == pytest.approx(EXACT[size][2:], abs=6e-3, rel=1e-3)
    if size == 5:
        assert optimal(size) == pytest.approx(EXACT[size][:2], abs=6e-5)
        assert uniform_random(size) == pytest.approx(EXACT[size][2:], abs=6e-4)


def play(game: Area, episodes: int, policy: str) -> np.ndarray:
    """Per episode: return, length, right goal reached, timed out; float64 [episodes, 4]."""
    chance = random.Random(7)
    table = np.zeros((episodes, 4))
    for row in table:
        game.reset(Things(game.board.size))
        goals = (game.board.pluses[0], game.board.exes[0])
        right, wrong = goals if game.goal is Goal.PLUS else goals[::-1]
        away = distances(game.board.size, right, wrong)
        while True:
            x, z = game.agent
            toward = [a for a, (dx, dz) in enumerate(STEPS, 1) if away.get((x + dx, z + dz), 99) < away[x, z]]
            outcome = game.act(toward[0] if policy == "optimal" else chance.randrange(5))
            row[:2] += outcome.reward, 1
            if outcome.terminated or outcome.interrupted:
                row[2:] = outcome.reward == 1.0, outcome.interrupted
                break
    return table


@pytest.mark.parametrize(("size", "episodes"), [(3, 4000), (5, 4000), (10, 600)])
@pytest.mark.parametrize("policy", ["optimal", "random"])
def test_play_reaches_the_exact_numbers_within_sampling_error(size: int, episodes: int, policy: str) -> None:
    table = play(Area(Things(size), UnityRandom(5)), episodes, policy)
    exact = (*EXACT[size][:2], 1.0, 0.0) if policy == "optimal" else EXACT[size][2:]
    for column, expected in enumerate(exact):
        error = table[:, column].std() / math.sqrt(episodes)
        assert abs(table[:, column].mean() - expected) <= 4 * error + 1e-3, column
