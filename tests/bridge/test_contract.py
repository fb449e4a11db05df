"""The contract test itself: a bridge that breaks one promise fails the test that is about it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bridge import Bridge, EnvSpec, Steps, connect
from bridge.contract import BridgeContract
from bridge.types import Int32Array

ENV_SPEC = EnvSpec("gym", "tests.environments:Masked-v0", {"num_envs": 2, "env_kwargs": {"length": 0}})


class Tampered(Bridge):
    """A true bridge whose rows pass through `tamper(steps, number of the exchange)`."""

    def __init__(self, tamper: Callable[[Steps, int], Steps]) -> None:
        self._inner = connect(ENV_SPEC)
        super().__init__(self._inner.env_spec, self._inner.spec, self._inner.codec)
        self._tamper = tamper
        self._count = itertools.count()

    def _reset(self, seed: int | None) -> Steps:
        return self._tamper(self._inner.reset(seed), next(self._count))

    def _send(self, actions: Int32Array) -> None:
        self._inner.send(actions)

    def _receive(self) -> Steps:
        return self._tamper(self._inner.receive(), next(self._count))

    def _close(self) -> None:
        self._inner.close()


def runs(bridge: Callable[[], Bridge], test: str) -> None:
    contract = BridgeContract()
    contract.env_spec = ENV_SPEC
    contract.open = bridge  # type: ignore[method-assign]
    getattr(contract, test)()


TESTS = [name for name in dir(BridgeContract) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
def test_an_honest_bridge_passes(test: str) -> None:
    runs(lambda: Tampered(lambda steps, _: steps), test)


def column(name: str, change: Callable[[Any, Steps], Any]) -> Callable[[Steps, int], Steps]:
    return lambda steps, _: replace(steps, **{name: change(getattr(steps, name), steps)})


def drop_a_first_row(steps: Steps, exchange: int) -> Steps:
    return (
        replace(steps, step_type=np.where(steps.step_type == 0, 1, steps.step_type).astype(np.uint8))
        if (exchange > 3)
        else steps
    )


def reuse_ids(steps: Steps, exchange: int) -> Steps:
    return replace(steps, episode=steps.episode % 4)


def restart_ids(steps: Steps, exchange: int) -> Steps:
    return replace(steps, episode=1000 - steps.episode)


def last_rows_last(steps: Steps, exchange: int) -> Steps:
    order = np.argsort(~steps.wants_action, kind="stable")
    return steps.select(order)


def lie_about_the_end(steps: Steps, exchange: int) -> Steps:
    if exchange < 20:
        return steps
    return steps.select(steps.wants_action)  # FIRST rows of new episodes come, LAST rows of the old ones do not


class Aliased:
    """Hands out one and the same buffer as long as its size fits."""

    def __init__(self) -> None:
        self.buffer: Any = None

    def __call__(self, steps: Steps, exchange: int) -> Steps:
        if self.buffer is None or self.buffer.shape != steps.obs[0].shape:
            self.buffer = steps.obs[0].copy()
        self.buffer[:] = steps.obs[0]
        return replace(steps, obs=(self.buffer,))


def forget_the_seed() -> Callable[[Steps, int], Steps]:
    rng = np.random.default_rng()
    return column(
        "reward", lambda reward, steps: np.where(steps.step_type == 0, 0, rng.random(len(reward), np.float32))
    )


FAULTS: list[tuple[str, Callable[[], Callable[[Steps, int], Steps]], str]] = [
    ("reward in double precision", lambda: column("reward", lambda x, _: x.astype(np.float64)), "rows_are_as_declared"),
    ("reward on FIRST", lambda: column("reward", lambda x, _: x + np.float32(1)), "rows_are_as_declared"),
    ("a column", lambda: column("reward", lambda x, _: x[:, None]), "rows_are_as_declared"),
    ("discount 0 everywhere", lambda: column("discount", lambda x, _: x * 0), "rows_are_as_declared"),
    ("discount 0.9", lambda: column("discount", lambda x, _: x * np.float32(0.9)), "rows_are_as_declared"),
    ("bytes", lambda: column("obs", lambda x, _: (x[0].astype(np.uint8),)), "rows_are_as_declared"),
    ("wide observation", lambda: column("obs", lambda x, _: (np.tile(x[0], 2),)), "rows_are_as_declared"),
    ("masks inverted", lambda: column("mask", lambda x, _: (x[0] & False,)), "rows_are_as_declared"),
    ("masks as numbers", lambda: column("mask", lambda x, _: (x[0].astype(np.int8),)), "rows_are_as_declared"),
    ("another step type", lambda: column("step_type", lambda x, _: x + np.uint8(3)), "rows_are_as_declared"),
    ("metrics of double", lambda: column("metrics", lambda x, s: {"a": np.zeros(len(s))}), "rows_are_as_declared"),
    ("the worker of another", lambda: column("worker", lambda x, _: x + np.int32(1)), "rows_are_as_declared"),
    ("LAST after FIRST", lambda: last_rows_last, "rows_are_as_declared"),
    ("two rows of one", lambda: column("episode", lambda x, _: x * 0), "rows_are_as_declared"),
    ("no FIRST", lambda: drop_a_first_row, "episodes_are_first_mid_last"),
    ("no LAST", lambda: lie_about_the_end, "episodes_are_first_mid_last"),
    ("ids used again", lambda: reuse_ids, "episodes_are_first_mid_last"),
    ("ids fall", lambda: restart_ids, "episodes_are_first_mid_last"),
    ("ids used again after reset", lambda: reuse_ids, "reset_starts_new_episodes"),
    ("one buffer", Aliased, "rows_are_independent_of_later_steps"),
    ("another world each time", forget_the_seed, "the_same_spec_gives_the_same_rows"),
    ("another world after reset(seed)", forget_the_seed, "reset_with_a_seed_repeats"),
]


@pytest.mark.parametrize(("fault", "test"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_fault_is_found(fault: Callable[[], Callable[[Steps, int], Steps]], test: str) -> None:
    with pytest.raises(AssertionError):
        runs(lambda: Tampered(fault()), f"test_{test}")


class Careless(Tampered):
    """Takes any actions."""

    def __init__(self) -> None:
        super().__init__(lambda steps, _: steps)

    def _checked(self, actions: Any, steps: Steps) -> Int32Array:
        return self.spec.actions.sample(steps.deciding.mask, np.random.default_rng(0))


class Undead(Tampered):
    """Goes on after `close`, and in any order."""

    def __init__(self) -> None:
        super().__init__(lambda steps, _: steps)

    def _refuse_closed(self) -> None:
        pass

    def _reset(self, seed: int | None) -> Steps:
        if not self._closed:
            self._kept = self._inner.reset(seed)
        return self._kept


@pytest.mark.parametrize(
    ("kind", "test"),
    [(Careless, "actions_that_do_not_fit_are_refused"), (Undead, "close_is_final_and_may_be_repeated")],
)
def test_a_bridge_without_checks_is_found(kind: Callable[[], Bridge], test: str) -> None:
    with pytest.raises(AssertionError):
        runs(kind, f"test_{test}")
