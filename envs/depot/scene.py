"""The scene: who is there when, what each agent observes, and what is reported of it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count

import numpy as np

from envs.depot import render
from envs.depot.rules import HEADINGS, LIFTS, MOVES, TURNS, Bay, Box, Counts, Outcome
from envs.simulated.camera import Camera
from envs.simulated.messages import AgentAction, AgentInfo, Behavior, Dimension, Infos, ObservationType, Sensor
from envs.simulated.random import UnityRandom
from envs.simulated.scene import Setup, whole

log = logging.getLogger(__name__)

CARRIER = Behavior("Carrier?team=0", branches=(len(MOVES), len(TURNS), len(LIFTS)))
CRANE = Behavior("Crane?team=0", branches=(), continuous=2)
HYBRID_CRANE = Behavior("Crane?team=0", branches=(2,), continuous=2)  # 1: grab

STACK, CARRIER_NUMBERS, CRANE_NUMBERS = 3, 8, 4
GOAL = Sensor("GoalSensor", (2,), (Dimension.NONE,), ObservationType.GOAL_SIGNAL)
STACKED = Sensor(
    f"StackingSensor_size{STACK}_VectorSensor_size{CARRIER_NUMBERS}", (STACK * CARRIER_NUMBERS,), (Dimension.NONE,)
)
POINTS = Sensor(f"VectorSensor_size{CRANE_NUMBERS}", (CRANE_NUMBERS,), (Dimension.NONE,))

CARRIER_PERIODS = (1, 2, 3)  # ticks from one decision to the next, in bays 0, 1, 2, and so on in turn
CRANE_PERIODS = (2, 3)
ABSENCE = 3  # ticks from the success of a Carrier, which leaves, to the arrival of the next one in its bay
DELIVERED = "Depot/Delivered"  # statistic: 1 for an episode of a Carrier that ended with success, otherwise 0

_GOALS = tuple(GOAL.floats(one_hot) for one_hot in np.eye(2))
_CACHED = 4096  # pictures of each camera; a bay of 3 x 3 has 2,016


class Depot:
    """All agents (`envs.simulated.scene.Scene`). Time passes in ticks; where nobody reports, no message is due.

    Agent ids are 0, 1, 2, ... in the order in which agents come; none is used again.
    """

    def __init__(self, setup: Setup, hybrid: bool = False) -> None:
        """Build the scene; all draw from one stream of random numbers. hybrid: whether a Crane also has to grab."""
        self._crane = HYBRID_CRANE if hybrid else CRANE
        self.behaviors: Sequence[Behavior] = (CARRIER, self._crane)
        self._setup = setup
        self._rng = UnityRandom(setup.seed)
        self._cameras = _Cameras(setup)
        self._ids = count()
        self._size = Counts().size
        self._tick = 0
        self._expected: dict[int, int] = {}  # bay -> when its next Carrier comes
        self._agents: list[_Agent] = []  # in the order of their ids
        self._asking: list[_Agent] = []
        self._ended: list[tuple[str, AgentInfo]] = []

    def reset(self) -> None:
        """Everybody leaves, which is reported, and a depot as the parameters now describe it begins at tick 0."""
        counts = self._counts()
        self._ended = [(agent.behavior.name, agent.end(Outcome(0.0))) for agent in self._agents if agent.reported]
        self._agents = [
            _Crane(next(self._ids), self._crane, Box(self._rng), CRANE_PERIODS[crane % len(CRANE_PERIODS)])
            for crane in range(counts.cranes)
        ]
        self._size = counts.size
        self._expected = {bay: bay for bay in range(counts.carriers)}
        self._tick = -1
        self._wait()

    def step(self, actions: Mapping[str, Sequence[AgentAction]]) -> None:
        """Who asked acts, in the order of the ids; then time passes until there is something to report."""
        given = {behavior.name: iter(actions.get(behavior.name, ())) for behavior in self.behaviors}
        for agent in self._asking:
            outcome = agent.act(next(given[agent.behavior.name], AgentAction()))
            agent.due = self._tick + agent.period
            if outcome.terminated or outcome.interrupted:
                self._end(agent, outcome)
        self._wait()

    def collect(self) -> Infos:
        """The ended episodes and then the decisions, by behaviour; a behaviour without any is not named."""
        infos: dict[str, list[AgentInfo]] = {}
        for name, info in [*self._ended, *((agent.behavior.name, agent.decide()) for agent in self._asking)]:
            infos.setdefault(name, []).append(info)
        self._ended = []
        return infos

    def _counts(self) -> Counts:
        default, draw = Counts(), self._setup.parameters.draw
        return Counts(
            carriers=whole("carriers", draw("carriers", default.carriers)),
            cranes=whole("cranes", draw("cranes", default.cranes)),
            size=whole("size", draw("size", default.size)),
        )

    def _end(self, agent: _Agent, outcome: Outcome) -> None:
        """The episode's end is reported. A Carrier that succeeded leaves; any other agent begins anew at once."""
        self._ended.append((agent.behavior.name, agent.end(outcome)))
        succeeded = outcome.terminated and outcome.reward > 0
        if isinstance(agent, _Carrier):
            self._setup.statistics.add(DELIVERED, succeeded)
            if succeeded:
                self._agents.remove(agent)
                self._expected[agent.bay] = self._tick + ABSENCE
                return
        agent.begin()

    def _wait(self) -> None:
        """Let time pass, at least one tick, until there is something to report."""
        self._asking = []
        while not self._asking:
            self._tick += 1
            for bay in sorted(bay for bay, tick in self._expected.items() if tick == self._tick):
                del self._expected[bay]
                task = Bay(self._size, self._rng)
                self._agents.append(_Carrier(next(self._ids), bay, task, self._tick, self._cameras))
            self._asking = [agent for agent in self._agents if agent.due == self._tick]
            if self._ended:
                return


