"""The ML-Agents messages that a build sends and reads (communication API 1.5.0).

Field numbers: `protobuf-definitions/proto/mlagents_envs/communicator_objects` of Unity-Technologies/ml-agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from numpy.typing import ArrayLike

from envs.simulated import protobuf as pb

API_VERSION = "1.5.0"
OK, LEAVING = 200, 400  # HeaderProto.status


class Dimension(IntEnum):
    """What moving along one axis of an observation means (ObservationProto.dimension_properties)."""

    NONE = 1
    TRANSLATIONAL_EQUIVARIANCE = 2


class ObservationType(IntEnum):
    """What an observation is for."""

    DEFAULT = 0
    GOAL_SIGNAL = 1


class Command(IntEnum):
    """What the trainer asks for in reply to a message."""

    STEP = 0
    RESET = 1
    QUIT = 2


@dataclass(frozen=True)
class Sensor:
    """How one observation of a behaviour is declared: with every value, as Unity does."""

    name: str
    shape: tuple[int, ...]
    dimensions: tuple[Dimension, ...]
    kind: ObservationType = ObservationType.DEFAULT

    def floats(self, values: ArrayLike) -> bytes:
        """ObservationProto of float32 values, in C order of `shape`."""
        return self._declare(compressed=False) + pb.message(4, pb.packed_floats(1, values)) + self._describe()

    def png(self, picture: bytes) -> bytes:
        """ObservationProto of a PNG file: 8-bit RGB, top row first, whatever the declared layout."""
        return self._declare(compressed=True) + pb.message(3, picture) + self._describe()

    def _declare(self, compressed: bool) -> bytes:
        return pb.packed_integers(1, self.shape) + pb.integer(2, compressed)

    def _describe(self) -> bytes:
        return pb.packed_integers(6, self.dimensions) + pb.integer(7, self.kind) + pb.text(8, self.name)


@dataclass(frozen=True)
class Behavior:
    """A behaviour as the trainer learns of it: a name with its team, and the actions."""

    name: str
    branches: tuple[int, ...]  # sizes of the discrete branches
    continuous: int = 0

    def encode(self) -> bytes:
        """BrainParametersProto."""
        actions = (
            pb.integer(1, self.continuous) + pb.integer(2, len(self.branches)) + pb.packed_integers(3, self.branches)
        )
        return pb.text(7, self.name) + pb.integer(8, True) + pb.message(9, actions)


@dataclass
class AgentInfo:
    """What one agent reports: it wants an action, or (`done`) its episode ended.

    `observations` are encoded ObservationProto, in the order of the sensors' names. `mask` has one bool per action of
    each branch, True = forbidden; empty = nothing was ever forbidden to this agent.
    """

    agent_id: int
    observations: Sequence[bytes]
    reward: float = 0.0
    done: bool = False
    interrupted: bool = False  # MaxStep ended the episode
    mask: tuple[bool, ...] = ()

    def encode(self) -> bytes:
        """AgentInfoProto."""
        return (
            pb.float32(7, self.reward)
            + pb.integer(8, self.done)
            + pb.integer(9, self.interrupted)
            + pb.integer(10, self.agent_id)
            + pb.data(11, bytes(self.mask))
            + b"".join(pb.message(13, observation) for observation in self.observations)
        )


Infos = Mapping[str, Sequence[AgentInfo]]  # behaviour name -> its agents' reports


def hello(package_version: str, api_version: str = API_VERSION) -> bytes:
    """The first message: who speaks, which API, all seven capabilities."""
    capabilities = b"".join(pb.integer(number, True) for number in range(1, 8))
    initialization = (
        pb.text(1, "AcademySingleton")
        + pb.text(2, api_version)
        + pb.text(7, package_version)
        + pb.message(8, capabilities)
    )
    return _output(pb.message(2, initialization))


def status(code: int) -> bytes:
    """A message that is a header and nothing else."""
    return pb.message(1, pb.integer(1, code))


def report(infos: Infos, announce: Sequence[Behavior] = (), side_channel: bytes = b"") -> bytes:
    """The message of one step. `announce`: behaviours whose agents the trainer meets here for the first time."""
    output = b""
    for name, agents in infos.items():
        listed = b"".join(pb.message(1, agent.encode()) for agent in agents)
        output += pb.message(2, pb.text(1, name) + pb.message(2, listed))
    output = pb.message(1, output + pb.data(3, side_channel))
    if announce:
        output += pb.message(2, b"".join(pb.message(5, behavior.encode()) for behavior in announce))
    return _output(output)


def _output(content: bytes) -> bytes:
    return status(OK) + pb.message(2, content)


@dataclass
class AgentAction:
    """What one agent is to do."""

    continuous: list[float] = field(default_factory=list)
    discrete: list[int] = field(default_factory=list)  # one value per branch


@dataclass
class Initialization:
    """What the trainer says of itself in reply to `hello`."""

    seed: int = 0
    api_version: str = ""
    package_version: str = ""
    areas: int = 0


@dataclass
class Reply:
    """What the trainer answers to a message."""

    status: int = 0
    initialization: Initialization | None = None
    command: Command = Command.STEP
    actions: dict[str, list[AgentAction]] = field(default_factory=dict)  # by behaviour, in the order of the infos
    side_channel: bytes = b""


def read_reply(content: bytes) -> Reply:
    """Decode a UnityMessageProto of the trainer. Raises MalformedMessageError, also for an unknown command."""
    reply = Reply()
    for number, value in pb.fields(content):
        if number == 1:
            reply.status = _only_integer(pb.nested(value))
        elif number == 3:
            for part, inner in pb.fields(pb.nested(value)):
                if part == 1:
                    _read_input(reply, pb.nested(inner))
                elif part == 2:
                    reply.initialization = _read_initialization(pb.nested(inner))
    return reply


def _read_input(reply: Reply, content: bytes) -> None:
    for number, value in pb.fields(content):
        if number == 1:
            name, actions = _read_actions(pb.nested(value))
            reply.actions[name] = actions
        elif number == 4:
            code = pb.signed(value)
            if code not in list(Command):
                raise pb.MalformedMessageError(f"command {code} is unknown; 0 (step), 1 (reset) and 2 (quit) exist")
            reply.command = Command(code)
        elif number == 5:
            reply.side_channel = pb.nested(value)


def _read_actions(entry: bytes) -> tuple[str, list[AgentAction]]:
    """One entry of the map of actions: the behaviour's name and its list."""
    parts = {number: pb.nested(value) for number, value in pb.fields(entry)}
    actions = [_read_action(pb.nested(value)) for number, value in pb.fields(parts.get(2, b"")) if number == 1]
    return pb.string(parts.get(1, b"")), actions


def _read_action(content: bytes) -> AgentAction:
    action = AgentAction()
    for number, value in pb.fields(content):
        if number == 6:
            action.continuous += pb.floats(value)
        elif number == 7:
            action.discrete += pb.integers(value)
    return action


def _read_initialization(content: bytes) -> Initialization:
    initialization = Initialization()
    for number, value in pb.fields(content):
        if number == 1:
            initialization.seed = pb.signed(value)
        elif number == 2:
            initialization.api_version = pb.string(value)
        elif number == 3:
            initialization.package_version = pb.string(value)
        elif number == 5:
            initialization.areas = pb.signed(value)
    return initialization


def _only_integer(content: bytes) -> int:
    return next((pb.signed(value) for number, value in pb.fields(content) if number == 1), 0)
