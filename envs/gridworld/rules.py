"""The rules of the game, without a wire or a picture.

A cell is (x, z), x to the right and z up, both 0..size-1. Source: `GridArea.cs` and `GridAgent.cs` of the ML-Agents
example project.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from envs.simulated.random import UnityRandom
from envs.simulated.scene import ImpossibleSceneError, whole

Cell = tuple[int, int]

MAX_STEP = 100
STEP_REWARD = -0.01
GOAL_REWARD = 1.0  # replaces the step's reward; the other kind of goal gives its negative
MOVES: tuple[Cell, ...] = ((0, 0), (0, 1), (0, -1), (-1, 0), (1, 0))  # nothing, up, down, left, right


class Goal(IntEnum):
    """Which kind of goal is the right one in an episode."""

    PLUS = 0
    EX = 1


@dataclass(frozen=True)
class Things:
    """How many of each there are: the environment parameters gridSize, numPlusGoals and numExGoals."""

    size: int = 5
    pluses: int = 1
    exes: int = 1

    def __post_init__(self) -> None:
        things = self.pluses + self.exes + 1
        if self.size < 1 or min(self.pluses, self.exes) < 0 or things > self.size**2:
            raise ImpossibleSceneError(
                f"gridSize {self.size}, numPlusGoals {self.pluses} and numExGoals {self.exes} make no area: the agent "
                f"and the goals need {things} cells of {self.size} x {self.size}. Unity would search for them for ever."
            )

    @classmethod
    def of(cls, size: float, pluses: float, exes: float) -> Things:
        """From parameters, cut to integers as C# casts them. Raises ImpossibleSceneError."""
        return cls(whole("gridSize", size), whole("numPlusGoals", pluses), whole("numExGoals", exes))


@dataclass(frozen=True)
class Board:
    """What stays where it is during an episode."""

    size: int
    pluses: tuple[Cell, ...]
    exes: tuple[Cell, ...]


@dataclass(frozen=True)
class Outcome:
    """What an action led to: the step's reward, and whether the episode ended by a goal or by MaxStep."""

    reward: float
    terminated: bool = False
    interrupted: bool = False


def move(cell: Cell, action: int, size: int) -> Cell:
    """Where an action leads; a wall leaves the agent in place, and so does a value that is no action.

    C# throws at such a value, after the step's cost was added: the agent stays and the episode goes on.
    """
    if not 0 <= action < len(MOVES):
        return cell
    x, z = cell[0] + MOVES[action][0], cell[1] + MOVES[action][1]
    return (x, z) if 0 <= x < size and 0 <= z < size else cell


def forbidden(cell: Cell, size: int) -> tuple[bool, ...]:
    """The action mask, True = forbidden: [5]."""
    x, z = cell
    return (False, z == size - 1, z == 0, x == 0, x == size - 1)


class Area:
    """One grid with one agent: an episode after the other."""

    def __init__(self, things: Things, rng: UnityRandom) -> None:
        """Draw the first episode."""
        self._rng = rng
        self.reset(things)

    def reset(self, things: Things) -> None:
        """Begin an episode: things on distinct cells, uniformly, then a goal.

        Cells are drawn until enough distinct ones are there; in the order of the draws they are for the pluses, the
        exes and the agent.
        """
        drawn: dict[Cell, None] = {}
        while len(drawn) < things.pluses + things.exes + 1:
            drawn[divmod(self._rng.range(0, things.size**2), things.size)] = None
        *goals, self.agent = drawn
        self.board = Board(things.size, tuple(goals[: things.pluses]), tuple(goals[things.pluses :]))
        self.goal = Goal(self._rng.range(0, 2))
        self.steps = 0

    def act(self, action: int) -> Outcome:
        """Carry out an action. The episode's end is reported, `reset` begins the next one."""
        self.steps += 1
        self.agent = move(self.agent, action, self.board.size)
        for kind, cells in ((Goal.PLUS, self.board.pluses), (Goal.EX, self.board.exes)):
            if self.agent in cells:  # just entered: no episode begins or goes on there
                return Outcome(GOAL_REWARD if kind is self.goal else -GOAL_REWARD, terminated=True)
        return Outcome(STEP_REWARD, interrupted=self.steps >= MAX_STEP)