class _Agent(ABC):
    """An agent between the rules and the wire. due: the tick of its next decision."""

    def __init__(self, agent_id: int, behavior: Behavior, period: int, due: int) -> None:
        self.behavior = behavior
        self.period = period
        self.due = due
        self.reported = False  # whether its episode is known to the trainer
        self._id = agent_id
        self._reward = 0.0

    @abstractmethod
    def act(self, action: AgentAction) -> Outcome:
        """Carry out an action; its reward comes with the next report."""

    @abstractmethod
    def decide(self) -> AgentInfo:
        """Ask for an action."""

    @abstractmethod
    def begin(self) -> None:
        """Begin the next episode."""

    @abstractmethod
    def end(self, outcome: Outcome) -> AgentInfo:
        """Report the end of the episode, with the observations of now."""


class _Carrier(_Agent):
    """Asks as soon as it has come."""

    def __init__(self, agent_id: int, bay: int, task: Bay, due: int, cameras: _Cameras) -> None:
        super().__init__(agent_id, CARRIER, CARRIER_PERIODS[bay % len(CARRIER_PERIODS)], due)
        self.bay = bay
        self._task = task
        self._cameras = cameras
        self._mask: tuple[bool, ...] = ()
        self._stack: deque[tuple[int, ...]] = deque(maxlen=STACK)
        self._forget()

    def act(self, action: AgentAction) -> Outcome:
        chosen = (*action.discrete, 0, 0, 0)[:3]
        if not all(0 <= value < size for value, size in zip(chosen, CARRIER.branches, strict=True)):
            log.error("Agent %d: %s is no action of branches %s; it does nothing.", self._id, chosen, CARRIER.branches)
            chosen = (0, 0, 0)
        outcome = self._task.act(*chosen)
        self._reward = outcome.reward
        return outcome

    def decide(self) -> AgentInfo:
        self.reported = True
        self._stack.append(self._numbers())
        self._mask = self._task.floor.forbidden()
        return AgentInfo(self._id, self._observe(), self._reward, mask=self._mask)

    def begin(self) -> None:
        self.reported = False
        self._reward = 0.0
        self._task.reset()
        self._forget()

    def end(self, outcome: Outcome) -> AgentInfo:
        """Report the end; the mask is the last decision's.

        The stack's newest entry is overwritten: Unity moves a stack on at decisions only.
        """
        self._stack[-1] = self._numbers()
        return AgentInfo(
            self._id, self._observe(), outcome.reward, done=True, interrupted=outcome.interrupted, mask=self._mask
        )

    def _forget(self) -> None:
        self._stack.extend([(0,) * CARRIER_NUMBERS] * STACK)

    def _numbers(self) -> tuple[int, ...]:
        """Cell, heading and the way to each crate, in cells: [8]."""
        floor = self._task.floor
        x, z = floor.carrier
        ways = [cells for crate in floor.crates for cells in (crate[0] - x, crate[1] - z)]
        return (x, z, *HEADINGS[floor.heading], *ways)

    def _observe(self) -> tuple[bytes, ...]:
        floor = self._task.floor
        stacked = STACKED.floats(np.concatenate(list(self._stack)))
        return self._cameras.fork(floor), _GOALS[self._task.wanted], self._cameras.overview(floor), stacked


class _Crane(_Agent):
    """Asks from tick 0 on."""

    def __init__(self, agent_id: int, behavior: Behavior, task: Box, period: int) -> None:
        super().__init__(agent_id, behavior, period, due=0)
        self._task = task

    def act(self, action: AgentAction) -> Outcome:
        grab = not self.behavior.branches or action.discrete[:1] == [1]
        outcome = self._task.act((*action.continuous, 0.0, 0.0)[:2], grab)
        self._reward = outcome.reward
        return outcome

    def decide(self) -> AgentInfo:
        self.reported = True
        return AgentInfo(self._id, self._observe(), self._reward)

    def begin(self) -> None:
        self.reported = False
        self._reward = 0.0
        self._task.reset()

    def end(self, outcome: Outcome) -> AgentInfo:
        return AgentInfo(self._id, self._observe(), outcome.reward, done=True, interrupted=outcome.interrupted)

    def _observe(self) -> tuple[bytes, ...]:
        return (POINTS.floats([*self._task.hook, *self._task.target]),)


class _Cameras:
    """The two cameras of every Carrier; a picture that was drawn before comes from a cache."""

    def __init__(self, setup: Setup) -> None:
        overview = Camera("OverviewCamera", (3, render.HEIGHT, render.WIDTH), setup)
        fork = Camera("ForkCamera", (1, render.FORK_SIDE, render.FORK_SIDE), setup)
        self.overview = lru_cache(_CACHED)(lambda floor: overview.observe(render.overview(floor)))
        self.fork = lru_cache(_CACHED)(lambda floor: fork.observe(render.fork(floor)))
