"""What shortest ways earn in a GridWorld of any size with any number of goals: the optimum of a trained agent.

    python benchmarks/gridworld_optimum.py --size 7 --pluses 2 --exes 2

Plays the shortest way to the nearest right goal, around the wrong ones, from starts that the environment itself draws.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque

import numpy as np

from agents.cli.commandline import whole_number_from
from envs.gridworld.rules import GOAL_REWARD, MAX_STEP, MOVES, STEP_REWARD, Area, Goal, Things, move
from envs.simulated.random import UnityRandom
from envs.simulated.scene import ImpossibleSceneError


def best_return(area: Area) -> float:
    """Of the episode that has just begun. Breadth-first over cells."""
    right, wrong = area.board.pluses, area.board.exes
    if area.goal is Goal.EX:
        right, wrong = wrong, right
    steps = {area.agent: 0}
    queue = deque(steps)
    while queue:
        cell = queue.popleft()
        for action in range(1, len(MOVES)):
            end = move(cell, action, area.board.size)
            if end in right and steps[cell] < MAX_STEP:
                return GOAL_REWARD + steps[cell] * STEP_REWARD
            if end not in steps and end not in wrong:
                steps[end] = steps[cell] + 1
                queue.append(end)
    return MAX_STEP * STEP_REWARD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 5), ("pluses", 1), ("exes", 1), ("starts", 50_000)):
        parser.add_argument(f"--{name}", type=whole_number_from(1), default=default, help=f"({default})")
    parser.add_argument("--seed", type=int, default=0, help="of the starts (0)")
    options = parser.parse_args()
    try:
        things = Things(options.size, options.pluses, options.exes)
    except ImpossibleSceneError as error:
        parser.error(str(error))
    area = Area(things, UnityRandom(options.seed))
    returns = []
    for _ in range(options.starts):
        returns.append(best_return(area))
        area.reset(things)
    error = np.std(returns) / np.sqrt(len(returns))
    sys.stdout.write(f"optimum {np.mean(returns):.4f}, standard error {error:.4f}, over {len(returns):,} starts\n")


if __name__ == "__main__":
    main()
