"""The scene: areas side by side, their agents' observations, and what is reported of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from envs.gridworld import render
from envs.gridworld.rules import MOVES, STEP_REWARD, Area, Board, Cell, Outcome, Things, forbidden
from envs.simulated.camera import Camera
from envs.simulated.messages import (
    AgentAction,
    AgentInfo,
    Behavior,
    Dimension,
    Infos,
    ObservationType,
    Sensor,
)
from envs.simulated.random import UnityRandom
from envs.simulated.scene import Setup, whole

log = logging.getLogger(__name__)

BEHAVIOR = Behavior("GridWorld?team=0", branches=(len(MOVES),))
GOAL = Sensor("VectorlSensor", (2,), (Dimension.NONE,), ObservationType.GOAL_SIGNAL)  # Unity's spelling
NUMBERS = Sensor("VectorSensor_size6", (6,), (Dimension.NONE,))
_GOALS = tuple(GOAL.floats(one_hot) for one_hot in np.eye(2))

# At the default size there are 13,800 pictures of about 0.5 kB; as floats each takes 65 kB.
_CACHED_PNG, _CACHED_FLOATS = 16384, 512

Observe = Callable[[Board, Cell], bytes]


class GridWorld:
    """All areas with their agents (`envs.simulated.scene.Scene`).

    Agent ids are 0, 1, 2, ... and stay; every message has one decision of each agent, after the ends of episodes.
    """

    behaviors: Sequence[Behavior] = (BEHAVIOR,)

    def __init__(self, setup: Setup, areas: int = 1) -> None:
        """Build the scene; its areas draw from one stream of random numbers, in their order."""
        self._parameters = setup.parameters
        self._rng = UnityRandom(setup.seed)
        self._camera = _camera(setup)
        self._count = areas
        self._agents: list[_Agent] = []
        self._ended: list[AgentInfo] = []

    def reset(self) -> None:
        """Every area begins a new episode; no episode's end is reported.

        From the second reset on, each agent then carries out the request for an action that it still has, as in Unity,
        with action 0: it costs a step's reward and does not count to MaxStep.
        """
        self._ended.clear()
        if not self._agents:
            for agent_id in range(self._count):
                self._agents.append(_Agent(agent_id, Area(self._things(), self._rng), self._camera))
            return
        for agent in self._agents:
            agent.area.reset(self._things())
            agent.reward = STEP_REWARD

    def step(self, actions: Mapping[str, Sequence[AgentAction]]) -> None:
        """Each agent acts, in the order of the ids; who ends begins anew at once."""
        chosen = actions.get(BEHAVIOR.name, ())
        for index, agent in enumerate(self._agents):
            discrete = chosen[index].discrete if index < len(chosen) else ()
            action = discrete[0] if discrete else 0
            if not 0 <= action < len(MOVES):
                log.error("Agent %d: %d is no action (0..%d are); it stays in place.", index, action, len(MOVES) - 1)
            outcome = agent.area.act(action)
            if outcome.terminated or outcome.interrupted:
                self._ended.append(agent.end(outcome))
                agent.area.reset(self._things())
            else:
                agent.reward = outcome.reward

    def collect(self) -> Infos:
        """The ended episodes and then the decisions, each in the order of the agents."""
        constant = self._parameters.constant("gridSize")
        size = None if constant is None else whole("gridSize", constant)
        infos = self._ended + [agent.decide(size) for agent in self._agents]
        self._ended = []
        return {BEHAVIOR.name: infos}

    def _things(self) -> Things:
        draw = self._parameters.draw
        default = Things()
        return Things.of(
            draw("gridSize", default.size),
            draw("numPlusGoals", default.pluses),
            draw("numExGoals", default.exes),
        )


class _Agent:
    """An agent between the rules and the wire."""

    def __init__(self, agent_id: int, area: Area, camera: Observe) -> None:
        self.area = area
        self.reward = 0.0  # of the next decision's report
        self._id = agent_id
        self._camera = camera
        self._picture = b""
        self._mask: tuple[bool, ...] = ()

    def decide(self, mask_size: int | None) -> AgentInfo:
        """Ask for an action. `mask_size`: the current gridSize parameter, which the mask obeys at once."""
        self._picture = self._camera(self.area.board, self.area.agent)
        mask = forbidden(self.area.agent, mask_size or self.area.board.size)
        if self._mask or any(mask):
            self._mask = mask
        return AgentInfo(self._id, self._observe(), self.reward, mask=self._mask)

    def end(self, outcome: Outcome) -> AgentInfo:
        """Report the end of the episode: the numbers and the goal of now, the picture and the mask of before.

        Unity draws the render texture before the action and does not draw it again.
        """
        self.reward = 0.0
        return AgentInfo(
            self._id, self._observe(), outcome.reward, done=True, interrupted=outcome.interrupted, mask=self._mask
        )

    def _observe(self) -> tuple[bytes, ...]:
        board = self.area.board
        numbers = [coordinate for cell in (self.area.agent, *board.pluses, *board.exes) for coordinate in cell]
        return self._picture, _GOALS[self.area.goal], _numbers(tuple((numbers + [0] * 6)[:6]))


@lru_cache(maxsize=16384)
def _numbers(values: tuple[int, ...]) -> bytes:
    return NUMBERS.floats(values)


def _camera(setup: Setup) -> Observe:
    """A function that gives the encoded picture of a state, the same as before from a cache."""
    camera = Camera("RenderTextureSensor", (3, render.HEIGHT, render.WIDTH), setup)

    @lru_cache(maxsize=_CACHED_PNG if setup.png else _CACHED_FLOATS)
    def observe(board: Board, agent: Cell) -> bytes:
        return camera.observe(render.rgb(board, agent))

    return observe
