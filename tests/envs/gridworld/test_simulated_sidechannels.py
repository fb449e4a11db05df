"""Side channels against those of mlagents_envs, which write what is read here and the other way round."""

from __future__ import annotations

import struct
import uuid

import pytest
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.side_channel import SideChannel
from mlagents_envs.side_channel.side_channel_manager import SideChannelManager
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod, StatsSideChannel

from envs.simulated import sidechannels
from envs.simulated.sidechannels import Parameters, process


def sent_by(channel: SideChannel) -> bytes:
    """The container that the trainer sends for what was set in a channel."""
    return bytes(SideChannelManager([channel]).generate_side_channel_messages())


def test_numbers_are_set_and_set_anew() -> None:
    parameters, channel = Parameters(), EnvironmentParametersChannel()
    channel.set_float_parameter("gridSize", 7.0)
    channel.set_float_parameter("unknown", -0.5)
    process(sent_by(channel), parameters)
    assert (parameters.draw("gridSize", 5), parameters.constant("gridSize")) == (7.0, 7.0)
    assert parameters.draw("unknown", 0) == -0.5
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("gridSize", 3.0)
    process(sent_by(channel), parameters)
    assert parameters.draw("gridSize", 5) == 3.0


def test_what_was_never_set_has_its_default() -> None:
    assert Parameters().draw("gridSize", 5) == 5
    assert Parameters().constant("gridSize") is None


def test_samplers_of_all_three_types_follow_their_distribution() -> None:
    parameters, channel = Parameters(), EnvironmentParametersChannel()
    channel.set_uniform_sampler_parameters("uniform", 3, 6, seed=1)
    channel.set_gaussian_sampler_parameters("gaussian", 5, 2, seed=2)
    channel.set_multirangeuniform_sampler_parameters("ranges", [(0, 1), (10, 13)], seed=3)
    process(sent_by(channel), parameters)
    assert parameters.constant("uniform") is None
    count = 4000
    uniform = [parameters.draw("uniform", 0) for _ in range(count)]
    gaussian = [parameters.draw("gaussian", 0) for _ in range(count)]
    ranges = [parameters.draw("ranges", 0) for _ in range(count)]
    assert min(uniform) >= 3
    assert max(uniform) <= 6
    assert sum(uniform) / count == pytest.approx(4.5, abs=0.06)
    mean = sum(gaussian) / count
    assert mean == pytest.approx(5, abs=0.13)
    assert (sum((value - mean) ** 2 for value in gaussian) / count) ** 0.5 == pytest.approx(2, abs=0.1)
    assert all(0 <= value <= 1 or 10 <= value <= 13 for value in ranges)
    assert sum(value < 5 for value in ranges) / count == pytest.approx(0.25, abs=0.03)


def test_a_sampler_gives_the_same_numbers_for_the_same_seed() -> None:
    drawn = []
    for _ in range(2):
        parameters, channel = Parameters(), EnvironmentParametersChannel()
        channel.set_uniform_sampler_parameters("gridSize", 3, 11, seed=5)
        process(sent_by(channel), parameters)
        drawn.append([parameters.draw("gridSize", 5) for _ in range(20)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 10


def test_a_number_replaces_a_sampler() -> None:
    parameters, channel = Parameters(), EnvironmentParametersChannel()
    channel.set_uniform_sampler_parameters("gridSize", 3, 11, seed=5)
    channel.set_float_parameter("gridSize", 4.0)
    process(sent_by(channel), parameters)
    assert [parameters.draw("gridSize", 5) for _ in range(3)] == [4.0] * 3


def test_engine_settings_are_read_and_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    channel = EngineConfigurationChannel()
    channel.set_configuration_parameters(
        width=80, height=80, quality_level=1, time_scale=20.0, target_frame_rate=-1, capture_frame_rate=60
    )
    with caplog.at_level("INFO"):
        process(sent_by(channel), Parameters())
    assert len(caplog.messages) == 5
    assert any("resolution 80 x 80" in line for line in caplog.messages)
    assert any("time scale 20" in line for line in caplog.messages)


def test_statistics_arrive_in_the_trainers_channel() -> None:
    stats = StatsSideChannel()
    SideChannelManager([stats]).process_side_channel_message(sidechannels.pack_stat("Goal/Correct", 0.25, method=1))
    assert stats.get_and_reset_stats() == {"Goal/Correct": [(0.25, StatsAggregationMethod.MOST_RECENT)]}


def parameter(payload: bytes) -> bytes:
    return sidechannels.pack(sidechannels.ENVIRONMENT_PARAMETERS, struct.pack("<i", 1) + b"x" + payload)


@pytest.mark.parametrize(
    "container",
    [
        b"\x00" * 7,
        sidechannels.pack(uuid.UUID(int=1), b"whatever"),
        sidechannels.ENGINE_CONFIGURATION.bytes_le + struct.pack("<i", 99) + b"short",
        sidechannels.pack(sidechannels.ENGINE_CONFIGURATION, struct.pack("<i", 9)),
        sidechannels.pack(sidechannels.ENVIRONMENT_PARAMETERS, struct.pack("<i", -4)),
        parameter(struct.pack("<i", 2)),
        parameter(struct.pack("<ii", 1, 0) + struct.pack("<i", 3)),
        parameter(struct.pack("<iii", 1, 0, 2) + struct.pack("<i", 3) + struct.pack("<3f", 1, 2, 3)),
        parameter(struct.pack("<iii", 1, 0, 2) + struct.pack("<i", 2) + struct.pack("<2f", 2, 1)),
        parameter(struct.pack("<iii", 1, 0, 2) + struct.pack("<i", 0)),
    ],
)
def test_what_cannot_be_understood_is_logged_and_dropped(container: bytes, caplog: pytest.LogCaptureFixture) -> None:
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("gridSize", 4.0)
    parameters = Parameters()
    process(sent_by(channel) + container, parameters)
    assert len(caplog.messages) == 1
    assert "dropped" in caplog.text or "cut short" in caplog.text
    assert parameters.draw("x", 5) == 5
    assert parameters.draw("gridSize", 5) == 4


def test_a_bad_message_does_not_take_the_next_one_with_it() -> None:
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("gridSize", 4.0)
    parameters = Parameters()
    process(sidechannels.pack(sidechannels.ENGINE_CONFIGURATION, b"") + sent_by(channel), parameters)
    assert parameters.draw("gridSize", 5) == 4


def test_training_analytics_are_ignored_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    process(sidechannels.pack(sidechannels.TRAINING_ANALYTICS, b"\x0a\x03any"), Parameters())
    assert not caplog.messages
