"""Best and random play earn what the specification says; the best is computed here a second way."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from envs.depot.policies import best_carrier, best_crane
from envs.depot.returns import measure
from envs.depot.rules import CRANE_RADIUS, CRANE_REACH, HEADINGS, Bay, Box, Crate, Floor
from envs.simulated.random import UnityRandom

ROOT = Path(__file__).parents[3]
#: Mean returns of `docs/depot.md`.
RETURNS = {"Carrier, random": -0.2266, "Carrier, best": 0.9713, "Crane, random": -1.9762, "Crane, best": 0.8234}


def actions_needed(floor: Floor, wanted: Crate) -> int:
    """The shortest way: moves and turns happen side by side, so the longer of the two counts, and then the lift."""
    away = {floor.carrier: 0}
    queue = deque([floor.carrier])
    while queue:
        x, z = queue.popleft()
        for dx, dz in HEADINGS:
            if floor.free((x + dx, z + dz)) and (x + dx, z + dz) not in away:
                away[x + dx, z + dz] = away[x, z] + 1
                queue.append((x + dx, z + dz))
    x, z = floor.crates[wanted]
    return 1 + min(
        max(away[x - dx, z - dz], min((heading - floor.heading) % 4, (floor.heading - heading) % 4))
        for heading, (dx, dz) in enumerate(HEADINGS)
        if (x - dx, z - dz) in away
    )


@pytest.mark.parametrize("size", [2, 3])
def test_the_best_carrier_takes_a_shortest_way_from_everywhere(size: int) -> None:
    returns = []
    game = Bay(size, UnityRandom(1))
    for red, green, carrier in itertools.permutations(itertools.product(range(size), repeat=2), 3):
        for heading, wanted in itertools.product(range(4), Crate):
            game.reset()
            game.floor, game.wanted = Floor(size, (red, green), carrier, heading), wanted
            needed = actions_needed(game.floor, wanted)
            total = 0.0
            for _ in range(needed):
                outcome = game.act(*best_carrier(game.floor, game.wanted))
                total += outcome.reward
            assert outcome.terminated
            assert total == pytest.approx(1 - 0.02 * (needed - 1))
            returns.append(total)
    if size == 3:
        assert np.mean(returns) == pytest.approx(0.971349, abs=1e-6)


def test_the_best_crane_is_at_the_target_as_soon_as_can_be() -> None:
    game = Box(UnityRandom(3))
    for _ in range(300):
        game.reset()
        ways = np.abs(np.subtract(game.target, game.hook))
        needed = next(n for n in itertools.count(1) if np.hypot(*np.maximum(ways - n * CRANE_REACH, 0)) <= CRANE_RADIUS)
        outcomes = [game.act(best_crane(game.hook, game.target)) for _ in range(needed)]
        assert [outcome.terminated for outcome in outcomes] == [False] * (needed - 1) + [True]


def test_play_earns_what_the_specification_says() -> None:
    document = (ROOT / "docs" / "depot.md").read_text()
    for name, scores in measure(size=3, episodes=2000, seed=11).items():
        totals = np.array([score.total for score in scores])
        assert abs(totals.mean() - RETURNS[name]) < 4 * totals.std() / len(totals) ** 0.5
        assert f"{RETURNS[name]:.3f}" in document


def test_anyone_can_measure_it() -> None:
    command = [sys.executable, "-m", "envs.depot.returns", "--episodes", "50"]
    lines = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=50
    ).stdout.splitlines()
    assert [line.split(" return ")[0].strip() for line in lines] == list(RETURNS)
    assert all(re.search(r"return +-?\d\.\d{4} \+- \d\.\d{4}, length +\d+\.\d\d, success", line) for line in lines)
