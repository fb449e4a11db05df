"""The protocol as data."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import ActionSpec, EnvSpec, ObsSpec, Steps, StepType
from bridge.types import concatenate, first_episode_id, seed_stream


def rows(*kinds: StepType, worker: int = 0, start: int = 0, **metrics: list[float]) -> Steps:
    """Rows whose observation, reward and mask tell which row they are."""
    count = len(kinds)
    numbers = np.arange(start, start + count)
    return Steps(
        episode=numbers.astype(np.int64),
        step_type=np.array(kinds, np.uint8),
        obs=(numbers[:, None].astype(np.float32), np.broadcast_to(numbers, (1, 2, 2, count)).T.astype(np.uint8)),
        reward=numbers.astype(np.float32),
        discount=np.ones(count, np.float32),
        mask=(numbers[:, None] % 2 == np.array([[0, 1]]),),
        worker=np.full(count, worker, np.int32),
        incarnation=np.zeros(count, np.int32),
        metrics={name: np.array(values, np.float32) for name, values in metrics.items()},
    )


def test_rows_that_want_an_action() -> None:
    steps = rows(StepType.LAST, StepType.MID, StepType.FIRST)
    assert steps.wants_action.tolist() == [False, True, True]
    deciding = steps.deciding
    assert len(deciding) == 2
    assert deciding.episode.tolist() == [1, 2]
    assert deciding.obs[0].ravel().tolist() == [1, 2]
    assert deciding.obs[1].shape == (2, 2, 2, 1)
    assert deciding.mask[0].tolist() == [[False, True], [True, False]]
    assert len(rows(StepType.LAST).deciding) == 0


def test_selecting_picks_every_column() -> None:
    steps = rows(StepType.LAST, StepType.MID, StepType.FIRST, height=[0.0, 1.0, 2.0])
    picked = steps.select([2, 0])
    assert picked.episode.tolist() == picked.reward.tolist() == picked.metrics["height"].tolist() == [2, 0]
    assert picked.step_type.tolist() == [StepType.FIRST, StepType.LAST]


def test_concatenating_puts_last_rows_first_and_keeps_the_order_of_the_others() -> None:
    one = rows(StepType.LAST, StepType.FIRST, StepType.MID, start=0)
    two = rows(StepType.LAST, StepType.MID, worker=1, start=10)
    whole = concatenate([one, two])
    assert whole.episode.tolist() == [0, 10, 1, 2, 11]
    assert whole.worker.tolist() == [0, 1, 0, 0, 1]
    assert whole.obs[0].ravel().tolist() == [0, 10, 1, 2, 11]
    assert whole.obs[1][:, 0, 0, 0].tolist() == [0, 10, 1, 2, 11]
    assert whole.deciding.episode.tolist() == [*one.deciding.episode, *two.deciding.episode]
    for name in ("episode", "step_type", "reward", "discount", "worker", "incarnation"):
        assert getattr(whole, name).dtype == getattr(one, name).dtype


def test_concatenating_fills_metrics_that_a_part_lacks() -> None:
    whole = concatenate([rows(StepType.MID, success=[1.0]), rows(StepType.MID, height=[2.0]), rows()])
    np.testing.assert_array_equal(whole.metrics["success"], np.array([1, np.nan], np.float32))
    np.testing.assert_array_equal(whole.metrics["height"], np.array([np.nan, 2], np.float32))
    assert whole.metrics["height"].dtype == np.float32


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_samples_are_allowed(branches: list[int], count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = [rng.random((count, size)) < 0.5 for size in branches]
    for allowed in mask:
        allowed[np.arange(count), rng.integers(allowed.shape[1], size=count)] = True
    actions = ActionSpec(tuple(branches)).sample(mask, rng)
    assert actions.shape == (count, len(branches))
    assert actions.dtype == np.int32
    for branch, allowed in enumerate(mask):
        assert allowed[np.arange(count), actions[:, branch]].all()


def test_samples_are_uniform_among_the_allowed() -> None:
    mask = [np.tile([True, False, True, True], (30_000, 1)), np.ones((30_000, 2), np.bool_)]
    actions = ActionSpec((4, 2)).sample(mask, np.random.default_rng(0))
    found = np.array([[np.mean((actions[:, 0] == a) & (actions[:, 1] == b)) for b in range(2)] for a in range(4)])
    expected = np.outer([1 / 3, 0, 1 / 3, 1 / 3], [1 / 2, 1 / 2])
    assert np.abs(found - expected).max() < 0.01  # 4 standard errors; independent branches


def test_episode_ids_of_workers_and_incarnations_never_meet() -> None:
    starts = [first_episode_id(worker, incarnation) for worker in range(3) for incarnation in range(3)]
    assert starts == sorted(starts)
    assert min(np.diff(starts)) >= 2**32
    assert first_episode_id(0, 0) == 0
    assert first_episode_id(2**15 - 1, 2**16 - 1) < 2**63  # fits int64


def test_streams_are_independent_and_fit_unity() -> None:
    keys = [
        (seed, worker, incarnation, env)
        for seed in range(3)
        for worker in range(3)
        for incarnation in range(3)
        for env in range(3)
    ]
    seeds = [seed_stream(*key) for key in keys]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [seed_stream(*key) for key in keys]
    assert seed_stream(1, 0, 0) != seed_stream(1, 0, 0, 0)
    assert seed_stream(0, 0, 0) == 1941048836, "recorded runs depend on this number"


def test_specs_are_values() -> None:
    spec = EnvSpec("gym", "CartPole-v1", {"num_envs": 2}, seed=7)
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(AttributeError):
        spec.seed = 8  # type: ignore[misc]
    assert ObsSpec("camera", "image", (3, 4, 5)).zeros(2).dtype == np.uint8
    assert ObsSpec("joints", "vector", (7,)).zeros(2).shape == (2, 7)
