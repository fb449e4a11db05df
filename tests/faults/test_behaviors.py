"""Other versions of the protocol, and behaviours that never come, come late, or have no agents for a long time."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from agents.learning.loop import Exchanged, collect_and_learn
from bridge import EnvSpec, connect
from bridge.errors import LaunchError
from bridge.types import StepType
from bridge.unity.bridge import IDLE_EXCHANGES, IDLE_SECONDS
from tests.agents.scripted import small_agent
from tests.bridge.unity.scripted import brain, info, replies, report, write_player
from tests.faults.counts import counts
from tests.faults.play import play_stamped, simulated, stamped
from tests.players.stamps import Checker


def connected_at(log: Path) -> float:
    """When a simulated build connected, by its own log, in seconds of `time.time`."""
    found = re.search(r"^(\S+ \S+) INFO Connected to port", log.read_text(), re.MULTILINE)
    assert found is not None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()


@pytest.mark.parametrize("version", ["2.0.0", "0.13.0", "nonsense"])
def test_another_version_is_told_within_a_second_with_both(tmp_path: Path, version: str) -> None:
    with pytest.raises(LaunchError, match=rf"speaks version {version} .*expected 1\.5\.0 \(mlagents-envs "):
        connect(simulated(f"api-version:{version}", log_folder=str(tmp_path)))
    assert time.time() - connected_at(tmp_path / "Player-0-0.log") < 1


def test_waiting_for_a_connection_costs_little() -> None:
    began, cpu = time.monotonic(), time.process_time()
    with pytest.raises(LaunchError):
        connect(simulated("never-connect", timeout=2.0))
    assert time.process_time() - cpu < 0.3 * (time.monotonic() - began)


def test_waiting_for_a_behavior_is_no_busy_loop(tmp_path: Path) -> None:
    """Neither here nor in the player, which would step its empty scene as fast as it can."""
    seconds = 2.0
    player = write_player(tmp_path, [report({})] * 5000)
    with pytest.raises(LaunchError, match="no agent of any behaviour asked for a decision"):
        connect(EnvSpec("unity", str(player), {"timeout": seconds}))
    assert IDLE_EXCHANGES < len(replies(tmp_path)) < 2 * (IDLE_EXCHANGES + seconds / IDLE_SECONDS)


@pytest.mark.parametrize("messages", [1, 50, 300])
def test_a_behavior_that_appears_later_is_waited_for(messages: int) -> None:
    checker = Checker()
    with connect(stamped(f"late-behavior:{messages}")) as bridge:
        play_stamped(bridge, checker, 20)
    checker.verify()
    assert checker.transitions > 20


def test_a_behavior_that_appears_in_mid_run_acts_zero(tmp_path: Path) -> None:
    red, blue = brain("Red", 3), brain("Blue", 2, continuous=1)
    scene = [
        report({"Red": [info(0)]}, [red]),
        report({"Red": [info(0)], "Blue": []}),
        report({"Red": [info(0)], "Blue": [info(1), info(2)]}, [blue]),
        report({"Red": [info(0)]}),
    ]
    with connect(EnvSpec("unity", str(write_player(tmp_path, scene)), {"timeout": 10.0})) as bridge:
        bridge.reset()
        for _ in range(3):
            assert bridge.step([[2]]).step_type.tolist() == [StepType.MID]
    told = [dict(reply.unity_input.rl_input.agent_actions) for reply in replies(tmp_path)[2:5]]
    assert [sorted(actions) for actions in told] == [["Red"], ["Red"], ["Blue", "Red"]]
    assert [list(action.discrete_actions) for action in told[2]["Blue"].value] == [[0], [0]]


@counts(1, 10)
def test_a_behavior_without_agents_for_a_thousand_steps_is_no_end(count: int) -> None:
    for number in range(count):
        checker = Checker()
        with connect(stamped(f"no-agents-after-steps:{4 + number}:1000")) as bridge:
            play_stamped(bridge, checker, 1050)
        checker.verify()
        assert checker.decisions > 40


def test_an_agent_trains_over_a_thousand_steps_without_agents() -> None:
    with connect(stamped("no-agents-after-steps:10:1000")) as bridge:
        agent = small_agent(bridge.spec)
        exchanges = 0
        for event in collect_and_learn(bridge, agent):
            exchanges += isinstance(event, Exchanged)
            if exchanges == 1050:
                break
    assert agent.steps > 50
    assert len(agent.replay) > 40
