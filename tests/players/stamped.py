#!/usr/bin/env python3
"""A player of stamped agents: `EnvSpec("unity", str(stamps.PLAYER))`; takes `--agents N` besides the usual arguments.

Agents with an odd number ask in every second exchange only. Of three agents the last one has a new id on the wire for
each episode and takes two exchanges off between episodes; the others begin anew at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started by its path, from anywhere

from envs.simulated import player
from envs.simulated.arguments import count
from envs.simulated.messages import AgentAction, AgentInfo, Behavior, Dimension, Infos, Sensor
from envs.simulated.scene import SceneFactory, Setup
from tests.players import stamps
from tests.players.stamps import BRANCHES, Stamp

BEHAVIOR = Behavior("Stamped?team=0", BRANCHES)
SENSOR = Sensor("Stamps", (len(Stamp._fields),), (Dimension.NONE,))


class Stamped:
    """The scene (`envs.simulated.scene.Scene`)."""

    behaviors: Sequence[Behavior] = (BEHAVIOR,)

    def __init__(self, setup: Setup, agents: int) -> None:
        self._agents = [_Agent(number) for number in range(agents)]
        self._ended: list[AgentInfo] = []

    def reset(self) -> None:
        self._ended.clear()
        for agent in self._agents:
            agent.begin()

    def step(self, actions: Mapping[str, Sequence[AgentAction]]) -> None:
        asked = [agent for agent in self._agents if not agent.wait]
        for agent in self._agents:
            if agent.wait:
                agent.wait -= 1
        for agent, action in zip(asked, actions.get(BEHAVIOR.name, ()), strict=True):
            agent.act(action.discrete)
            if agent.stamp.is_end:
                self._ended.append(agent.report(done=True))
                agent.begin(rest=2 if agent.is_restless else 0)

    def collect(self) -> Infos:
        infos = self._ended + [agent.report() for agent in self._agents if not agent.wait]
        self._ended = []
        return {BEHAVIOR.name: infos}


class _Agent:
    """`wait`: in so many exchanges it asks for nothing."""

    def __init__(self, number: int) -> None:
        self.stamp = Stamp(os.getpid(), number, -1, 0)
        self.wait = 0
        self._reward = 0.0

    @property
    def is_restless(self) -> bool:
        return self.stamp.agent % 3 == 2

    def begin(self, rest: int = 0) -> None:
        self.stamp = self.stamp._replace(episode=self.stamp.episode + 1, time=0)
        self.wait = rest
        self._reward = 0.0

    def act(self, action: Sequence[int]) -> None:
        self._reward = stamps.reward(self.stamp, action)
        self.stamp = self.stamp._replace(time=self.stamp.time + 1)
        self.wait = self.stamp.agent % 2

    def report(self, *, done: bool = False) -> AgentInfo:
        stamp = self.stamp
        return AgentInfo(
            agent_id=stamp.agent + (1000 * stamp.episode if self.is_restless else 0),
            observations=[SENSOR.floats(stamp)],
            reward=self._reward,
            done=done,
            interrupted=done and not stamps.is_terminated(stamp.agent, stamp.episode),
            mask=tuple(not allowed for branch in stamps.allowed(stamp) for allowed in branch),
        )


def configure(arguments: Sequence[str]) -> SceneFactory:
    """The scene that the arguments ask for. Raises BadArgumentError."""
    return partial(Stamped, agents=count(arguments, "--agents", 3))


if __name__ == "__main__":
    sys.exit(player.main(sys.argv[1:], configure, "Stamped player"))
