"""Hand-written encoding against Google's: every message read by the generated classes and written by them."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from envs.simulated import messages
from envs.simulated import protobuf as pb
from envs.simulated.messages import AgentInfo, Behavior, Command, Dimension, ObservationType, Sensor

INT32 = st.integers(-(2**31), 2**31 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)


def read(content: bytes) -> UnityMessageProto:
    """Decode with Google's classes; what they do not know would have been written under a wrong number."""
    message = UnityMessageProto.FromString(content)
    assert not _unknown(message)
    return message


def _unknown(message: UnityMessageProto) -> bool:
    """Whether a message or one inside it carries fields that its class does not define."""
    stripped = type(message).FromString(message.SerializeToString())
    stripped.DiscardUnknownFields()
    return bool(stripped.ByteSize() != message.ByteSize())


@given(INT32)
def test_integers_survive_the_varint(value: int) -> None:
    assert [(number, pb.signed(found)) for number, found in pb.fields(pb.integer(5, value))] == (
        [(5, value)] if value else []
    )


@given(st.lists(INT32, max_size=20))
def test_packed_and_unpacked_integers_read_alike(values: list[int]) -> None:
    packed = [pb.integers(content) for _, content in pb.fields(pb.packed_integers(1, values))]
    unpacked = [
        number
        for value in values
        for _, found in pb.fields(b"\x08" + pb.varint(value))
        for number in pb.integers(found)
    ]
    assert packed == ([values] if values else [])
    assert unpacked == values


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        messages.read_reply(content)
    except pb.MalformedMessageError:
        return


@pytest.mark.parametrize("content", [b"\x08", b"\x0a\x05abc", b"\x0b", b"\x08" + b"\xff" * 11, b"\x0d\x00\x00"])
def test_a_message_that_ends_too_early_is_refused(content: bytes) -> None:
    with pytest.raises(pb.MalformedMessageError):
        list(pb.fields(content))


def test_golden_bytes() -> None:
    """Written down by hand from the encoding's definition."""
    assert messages.status(400) == bytes.fromhex("0a03 0890 03".replace(" ", ""))
    info = AgentInfo(agent_id=3, observations=(), reward=-1.0, done=True, mask=(True, False))
    assert info.encode() == bytes.fromhex("3d000080bf 4001 5003 5a020100".replace(" ", ""))


def test_hello_says_who_speaks_and_claims_all_capabilities() -> None:
    message = read(messages.hello("2.2.1-exp.1"))
    hello = message.unity_output.rl_initialization_output
    assert message.header.status == 200
    assert (hello.name, hello.communication_version, hello.package_version) == (
        "AcademySingleton",
        "1.5.0",
        "2.2.1-exp.1",
    )
    fields = type(hello.capabilities).DESCRIPTOR.fields
    assert len(fields) == 7
    assert all(field.type == FieldDescriptor.TYPE_BOOL and getattr(hello.capabilities, field.name) for field in fields)
    assert not hello.brain_parameters


def test_a_status_is_a_header_and_nothing_else() -> None:
    message = read(messages.status(200))
    assert message.header.status == 200
    assert not message.HasField("unity_output")


@given(INT32, FLOAT32, st.booleans(), st.booleans(), st.lists(st.booleans(), max_size=9))
def test_agent_info(agent_id: int, reward: float, done: bool, interrupted: bool, mask: list[bool]) -> None:
    content = AgentInfo(agent_id, (), reward, done, interrupted, tuple(mask)).encode()
    info = AgentInfoProto.FromString(content)
    assert (info.id, info.reward, info.done, info.max_step_reached) == (agent_id, reward, done, interrupted)
    assert list(info.action_mask) == mask
    assert (info.group_id, info.group_reward) == (0, 0.0)


