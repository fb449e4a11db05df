"""What a build says of itself, also where it could not be trained."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto

from bridge import EnvSpec, LaunchError, UsageError, connect, find_build, inspect_build, is_port_free
from tests.bridge.unity.scripted import brain, info, report, vector, write_player


def spec(build: str | Path, *args: str, **options: object) -> EnvSpec:
    return EnvSpec("unity", str(build), {"timeout": 10.0, "env_args": args, **options})


def test_a_report_agrees_with_what_connect_gives() -> None:
    asked = spec("simulated/GridWorld", codec="offset")
    found = inspect_build(asked)
    assert found.chosen is not None
    assert (found.problem, found.chosen.problem, found.behaviors) == ("", "", (found.chosen,))
    assert (found.chosen.agents, found.chosen.branches, found.chosen.continuous) == (1, (5,), 0)
    with connect(asked) as bridge:
        assert found.chosen.name == bridge.spec.name
        assert (found.chosen.codec, found.chosen.agent_branches) == (bridge.codec.name, bridge.spec.actions.branches)
        described = [(item.name, item.kind, item.shape, item.is_goal) for item in bridge.spec.observations]
    assert [(item.name, item.kind, item.shape, item.is_goal) for item in found.chosen.sensors] == described


def test_agents_are_counted() -> None:
    (behavior,) = inspect_build(spec("simulated/GridWorld", "--areas", "7")).behaviors
    assert behavior.agents == 7


def test_all_behaviors_are_described_also_those_that_come_late(tmp_path: Path) -> None:
    hybrid = brain("Hybrid?team=1", 2, continuous=3)
    rows = {"Plain?team=0": [info(0), info(1)]}
    buffer = ObservationProto(shape=[4, 2], name="others", dimension_properties=[4, 1])
    both = {**rows, "Hybrid?team=1": [info(5, vector(1.0, name="speed"), buffer)]}
    scene = [report(rows, [brain("Plain?team=0", 3)])] * 5 + [report(both, [hybrid])] + [report(both)] * 30
    found = inspect_build(spec(write_player(tmp_path, scene)))
    second, first = found.behaviors
    assert (first.name, first.agents, first.problem) == ("Plain", 2, "")
    assert (second.name, second.continuous, second.branches) == ("Hybrid", 3, (2,))
    assert "hybrid actions" in second.problem
    assert [(sensor.name, sensor.kind) for sensor in second.sensors] == [("speed", "vector"), ("others", None)]
    assert "variable length" in second.sensors[1].problem
    assert found.chosen is None
    assert "say which" in found.problem


@pytest.mark.parametrize("name", ["Plain", "Plain?team=0"])
def test_the_behavior_that_is_asked_for_is_chosen(name: str, tmp_path: Path) -> None:
    rows = {"Plain?team=0": [info(0)], "Other?team=0": [info(1)]}
    brains = [brain(item, 3) for item in rows]
    found = inspect_build(spec(write_player(tmp_path, [report(rows, brains)] * 40), behavior=name))
    assert found.chosen is not None
    assert found.chosen.name == "Plain"


def test_a_behavior_without_agents_has_no_sensors(tmp_path: Path) -> None:
    scene = [report({"Ready": [info(0)]}, [brain("Ready", 2), brain("Idle", 2)])] * 40
    found = inspect_build(spec(write_player(tmp_path, scene), behavior="Idle"))
    assert found.chosen is not None
    assert (found.chosen.agents, found.chosen.sensors) == (0, ())
    assert "no agent of behaviour 'Idle'" in found.chosen.problem


def test_a_build_that_ends_after_it_was_described_is_described(tmp_path: Path) -> None:
    found = inspect_build(spec(write_player(tmp_path, [report({"B": [info(0)]}, [brain("B", 3)])] * 3)))
    assert found.chosen is not None


def test_no_behavior_is_no_error_but_has_causes() -> None:
    found = inspect_build(spec("simulated/GridWorld", "--fail", "no-behavior", timeout=6.0))
    assert (found.behaviors, found.chosen, found.problem) == ((), None, "")
    assert any("Decision Requester" in cause for cause in found.causes)


@pytest.mark.parametrize("fault", ["exit-before-connect:3", "exit-after-hello:3", "hang-at-reset", "api-version:9.0"])
def test_a_build_that_cannot_be_described_is_an_error(fault: str) -> None:
    with pytest.raises(LaunchError):
        inspect_build(spec("simulated/GridWorld", "--fail", fault, timeout=6.0))


def test_the_file_is_found_without_starting_it() -> None:
    found = find_build(spec("simulated/GridWorld"))
    assert found.name.endswith("GridWorld.x86_64")
    assert (found.simulated, found.is_editor) == (True, False)
    assert find_build(spec("editor")).is_editor
    with pytest.raises(UsageError, match="no build"):
        find_build(spec("Nowhere"))


def test_ports() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        assert not is_port_free(port)
    assert is_port_free(port)
    assert is_port_free(port), "it was given back"
