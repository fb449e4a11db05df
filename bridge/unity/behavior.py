"""What a build declares about one behaviour, and which one of several is meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto

from bridge.actions import ActionCodec, CodecSettings, NativeActions, make_codec
from bridge.errors import UnsupportedError, UsageError
from bridge.types import Array, BehaviorSpec, Float32Array, Int32Array
from bridge.unity.decode import Sensor, sensors_of


@dataclass(frozen=True)
class ActionSizes:
    """The native actions of any behaviour, hybrid ones too: how many continuous numbers, and the discrete branches."""

    continuous: int
    branches: tuple[int, ...]

    @classmethod
    def of(cls, brain: BrainParametersProto) -> ActionSizes:
        declared = brain.action_spec
        if declared.num_continuous_actions or declared.num_discrete_actions:
            return cls(declared.num_continuous_actions, tuple(declared.discrete_branch_sizes))
        sizes = tuple(brain.vector_action_size_deprecated)  # communication before 1.3
        if brain.vector_action_space_type_deprecated == 1:
            return cls(sum(sizes), ())
        return cls(0, sizes)

    def zeros(self, rows: int) -> tuple[Float32Array, Int32Array]:
        """Continuous [rows, continuous] and discrete [rows, branches] actions that are all 0."""
        return np.zeros((rows, self.continuous), np.float32), np.zeros((rows, len(self.branches)), np.int32)


@dataclass(frozen=True)
class Behavior:
    """The behaviour that is trained.

    Attributes:
        full_name: as on the wire, with its team: `GridWorld?team=0`.
        sizes: the native actions.
    """

    full_name: str
    sensors: tuple[Sensor, ...]
    sizes: ActionSizes

    @property
    def name(self) -> str:
        return plain_name(self.full_name)

    @classmethod
    def of(cls, brain: BrainParametersProto, info: AgentInfoProto) -> Behavior:
        """Read from the build's description and one of its agents.

        Raises:
            UnsupportedError: observations or actions that the protocol cannot express.
        """
        name = plain_name(brain.brain_name)
        sizes = ActionSizes.of(brain)
        if sizes.continuous and sizes.branches:
            raise UnsupportedError(
                f"behaviour {name!r} has hybrid actions ({sizes.continuous} continuous and {len(sizes.branches)} "
                "discrete), which a DQN cannot choose together: make them all discrete in the build."
            )
        if not sizes.continuous and not sizes.branches:
            raise UnsupportedError(
                f"behaviour {name!r} has no actions; expected at least one discrete branch or continuous action."
            )
        return cls(brain.brain_name, sensors_of(info.observations, name), sizes)

    def codec(self, settings: CodecSettings) -> ActionCodec:
        """How the agent's actions become native ones. Unity's continuous actions go from -1 to 1."""
        ones = (1.0,) * self.sizes.continuous
        return make_codec(NativeActions(self.sizes.branches, tuple(-one for one in ones), ones), settings)

    def spec(self, codec: ActionCodec, reward_rule: str | None) -> BehaviorSpec:
        observations = tuple(sensor.spec for sensor in self.sensors)
        return BehaviorSpec(self.name, observations, codec.spec, reward_rule=reward_rule)


def idle_actions(
    behaviors: Mapping[str, BrainParametersProto], infos: Mapping[str, Sequence[AgentInfoProto]]
) -> dict[str, tuple[Array, Array]]:
    """Zeros for all agents that ask, by behaviour. One that has not been described yet cannot be answered."""
    actions: dict[str, tuple[Array, Array]] = {}
    for name, reported in infos.items():
        rows = sum(not info.done for info in reported)
        if rows and name in behaviors:
            actions[name] = ActionSizes.of(behaviors[name]).zeros(rows)
    return actions


def plain_name(full_name: str) -> str:
    """`GridWorld` of `GridWorld?team=0`."""
    return full_name.partition("?")[0]


def select(full_names: Iterable[str], wanted: str | None) -> str | None:
    """The full name of the wanted behaviour (with or without its team), or of the only one; None if it is not there.

    Raises:
        UsageError: several could be meant.
    """
    names = sorted(full_names)
    if wanted is not None:
        names = [name for name in names if name == wanted] or [name for name in names if plain_name(name) == wanted]
    if len(names) > 1:
        raise UsageError(
            f"the build has the behaviours {', '.join(names)}; expected one: say which with the option behavior."
        )
    return names[0] if names else None
