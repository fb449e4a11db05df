"""The gymnasium backend."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from importlib.metadata import version
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium import spaces

from bridge import Bridge, DataError, EnvSpec, ResumeError, Steps, StepType, UnsupportedError, UsageError, connect
from bridge.contract import BridgeContract, assert_same_record, choose, play
from bridge.gymnasium import SUCCESS_KEYS, GymnasiumBridge
from bridge.types import first_episode_id, seed_stream

OWN = "tests.environments:"
needs_mujoco_2 = pytest.mark.skipif(not version("mujoco").startswith("2."), reason="Pusher-v4 needs mujoco 2")


def own(name: str, seed: int = 0, **options: Any) -> EnvSpec:
    return EnvSpec("gym", f"{OWN}{name}-v0", options, seed)


class TestCartPole(BridgeContract):
    env_spec = EnvSpec("gym", "CartPole-v1", seed=3)


class TestThreeCartPoles(BridgeContract):
    env_spec = EnvSpec("gym", "CartPole-v1", {"num_envs": 3})


@needs_mujoco_2
class TestPusher(BridgeContract):
    env_spec = EnvSpec("gym", "Pusher-v4", {"codec": "one_joint"})


class TestTwoNewPushersByLevels(BridgeContract):
    env_spec = EnvSpec("gym", "Pusher-v5", {"num_envs": 2, "levels": [-1, 0, 1], "frame_stack": 2})


class TestImages(BridgeContract):
    env_spec = own("Noise", num_envs=3)


class TestStackedImages(BridgeContract):
    env_spec = own("Noise", env_kwargs={"shape": (84, 84)}, frame_stack=4)


class TestManyBranches(BridgeContract):
    env_spec = own("ManyBranches", num_envs=2)


class TestMasked(BridgeContract):
    env_spec = own("Masked", num_envs=3, render=True, env_kwargs={"length": 0})


class TestMaskedBranches(BridgeContract):
    env_spec = own("MaskedBranches")


class TestMetrics(BridgeContract):
    env_spec = own("Succeeds", num_envs=3, metrics=["height"], env_kwargs={"length": 0})


class TestParts(BridgeContract):
    env_spec = own("Parts")


class TestFrozenLake(BridgeContract):
    env_spec = EnvSpec("gym", "FrozenLake-v1")


# Rows: nothing lost, nothing twice, ends told apart


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["Counter", "ReusedBuffer"])
def test_every_observation_arrives_exactly_once(name: str, count: int) -> None:
    # A buffer that several environments share would be their fault, so one environment only.
    count = 1 if name == "ReusedBuffer" else count
    with connect(own(name, num_envs=count, env_kwargs={"length": 0})) as bridge:
        rows = [row for steps in play(bridge, 60) for row in one_by_one(steps)]
    made = Counter(int(row.obs[0][0, 0]) for row in rows)
    if count == 1:
        assert list(made) == list(range(len(rows)))
    episodes: dict[int, list[Steps]] = {}
    for row in rows:
        episodes.setdefault(int(row.episode[0]), []).append(row)
    lengths = set()
    for episode in episodes.values():
        numbers = [int(row.obs[0][0, 0]) for row in episode]
        assert numbers == list(range(numbers[0], numbers[0] + len(episode)))
        assert [int(row.obs[0][0, 2]) for row in episode] == list(range(len(episode)))  # the steps in the episode
        assert [float(row.reward[0]) for row in episode] == [0.0, *map(float, numbers[1:])]
        lengths.add(len(episode))
    assert len(lengths) > 3, "environments were to end at different times"


def test_actions_reach_their_environment() -> None:
    with connect(own("Counter", num_envs=3, env_kwargs={"length": 0})) as bridge:
        rng = np.random.default_rng(0)
        steps = bridge.reset()
        for _ in range(50):
            actions = choose(bridge, steps, rng)
            sent = dict(zip(steps.deciding.episode.tolist(), actions[:, 0].tolist(), strict=True))
            steps = bridge.step(actions)
            for row in one_by_one(steps):
                expected = 0 if row.step_type[0] == StepType.FIRST else sent[int(row.episode[0])]
                assert row.obs[0][0, 3] == expected


def test_a_snapshot_that_cannot_be_played_again_is_refused_and_nothing_has_changed() -> None:
    with connect(EnvSpec("gym", "CartPole-v1"), incarnation=1) as bridge:
        first = bridge.reset()
        snapshot = bridge.snapshot()
    assert snapshot is not None
    snapshot["logs"][0]["actions"] = [[99]]
    with connect(EnvSpec("gym", "CartPole-v1"), incarnation=1) as bridge:
        with pytest.raises(ResumeError, match=r"played again .* fails with IndexError"):
            bridge.resume(snapshot)
        assert_same_record([first], [bridge.reset()])


def test_a_snapshot_stays_what_it_was() -> None:
    with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
        steps = first = bridge.reset()
        snapshot = bridge.snapshot()
        assert snapshot is not None
        while steps.episode[0] == first.episode[0]:
            steps = bridge.step(choose(bridge, steps, np.random.default_rng(0))).deciding
    with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
        assert bridge.resume(snapshot).episode.tolist() == first.episode.tolist()


@pytest.mark.parametrize(("ends", "discount"), [("terminated", 0.0), ("truncated", 1.0), ("both", 0.0)])
def test_termination_and_truncation(ends: str, discount: float) -> None:
    with connect(own("Counter", env_kwargs={"length": 2, "ends": ends})) as bridge:
        _, middle, end = play(bridge, 2)
    assert middle.discount.tolist() == [1.0]
    assert end.step_type.tolist() == [StepType.LAST, StepType.FIRST]
    assert end.discount.tolist() == [discount, 1.0]
    assert end.obs[0][:, 2].tolist() == [2.0, 0.0]  # the true final observation, then the new one


def test_the_time_limit_truncates_and_is_reported() -> None:
    with connect(own("Limited", env_kwargs={"length": 100})) as bridge:
        assert bridge.spec.max_episode_steps == 3
        end = play(bridge, 3)[-1]
        assert end.step_type[0] == StepType.LAST
        assert end.discount[0] == 1.0
    with connect(own("Limited", env_kwargs={"max_episode_steps": 7})) as bridge:
        assert bridge.spec.max_episode_steps == 7
    with connect(own("Counter")) as bridge:
        assert bridge.spec.max_episode_steps is None
        assert bridge.spec.name == "Counter-v0"


def one_by_one(steps: Steps) -> list[Steps]:
    return [steps.select([row]) for row in range(len(steps))]


# Seeds and ids


def test_each_environment_has_a_stream_of_its_own() -> None:
    raw = gymnasium.make("CartPole-v1")
    with connect(EnvSpec("gym", "CartPole-v1", {"num_envs": 3}, seed=5), worker=2, incarnation=1) as bridge:
        first = bridge.reset()
        for index in range(3):
            np.testing.assert_array_equal(first.obs[0][index], raw.reset(seed=seed_stream(5, 2, 1, index))[0])
        again = bridge.reset()  # unseeded: the streams go on
        np.testing.assert_array_equal(again.obs[0][2], raw.reset()[0])
        seeded = bridge.reset(6)  # the same in every incarnation
        np.testing.assert_array_equal(seeded.obs[0][1], raw.reset(seed=seed_stream(6, 2, 0, 1))[0])
    raw.close()


def test_workers_and_incarnations_differ() -> None:
    starts = {}
    for worker, incarnation in [(0, 0), (1, 0), (0, 1), (3, 2)]:
        with connect(own("Noise"), worker=worker, incarnation=incarnation) as bridge:
            steps = bridge.reset()
            assert steps.worker.tolist() == [worker]
            assert steps.incarnation.tolist() == [incarnation]
            assert steps.episode.tolist() == [first_episode_id(worker, incarnation)]
            starts[worker, incarnation] = steps.obs[0].tobytes()
    assert len(set(starts.values())) == 4


# Observations


def test_parts_become_observations() -> None:
    with connect(own("Parts")) as bridge:
        specs = {item.name: item for item in bridge.spec.observations}
        steps = bridge.reset()
    values = {item.name: array[0] for item, array in zip(bridge.spec.observations, steps.obs, strict=True)}
    assert {name: (item.kind, item.shape) for name, item in specs.items()} == {
        "camera": ("image", (1, 5, 6)),
        "desired_goal": ("vector", (3,)),
        "flags": ("vector", (3,)),
        "observation": ("vector", (6,)),
        "pair.0": ("vector", (5,)),
        "pair.1": ("vector", (1,)),
        "room": ("vector", (4,)),
    }
    assert [name for name, item in specs.items() if item.is_goal] == ["desired_goal"]
    np.testing.assert_array_equal(values["camera"], np.arange(30).reshape(1, 5, 6))
    np.testing.assert_array_equal(values["observation"], (np.arange(6) / 6).astype(np.float32))
    assert values["room"].tolist() == [1, 0, 0, 0]
    assert values["flags"].tolist() == [1, 0, 1]
    assert values["pair.0"].tolist() == [0, 1, 0, 0, 1]
    assert values["pair.1"].tolist() == [7]


def test_a_lone_observation_has_a_name() -> None:
    with connect(EnvSpec("gym", "FrozenLake-v1")) as bridge:
        assert bridge.spec.observations[0].name == "observation"
        assert bridge.spec.observations[0].shape == (16,)
        assert bridge.reset().obs[0].sum() == 1


def test_stacked_vectors_are_oldest_first() -> None:
    with connect(own("Counter", frame_stack=3)) as bridge:
        record = play(bridge, 3)
    assert [steps.obs[0][0, ::4].tolist() for steps in record] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]


def test_stacked_images_become_channels_oldest_first() -> None:
    with connect(own("Noise", frame_stack=2, env_kwargs={"shape": (8, 6, 3)})) as bridge:
        assert bridge.spec.observations[0].shape == (6, 8, 6)
        record = play(bridge, 1)
        np.testing.assert_array_equal(record[1].obs[0][0, :3], record[0].obs[0][0, 3:])
        assert (record[1].obs[0][0, 3:] != record[0].obs[0][0, 3:]).any()


@pytest.mark.parametrize("kind", ["Text", "Graph", "Sequence", "empty", "float image"])
def test_other_observations_are_refused(kind: str) -> None:
    space: spaces.Space[Any] = {
        "Text": spaces.Text(5),
        "Graph": spaces.Graph(spaces.Discrete(2), None),
        "Sequence": spaces.Sequence(spaces.Discrete(2)),
        "empty": spaces.Box(0, 1, (0,)),
        "float image": spaces.Box(-1, 1, (8, 8, 3)),
    }[kind]
    with pytest.raises(UnsupportedError, match=r"observation .*; there are Box|is empty|wrap the environment"):
        connect(own("Spaces", env_kwargs={"observation": space}))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("nan observation", "Broken-v0: observation 'observation' of episode 0 .* is not finite"),
        ("infinite observation", "Broken-v0: observation 'observation' of episode 0 .* is not finite"),
        ("nan reward", "Broken-v0: the reward of episode 0 .* is not finite"),
        ("no reward", "Broken-v0: the rewards are .*None.*, expected numbers"),
        ("shape", r"observation 'observation' is float64 of shape \(1,\), but its space declares float64 of shape"),
        ("mask size", r"info\['action_mask'\] has \(2,\) entries, expected \(3,\)"),
        ("mask of nothing", r"Broken-v0: info\['action_mask'\] allows no action in branch 0"),
    ],
)
def test_broken_reports_are_refused(kind: str, sentence: str) -> None:
    with connect(own("Broken", env_kwargs={"kind": kind})) as bridge:
        bridge.reset()
        bridge.step([[0]])
        with pytest.raises(DataError, match=sentence):
            bridge.step([[0]])
        bridge.reset()
        bridge.step([[0]])


# Actions


def reported(bridge: Bridge, action: list[int]) -> float:
    """The sum of the native action that arrived, see `tests.environments.Counter`."""
    bridge.reset()
    return float(bridge.step([action]).obs[0][0, 3])


def test_discrete_actions_start_where_the_space_starts() -> None:
    with connect(own("Counter")) as bridge:
        assert [reported(bridge, [action]) for action in range(3)] == [0, 1, 2]
    with connect(own("StartsAtFive")) as bridge:
        assert [reported(bridge, [action]) for action in range(3)] == [5, 6, 7]
    with connect(own("StartsAtFive", codec="offset", offset=1)) as bridge:
        assert bridge.spec.actions.branches == (2,)
        assert [reported(bridge, [action]) for action in range(2)] == [6, 7]
    with connect(own("ManyBranches")) as bridge:
        assert bridge.spec.actions.branches == (3, 2, 4)
        assert reported(bridge, [2, 1, 3]) == 2 + 11 + 103


def test_one_joint_moves_one_joint() -> None:
    with connect(own("Parts", codec="one_joint")) as bridge:
        bridge.reset()
        rewards = [float(bridge.step([[action]]).reward[0]) for action in range(4)]
    assert rewards == [0.0, 0.0, 1.0, -1.0]  # the reward is what joint 1 got


def test_levels_cover_the_range_of_each_joint() -> None:
    with connect(own("Parts")) as bridge:
        assert bridge.spec.actions.branches == (5, 5)
        bridge.reset()
        rewards = [float(bridge.step([[0, action]]).reward[0]) for action in range(5)]
    assert rewards == [-2.0, -1.0, 0.0, 1.0, 2.0]
    with connect(own("Parts", levels=[-0.5, 1])) as bridge:
        bridge.reset()
        assert bridge.step([[0, 0]]).reward.tolist() == [-0.5]


@needs_mujoco_2
def test_pusher_is_the_task_of_the_course() -> None:
    with connect(EnvSpec("gym", "Pusher-v4", {"codec": "one_joint"})) as bridge:
        assert bridge.spec.observations[0].shape == (23,)
        assert bridge.spec.actions.branches == (14,)
        assert bridge.spec.max_episode_steps == 100
        end = play(bridge, 100)[-1]
        assert end.step_type[0] == StepType.LAST
        assert end.discount[0] == 1.0


@pytest.mark.parametrize(
    "space",
    [spaces.MultiBinary(3), spaces.Text(3), spaces.Box(0, 9, (2,), np.int64), spaces.Dict(a=spaces.Discrete(2))],
)
def test_other_actions_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"action space .*; there are Discrete, MultiDiscrete and Box of floats"):
        connect(own("Spaces", env_kwargs={"action": space}))


def test_unbounded_actions_need_levels() -> None:
    unbounded = {"action": spaces.Box(-np.inf, np.inf, (2,))}
    with pytest.raises(UnsupportedError, match="name the levels"):
        connect(own("Spaces", env_kwargs=unbounded))
    with connect(own("Spaces", env_kwargs=unbounded, levels=[-3, 3])) as bridge:
        assert bridge.spec.actions.branches == (2, 2)


def test_masks_follow_the_environment() -> None:
    with connect(own("Masked")) as bridge:  # forbids action t % 3 in step t
        record = play(bridge, 5)
    assert [steps.mask[0][0].tolist() for steps in record[:3]] == [
        [False, True, True],
        [True, False, True],
        [True, True, False],
    ]
    assert record[5].step_type.tolist() == [StepType.LAST, StepType.FIRST]
    assert record[5].mask[0].tolist() == [[True, True, True], [False, True, True]]


@pytest.mark.parametrize("flat", [False, True])
def test_masks_of_several_branches(flat: bool) -> None:
    with connect(own("MaskedBranches", env_kwargs={"flat": flat})) as bridge:
        mask = bridge.reset().mask
    assert [allowed[0].tolist() for allowed in mask] == [[True, False, False], [True, True], [True, True, True, False]]


def test_masks_are_in_the_agents_actions() -> None:
    with connect(own("Masked", codec="offset", offset=1)) as bridge:
        record = play(bridge, 2)
    assert [steps.mask[0][0].tolist() for steps in record] == [[True, True], [False, True], [True, False]]


# Metrics


def test_success_and_named_entries_are_metrics() -> None:
    with connect(own("Succeeds", env_kwargs={"length": 2})) as bridge:
        record = play(bridge, 4)
    assert [sorted(steps.metrics) for steps in record] == [[], [], ["success"], [], ["success"]]
    np.testing.assert_array_equal(record[2].metrics["success"], [1.0, np.nan])
    np.testing.assert_array_equal(record[4].metrics["success"], [0.0, np.nan])
    with connect(own("Succeeds", metrics=["height"])) as bridge:
        assert [steps.metrics["height"].tolist() for steps in play(bridge, 2)] == [[0.0], [0.5], [1.0]]
    assert SUCCESS_KEYS == ("is_success", "success")


def test_an_environment_tells_of_its_episodes_where_they_end() -> None:
    with connect(own("Tells", num_envs=2, env_kwargs={"length": 0})) as bridge:
        record = play(bridge, 60)
    ended = 0
    for steps in record:
        last = steps.step_type == StepType.LAST
        assert bool(steps.metrics) == last.any()
        if last.any():
            times = steps.obs[0][last, 2]  # agent steps in the episode
            np.testing.assert_array_equal(steps.metrics["time"][last], times)
            even = steps.metrics.get("even", np.full(len(steps), np.nan))
            np.testing.assert_array_equal(even[last], np.where(times % 2 == 0, 1.0, np.nan))
            assert all(np.isnan(values[~last]).all() for values in steps.metrics.values())
            ended += int(last.sum())
    assert ended > 10


def test_metrics_that_are_no_numbers_are_refused() -> None:
    with connect(own("TellsNonsense", env_kwargs={"length": 1})) as bridge:
        bridge.reset()
        with pytest.raises(DataError, match=r"info\['episode_metrics'\] is \{'height': 'tall'\}, expected numbers"):
            bridge.step([[0]])


def test_an_entry_of_info_that_is_no_number_is_refused() -> None:
    with (
        connect(own("TellsNonsense", metrics=["episode_metrics"])) as bridge,
        pytest.raises(DataError, match=r"info\['episode_metrics'\] is \{'height': 'tall'\}, expected a number\.$"),
    ):
        bridge.reset()


# Pictures and ends


def test_pictures_are_of_the_first_environment() -> None:
    with connect(own("Counter", num_envs=2, render=True)) as bridge:
        bridge.reset()
        bridge.step([[0], [0]])
        assert bridge.render().tolist() == np.full((8, 12, 3), 1).tolist()
        assert isinstance(bridge, GymnasiumBridge)
        assert [environment.render_mode for environment in bridge._environments] == ["rgb_array", None]
    with connect(own("Counter")) as bridge, pytest.raises(UnsupportedError, match="open it with render=True"):
        bridge.render()
    for name in ("Parts", "Noise"):  # the one has no such mode, the other no modes at all
        with pytest.raises(UnsupportedError, match="cannot render pictures"):
            connect(own(name, render=True))


def test_closing_closes_every_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr("tests.environments.Counter.close", lambda self: closed.append(self), raising=False)
    connect(own("Counter", num_envs=3)).close()
    assert len(closed) == 3
    with pytest.raises(UsageError):  # a codec that does not fit is found after the environments are made
        connect(own("Counter", num_envs=2, codec="levels"))
    assert len(closed) == 5


# Sentences


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        ("CartPol-v1", {}, "there is no gymnasium environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        ("CartPole-v9", {}, "did you mean 'CartPole-v1'?"),
        ("LunarLander-v2", {}, "did you mean 'LunarLander-v3'?"),
        ("Zyzzyva", {}, "expected an id such as 'CartPole-v1'"),
        ("what is this", {}, "there is no gymnasium environment 'what is this'"),
        ("ALE/Pong-v5", {}, "pip install \"gymnasium[atari]\" and ask for 'ale_py:ALE/Pong-v5'"),
        ("no_such_module:X-v0", {}, "the module of 'no_such_module:X-v0' cannot be imported (ModuleNotFoundError"),
        (f"{OWN}Countr-v0", {}, "did you mean 'Counter-v0'?"),
        (f"{OWN}NeedsPackage-v0", {"env_kwargs": {"kind": "extra"}}, 'not installed: run `pip install "gymnasium[box'),
        (f"{OWN}NeedsPackage-v0", {"env_kwargs": {"kind": "module"}}, "not installed: pip install box3d"),
        ("CartPole-v1", {"num_env": 2}, "unknown option 'num_env' of backend 'gym'; did you mean 'num_envs'?"),
        ("CartPole-v1", {"num_envs": 0}, "option 'num_envs' is 0, expected a whole number from 1"),
        ("CartPole-v1", {"frame_stack": 2.5}, "option 'frame_stack' is 2.5, expected a whole number."),
        ("CartPole-v1", {"metrics": "height"}, "option 'metrics' is 'height', expected a list of strings"),
        ("CartPole-v1", {"env_kwargs": {"gravty": 1}}, "unexpected keyword argument 'gravty'"),
        ("CartPole-v1", {"codec": "one_joint"}, "codec 'one_joint' makes continuous actions"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(target: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(EnvSpec("gym", target, options))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pusher_v4_on_mujoco_3_names_pusher_v5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "__version__", "3.1.6")
    monkeypatch.setattr("bridge.gymnasium.importlib.metadata.version", lambda name: mujoco.__version__)
    with pytest.raises(UsageError) as caught:
        connect(EnvSpec("gym", "Pusher-v4"))
    for part in ("Pusher-v4 needs mujoco 2.3.7", "Python 3.11", "3.1.6", "#950", "Pusher-v5", "different task"):
        assert part in str(caught.value)


@needs_mujoco_2
def test_a_version_out_of_date_is_a_choice() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        connect(EnvSpec("gym", "Pusher-v4")).close()


def test_a_module_in_the_working_directory_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_course_environments.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('MyCartPole-v0', entry_point=CartPoleEnv, max_episode_steps=9)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with connect(EnvSpec("gym", "my_course_environments:MyCartPole-v0")) as bridge:
        assert bridge.spec.max_episode_steps == 9
