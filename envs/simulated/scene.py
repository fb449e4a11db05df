"""What a simulated build plugs into the player: a scene with agents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from envs.simulated.messages import AgentAction, Behavior, Infos
from envs.simulated.sidechannels import Parameters, Statistics


class ImpossibleSceneError(Exception):
    """The parameters describe no scene that could be built; the player logs the sentence and exits with code 3."""


@dataclass(frozen=True)
class Setup:
    """What a scene learns when it is built.

    seed: of the scene's random numbers, 0..2^32-1. channels_first: declare images as (C, H, W) instead of (H, W, C).
    png: send images as PNG instead of floats. parameters: read them at each reset; they change while the scene runs.
    statistics: what is recorded there goes out with the next message.
    """

    seed: int
    channels_first: bool
    png: bool
    parameters: Parameters
    statistics: Statistics = field(default_factory=Statistics)


class Scene(Protocol):
    """Agents that act together: one message carries what all of them report."""

    @property
    def behaviors(self) -> Sequence[Behavior]:
        """The behaviours that can occur in the reports."""

    def reset(self) -> None:
        """Start every agent anew, at the trainer's command. Raises ImpossibleSceneError."""

    def step(self, actions: Mapping[str, Sequence[AgentAction]]) -> None:
        """One step of all agents; per behaviour, the actions are in the order of the last decision infos.

        An agent without an action takes action 0, or zeros. Raises ImpossibleSceneError when an episode cannot begin.
        """

    def collect(self) -> Infos:
        """What is to be reported since the last call: the ended episodes first, then who wants an action."""


SceneFactory = Callable[[Setup], Scene]


def whole(name: str, value: float) -> int:
    """A parameter cut to an integer, as C# casts it. Raises ImpossibleSceneError for NaN and infinity."""
    if not math.isfinite(value):
        raise ImpossibleSceneError(f"{name} is {value}; expected a finite number.")
    return int(value)
