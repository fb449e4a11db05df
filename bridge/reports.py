"""What `bridge.inspect` finds, as plain data. Where something cannot be used, a `problem` says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BuildFile:
    """What would be started.

    Attributes:
        name: its path, or "the Unity Editor".
        simulated: a stand-in of ours.
        is_editor: a person starts it.
    """

    name: str
    simulated: bool
    is_editor: bool


@dataclass(frozen=True)
class SensorReport:
    """One observation of a behaviour.

    Attributes:
        kind: None for what images and vectors cannot express.
        shape: images [channels, height, width]; without a kind as the build declares it.
        problem: why it cannot be used; empty when it can.
    """

    name: str
    kind: Literal["image", "vector"] | None
    shape: tuple[int, ...]
    is_goal: bool = False
    problem: str = ""


@dataclass(frozen=True)
class BehaviorReport:
    """One behaviour of a build.

    Attributes:
        name: without its team.
        agents: how many asked for a decision in one exchange, at most.
        sensors: empty as long as no agent of it has reported.
        continuous, branches: the build's own actions: how many numbers, and the discrete branches.
        codec, agent_branches: what an agent would get; empty where there is a problem.
        problem: why it cannot be trained; empty when it can.
    """

    name: str
    agents: int
    sensors: tuple[SensorReport, ...]
    continuous: int
    branches: tuple[int, ...]
    codec: str
    agent_branches: tuple[int, ...]
    problem: str


@dataclass(frozen=True)
class BuildReport:
    """A build that connected.

    Attributes:
        port: on which it did.
        package: version of com.unity.ml-agents in it, or "unknown".
        behaviors: in the order of their names.
        chosen: the one that the options mean; None where that is unclear.
        problem: why none is chosen; empty when one is.
        causes: what usually keeps agents from asking for decisions, one line each.
    """

    port: int
    package: str
    behaviors: tuple[BehaviorReport, ...]
    chosen: BehaviorReport | None
    problem: str
    causes: tuple[str, ...]


@dataclass(frozen=True)
class TouchReport:
    """What happened to an object into which a part of a robot was put, in lengths of the model (metres).

    Attributes:
        depth: how far they overlapped at the start; 0 when the engine saw no contact.
        moved: how far the object then went by itself.
        seconds: in so much simulated time.
    """

    depth: float
    moved: float
    seconds: float
