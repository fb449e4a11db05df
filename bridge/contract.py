"""The contract test that the protocol ships: what `bridge.types` and `bridge.base` promise, asserted.

A backend passes it with a class of a few lines, found by pytest through its name:

    from bridge.contract import BridgeContract

    class TestCartPole(BridgeContract):
        env_spec = EnvSpec("gym", "CartPole-v1")

Nothing here needs pytest: these are plain methods with plain asserts. Every test opens bridges of its own, one after
the other, and plays uniformly random allowed actions.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.base import Bridge
from bridge.connect import connect
from bridge.errors import ActionError, SequenceError, UsageError
from bridge.types import EnvSpec, Int32Array, Steps, StepType, first_episode_id

#: An agent reports again, or ends its episode, within so many exchanges.
PATIENCE = 20


class BridgeContract:
    """Subclass it, name the subclass `Test...` and give it an `env_spec`.

    Attributes:
        env_spec: what to open (a class attribute or a property).
        exchanges: how many exchanges a test plays; enough for some episode to end under random actions.
    """

    env_spec: EnvSpec
    exchanges: int = 150

    def open(self) -> Bridge:
        """A fresh bridge. Override it when `connect(env_spec)` is not how the backend is opened."""
        return connect(self.env_spec)

    def test_env_spec_travels(self) -> None:
        assert pickle.loads(pickle.dumps(self.env_spec)) == self.env_spec, "a spec survives pickling"
        with self.open() as bridge:
            again = pickle.loads(pickle.dumps(bridge.spec))
            assert again == bridge.spec, "the behaviour's spec survives pickling"

    def test_spec_is_complete(self) -> None:
        with self.open() as bridge:
            spec = bridge.spec
            assert spec.name, "a behaviour has a name"
            names = [item.name for item in spec.observations]
            assert names, "there is at least one observation"
            assert len(set(names)) == len(names), f"names of observations are unique: {names}"
            for item in spec.observations:
                dims = {"image": 3, "vector": 1}[item.kind]
                assert len(item.shape) == dims, f"{item.name}: {item.kind} of shape {item.shape}"
                assert all(isinstance(size, int) and size > 0 for size in item.shape), f"{item.name}: {item.shape}"
            branches = spec.actions.branches
            assert branches, "there is at least one action branch"
            assert all(isinstance(size, int) and size > 0 for size in branches), f"branches {branches}"
            assert spec.max_episode_steps is None or spec.max_episode_steps > 0
            assert bridge.codec.spec == spec.actions, "the codec makes the actions of the spec"

    def test_codec_is_invertible(self) -> None:
        with self.open() as bridge:
            rng = np.random.default_rng(0)
            actions = bridge.spec.actions.sample(bridge.codec.all_allowed(100), rng)
            native = bridge.codec.encode(actions)
            assert len(native) == 100
            np.testing.assert_array_equal(bridge.codec.decode(native), actions)

    def test_rows_are_as_declared(self) -> None:
        with self.open() as bridge:
            rng = np.random.default_rng(0)
            steps = bridge.reset()
            for _ in range(self.exchanges):
                assert_declared(bridge, steps)
                steps = bridge.step(choose(bridge, steps, rng))
            assert_declared(bridge, steps)

    def test_episodes_are_first_mid_last(self) -> None:
        with self.open() as bridge:
            record = play(bridge, self.exchanges)
            assert_grammar(record)
            ended = sum(int((steps.step_type == StepType.LAST).sum()) for steps in record)
            assert ended, f"no episode ended in {self.exchanges} exchanges; raise `exchanges` of this test class"

    def test_reset_starts_new_episodes(self) -> None:
        with self.open() as bridge:
            record = play(bridge, 3)
            record += play(bridge, 3)
            record += play(bridge, 3, seed=5)
            record += play(bridge, self.exchanges)
            starts = [record[0], record[4], record[8], record[12]]
            for steps in starts:
                assert (steps.step_type == StepType.FIRST).all(), "reset() reports FIRST rows only"
            assert_grammar(record, resets=(4, 8, 12))

    def test_reset_after_send_forgets_the_send(self) -> None:
        with self.open() as bridge:
            steps = bridge.reset()
            bridge.send(choose(bridge, steps, np.random.default_rng(0)))
            steps = bridge.reset()
            assert (steps.step_type == StepType.FIRST).all()
            expect(SequenceError, bridge.receive)
            assert_declared(bridge, bridge.step(choose(bridge, steps, np.random.default_rng(0))))

    def test_rows_are_independent_of_later_steps(self) -> None:
        with self.open() as bridge:
            rng = np.random.default_rng(0)
            handed = [bridge.reset()]
            copies = [copy.deepcopy(handed[0])]
            for _ in range(min(self.exchanges, 20)):
                handed.append(bridge.step(choose(bridge, handed[-1], rng)))
                copies.append(copy.deepcopy(handed[-1]))
        for given, kept in zip(handed, copies, strict=True):
            assert_same(given, kept)

    def test_the_same_spec_gives_the_same_rows(self) -> None:
        with self.open() as bridge:
            record = play(bridge, self.exchanges)
        with self.open() as bridge:
            again = play(bridge, self.exchanges)
        assert_same_record(record, again)

    def test_reset_with_a_seed_repeats(self) -> None:
        exchanges = min(self.exchanges, 40)
        with self.open() as bridge:
            record = play(bridge, exchanges, seed=7)
            again = play(bridge, exchanges, seed=7)
        with self.open() as bridge:
            elsewhere = play(bridge, exchanges, seed=7)
            own = play(bridge, exchanges, seed=self.env_spec.seed)
        with self.open() as bridge:
            fresh = play(bridge, exchanges)
        assert_same_record(record, again, renumbered=True)
        assert_same_record(record, elsewhere, renumbered=True)
        assert_same_record(fresh, own, renumbered=True)

    def test_actions_that_do_not_fit_are_refused(self) -> None:
        exchanges = min(self.exchanges, 40)
        with self.open() as bridge:
            clean = play(bridge, exchanges)
        with self.open() as bridge:
            rng = np.random.default_rng(0)
            disturbed = [bridge.reset()]
            refused = 0
            for _ in range(exchanges):
                good = choose(bridge, disturbed[-1], rng)
                for bad in bad_actions(bridge, disturbed[-1], good):
                    expect(ActionError, lambda bad=bad: bridge.step(bad))  # type: ignore[misc]
                    expect(SequenceError, bridge.receive)
                    refused += 1
                disturbed.append(bridge.step(good))
        assert refused > exchanges
        assert_same_record(clean, disturbed)

    def test_calls_in_the_wrong_order_are_refused(self) -> None:
        with self.open() as bridge:
            none = np.zeros((0, len(bridge.spec.actions.branches)), np.int32)
            expect(SequenceError, lambda: bridge.step(none))
            expect(SequenceError, bridge.receive)
            steps = bridge.reset()
            expect(SequenceError, bridge.receive)
            actions = choose(bridge, steps, np.random.default_rng(0))
            bridge.send(actions)
            expect(SequenceError, lambda: bridge.send(actions))
            assert_declared(bridge, bridge.receive())
            expect(SequenceError, bridge.receive)

    def test_a_picture_or_a_sentence(self) -> None:
        with self.open() as bridge:
            bridge.reset()
            try:
                picture = bridge.render()
            except UsageError:  # this backend has none
                return
            assert picture.dtype == np.uint8
            assert picture.ndim == 3, f"a picture is [H, W, 3], found {picture.shape}"
            assert picture.shape[2] == 3, f"a picture is [H, W, 3], found {picture.shape}"
            assert (bridge.render(0) == picture).all(), "after a reset, the first row is the first that wants an action"
            expect(UsageError, lambda: bridge.render(10**6))

    def test_close_is_final_and_may_be_repeated(self) -> None:
        bridge = self.open()
        steps = bridge.reset()
        actions = choose(bridge, steps, np.random.default_rng(0))
        bridge.close()
        bridge.close()
        calls: tuple[Callable[[], Any], ...] = (
            bridge.reset,
            lambda: bridge.send(actions),
            bridge.receive,
            lambda: bridge.step(actions),
            bridge.render,
        )
        for call in calls:
            expect(SequenceError, call)

    def test_close_before_reset_and_after_send(self) -> None:
        self.open().close()
        with self.open() as bridge:
            bridge.send(choose(bridge, bridge.reset(), np.random.default_rng(0)))


def choose(bridge: Bridge, steps: Steps, rng: np.random.Generator) -> Int32Array:
    """Uniformly random allowed actions for the rows that want one."""
    return bridge.spec.actions.sample(steps.deciding.mask, rng)


def play(bridge: Bridge, exchanges: int, seed: int | None = None) -> list[Steps]:
    """Resets and plays; the choice of actions is the same in every call. Returns `exchanges + 1` Steps."""
    rng = np.random.default_rng(0)
    record = [bridge.reset(seed)]
    for _ in range(exchanges):
        record.append(bridge.step(choose(bridge, record[-1], rng)))
    return record


def expect(kind: type[Exception], call: Callable[[], Any]) -> None:
    """Asserts that the call raises `kind` with a message."""
    found: Exception | None = None
    try:
        call()
    except kind as error:
        found = error
    assert found is not None, f"expected {kind.__name__}, and nothing was raised"
    assert str(found), f"{kind.__name__} without a message"


def bad_actions(bridge: Bridge, steps: Steps, good: Int32Array) -> list[Any]:
    """Actions that `send` must refuse in place of these good ones: shape, type, range, mask."""
    bad: list[Any] = [
        np.concatenate([good, np.zeros((1, good.shape[1]), np.int32)]),
        np.concatenate([good, np.zeros((len(good), 1), np.int32)], axis=1),
        good.ravel() if len(good) else np.zeros((0,), np.int32),
        None,
        [[0], [0, 0]],
    ]
    if not len(good):
        return bad
    bad += [good[1:], good.astype(np.float32), good.astype(np.bool_), good.astype(str)]
    for branch, size in enumerate(bridge.spec.actions.branches):
        for value in (-1, size, 2**40):
            outside = good.astype(np.int64)
            outside[-1, branch] = value
            bad.append(outside)
        forbidden = np.argwhere(~steps.deciding.mask[branch])
        for row, action in forbidden[:3]:
            masked = good.copy()
            masked[row, branch] = action
            bad.append(masked)
    return bad


def assert_declared(bridge: Bridge, steps: Steps) -> None:
    """One `Steps` by itself: shapes, dtypes, ranges, order of rows."""
    rows, spec = len(steps), bridge.spec
    columns = {
        "episode": np.int64,
        "step_type": np.uint8,
        "reward": np.float32,
        "discount": np.float32,
        "worker": np.int32,
        "incarnation": np.int32,
    }
    for name, dtype in columns.items():
        _assert_array(name, getattr(steps, name), (rows,), dtype)
    assert len(steps.obs) == len(spec.observations), f"{len(steps.obs)} observations, {len(spec.observations)} declared"
    for item, values in zip(spec.observations, steps.obs, strict=True):
        _assert_array(f"observation {item.name}", values, (rows, *item.shape), item.dtype)
        assert np.isfinite(values).all(), f"observation {item.name} is finite"
    assert len(steps.mask) == len(spec.actions.branches), "one mask per branch"
    for branch, (size, allowed) in enumerate(zip(spec.actions.branches, steps.mask, strict=True)):
        _assert_array(f"mask of branch {branch}", allowed, (rows, size), np.bool_)
        assert allowed.any(axis=1).all(), f"branch {branch} has a row with every action masked"
    for name, values in steps.metrics.items():
        _assert_array(f"metric {name}", values, (rows,), np.float32)

    assert np.isin(steps.step_type, list(StepType)).all(), f"step types {steps.step_type}"
    last = steps.step_type == StepType.LAST
    assert np.isfinite(steps.reward).all(), "rewards are finite"
    assert (steps.reward[steps.step_type == StepType.FIRST] == 0).all(), "FIRST rows carry no reward"
    assert np.isin(steps.discount, (0, 1)).all(), f"discounts are 0 or 1: {steps.discount}"
    assert (steps.discount[~last] == 1).all(), "only a LAST row may have discount 0"
    assert (np.diff(last.astype(np.int8)) <= 0).all(), "LAST rows come before all others"
    assert len(np.unique(steps.episode)) == rows, "an episode has one row in an exchange"
    assert steps.wants_action.dtype == np.bool_
    assert (steps.wants_action == ~last).all(), "every row but LAST wants an action"
    for episode, worker, incarnation in zip(steps.episode, steps.worker, steps.incarnation, strict=True):
        start = first_episode_id(int(worker), int(incarnation))
        end = first_episode_id(int(worker), int(incarnation) + 1)
        assert start <= episode < end, f"episode {episode} is not of worker {worker}, incarnation {incarnation}"


def assert_grammar(record: Sequence[Steps], resets: Sequence[int] = ()) -> None:
    """Every episode is FIRST MID* LAST, its id is new and above the worker's earlier ones, and none falls silent; a
    lost one ends without LAST.

    Args:
        resets: indices in `record` where `reset` cut all open episodes short.
    """
    open_episodes: dict[int, int] = {}  # to the exchange of the latest row
    newest: dict[int, int] = {}  # by worker
    for index, steps in enumerate(record):
        if index in resets:
            open_episodes.clear()
        for episode, kind, worker in zip(
            steps.episode.tolist(), steps.step_type.tolist(), steps.worker.tolist(), strict=True
        ):
            if kind == StepType.FIRST:
                assert episode > newest.get(worker, -1), f"episode {episode} started after {newest[worker]}"
                newest[worker] = episode
            else:
                assert episode in open_episodes, f"exchange {index}: a row of episode {episode}, which is not open"
            open_episodes[episode] = index
            if kind == StepType.LAST:
                del open_episodes[episode]
        for episode in steps.lost.tolist():
            assert open_episodes.pop(episode, None) is not None, f"exchange {index}: lost {episode}, which is not open"
    for episode, index in open_episodes.items():
        assert len(record) - index <= PATIENCE, f"episode {episode} fell silent after exchange {index}"


def assert_same(left: Steps, right: Steps, *, ids: bool = True) -> None:
    """Two `Steps` are equal bit by bit; `ids=False` leaves out who reported and under which episode id."""
    names = ("step_type", "reward", "discount", "worker") + (("episode", "incarnation") if ids else ())
    for name in names:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), name)
    for name in ("obs", "mask"):
        for one, other in zip(getattr(left, name), getattr(right, name), strict=True):
            np.testing.assert_array_equal(one, other, name)
    assert left.metrics.keys() == right.metrics.keys()
    for name, values in left.metrics.items():
        np.testing.assert_array_equal(values, right.metrics[name], name)


def assert_same_record(left: Sequence[Steps], right: Sequence[Steps], *, renumbered: bool = False) -> None:
    """Two recordings are equal; with `renumbered`, up to the names of the episodes."""
    assert len(left) == len(right)
    names: dict[int, int] = {}
    for one, other in zip(left, right, strict=True):
        assert_same(one, other, ids=not renumbered)
        for episode, new_name in zip(one.episode.tolist(), other.episode.tolist(), strict=True):
            assert names.setdefault(episode, new_name) == new_name, f"episode {episode} has two counterparts"


def _assert_array(name: str, values: Any, shape: tuple[int, ...], dtype: Any) -> None:
    assert isinstance(values, np.ndarray), f"{name} is a {type(values).__name__}, expected an array"
    assert values.dtype == dtype, f"{name} has dtype {values.dtype}, expected {np.dtype(dtype)}"
    assert values.shape == shape, f"{name} has shape {values.shape}, expected {shape}"
