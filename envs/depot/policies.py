"""How to play: uniformly at random among what is allowed, and as well as the rules permit."""

from __future__ import annotations

import random
from collections import deque
from functools import lru_cache
from itertools import product

from envs.depot.rules import CRANE_REACH, LIFTS, MOVES, TURNS, Crate, Floor, Point

CarrierAction = tuple[int, int, int]  # move, turn, lift


def random_carrier(floor: Floor, chance: random.Random) -> CarrierAction:
    """Each branch uniformly among its allowed actions."""
    allowed = [not forbidden for forbidden in floor.forbidden()]
    moves, turns, lifts = (
        [index for index, ok in enumerate(allowed[start : start + size]) if ok]
        for start, size in ((0, len(MOVES)), (len(MOVES), len(TURNS)), (len(MOVES) + len(TURNS), len(LIFTS)))
    )
    return chance.choice(moves), chance.choice(turns), chance.choice(lifts)


@lru_cache(maxsize=65536)
def best_carrier(floor: Floor, wanted: Crate) -> CarrierAction:
    """The first action of a shortest way to lift the wanted crate. Breadth-first over cells and headings."""
    if floor.crate_ahead is wanted:
        return 0, 0, 1
    first: dict[Floor, CarrierAction] = {}
    queue = deque([floor])
    while queue:
        here = queue.popleft()
        for move, turn in product(range(len(MOVES)), range(len(TURNS))):
            there = here.after(move, turn)
            if there == floor or there in first:
                continue
            first[there] = first.get(here, (move, turn, 0))
            if there.crate_ahead is wanted:
                return first[there]
            queue.append(there)
    raise AssertionError("two crates cannot shut a Carrier off from both of them")


def random_crane(chance: random.Random) -> Point:
    """Uniform in -1..1 along both axes."""
    return chance.uniform(-1, 1), chance.uniform(-1, 1)


def best_crane(hook: Point, target: Point) -> Point:
    """Straight to the target: the distance is the least possible after every action, and it is reached first."""
    x, z = (min(max((to - at) / CRANE_REACH, -1.0), 1.0) for at, to in zip(hook, target, strict=True))
    return x, z
