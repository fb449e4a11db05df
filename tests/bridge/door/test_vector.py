"""All agents of a bridge as a gymnasium vector."""

from __future__ import annotations

from collections import Counter

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from bridge import ActionError, EnvSpec, SequenceError, UsageError
from bridge.door import BridgeVectorEnv
from bridge.types import seed_stream
from tests.bridge.door.recording import Episode, Recorder, Slot
from tests.bridge.door.specs import gridworld, own


@pytest.mark.parametrize(
    ("target", "steps"),
    [("CartPole-v1", 300), ("tests.environments:Limited-v0", 20), ("tests.environments:Counter-v0", 20)],
)
def test_the_same_as_gymnasiums_own_vector(target: str, steps: int) -> None:
    ours = BridgeVectorEnv(EnvSpec("gym", target, {"num_envs": 3}), observations="observation")
    makers = [lambda: gymnasium.make(target) for _ in range(3)]
    theirs = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    assert ours.action_space == theirs.action_space
    assert (ours.num_envs, ours.observation_space.shape) == (theirs.num_envs, theirs.observation_space.shape)
    obs, _ = ours.reset(seed=5)
    expected, _ = theirs.reset(seed=[seed_stream(5, 0, 0, index) for index in range(3)])
    np.testing.assert_array_equal(obs, np.float32(expected))
    theirs.action_space.seed(0)
    ends: Counter[str] = Counter()
    for _ in range(steps):
        actions = theirs.action_space.sample()
        *ours_now, infos = ours.step(actions)
        *theirs_now, expected_infos = theirs.step(actions)
        for one, other in zip(ours_now, theirs_now, strict=True):
            assert one.shape == other.shape
            np.testing.assert_array_equal(one, np.float32(other))
        assert [values.dtype for values in ours_now[1:]] == [values.dtype for values in theirs_now[1:]]
        assert ("final_obs" in infos) == ("final_obs" in expected_infos)
        if "final_obs" in infos:
            np.testing.assert_array_equal(infos["_final_obs"], expected_infos["_final_obs"])
            for one, other in zip(infos["final_obs"], expected_infos["final_obs"], strict=True):
                np.testing.assert_array_equal(one, other if other is None else np.float32(other))
        ends.update(terminated=int(ours_now[2].sum()), truncated=int(ours_now[3].sum()))
    assert ends["truncated" if "Limited" in target else "terminated"] > 5
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("spec", "steps"),
    [
        (gridworld(seed=1), 250),
        (gridworld("--areas", "9", seed=1), 120),
        (gridworld("--areas", "2", seed=1, num_envs=2), 120),
        (own("Counter", num_envs=3, env_kwargs={"length": 0}), 100),
    ],
    ids=["one area", "nine areas", "two players of two areas", "gymnasium"],
)
def test_every_row_of_the_bridge_comes_through_once(spec: EnvSpec, steps: int) -> None:
    recorder = Recorder(spec)
    envs = BridgeVectorEnv(recorder)
    obs, infos = envs.reset()
    slots = [Slot({name: values[slot] for name, values in obs.items()}) for slot in range(envs.num_envs)]
    envs.action_space.seed(0)
    for _ in range(steps):
        actions = envs.action_space.sample(tuple(infos["action_mask"]))
        obs, rewards, terminated, truncated, infos = envs.step(actions)
        for slot, gathered in enumerate(slots):
            now = {name: values[slot] for name, values in obs.items()}
            end = "terminated" if terminated[slot] else "truncated" if truncated[slot] else ""
            gathered.add(now, float(rewards[slot]), end, infos["final_obs"][slot] if end else None)
    envs.close()
    through: Counter[Episode] = Counter()
    for gathered in slots:
        through.update(gathered.episodes())
        assert len(gathered.finished) > 1, "each agent was to end some episodes"
    assert through == recorder.episodes()


def test_agents_that_start_anew_at_once_keep_their_slots() -> None:
    with_areas = Recorder(gridworld("--areas", "9"))
    envs = BridgeVectorEnv(with_areas, observations=("VectorSensor_size6",))
    envs.reset()
    for _ in range(60):
        obs, *_ = envs.step(envs.action_space.sample())
        np.testing.assert_array_equal(obs["VectorSensor_size6"], with_areas.record[-1].deciding.obs[2])
    envs.close()


def test_spaces_and_the_choice_of_sensors() -> None:
    envs = BridgeVectorEnv(gridworld("--areas", "2"), observations=("VectorlSensor", "RenderTextureSensor"))
    assert envs.num_envs == 2
    assert envs.single_observation_space == Dict(
        {
            "VectorlSensor": Box(-np.inf, np.inf, (2,), np.float32),
            "RenderTextureSensor": Box(0, 255, (3, 64, 84), np.uint8),
        }
    )
    assert envs.single_action_space == Discrete(5)
    assert envs.action_space == MultiDiscrete([5, 5])
    obs, infos = envs.reset(seed=3)
    assert obs in envs.observation_space
    assert envs.step(np.array([0, 0]))[0] in envs.observation_space
    picture = infos["action_mask"]
    assert picture.dtype == np.int8
    envs.close()


def test_several_branches_and_their_masks() -> None:
    envs = BridgeVectorEnv(own("MaskedBranches", num_envs=2))
    assert envs.single_action_space == MultiDiscrete([3, 2, 4])
    _, infos = envs.reset()
    mask = [1, 0, 0, 1, 1, 1, 1, 1, 0]
    assert infos["action_mask"].tolist() == [mask, mask]
    assert envs.action_masks().dtype == np.bool_
    assert envs.action_masks().astype(int).tolist() == [mask, mask]
    obs, *_, infos = envs.step(np.array([[0, 1, 2], [2, 1, 3]]))  # branches start at 0, 10 and 100
    assert obs["observation"][:, 3].tolist() == [0 + 11 + 102, 0 + 11 + 100]
    assert infos["action_replaced"].tolist() == [False, True]
    envs.close()


