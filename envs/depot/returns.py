"""`python -m envs.depot.returns`: what random and best play earn, by playing the rules without wire or pictures."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from envs.depot.policies import best_carrier, best_crane, random_carrier, random_crane
from envs.depot.rules import Bay, Box, Counts, Outcome
from envs.simulated.random import UnityRandom


class Score(NamedTuple):
    """One episode."""

    total: float  # sum of rewards
    length: int  # actions
    end: str  # success, failure or interrupted


def play(game: Bay | Box, act: Callable[[], Outcome], episodes: int) -> list[Score]:
    """Episodes of a game, one after the other; `act` carries out one action."""
    scores = []
    for _ in range(episodes):
        game.reset()
        total = 0.0
        while True:
            outcome = act()
            total += outcome.reward
            if outcome.interrupted or outcome.terminated:
                end = "interrupted" if outcome.interrupted else "success" if outcome.reward > 0 else "failure"
                scores.append(Score(total, game.steps, end))
                break
    return scores


def measure(size: int, episodes: int, seed: int) -> dict[str, list[Score]]:
    """The scores by game and policy."""
    chance = random.Random(seed)
    bay, box = Bay(size, UnityRandom(seed)), Box(UnityRandom(seed))
    return {
        "Carrier, random": play(bay, lambda: bay.act(*random_carrier(bay.floor, chance)), episodes),
        "Carrier, best": play(bay, lambda: bay.act(*best_carrier(bay.floor, bay.wanted)), episodes),
        "Crane, random": play(box, lambda: box.act(random_crane(chance)), episodes),
        "Crane, best": play(box, lambda: box.act(best_crane(box.hook, box.target)), episodes),
    }


def main(command_line: Sequence[str]) -> None:
    """Play and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=20000, help="per game and policy")
    parser.add_argument("--size", type=int, default=Counts().size, help="of a bay")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(command_line)
    for name, scores in measure(options.size, options.episodes, options.seed).items():
        totals = [score.total for score in scores]
        error = statistics.stdev(totals) / len(totals) ** 0.5
        length = statistics.mean(score.length for score in scores)
        ends = ", ".join(
            f"{kind} {sum(score.end == kind for score in scores) / len(scores):.1%}"
            for kind in ("success", "failure", "interrupted")
        )
        sys.stdout.write(
            f"{name:<16} return {statistics.mean(totals):7.4f} +- {error:.4f}, length {length:5.2f}, {ends}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
