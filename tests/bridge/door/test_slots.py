"""Scenes whose agents decide at different times, join and leave, played by a scripted player."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bridge import (
    BehaviorSpec,
    Bridge,
    CodecSettings,
    ConnectionLostError,
    EnvSpec,
    ObsSpec,
    SequenceError,
    Steps,
    StepType,
    UnsupportedError,
)
from bridge.actions import NativeActions, make_codec
from bridge.door import BridgeEnv, BridgeVectorEnv
from bridge.door.slots import PATIENCE
from bridge.types import Int32Array
from tests.bridge.door.specs import gridworld
from tests.bridge.unity.scripted import brain, info, replies, report, vector, write_player


def scene(folder: Path, *exchanges: list[Any]) -> EnvSpec:
    """A player whose agents (`info`) say these things, exchange by exchange."""
    first, *others = exchanges
    messages = [report({"B": first}, [brain("B", 3)]), *[report({"B": infos}) for infos in others]]
    return EnvSpec("unity", str(write_player(folder, messages)), {"timeout": 10.0})


def seen(value: float) -> Any:
    return vector(value)


def told(folder: Path) -> list[list[int]]:
    """The actions that the player got in each exchange, the first ones after its first report."""
    answers = [reply.unity_input.rl_input.agent_actions for reply in replies(folder)[2:]]
    return [[action.discrete_actions[0] for action in answer["B"].value] if "B" in answer else [] for answer in answers]


def test_an_end_between_decisions_arrives_with_the_next_ones(tmp_path: Path) -> None:
    spec = scene(
        tmp_path,
        [info(0, seen(1)), info(1, seen(2))],
        [info(0, seen(3), done=True, reward=1)],  # nobody decides
        [],
        [info(1, seen(4), done=True, interrupted=True, reward=2)],
        [info(1, seen(5)), info(0, seen(6))],
    )
    envs = BridgeVectorEnv(spec, observations="numbers")
    obs, _ = envs.reset()
    assert obs.tolist() == [[1], [2]]
    obs, rewards, terminated, truncated, infos = envs.step([1, 2])
    assert [values.tolist() for values in infos["final_obs"]] == [[3], [4]]
    assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == ([1, 2], [True, False], [False, True])
    assert obs.tolist() == [[5], [6]]  # both were free: a slot is a place for an agent, not its identity
    assert "waiting" not in infos
    envs.close()
    assert told(tmp_path)[:4] == [[1, 2], [], [], []]


def test_who_decides_alone_is_refused_without_hold(tmp_path: Path) -> None:
    spec = scene(tmp_path, [info(0), info(1)], [info(1)])
    envs = BridgeVectorEnv(spec)
    envs.reset()
    with pytest.raises(UnsupportedError, match=r"1 agents of 'B' decide while 1 slots wait, .* in each of 2: .*hold"):
        envs.step([0, 0])
    with pytest.raises(SequenceError, match=r"call reset\(\) first"):
        envs.step([0, 0])
    envs.close()


def test_with_hold_a_slot_waits_and_its_action_is_ignored(tmp_path: Path) -> None:
    spec = scene(
        tmp_path,
        [info(0, seen(1)), info(1, seen(2))],
        [info(1, seen(3), reward=0.5, mask=[True, False, False])],  # agent 0 does not decide
        [info(0, seen(4), reward=7), info(1, seen(5), reward=0.25)],
    )
    envs = BridgeVectorEnv(spec, observations="numbers", hold=True)
    envs.reset()[0][:] = 99  # the caller may do with it what it likes
    obs, rewards, terminated, truncated, infos = envs.step([1, 2])
    assert obs.tolist() == [[1], [3]]
    assert rewards.tolist() == [0, 0.5]
    assert not (terminated | truncated).any()
    assert infos["waiting"].tolist() == [True, False]
    assert infos["action_mask"].tolist() == [[1, 1, 1], [0, 1, 1]]
    obs, rewards, _, _, infos = envs.step([0, 1])
    assert obs.tolist() == [[4], [5]]
    assert rewards.tolist() == [7, 0.25]
    assert "waiting" not in infos
    assert "action_replaced" not in infos
    envs.close()
    assert told(tmp_path)[:2] == [[1, 2], [1]]


def test_with_hold_agents_leave_and_others_take_their_slots(tmp_path: Path) -> None:
    spec = scene(
        tmp_path,
        [info(0, seen(1))],  # two slots, one agent
        [info(0, seen(2)), info(5, seen(3))],  # the other joins
        [info(0, seen(4), done=True, reward=-1), info(5, seen(5))],  # one leaves
        [
            info(5, seen(6), done=True, reward=1),
            info(5, seen(7)),
        ],  # the other starts anew: its own slot, not the free one
        [info(8, seen(8)), info(5, seen(9), reward=2)],  # a newcomer
    )
    envs = BridgeVectorEnv(spec, agents=2, observations="numbers", hold=True)
    obs, infos = envs.reset()
    assert obs.tolist() == [[1], [0]]
    assert infos["waiting"].tolist() == [False, True]
    obs, _, _, _, infos = envs.step([0, 0])
    assert obs.tolist() == [[2], [3]]
    assert "waiting" not in infos
    obs, rewards, terminated, _, infos = envs.step([0, 1])
    assert obs.tolist() == [[4], [5]]  # nobody follows: the last observation stays
    assert (rewards.tolist(), terminated.tolist()) == ([-1, 0], [True, False])
    assert infos["final_obs"][0].tolist() == [4]
    assert infos["waiting"].tolist() == [True, False]
    obs, rewards, terminated, _, infos = envs.step([2, 2])
    assert obs.tolist() == [[4], [7]]
    assert (rewards.tolist(), terminated.tolist()) == ([0, 1], [False, True])
    assert infos["final_obs"][1].tolist() == [6]
    obs, rewards, terminated, _, infos = envs.step([2, 1])
    assert obs.tolist() == [[8], [9]]
    assert (rewards.tolist(), terminated.any(), "waiting" in infos) == ([0, 2], False, False)
    envs.close()
    assert told(tmp_path)[:4] == [[0], [0, 1], [2], [1]]


def test_an_agent_too_many_is_refused(tmp_path: Path) -> None:
    envs = BridgeVectorEnv(scene(tmp_path / "joins", [info(0)], [info(0), info(1)]))
    envs.reset()
    with pytest.raises(
        UnsupportedError, match=r"joined while all 1 slots were taken, .*: open BridgeVectorEnv with more"
    ):
        envs.step([0])
    envs.close()
    env = BridgeEnv(scene(tmp_path / "two", [info(0), info(1)]))
    with pytest.raises(UnsupportedError, match="open BridgeVectorEnv with more, agents=N"):
        env.reset()
    env.close()


def test_a_single_agent_ends_at_once_and_the_wait_is_in_reset(tmp_path: Path) -> None:
    spec = scene(
        tmp_path,
        [info(0, seen(1))],
        [],
        [info(0, seen(2), done=True, reward=3)],
        [],
        [info(0, seen(4), reward=9)],
        [info(0, seen(5), done=True, interrupted=True, reward=2), info(0, seen(6))],
    )
    env = BridgeEnv(spec, observations="numbers")
    assert env.reset()[0].tolist() == [1]
    obs, reward, terminated, truncated, _ = env.step(1)
    assert (obs.tolist(), reward, terminated, truncated) == ([2], 3.0, True, False)
    with pytest.raises(SequenceError, match="after the end of an episode"):
        env.step(1)
    assert env.reset()[0].tolist() == [4]
    obs, reward, terminated, truncated, _ = env.step(2)
    assert (obs.tolist(), reward, terminated, truncated) == ([5], 2.0, False, True)
    assert env.reset()[0].tolist() == [6]  # it has begun already
    env.close()
    assert told(tmp_path)[:4] == [[1], [], [], []]


def test_a_scene_without_decisions_is_not_waited_for_without_limit(tmp_path: Path) -> None:
    silence = [[]] * (PATIENCE + 1)
    envs = BridgeVectorEnv(scene(tmp_path / "hangs", [info(0)], *silence))
    envs.reset()
    with pytest.raises(ConnectionLostError, match=f"no agent of 'B' decided in {PATIENCE} exchanges"):
        envs.step([0])
    envs.close()
    ends = [[info(0, seen(2), done=True, reward=1)], *silence]
    envs = BridgeVectorEnv(scene(tmp_path / "ends", [info(0)], *ends), hold=True)
    envs.reset()
    _, rewards, terminated, _, infos = envs.step([0])  # the end is not lost over the silence
    assert (rewards.tolist(), terminated.tolist(), infos["waiting"].tolist()) == ([1], [True], [True])
    envs.close()


def test_the_rows_of_a_refused_scene_are_never_mixed(tmp_path: Path) -> None:
    """Two agents report in another order each time; each slot follows its own."""
    exchanges = [[info(0, seen(10)), info(1, seen(20))]]
    exchanges += [[info(1, seen(20 + t), reward=2), info(0, seen(10 + t), reward=1)] for t in (1, 2)]
    exchanges += [[info(0, seen(13), reward=1), info(1, seen(23), reward=2)]]
    envs = BridgeVectorEnv(scene(tmp_path, *exchanges), observations="numbers")
    envs.reset()
    for t, actions in enumerate([[0, 1], [1, 2], [0, 2]], start=1):
        obs, rewards, *_ = envs.step(np.array(actions))
        assert obs.tolist() == [[10 + t], [20 + t]]
        assert rewards.tolist() == [1, 2]
    envs.close()
    assert told(tmp_path)[:3] == [[0, 1], [2, 1], [2, 0]]


def kill_a_player() -> None:
    """One of them, without a word."""
    player = psutil.Process().children()[0]
    player.kill()
    player.wait()


def test_a_lost_episode_is_truncated_where_it_was_last_seen() -> None:
    envs = BridgeVectorEnv(gridworld(num_envs=2, max_restarts=3), observations="VectorSensor_size6", hold=True)
    before, _ = envs.reset()
    kill_a_player()
    _, rewards, terminated, truncated, infos = envs.step([0, 0])
    (lost,), (other,) = np.flatnonzero(truncated), np.flatnonzero(~truncated)
    assert not terminated.any()
    assert (rewards[lost], rewards[other]) == (0.0, pytest.approx(-0.01))
    np.testing.assert_array_equal(infos["final_obs"][lost], before[lost])
    assert infos["final_info"]["lost"][lost]
    assert "_lost" not in infos
    while "waiting" in infos:  # the other one goes on meanwhile
        assert infos["waiting"][lost]
        _, rewards, _, truncated, infos = envs.step([0, 0])
        assert rewards[lost] == 0.0
        assert not truncated[lost]
    assert len(envs.bridge.ledger) == 1
    _, rewards, *_ = envs.step([0, 0])
    assert rewards[lost] == pytest.approx(-0.01)
    envs.close()


def test_a_lost_episode_of_a_single_agent_is_followed_by_a_reset() -> None:
    env = BridgeEnv(gridworld(max_restarts=3), observations="VectorSensor_size6")
    before, _ = env.reset()
    kill_a_player()
    obs, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated, info["lost"]) == (0.0, False, True, True)
    np.testing.assert_array_equal(obs, before)
    env.reset()
    assert env.step(0)[1] == pytest.approx(-0.01)
    env.close()


class Rows(Bridge):
    """Hands out rows that a test wrote down: (episode, kind, worker), one list per exchange."""

    def __init__(self, *exchanges: list[tuple[int, StepType, int]]) -> None:
        codec = make_codec(NativeActions(branches=(3,)), CodecSettings())
        spec = BehaviorSpec("rows", (ObsSpec("episode", "vector", (1,)),), codec.spec)
        super().__init__(EnvSpec("rows", "rows"), spec, codec)
        self._exchanges = iter(exchanges)

    def _next(self) -> Steps:
        episodes, kinds, workers = (np.array(column) for column in zip(*next(self._exchanges), strict=True))
        count = len(episodes)
        return Steps(
            episode=episodes.astype(np.int64),
            step_type=kinds.astype(np.uint8),
            obs=(episodes.astype(np.float32)[:, None],),
            reward=np.zeros(count, np.float32),
            discount=np.ones(count, np.float32),
            mask=self.codec.all_allowed(count),
            worker=workers.astype(np.int32),
            incarnation=np.zeros(count, np.int32),
        )

    def _reset(self, seed: int | None) -> Steps:
        return self._next()

    def _send(self, actions: Int32Array) -> None:
        pass

    def _receive(self) -> Steps:
        return self._next()

    def _close(self) -> None:
        pass


def test_a_new_episode_prefers_a_slot_of_its_own_player() -> None:
    first, last = StepType.FIRST, StepType.LAST
    rows = Rows(
        [(0, first, 0), (1, first, 0), (2, first, 1)],
        [(0, last, 0), (2, last, 1), (4, first, 1), (5, first, 0), (1, StepType.MID, 0)],
    )
    envs = BridgeVectorEnv(rows, observations="episode")
    envs.reset()
    obs, *_ = envs.step([0, 0, 0])
    assert obs.ravel().tolist() == [5, 1, 4]
    envs.close()
