"""Episodes: rows, seeds, ids, playing them again, pictures; and closing."""

from __future__ import annotations

from collections import Counter

import gymnasium
import numpy as np
import pytest

from bridge import EnvSpec, ResumeError, Steps, StepType, UnsupportedError, UsageError, connect
from bridge.contract import assert_same_record, choose, play
from bridge.gymnasium.bridge import GymnasiumBridge
from bridge.types import first_episode_id, seed_stream
from tests.bridge.gymnasium.specs import own

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


# Playing episodes again


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
