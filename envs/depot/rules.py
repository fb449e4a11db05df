"""The rules of the bays and the boxes, without a wire or a picture.

A bay is a floor of cells on which one Carrier looks for a crate; a box is a plane in which one Crane moves its hook. A
cell is (x, z), x to the east and z to the north, both 0..size-1; points of a box are (x, z) in -1..1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from envs.simulated.random import UnityRandom
from envs.simulated.scene import ImpossibleSceneError

Cell = tuple[int, int]
Point = tuple[float, float]

MOVES: tuple[Cell, ...] = ((0, 0), (0, 1), (0, -1), (-1, 0), (1, 0))  # nothing, north, south, west, east
TURNS = (0, -1, 1)  # nothing, left, right
LIFTS = (False, True)
HEADINGS: tuple[Cell, ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))  # clockwise from north
CARRIER_MAX_STEP = 25  # actions
CARRIER_STEP_REWARD = -0.02
LIFT_REWARD = 1.0  # replaces the step's reward; the other crate gives its negative
SIZES = range(2, 9)  # of a bay; in more than 8 x 8 cells the camera would not show which way a Carrier looks

CRANE_MAX_STEP = 20  # actions
CRANE_REACH = 0.25  # how far a hook moves at action 1, along each axis
CRANE_RADIUS = 0.15  # so near the target a hook has reached it
CRANE_REACHED_REWARD = 1.0
CRANE_DISTANCE_REWARD = -0.1  # per unit of distance that is left after an action


class Crate(IntEnum):
    """The two crates of a bay, one of which is wanted."""

    RED = 0
    GREEN = 1


@dataclass(frozen=True)
class Outcome:
    """What an action led to: its reward, and how the episode ended if it did."""

    reward: float
    terminated: bool = False
    interrupted: bool = False


@dataclass(frozen=True)
class Counts:
    """The environment parameters carriers, cranes and size. Raises ImpossibleSceneError."""

    carriers: int = 3
    cranes: int = 2
    size: int = 3

    def __post_init__(self) -> None:
        if min(self.carriers, self.cranes) < 0 or self.carriers + self.cranes < 1 or self.size not in SIZES:
            raise ImpossibleSceneError(
                f"carriers {self.carriers}, cranes {self.cranes} and size {self.size} make no depot: it needs at least "
                f"one agent, and bays of {SIZES[0]} to {SIZES[-1]} cells a side."
            )


@dataclass(frozen=True)
class Floor:
    """A bay at one moment: the crates in the order of `Crate`, and the Carrier, which looks to `HEADINGS[heading]`."""

    size: int
    crates: tuple[Cell, Cell]
    carrier: Cell
    heading: int

    @property
    def ahead(self) -> Cell:
        """The cell in front of the Carrier; it may lie outside."""
        return _beyond(self.carrier, HEADINGS[self.heading])

    @property
    def crate_ahead(self) -> Crate | None:
        return Crate(self.crates.index(self.ahead)) if self.ahead in self.crates else None

    def has(self, cell: Cell) -> bool:
        return 0 <= cell[0] < self.size and 0 <= cell[1] < self.size

    def free(self, cell: Cell) -> bool:
        """Whether a Carrier can stand there."""
        return self.has(cell) and cell not in self.crates

    def forbidden(self) -> tuple[bool, ...]:
        """The action mask, branch after branch, True = forbidden: [5 + 3 + 2]."""
        moves = tuple(not self.free(_beyond(self.carrier, move)) for move in MOVES)
        return (*moves, *(False for _ in TURNS), False, self.crate_ahead is None)

    def after(self, move: int, turn: int) -> Floor:
        """The Carrier moved and turned at once; walls and crates leave it in its cell."""
        cell = _beyond(self.carrier, MOVES[move])
        return replace(
            self,
            carrier=cell if self.free(cell) else self.carrier,
            heading=(self.heading + TURNS[turn]) % len(HEADINGS),
        )


class Bay:
    """A Carrier's task: an episode after the other."""

    def __init__(self, size: int, rng: UnityRandom) -> None:
        """Draw the first episode."""
        self._size = size
        self._rng = rng
        self.reset()

    def reset(self) -> None:
        """Begin an episode: crates and Carrier on distinct cells, uniformly, then where it looks, then what is wanted.

        Cells are drawn until three distinct ones are there; in the order of the draws they are for the red crate, the
        green one and the Carrier.
        """
        drawn: dict[Cell, None] = {}
        while len(drawn) < 3:
            drawn[divmod(self._rng.range(0, self._size**2), self._size)] = None
        red, green, carrier = drawn
        self.floor = Floor(self._size, (red, green), carrier, self._rng.range(0, len(HEADINGS)))
        self.wanted = Crate(self._rng.range(0, len(Crate)))
        self.steps = 0

    def act(self, move: int, turn: int, lift: int) -> Outcome:
        """Carry out one action. The episode's end is reported, `reset` begins the next one.

        A lift comes first and ends the episode, right or wrong; with no crate ahead it does nothing.
        """
        self.steps += 1
        crate = self.floor.crate_ahead if LIFTS[lift] else None
        if crate is not None:
            return Outcome(LIFT_REWARD if crate is self.wanted else -LIFT_REWARD, terminated=True)
        self.floor = self.floor.after(move, turn)
        return Outcome(CARRIER_STEP_REWARD, interrupted=self.steps >= CARRIER_MAX_STEP)


class Box:
    """A Crane's task: an episode after the other. hook, target: points in -1..1."""

    def __init__(self, rng: UnityRandom) -> None:
        """Draw the first episode."""
        self._rng = rng
        self.reset()

    def reset(self) -> None:
        """Begin an episode: hook x, z and target x, z, uniformly, drawn again while the target is already reached."""
        self.steps = 0
        while True:
            self.hook, self.target = self._point(), self._point()
            if self.distance > CRANE_RADIUS:
                return

    def _point(self) -> Point:
        return self._rng.uniform(-1, 1), self._rng.uniform(-1, 1)

    @property
    def distance(self) -> float:
        return math.dist(self.hook, self.target)

    def act(self, push: Sequence[float], grab: bool = True) -> Outcome:
        """Move the hook and, if it is asked to, grab. push: [2], cut to -1..1; NaN counts as 0."""
        self.steps += 1
        x, z = (_cut(value + CRANE_REACH * _cut(along)) for value, along in zip(self.hook, push, strict=True))
        self.hook = (x, z)
        if grab and self.distance <= CRANE_RADIUS:
            return Outcome(CRANE_REACHED_REWARD, terminated=True)
        return Outcome(CRANE_DISTANCE_REWARD * self.distance, interrupted=self.steps >= CRANE_MAX_STEP)


def _beyond(cell: Cell, step: Cell) -> Cell:
    return cell[0] + step[0], cell[1] + step[1]


def _cut(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, -1.0), 1.0)
