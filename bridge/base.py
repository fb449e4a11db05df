"""The environment protocol as calls: one `Bridge` for every backend."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bridge.actions import ActionCodec
from bridge.errors import ActionError, DataError, ResumeError, SequenceError, UnsupportedError, UsageError
from bridge.faults import Ledger
from bridge.goals import check_reward_rule
from bridge.types import Array, BehaviorSpec, EnvSpec, Int32Array, Steps

LOG = logging.getLogger("bridge")
#: Numbers of vectors and rewards are cut to this size. Beyond it float32 has no odd numbers any more, and what training
#: makes of them, squares of their products, stays finite below it.
LARGEST = float(2**24)

#: JSON values from which a bridge of the same spec goes on.
Snapshot = dict[str, Any]


class Bridge(ABC):
    """One source of experience. Use it in `with`; `step` is `send` then `receive`.

    Example:
        with connect(EnvSpec("gym", "CartPole-v1")) as bridge:
            steps = bridge.reset()
            while True:
                steps = bridge.step(bridge.spec.actions.sample(steps.deciding.mask, rng))

    A backend writes the methods with an underscore. What every backend must refuse alike is checked here: calls in
    the wrong order, actions that do not fit, numbers that are not finite.

    Attributes:
        env_spec: what was connected to.
        spec: what an agent needs to know.
        codec: how the agent's actions become the environment's.
        simulated: a stand-in of ours runs in the place of the engine; results say so.
        render_fps: pictures per second at which `render` shows it at its own speed; None: unknown.
        ledger: the faults that were mended without a word to the caller but `Steps.lost` (see `bridge.pool`).
    """

    def __init__(self, env_spec: EnvSpec, spec: BehaviorSpec, codec: ActionCodec) -> None:
        check_reward_rule(spec)
        self.env_spec = env_spec
        self.spec = spec
        self.codec = codec
        self.simulated = False
        self.render_fps: float | None = None
        self.ledger = Ledger()
        self._steps: Steps | None = None  # the latest rows, which the next actions answer
        self._sent = False
        self._closed = False
        self._exchange = 0  # since the latest reset
        self._cut: set[str] = set()  # what had numbers above `LARGEST`

    def reset(self, seed: int | None = None) -> Steps:
        """Starts new episodes everywhere and returns their FIRST rows.

        Open episodes end without a LAST row. With a seed, every random stream of the environment starts anew from
        it (a Unity player is seeded at its launch only, so it is launched again); without one, streams go on.
        """
        self._forget()
        self._steps = self._verified(self._reset(seed))
        return self._steps

    def send(self, actions: npt.ArrayLike) -> None:
        """Answers the rows of the latest `Steps` that want an action, in their order.

        Args:
            actions: integers [M, branches]; M = `steps.wants_action.sum()`, which may be 0.

        Raises:
            ActionError: wrong shape, type or range, or a masked action. Nothing is sent.
            SequenceError: before `reset`, after `close`, or twice without `receive`.
        """
        self._refuse_closed()
        if self._steps is None:
            raise SequenceError("send() before reset(): call reset() first.")
        if self._sent:
            raise SequenceError("send() twice: call receive() in between.")
        self._send(self._checked(actions, self._steps))
        self._sent = True

    def receive(self) -> Steps:
        """Waits for the environment's answer to `send`.

        Raises:
            SequenceError: nothing was sent.
            ConnectionLostError: the environment died or hung; only `reset(seed)` and `close` are left.
            DataError: it reported NaN or infinity. (Numbers beyond `LARGEST` are cut to it, and a warning says so.)
        """
        self._refuse_closed()
        if not self._sent:
            raise SequenceError("receive() without send(): there is nothing to wait for.")
        self._sent = False
        self._exchange += 1
        self._steps = None  # after a failure, only reset is left
        self._steps = self._verified(self._receive())
        return self._steps

    def step(self, actions: npt.ArrayLike) -> Steps:
        """`send`, then `receive`."""
        self.send(actions)
        return self.receive()

    def snapshot(self) -> Snapshot | None:
        """What `resume` needs to go on from the latest `Steps` in a new process, as JSON values.

        None where that is not possible: a Unity player cannot be put into a state, and between `send` and `receive`
        there is none.
        """
        return None if self._closed or self._sent or self._steps is None else self._snapshot()

    def resume(self, snapshot: Snapshot) -> Steps:
        """Instead of the first `reset`: returns the rows that wanted an action when the snapshot was taken.

        Raises:
            ResumeError: the environment does not come back to that state. `reset` begins new episodes.
        """
        self._forget()
        self._steps = self._verified(self._resume(snapshot))
        return self._steps

    def render(self, row: int | None = None) -> npt.NDArray[np.uint8]:
        """A picture of the (first) environment for a person, uint8 [H, W, 3].

        Args:
            row: of the latest `Steps`, to see what it tells of: with a LAST one how its episode ended. None: the first
                one that wants an action.

        Raises:
            UsageError: there is no picture, of this row or at all.
        """
        self._refuse_closed()
        rows = 0 if self._steps is None else len(self._steps)
        if row is not None and not 0 <= row < rows:
            raise UsageError(f"render({row}): the latest Steps have {rows} rows.")
        return self._render(row)

    def close(self) -> None:
        """Ends the environment. Idempotent."""
        if not self._closed:
            self._closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _reset(self, seed: int | None) -> Steps: ...

    @abstractmethod
    def _send(self, actions: Int32Array) -> None: ...

    @abstractmethod
    def _receive(self) -> Steps: ...

    @abstractmethod
    def _close(self) -> None: ...

    def _snapshot(self) -> Snapshot | None:
        return None

    def _resume(self, snapshot: Snapshot) -> Steps:  # noqa: ARG002
        raise ResumeError(f"{self.env_spec.target} cannot be put back into a state.")

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:  # noqa: ARG002
        raise UnsupportedError(f"{self.env_spec.target} has no picture to render.")

    def _forget(self) -> None:
        """Nothing was sent and nothing came yet: a reset or a resumption is next."""
        self._refuse_closed()
        self._sent = False
        self._steps = None
        self._exchange = 0

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SequenceError(f"the bridge to {self.env_spec.target} is closed: connect again.")

    def _checked(self, actions: npt.ArrayLike, steps: Steps) -> Int32Array:
        try:
            found: npt.NDArray[Any] = np.asarray(actions)
        except ValueError:
            raise ActionError("actions are ragged, expected one row per deciding agent.") from None
        branches = self.spec.actions.branches
        wants = steps.wants_action
        expected = (int(np.count_nonzero(wants)), len(branches))
        if found.shape != expected:
            raise ActionError(f"actions have shape {found.shape}, expected {expected}: one row per deciding agent.")
        if found.size == 0:
            return found.astype(np.int32)
        if found.dtype.kind not in "iu":
            raise ActionError(f"actions have type {found.dtype}, expected integers.")
        outside = (found < 0) | (found >= branches)
        if outside.any():
            row, branch = np.argwhere(outside)[0]
            raise ActionError(
                f"action {found[row, branch]} of row {row} is outside branch {branch}: "
                f"expected 0 to {branches[branch] - 1}."
            )
        for branch, allowed in enumerate(steps.mask):
            if allowed.all():
                continue
            masked = ~allowed[wants][np.arange(len(found)), found[:, branch]]
            if masked.any():
                row = int(masked.argmax())
                raise ActionError(f"action {found[row, branch]} of row {row} is masked in branch {branch}.")
        return found.astype(np.int32)

    def _verified(self, steps: Steps) -> Steps:
        """The same rows, if all their numbers are finite, none of them beyond `LARGEST`."""
        obs = tuple(
            self._bounded(steps, f"observation {spec.name!r}", values) if spec.kind == "vector" else values
            for spec, values in zip(self.spec.observations, steps.obs, strict=True)
        )
        reward = self._bounded(steps, "the reward", steps.reward)
        if reward is steps.reward and all(new is old for new, old in zip(obs, steps.obs, strict=True)):
            return steps
        return replace(steps, obs=obs, reward=reward)

    def _bounded(self, steps: Steps, what: str, values: Array) -> Array:
        """Values [N, ...] between -LARGEST and LARGEST; says once when it had to cut some."""
        if (np.abs(values) <= LARGEST).all():  # false for NaN, too
            return values
        finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if not finite.all():
            row = int(finite.argmin())
            raise DataError(
                f"{self.spec.name}: {what} of episode {steps.episode[row]} (worker {steps.worker[row]}) is not finite "
                f"in exchange {self._exchange} after the reset: expected numbers; look for a division by zero in the "
                "environment."
            )
        if what not in self._cut:
            self._cut.add(what)
            LOG.warning(
                "%s: %s has numbers up to %.2g, cut to %.2g: scale them in the environment.",
                self.spec.name,
                what,
                np.abs(values).max(),
                LARGEST,
            )
        return np.clip(values, -LARGEST, LARGEST)
