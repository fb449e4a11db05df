"""Action codecs: from the agent's branches to what an environment wants, and back.

A native action is a row of numbers: the branch indices of a discrete build or space, or a continuous vector. Each
agent branch `b` has a table [size, dims] and the native action is the sum of one row of each table:

    native = sum over b of tables[b][action[b]]

That one formula covers all codecs, is invertible (each dimension belongs to one branch) and can be written into an
exported model as a few constant matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bridge.errors import ActionError, UnsupportedError, UsageError
from bridge.types import ActionSpec, Array, BoolArray, Float32Array, Int32Array

CODECS = ("auto", "identity", "offset", "one_joint", "levels")
DEFAULT_LEVELS = 5


@dataclass(frozen=True)
class NativeActions:
    """What an environment takes: discrete branches, or a continuous vector, never both (hybrid is refused earlier).

    Attributes:
        branches: number of actions of each discrete branch; empty for continuous actions.
        low, high: float32 [dims] bounds of a continuous action, environment units; empty for discrete ones.
    """

    branches: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def is_discrete(self) -> bool:
        return bool(self.branches)


@dataclass(frozen=True)
class CodecSettings:
    """Which codec, and its settings.

    Attributes:
        name: one of `CODECS`; `auto` is `identity` for discrete actions and `levels` for continuous ones.
        offset: `offset` only: agent action k is native action k + offset, in every branch.
        levels: `levels` only: the values of each dimension in environment units; empty: 5 evenly from low to high.
    """

    name: str = "auto"
    offset: int = 1
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class ActionCodec:
    """A table per agent branch (see the module's docstring).

    Attributes:
        name: the codec's name; never `auto`.
        tables: per agent branch [size, dims], int32 for discrete natives and float32 for continuous ones.
        native: what they make.
    """

    name: str
    tables: tuple[Array, ...]
    native: NativeActions

    @property
    def spec(self) -> ActionSpec:
        return ActionSpec(tuple(len(table) for table in self.tables))

    def encode(self, actions: Int32Array) -> Array:
        """int32 [M, branches] -> native [M, dims]."""
        native = self.tables[0][actions[:, 0]]
        for branch, table in enumerate(self.tables[1:], start=1):
            native = native + table[actions[:, branch]]
        return native

    def decode(self, native: Array) -> Int32Array:
        """native [M, dims] -> int32 [M, branches]. Raises `ActionError` for a row that no action encodes."""
        actions = np.empty((len(native), len(self.tables)), np.int32)
        for branch, table in enumerate(self.tables):
            owned = (table != table[0]).any(axis=0)  # the dimensions that this branch decides
            distance = np.abs(native[:, None, :][..., owned] - table[None, :, :][..., owned]).sum(axis=2)  # [M, size]
            actions[:, branch] = distance.argmin(axis=1)
        wrong = np.abs(self.encode(actions) - native).max(axis=1, initial=0) > 1e-6
        if wrong.any():
            raise ActionError(f"no action of codec {self.name!r} encodes {native[wrong][0].tolist()}.")
        return actions

    def mask(self, native: Sequence[BoolArray]) -> tuple[BoolArray, ...]:
        """Masks of a discrete native, per branch bool [N, native size], as masks of the agent's branches."""
        return tuple(
            allowed[:, table[:, branch]]
            for branch, (allowed, table) in enumerate(zip(native, self.tables, strict=True))
        )

    def all_allowed(self, rows: int) -> tuple[BoolArray, ...]:
        """The masks of an environment that has none."""
        return tuple(np.ones((rows, len(table)), np.bool_) for table in self.tables)


def make_codec(native: NativeActions, settings: CodecSettings) -> ActionCodec:
    """The codec of these settings for these native actions.

    Raises:
        UsageError: an unknown codec, or one that does not fit these actions.
        UnsupportedError: an unbounded continuous action without explicit levels.
    """
    name = settings.name
    if name == "auto":
        name = "identity" if native.is_discrete else "levels"
    if name not in CODECS:
        raise UsageError(f"unknown action codec {name!r}; there are {', '.join(CODECS)}.")
    if native.is_discrete and name not in ("identity", "offset"):
        raise UsageError(f"codec {name!r} makes continuous actions, but this environment's are discrete; use identity.")
    if not native.is_discrete and name not in ("one_joint", "levels"):
        raise UsageError(f"codec {name!r} makes discrete actions, but this environment's are continuous; use levels.")
    tables: tuple[Array, ...]
    if native.is_discrete:
        tables = _index_tables(native.branches, settings.offset if name == "offset" else 0)
    elif name == "one_joint":
        tables = (_one_joint_table(native),)
    else:
        tables = _level_tables(native, settings.levels)
    return ActionCodec(name, tables, native)


def _index_tables(branches: tuple[int, ...], offset: int) -> tuple[Int32Array, ...]:
    if offset < 0 or offset >= min(branches):
        raise UsageError(
            f"action offset {offset} leaves no action in a branch of {min(branches)}; it must be below that."
        )
    tables = []
    for branch, size in enumerate(branches):
        table = np.zeros((size - offset, len(branches)), np.int32)
        table[:, branch] = np.arange(offset, size)
        tables.append(table)
    return tuple(tables)


def _one_joint_table(native: NativeActions) -> Float32Array:
    """2N actions: joint = action // 2, odd is -1, even +1, every other joint 0."""
    joints = len(native.low)
    table = np.zeros((2 * joints, joints), np.float32)
    for action in range(2 * joints):
        table[action, action // 2] = -1.0 if action % 2 else 1.0
    _check_bounds(native, (-1.0, 0.0, 1.0))
    return table


def _level_tables(native: NativeActions, levels: tuple[float, ...]) -> tuple[Float32Array, ...]:
    """Every dimension a branch of its own over the levels (DecQN, Seyde et al. 2023, arXiv 2210.12566)."""
    dims = len(native.low)
    if levels:
        if list(levels) != sorted(set(levels)):
            raise UsageError(f"action levels must rise without repeats; found {list(levels)}.")
        _check_bounds(native, levels)
        values = np.tile(np.asarray(levels, np.float32), (dims, 1))
    elif not np.isfinite([native.low, native.high]).all():
        raise UnsupportedError("this environment's actions are unbounded: name the levels to use (env.levels).")
    else:
        values = np.linspace(native.low, native.high, DEFAULT_LEVELS, dtype=np.float32).T
    tables = np.zeros((dims, values.shape[1], dims), np.float32)
    for dim in range(dims):
        tables[dim, :, dim] = values[dim]
    return tuple(tables)


def _check_bounds(native: NativeActions, levels: tuple[float, ...]) -> None:
    low, high = max(native.low), min(native.high)
    if min(levels) < low or max(levels) > high:
        raise UsageError(f"action levels {list(levels)} leave the environment's range {low:g} to {high:g}.")