def test_a_masked_action_is_replaced_or_refused() -> None:
    spec = own("Masked", num_envs=2, env_kwargs={"length": 3})  # step t forbids action t % 3
    lenient, strict = BridgeVectorEnv(spec), BridgeVectorEnv(spec, replace_masked=False)
    for envs in (lenient, strict):
        envs.reset()
    with pytest.raises(ActionError, match="action 0 of row 1 is masked"):
        strict.step([1, 0])
    strict.step([1, 2])  # a refused action has changed nothing
    obs, *_, infos = lenient.step([1, 0])
    assert obs["observation"][:, 3].tolist() == [1, 1]
    assert infos["_action_replaced"].tolist() == [False, True]
    *_, infos = lenient.step([0, 0])
    assert "action_replaced" not in infos
    *_, infos = lenient.step([2, 1])  # the last action of the episode: it belongs to the end
    assert "action_replaced" not in infos
    assert infos["final_info"]["_action_replaced"].tolist() == [True, False]
    assert infos["final_info"]["action_mask"].all()
    lenient.close()
    strict.close()


def test_metrics_are_infos() -> None:
    envs = BridgeVectorEnv(own("Succeeds", num_envs=2, metrics=["height"], env_kwargs={"length": 2}))
    envs.reset()
    *_, infos = envs.step([0, 0])
    assert infos["height"].tolist() == [0.5, 0.5]
    assert "success" not in infos
    *_, infos = envs.step([0, 0])
    assert infos["final_info"]["success"].tolist() == [1.0, 1.0]
    assert infos["height"].tolist() == [0.0, 0.0]  # of the next episode
    envs.close()


def test_a_seeded_reset_repeats() -> None:
    envs = BridgeVectorEnv(gridworld("--areas", "4"))
    records = []
    for seed in (7, 8, 7):
        obs, _ = envs.reset(seed=seed)
        envs.action_space.seed(0)
        record = [obs["VectorSensor_size6"]]
        record += [envs.step(envs.action_space.sample())[0]["VectorSensor_size6"] for _ in range(30)]
        records.append(np.stack(record))
    envs.close()
    np.testing.assert_array_equal(records[0], records[2])
    assert (records[0] != records[1]).any()


def players() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_one_launch_serves_the_count_and_the_first_reset_and_close_leaves_no_process() -> None:
    before = players()
    envs = BridgeVectorEnv(gridworld("--areas", "3", seed=4))
    launched = players() - before
    assert launched
    first, _ = envs.reset(seed=4)
    assert players() - before == launched
    second, _ = envs.reset(seed=4)
    assert not launched & players()
    np.testing.assert_array_equal(first["VectorSensor_size6"], second["VectorSensor_size6"])
    envs.close()
    envs.close()
    assert players() == before
    with pytest.raises(UsageError, match="'Camera' was chosen of 'GridWorld'"):
        BridgeVectorEnv(gridworld(), observations=["Camera"])
    assert players() == before


def test_an_open_bridge_is_taken_over() -> None:
    recorder = Recorder(EnvSpec("gym", "CartPole-v1", seed=3))
    recorder.reset(seed=9)
    envs = BridgeVectorEnv(recorder)
    obs, _ = envs.reset(seed=3)  # not the state in which the bridge happened to be
    envs.close()
    fresh = BridgeVectorEnv(EnvSpec("gym", "CartPole-v1", seed=3))
    np.testing.assert_array_equal(obs["observation"], fresh.reset()[0]["observation"])
    fresh.close()
    with pytest.raises(SequenceError):
        recorder.reset()


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    spec = own("Counter", num_envs=2)
    for arguments, sentence in (
        ({"agents": 0}, "agents is 0, expected a number from 1"),
        ({"observations": []}, "no observation at all was chosen"),
        ({"render_mode": "human"}, "render_mode is 'human', expected 'rgb_array'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            BridgeVectorEnv(spec, **arguments)
    envs = BridgeVectorEnv(spec)
    for call in (lambda: envs.step([0, 0]), envs.action_masks):
        with pytest.raises((SequenceError, UsageError), match=r"call reset\(\) first"):
            call()
    with pytest.raises(UsageError, match=r"options \['reset_mask'\], expected none"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(UsageError, match="render_mode='rgb_array'"):
        envs.render()
    envs.reset()
    for actions in ([0], [[0, 0]], [0.0, 1.0], [[0, 0], [0, 0]], None):
        with pytest.raises(ActionError, match=r"expected integers of shape \(2, 1\)"):
            envs.step(actions)
    with pytest.raises(ActionError, match="outside branch 0"):
        envs.step([0, 3])
    obs, *_ = envs.step([2, 1])  # still usable
    assert obs["observation"][:, 3].tolist() == [2, 1]
    envs.close()


def test_gymnasiums_wrappers_fit() -> None:
    envs = BridgeVectorEnv(own("Counter", num_envs=2, env_kwargs={"length": 4}))
    counted = RecordEpisodeStatistics(envs)
    counted.reset()
    for _ in range(4):
        *_, infos = counted.step(np.array([0, 0]))
    assert infos["episode"]["l"].tolist() == [4, 4]
    assert infos["episode"]["r"].tolist() == [1 + 2 + 3 + 4] * 2
    counted.close()


def test_a_picture() -> None:
    envs = BridgeVectorEnv(own("Counter", num_envs=2, render=True), render_mode="rgb_array")
    envs.reset()
    envs.step([0, 0])
    (picture,) = envs.render()
    assert (picture == 1).all()
    envs.close()
