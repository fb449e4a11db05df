"""Scenes that GridWorld does not have, played by a scripted player to the real `UnityEnvironment`."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from bridge import EnvSpec, connect
from bridge.base import Bridge
from bridge.errors import DataError, LaunchError, UnsupportedError, UsageError
from bridge.types import ObsSpec, StepType
from tests.bridge.unity.scripted import brain, info, replies, report, vector, write_player

FIRST, MID, LAST = StepType.FIRST, StepType.MID, StepType.LAST
NONE = np.zeros((0, 1), np.int32)


def open_scene(folder: Path, messages: Iterable[UnityMessageProto], **options: object) -> Bridge:
    player = write_player(folder, messages)
    return connect(EnvSpec("unity", str(player), {"timeout": 10.0, **options}))


def picture(value: int) -> ObservationProto:
    message = ObservationProto(shape=[3, 2, 2], name="Camera", dimension_properties=[1, 2, 2])
    message.float_data.data.extend([value / 255] * 12)
    return message


def test_the_only_behaviour_stays_the_chosen_one_when_another_appears(tmp_path: Path) -> None:
    red = {"Red?team=0": [info(0)]}
    both = {**red, "Blue?team=0": [info(1)]}
    scene = [report(red, [brain("Red?team=0", 3)]), report(both, [brain("Blue?team=0", 2)]), report(both)]
    with open_scene(tmp_path, scene) as bridge:
        bridge.reset()
        bridge.step([[0]])
        assert len(bridge.reset()) == 1


def test_several_behaviours_ask_for_a_choice_and_the_others_act_zero(tmp_path: Path) -> None:
    brains = [brain("Red?team=0", 3, 2), brain("Blue?team=1", continuous=2), brain("Odd?team=0", 4, continuous=1)]
    infos = {"Red?team=0": [info(0), info(1)], "Blue?team=1": [info(2), info(3)], "Odd?team=0": [info(4)]}
    scene = [report(infos, brains), report(infos)]
    with pytest.raises(UsageError, match=r"behaviours Blue\?team=1, Odd\?team=0, Red\?team=0; .* option behavior"):
        open_scene(tmp_path / "none", scene)
    with open_scene(tmp_path / "red", scene, behavior="Red") as bridge:
        assert bridge.spec.name == "Red"
        assert bridge.spec.actions.branches == (3, 2)
        bridge.reset()
        bridge.step([[2, 1], [0, 1]])
    actions = replies(tmp_path / "red")[2].unity_input.rl_input.agent_actions
    assert [list(action.discrete_actions) for action in actions["Red?team=0"].value] == [[2, 1], [0, 1]]
    assert [list(action.continuous_actions) for action in actions["Blue?team=1"].value] == [[0, 0], [0, 0]]
    assert [list(action.discrete_actions) for action in actions["Odd?team=0"].value] == [[0]]
    assert [list(action.continuous_actions) for action in actions["Odd?team=0"].value] == [[0]]
    with open_scene(tmp_path / "blue", scene, behavior="Blue?team=1", levels=(-1, 0, 1)) as bridge:
        assert bridge.spec.actions.branches == (3, 3)
        bridge.reset()
        bridge.step([[0, 2], [1, 1]])
    actions = replies(tmp_path / "blue")[2].unity_input.rl_input.agent_actions
    assert [list(action.continuous_actions) for action in actions["Blue?team=1"].value] == [[-1, 1], [0, 0]]
    assert [list(action.vector_actions_deprecated) for action in actions["Red?team=0"].value] == [[0, 0], [0, 0]]


def test_the_others_act_zero_also_while_ours_is_away(tmp_path: Path) -> None:
    brains = [brain("Blue", 3), brain("Red", 3)]
    scene = [report({"Red": [info(0)]}, brains), report({"Blue": [info(1)]}), report({"Red": [info(0)]})]
    with open_scene(tmp_path, scene, behavior="Red") as bridge:
        bridge.reset()
        assert len(bridge.step([[2]])) == 0
        assert bridge.step(NONE).step_type.tolist() == [MID]
    told = replies(tmp_path)[3].unity_input.rl_input.agent_actions
    assert [list(action.discrete_actions) for action in told["Blue"].value] == [[0]]


def test_each_seed_and_each_player_has_a_stream_of_its_own() -> None:
    with connect(EnvSpec("unity", "simulated/GridWorld", {"num_envs": 3, "timeout": 20.0})) as bridge:
        starts = [bridge.reset(seed).obs[2] for seed in (0, 1, 1)]  # the six cell numbers of each player
    np.testing.assert_array_equal(starts[1], starts[2])
    assert len({tuple(row) for row in np.concatenate(starts[:2])}) == 6


def test_one_name_in_two_teams_asks_for_the_team(tmp_path: Path) -> None:
    infos = {"Striker?team=0": [info(0)], "Striker?team=1": [info(1)]}
    with pytest.raises(UsageError, match=r"Striker\?team=0, Striker\?team=1"):
        open_scene(
            tmp_path, [report(infos, [brain("Striker?team=0", 3), brain("Striker?team=1", 3)])], behavior="Striker"
        )


def test_an_absent_behaviour_is_named(tmp_path: Path) -> None:
    scene = [report({"Red": [info(0)]}, [brain("Red", 3)]), *[report({"Red": [info(0)]})] * 5000]
    with pytest.raises(LaunchError, match=r"no agent of behaviour 'Green' asked .*; the build's behaviours: Red\."):
        open_scene(tmp_path, scene, behavior="Green", timeout=6.0)


def test_a_behaviour_described_before_its_first_agent_is_waited_for(tmp_path: Path) -> None:
    scene = [report({}), report({"Late": []}, [brain("Late", 3)]), report({"Late": []}), report({"Late": [info(0)]})]
    with open_scene(tmp_path, scene) as bridge:
        assert bridge.reset().step_type.tolist() == [FIRST]


@pytest.mark.parametrize(
    ("described", "first", "sentence"),
    [
        (brain("B", 3, continuous=2), info(0), r"'B' has hybrid actions \(2 continuous and 1 discrete\)"),
        (brain("B"), info(0), "'B' has no actions"),
        (
            brain("B", 3),
            info(0, ObservationProto(shape=[20, 4], name="Buffer", dimension_properties=[4, 1])),
            "sensor 'Buffer' of behaviour 'B' has a variable length",
        ),
    ],
    ids=["hybrid", "no actions", "variable length"],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(
    tmp_path: Path, described: object, first: object, sentence: str
) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        open_scene(tmp_path, [report({"B": [first]}, [described])])  # type: ignore[list-item]


def test_agents_join_leave_and_decide_at_their_own_times(tmp_path: Path) -> None:
    scene = [
        report({"B": [info(0), info(1)]}, [brain("B", 3)]),
        report({"B": [info(1, reward=0.5)]}),  # agent 0 does not decide here
        report({"B": [info(0, done=True, reward=1), info(1, done=True, interrupted=True, reward=2)]}),  # nobody does
        report({"B": []}),  # nothing at all
        report({"B": [info(2), info(0)]}),  # a newcomer, and an id that comes back
        report({"B": [info(0, done=True, reward=-1), info(2, reward=0.25), info(0)]}),
    ]
    with open_scene(tmp_path, scene) as bridge:
        rows = [bridge.reset(), bridge.step([[1], [2]]), bridge.step([[1]]), bridge.step(NONE), bridge.step(NONE)]
        rows.append(bridge.step([[2], [0]]))
    assert [steps.step_type.tolist() for steps in rows] == [
        [FIRST, FIRST],
        [MID],
        [LAST, LAST],
        [],
        [FIRST, FIRST],
        [LAST, MID, FIRST],
    ]
    assert [steps.episode.tolist() for steps in rows] == [[0, 1], [1], [0, 1], [], [2, 3], [3, 2, 4]]
    assert [steps.reward.tolist() for steps in rows] == [[0, 0], [0.5], [1, 2], [], [0, 0], [-1, 0.25, 0]]
    assert rows[2].discount.tolist() == [0, 1]
    told = [reply.unity_input.rl_input.agent_actions for reply in replies(tmp_path)[2:]]
    sent = [[list(action.discrete_actions) for action in actions["B"].value] for actions in told]
    assert sent[:5] == [[[1], [2]], [[1]], [], [], [[2], [0]]]


def test_a_reset_in_mid_run_ends_episodes_without_a_last_row_and_drops_what_it_pays(tmp_path: Path) -> None:
    scene = [
        report({"B": [info(0)]}, [brain("B", 3)]),
        report({"B": [info(0, reward=1)]}),
        report({"B": [info(0, done=True, reward=9), info(0, reward=-0.01)]}),
    ]
    with open_scene(tmp_path, scene) as bridge:
        assert bridge.reset().episode.tolist() == [0]
        bridge.send([[1]])  # the answer to this is fetched and forgotten by the reset
        steps = bridge.reset()
    assert (steps.episode.tolist(), steps.step_type.tolist(), steps.reward.tolist()) == ([1], [FIRST], [0])
    assert [reply.unity_input.rl_input.command for reply in replies(tmp_path)[1:4]] == [1, 0, 1]


def test_settings_reach_the_build_with_the_first_reset(tmp_path: Path) -> None:
    scene = [report({"B": [info(0)]}, [brain("B", 3)])]
    options = {"env_params": {"gridSize": 7}, "time_scale": 5.0, "width": 84, "height": 64, "quality_level": 1}
    with open_scene(tmp_path, scene, target_frame_rate=30, **options):
        pass
    hello, first = replies(tmp_path)[:2]
    assert hello.unity_input.rl_initialization_input.seed == 1941048836  # numpy's SeedSequence(0, spawn_key=(0, 0))
    channel = bytes(first.unity_input.rl_input.side_channel)
    assert b"gridSize" in channel
    assert np.float32(7).tobytes() in channel
    assert np.float32(5).tobytes() in channel
    assert np.array([0, 84, 64], "<i4").tobytes() in channel
    assert np.array([3, 30], "<i4").tobytes() in channel


def test_render_shows_the_first_camera_enlarged(tmp_path: Path) -> None:
    scene = [report({"B": [info(0, vector(1), picture(200)), info(1, vector(1), picture(0))]}, [brain("B", 3)])]
    with open_scene(tmp_path / "camera", scene) as bridge:
        assert bridge.spec.observations[1] == ObsSpec("Camera", "image", (3, 2, 2))
        bridge.reset()
        rendered = bridge.render()
        assert rendered.shape == (256, 256, 3)
        assert (rendered == 200).all()
        assert (bridge.render(1) == 0).all()
    with open_scene(tmp_path / "blind", [report({"B": [info(0)]}, [brain("B", 3)])]) as bridge:
        bridge.reset()
        with pytest.raises(UnsupportedError, match="no image to render"):
            bridge.render()


def test_numbers_that_are_not_finite_are_refused_and_a_reset_goes_on(tmp_path: Path) -> None:
    scene = [
        report({"B": [info(0)]}, [brain("B", 3)]),
        report({"B": [info(0, vector(np.nan))]}),
        report({"B": [info(0)]}),
    ]
    with open_scene(tmp_path, scene) as bridge:
        bridge.reset()
        with pytest.raises(DataError, match="observation 'numbers' of episode 0"):
            bridge.step([[0]])
        assert bridge.reset().episode.tolist() == [1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeout": 0}, "'timeout' is 0, expected seconds above 0"),
        ({"num_envs": 0}, "'num_envs' is 0, expected a whole number from 1"),
        ({"base_port": 70000}, "base_port is 70000; expected 1 to 65535"),
        ({"width": 84}, "width and height go together"),
        ({"env_args": "--areas 9"}, "expected a list"),
        ({"time_scal": 1}, "did you mean 'time_scale'"),
        ({"codec": "levels"}, "makes continuous actions"),
    ],
)
def test_bad_options_are_one_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        connect(EnvSpec("unity", "simulated/GridWorld", options))


def test_the_editor_is_waited_for_and_cannot_be_seeded_again(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="one Unity Editor: expected num_envs 1"):
        connect(EnvSpec("unity", "editor", {"num_envs": 2}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LaunchError, match=f"did not connect to port {port} .* press Play"):
        connect(EnvSpec("unity", "editor", {"base_port": port, "timeout": 0.2}))
    player = write_player(tmp_path, [report({"B": [info(0)]}, [brain("B", 3)])] * 3)
    with subprocess.Popen([sys.executable, str(player), "--mlagents-port", str(port)]) as play_mode:
        with connect(EnvSpec("unity", "editor", {"base_port": port, "timeout": 10.0})) as bridge:
            bridge.reset()
            with pytest.raises(UnsupportedError, match="cannot be seeded again"):
                bridge.reset(seed=1)
            assert len(bridge.reset()) == 1
        assert play_mode.wait(5) == 0