def test_observations_of_both_kinds() -> None:
    plane = Dimension.TRANSLATIONAL_EQUIVARIANCE
    camera = Sensor("Camera", (64, 84, 3), (plane, plane, Dimension.NONE))
    goal = Sensor("Goal", (2,), (Dimension.NONE,), ObservationType.GOAL_SIGNAL)
    pixels = np.linspace(0, 1, 64 * 84 * 3, dtype=np.float32).reshape(64, 84, 3)
    content = AgentInfo(0, (camera.png(b"picture"), goal.floats([0, 1]), camera.floats(pixels))).encode()
    picture, signal, raw = AgentInfoProto.FromString(content).observations
    assert (list(picture.shape), picture.compression_type, picture.compressed_data) == ([64, 84, 3], 1, b"picture")
    assert list(picture.dimension_properties) == [2, 2, 1]
    assert (picture.observation_type, picture.name) == (0, "Camera")
    assert not picture.compressed_channel_mapping
    assert (list(signal.shape), signal.compression_type, list(signal.float_data.data)) == ([2], 0, [0.0, 1.0])
    assert (list(signal.dimension_properties), signal.observation_type, signal.name) == ([1], 1, "Goal")
    assert (np.array(raw.float_data.data, np.float32).reshape(raw.shape) == pixels).all()


def test_report_announces_each_behaviour_with_its_actions() -> None:
    walker = Behavior("Walker?team=0", branches=(3, 2), continuous=2)
    infos = {"Walker?team=0": [AgentInfo(0, ()), AgentInfo(1, ())], "Idle?team=1": []}
    message = read(messages.report(infos, [walker], b"side"))
    output = message.unity_output
    assert message.header.status == 200
    assert [info.id for info in output.rl_output.agentInfos["Walker?team=0"].value] == [0, 1]
    assert len(output.rl_output.agentInfos) == 2
    assert len(output.rl_output.agentInfos["Idle?team=1"].value) == 0
    assert output.rl_output.side_channel == b"side"
    (brain,) = output.rl_initialization_output.brain_parameters
    assert (brain.brain_name, brain.is_training) == ("Walker?team=0", True)
    spec = brain.action_spec
    assert (spec.num_continuous_actions, spec.num_discrete_actions, list(spec.discrete_branch_sizes)) == (2, 2, [3, 2])
    later = read(messages.report(infos)).unity_output
    assert not later.HasField("rl_initialization_output")


@given(INT32, st.integers(0, 64))
def test_the_trainers_greeting_is_understood(seed: int, areas: int) -> None:
    message = UnityMessageProto()
    message.header.status = 200
    greeting = message.unity_input.rl_initialization_input
    greeting.seed, greeting.num_areas = seed, areas
    greeting.communication_version, greeting.package_version = "1.5.0", "0.28.0"
    greeting.capabilities.baseRLCapabilities = True
    reply = messages.read_reply(message.SerializeToString())
    assert reply.status == 200
    assert reply.initialization == messages.Initialization(seed, "1.5.0", "0.28.0", areas)


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.lists(st.tuples(st.lists(FLOAT32, max_size=3), st.lists(INT32, max_size=3)), max_size=4),
        max_size=3,
    ),
    st.sampled_from(list(Command)),
    st.binary(max_size=30),
)
def test_the_trainers_actions_are_understood(
    chosen: dict[str, list[tuple[list[float], list[int]]]], command: Command, side_channel: bytes
) -> None:
    message = UnityMessageProto()
    message.header.status = 200
    rl_input = message.unity_input.rl_input
    rl_input.command, rl_input.side_channel = int(command), side_channel
    for name, agents in chosen.items():
        actions = rl_input.agent_actions[name].value
        for continuous, discrete in agents:
            action = actions.add()
            action.vector_actions_deprecated.extend(discrete)
            action.continuous_actions.extend(continuous)
            action.discrete_actions.extend(discrete)
    reply = messages.read_reply(message.SerializeToString())
    assert (reply.command, reply.side_channel) == (command, side_channel)
    assert {
        name: [(action.continuous, action.discrete) for action in actions] for name, actions in reply.actions.items()
    } == chosen


def test_a_reply_that_is_only_a_status() -> None:
    message = UnityMessageProto()
    message.header.status = 400
    reply = messages.read_reply(message.SerializeToString())
    assert (reply.status, reply.initialization, reply.actions) == (400, None, {})


def test_an_unknown_command_is_refused() -> None:
    rl_input = pb.message(1, pb.integer(4, 7))
    with pytest.raises(pb.MalformedMessageError, match="command 7"):
        messages.read_reply(messages.status(200) + pb.message(3, rl_input))
