"""What the stamped environments say and pay, and a checker of what arrives.

Every observation is a stamp, and every reward a function of the stamp before it and the action that answered it. So a
transition that was lost, repeated, late or mixed up from two shows, whatever the numbers.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bridge.types import Steps, StepType

#: The targets of an `EnvSpec`, for the backends unity and gym.
PLAYER = Path(__file__).with_name("stamped.py")
GYM_ID = "tests.players.stamped_gym:Stamped-v0"
BRANCHES = (3, 2)
#: Rewards are multiples of 1 / REWARDS in [0, 1), exact in float32.
REWARDS = 1 << 20


class Stamp(NamedTuple):
    """An observation: whole numbers below 2^24, exact in float32.

    Attributes:
        process: the id of the process that wrote it, so who holds a stamp can stop or kill its writer.
        agent: one of the agents of that process, from 0.
        episode: of this agent, from 0.
        time: decisions of this episode before this observation.
    """

    process: int
    agent: int
    episode: int
    time: int

    @classmethod
    def of(cls, observation: npt.NDArray[np.float32]) -> Stamp:
        """Read from float32 [4]."""
        return cls(*map(int, observation))

    @property
    def is_end(self) -> bool:
        return self.time == length(self.agent, self.episode)


def length(agent: int, episode: int) -> int:
    """Agent steps of an episode: 3 to 13."""
    return 3 + (7 * agent + 5 * episode) % 11


def is_terminated(agent: int, episode: int) -> bool:
    """How an episode ends: terminated or, if not, truncated."""
    return (agent + episode) % 2 == 0


def reward(before: Stamp, action: Sequence[int]) -> float:
    """What the answer `action` [branches] to the observation `before` earns."""
    return zlib.crc32(struct.pack("<6i", *before, *action)) % REWARDS / REWARDS


def allowed(stamp: Stamp) -> tuple[tuple[bool, ...], ...]:
    """The mask of each branch, True = allowed. No action follows an end, where all are."""
    if stamp.is_end:
        return tuple((True,) * size for size in BRANCHES)
    return (
        tuple(action != (stamp.agent + stamp.time) % 3 for action in range(3)),
        (True, stamp.time % 4 != 0),
    )


def fault(
    before: Stamp, action: Sequence[int], reward_t: float, discount_t: float, after: Stamp
) -> tuple[str, str] | None:
    """What is wrong with one transition: (the name of a counter of `Checker`, a sentence); None: it is right."""
    if before[:3] != after[:3]:
        return "crossed", f"{before} is followed by {after}"
    if after.time <= before.time:
        return "duplicated", f"{after} comes again"
    if after.time > before.time + 1:
        return "missing", f"nothing came between {before} and {after}"
    if reward_t != reward(before, action):
        return "crossed", f"{after} pays {reward_t}, expected {reward(before, action)} for {tuple(action)}"
    if discount_t != float(not (after.is_end and is_terminated(after.agent, after.episode))):
        return "crossed", f"{after} has the discount {discount_t}"
    return None


class _Open:
    """An episode that has begun: its latest stamp, and the answer to it."""

    def __init__(self, worker: int, stamp: Stamp) -> None:
        self.worker = worker
        self.stamp = stamp
        self.action: tuple[int, ...] | None = None


class Checker:
    """Follows a run: tell it of all rows, all actions and all resets, in their order.

    Attributes:
        decisions: rows that were answered.
        transitions: answers whose outcome came and is right.
        lost: answers without an outcome, because their episode was declared lost (`Steps.lost`) or reset.
        losses: those declared lost, by exchange and worker.
        missing, duplicated, late, crossed: wrong rows, by kind (see `fault`; late: of an incarnation before).
        problems: a sentence for each of them.
    """

    def __init__(self) -> None:
        self.decisions = self.transitions = self.lost = 0
        self.missing = self.duplicated = self.late = self.crossed = 0
        self.losses: list[int] = []
        self.problems: list[str] = []
        self._open: dict[int, _Open] = {}  # by the bridge's id of the episode
        self._closed: set[int] = set()
        self._begun: set[tuple[int, int, int]] = set()  # process, agent, episode
        self._incarnations: dict[int, int] = {}  # worker -> the latest
        self._processes: dict[int, int] = {}  # worker -> process
        self._deciding: list[int] = []

    @property
    def open_decisions(self) -> int:
        """Answers whose outcome may still come."""
        return sum(item.action is not None for item in self._open.values())

    def reset(self) -> None:
        """The whole environment was reset: its open episodes end without a LAST row."""
        self.lost += sum(self._lose(episode) for episode in list(self._open))
        self._processes.clear()

    def observe(self, steps: Steps) -> None:
        """The rows that `reset` or `receive` returned."""
        self._declare_lost(steps.lost.tolist())
        for row in range(len(steps)):
            self._observe(steps, row)
        self._deciding = steps.deciding.episode.tolist()

    def act(self, actions: npt.ArrayLike) -> None:
        """The actions [M, branches] that were sent for the rows observed last."""
        for episode, action in zip(self._deciding, np.asarray(actions).tolist(), strict=True):
            self.decisions += 1
            if episode in self._open:
                self._open[episode].action = tuple(action)
        self._deciding = []

    def verify(self) -> None:
        """Raises AssertionError unless every row was right and no answer is unaccounted for."""
        assert not self.problems, f"{len(self.problems)} wrong rows:\n" + "\n".join(self.problems[:20])
        assert self.decisions == self.transitions + self.lost + self.open_decisions, (
            f"{self.decisions} decisions, but {self.transitions} transitions, {self.lost} lost, "
            f"{self.open_decisions} open"
        )

    def _observe(self, steps: Steps, row: int) -> None:
        episode, kind = int(steps.episode[row]), steps.step_type[row]
        worker, incarnation = int(steps.worker[row]), int(steps.incarnation[row])
        stamp = Stamp.of(steps.obs[0][row])
        latest = self._incarnations.setdefault(worker, incarnation)
        if incarnation < latest:
            self._blame("late", f"{stamp} is of incarnation {incarnation} of worker {worker}, now in {latest}")
            return
        if incarnation > latest:
            self._incarnations[worker] = incarnation
            self._processes.pop(worker, None)
            if any(item.worker == worker for item in self._open.values()):
                self._blame(
                    "missing", f"{stamp} is of a new incarnation, but what was open before is not declared lost"
                )
        if self._processes.setdefault(worker, stamp.process) != stamp.process:
            self._blame("crossed", f"{stamp} comes from worker {worker}, in process {self._processes[worker]}")
            return
        if (kind == StepType.LAST) != stamp.is_end:
            self._blame("crossed", f"{stamp} has step type {kind}")
        masks = tuple(tuple(branch[row].tolist()) for branch in steps.mask)
        if masks != allowed(stamp):
            self._blame("crossed", f"{stamp} has the masks {masks}")
        if kind == StepType.FIRST:
            self._begin(episode, worker, stamp, float(steps.reward[row]))
        else:
            self._go_on(episode, stamp, float(steps.reward[row]), float(steps.discount[row]))
        if kind == StepType.LAST:
            self._open.pop(episode, None)
            self._closed.add(episode)

    def _begin(self, episode: int, worker: int, stamp: Stamp, paid: float) -> None:
        if stamp[:3] in self._begun or episode in self._open or episode in self._closed:
            self._blame("duplicated", f"{stamp} begins episode {episode} again")
        elif stamp.time or paid:
            self._blame("crossed", f"{stamp} begins episode {episode} with the reward {paid}")
        self._begun.add(stamp[:3])
        self._open[episode] = _Open(worker, stamp)

    def _go_on(self, episode: int, stamp: Stamp, reward_t: float, discount_t: float) -> None:
        begun = self._open.get(episode)
        if begun is None:
            kind = "duplicated" if episode in self._closed else "crossed"
            self._blame(kind, f"{stamp} is of episode {episode}, which is not open")
            return
        if begun.action is None:
            self._blame("duplicated", f"{stamp} comes without an action after {begun.stamp}")
        elif wrong := fault(begun.stamp, begun.action, reward_t, discount_t, stamp):
            self._blame(*wrong)
        else:
            self.transitions += 1
        begun.stamp, begun.action = stamp, None

    def _declare_lost(self, episodes: Sequence[int]) -> None:
        losses: dict[int, int] = {}
        for episode in episodes:
            if episode in self._open:
                worker = self._open[episode].worker
                losses[worker] = losses.get(worker, 0) + self._lose(episode)
            else:
                self._blame("crossed", f"episode {episode} is declared lost, but not open")
        self.losses += losses.values()
        self.lost += sum(losses.values())

    def _lose(self, episode: int) -> bool:
        """Forgets an open episode; whether an answer of it has no outcome."""
        self._closed.add(episode)
        return self._open.pop(episode).action is not None

    def _blame(self, counter: str, problem: str) -> None:
        setattr(self, counter, getattr(self, counter) + 1)
        self.problems.append(f"{counter}: {problem}")
