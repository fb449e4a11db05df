"""The ring of observations. `test_transitions.py` has the oracle for what lies in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.learning.nstep import Transitions
from agents.learning.replay import Batch, Replay, ReplayMemoryError, replay_bytes
from bridge import ObsSpec
from tests.agents.scripted import VECTOR, everything

PLENTY = 2**40

#: What the GridWorld presets keep of an observation: the picture and the goal, and a mask of four actions.
GRIDWORLD = (ObsSpec("picture", "image", (3, 64, 84)), ObsSpec("goal", "vector", (2,), is_goal=True))


def make(capacity: int, seed: int = 0) -> Replay:
    """Of observations of one number, and two actions."""
    return Replay((VECTOR,), (2,), capacity, np.random.default_rng(seed), PLENTY)


def put(replay: Replay, numbers: list[float]) -> Any:
    """Stores observations of these numbers; the mask allows action 1 only for even ones."""
    values = np.array(numbers, np.float32)[:, None]
    return replay.append((values,), np.concatenate([np.ones_like(values), values % 2 == 0], axis=1).astype(np.bool_))


def complete(replay: Replay, frames: list[int], following: list[int]) -> None:
    """These rows become transitions; action, reward and discount tell which row they are of."""
    numbers = np.array(frames, np.float32)
    replay.complete(
        Transitions(
            np.array(frames, np.int64),
            (np.array(frames, np.int32) % 2)[:, None],
            numbers / 8,
            numbers / 1024,
            np.array(following, np.int64),
        )
    )


def filled(capacity: int, rows: int, seed: int = 0) -> Replay:
    """Row k shows the number k and is followed by row k + 1; every third row and the last one never complete."""
    replay = make(capacity, seed)
    for row in range(rows):
        put(replay, [row])
        if row and row % 3:
            complete(replay, [row - 1], [row])
    return replay


def sampled(batch: Batch) -> list[int]:
    return [int(number) for number in batch.obs_tm1[0][:, 0]]


@pytest.mark.parametrize("rows", [50, 1000])
def test_samples_are_uniform_over_the_complete_transitions(rows: int) -> None:
    """Chi-square against the brute force: which rows are in the ring and complete."""
    replay = filled(100, rows)
    ready = [row for row in range(max(0, rows - 100), rows - 1) if (row + 1) % 3]
    assert len(replay) == len(ready)
    draws = 200 * len(ready)
    found = np.bincount(sampled(replay.sample(draws)), minlength=rows)
    assert found.sum() == found[ready].sum()
    chi_square = ((found[ready] - 200) ** 2 / 200).sum()
    freedom = len(ready) - 1
    assert abs(chi_square - freedom) < 4 * np.sqrt(2 * freedom)


def test_a_sample_has_all_that_belongs_to_its_transition() -> None:
    replay = filled(100, 250)
    batch = replay.sample(500)
    rows = batch.obs_tm1[0][:, 0]
    assert (batch.obs_t[0][:, 0] == rows + 1).all()
    assert (batch.action_tm1[:, 0] == rows % 2).all()
    assert (batch.reward_t == rows / 8).all()
    assert (batch.discount_t == rows / 1024).all()
    assert batch.mask_tm1.tolist() == [[True, row % 2 == 0] for row in rows.tolist()]
    assert batch.mask_t.tolist() == [[True, (row + 1) % 2 == 0] for row in rows.tolist()]
    assert (batch.action_tm1.dtype, batch.reward_t.dtype) == (np.int32, np.float32)
    assert (batch.mask_tm1.dtype, batch.mask_t.dtype) == (np.bool_, np.bool_)


def test_a_sample_is_a_copy() -> None:
    replay = filled(10, 10)
    batch = replay.sample(20)
    before = batch.obs_tm1[0].copy()
    put(replay, [1000.0] * 10)
    assert (batch.obs_tm1[0] == before).all()


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 12), counts=st.lists(st.integers(0, 6), max_size=20), seed=st.integers(0, 2**32 - 1))
@example(capacity=3, counts=[2, 1, 6, 6], seed=0)
@example(capacity=3, counts=[2, 1, 6, 6], seed=1)
def test_the_ring_is_a_list_that_forgets_its_beginning(capacity: int, counts: list[int], seed: int) -> None:
    """Rows come in bunches, bigger than the ring too, and complete in any order, some never, some too late."""
    rng = np.random.default_rng(seed)
    replay = make(capacity)
    waiting: list[int] = []
    done: set[int] = set()
    for rows in counts:
        begun = len(waiting) + len(done)
        frames = put(replay, list(range(begun, begun + rows)))
        assert frames.tolist() == list(range(begun, begun + rows))
        waiting += frames.tolist()
        chosen = [frame for frame in waiting[:-1] if rng.random() < 0.5]
        rng.shuffle(chosen)
        waiting = [frame for frame in waiting if frame not in chosen]
        done |= set(chosen)
        last = begun + rows - 1
        complete(replay, chosen, [last] * len(chosen))
        alive = range(last + 1 - capacity, last + 1)
        assert sorted(sampled(everything(replay))) == sorted(frame for frame in done if frame in alive)


def test_10000_gridworld_transitions_take_less_than_200_mb() -> None:
    replay = Replay(GRIDWORLD, (4,), 10_000, np.random.default_rng(0), PLENTY)
    assert replay.nbytes < 200e6
    assert replay.nbytes == replay_bytes(GRIDWORLD, (4,), 10_000)
    # One picture per transition, not two.
    assert replay.nbytes < 10_000 * (3 * 64 * 84 + 100)


def test_the_estimate_is_what_is_used_whatever_the_branches() -> None:
    replay = Replay((VECTOR, *GRIDWORLD), (3, 2, 5), 123, np.random.default_rng(0), PLENTY)
    assert replay.nbytes == replay_bytes((VECTOR, *GRIDWORLD), (3, 2, 5), 123)


def test_a_replay_that_does_not_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(ReplayMemoryError) as refusal:
        Replay(GRIDWORLD, (4,), 1_000_000, np.random.default_rng(0), 2**30)
    needed = replay_bytes(GRIDWORLD, (4,), 1_000_000) / 2**20
    assert f"{needed:,.0f} MiB" in str(refusal.value)
    assert "1,024 MiB" in str(refusal.value)
    assert "replay.capacity" in str(refusal.value)


def test_a_replay_that_just_fits_is_made() -> None:
    needed = replay_bytes((VECTOR,), (2,), 1000)
    Replay((VECTOR,), (2,), 1000, np.random.default_rng(0), needed)
    with pytest.raises(ReplayMemoryError):
        Replay((VECTOR,), (2,), 1000, np.random.default_rng(0), needed - 1)


@pytest.mark.parametrize("rows", [0, 40, 100, 333])
def test_the_state_is_saved_and_goes_on_with_the_same_samples(rows: int, tmp_path: Any) -> None:
    first = filled(100, rows, seed=1)
    np.savez(tmp_path / "replay.npz", allow_pickle=False, **first.state_dict())
    second = make(100, seed=1)
    with np.load(tmp_path / "replay.npz", allow_pickle=False) as arrays:
        second.load_state_dict(dict(arrays))
    first._rng.bit_generator.state = second._rng.bit_generator.state
    for replay in (first, second):
        for row in range(rows, rows + 30):
            put(replay, [row])
            if row and row % 3:
                complete(replay, [row - 1], [row])
    one, two = first.sample(300), second.sample(300)
    assert sampled(one) == sampled(two)
    for name in ("mask_tm1", "action_tm1", "reward_t", "discount_t", "mask_t"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert (one.obs_t[0] == two.obs_t[0]).all()


@pytest.mark.parametrize(("saved", "rows", "loaded"), [(100, 250, 200), (100, 250, 50), (100, 80, 50)])
def test_a_state_of_another_capacity_is_refused(saved: int, rows: int, loaded: int) -> None:
    replay = make(loaded)
    with pytest.raises(ValueError, match=f"capacity of {loaded}: resume with the capacity"):
        replay.load_state_dict(filled(saved, rows).state_dict())
    assert len(replay) == 0


@pytest.mark.parametrize(("saved", "branches"), [(1, 2), (2, 2), (3, 3)])
def test_a_state_of_another_environment_is_refused(saved: int, branches: int) -> None:
    """Also one that numpy would broadcast."""
    other = Replay((ObsSpec("vector", "vector", (saved,)),), (branches,), 100, np.random.default_rng(0), PLENTY)
    other.append((np.ones((20, saved), np.float32),), np.ones((20, branches), np.bool_))
    replay = Replay((ObsSpec("vector", "vector", (3,)),), (2,), 100, np.random.default_rng(0), PLENTY)
    with pytest.raises(ValueError, match="another environment's"):
        replay.load_state_dict(other.state_dict())


def test_loading_leaves_nothing_of_what_was_there() -> None:
    replay = filled(100, 90)
    replay.load_state_dict(filled(100, 20).state_dict())
    assert sorted(sampled(everything(replay))) == sorted(sampled(everything(filled(100, 20))))
    put(replay, list(range(20, 100)))
    assert len(replay) == len(filled(100, 20))
