"""A player that says exactly what a test wrote down: for scenes that GridWorld does not have.

`write_player` makes an executable file that sends prepared messages one after the other, whatever it is told, keeps
the replies in a file and leaves when the messages are used up. It needs grpc and nothing of ours.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

PLAYER_SCRIPT = Path(__file__).with_name("player_script.py")


def vector(*values: float, name: str = "numbers", goal: bool = False) -> ObservationProto:
    message = ObservationProto(shape=[len(values)], name=name, observation_type=int(goal), dimension_properties=[1])
    message.float_data.data.extend(values)
    return message


def info(
    agent: int,
    *observations: ObservationProto,
    reward: float = 0.0,
    done: bool = False,
    interrupted: bool = False,
    mask: Sequence[bool] = (),
    group_reward: float = 0.0,
) -> AgentInfoProto:
    return AgentInfoProto(
        id=agent,
        reward=reward,
        done=done,
        max_step_reached=interrupted,
        action_mask=mask,
        observations=observations or [vector(float(agent))],
        group_reward=group_reward,
    )


def brain(name: str, *branches: int, continuous: int = 0) -> BrainParametersProto:
    message = BrainParametersProto(brain_name=name, is_training=True)
    message.action_spec.num_discrete_actions = len(branches)
    message.action_spec.discrete_branch_sizes.extend(branches)
    message.action_spec.num_continuous_actions = continuous
    return message


def hello(version: str = "1.5.0") -> UnityMessageProto:
    message = UnityMessageProto()
    message.header.status = 200
    output = message.unity_output.rl_initialization_output
    output.communication_version = version
    output.package_version = "2.0.0"
    output.capabilities.baseRLCapabilities = True
    return message


def silence() -> UnityMessageProto:
    message = UnityMessageProto()
    message.header.status = 200
    return message


def report(
    infos: dict[str, Iterable[AgentInfoProto]], brains: Iterable[BrainParametersProto] = ()
) -> UnityMessageProto:
    message = silence()
    message.unity_output.rl_initialization_output.brain_parameters.extend(brains)
    for name, values in infos.items():
        message.unity_output.rl_output.agentInfos[name].value.extend(values)
    return message


def write_player(folder: Path, messages: Iterable[UnityMessageProto], name: str = "Scripted.x86_64") -> Path:
    """The player's file; it starts with the handshake, then come `messages`."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = [message.SerializeToString() for message in (hello(), silence(), *messages)]
    (folder / "messages.bin").write_bytes(b"".join(struct.pack("<I", len(frame)) + frame for frame in frames))
    player = folder / name
    shutil.copy(PLAYER_SCRIPT, player)
    player.chmod(0o755)
    return player


def replies(folder: Path) -> list[UnityMessageProto]:
    """What the player was told, the handshake's reply first."""
    data = (folder / "replies.bin").read_bytes()
    found = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        found.append(UnityMessageProto.FromString(data[4 : 4 + size]))
        data = data[4 + size :]
    return found
