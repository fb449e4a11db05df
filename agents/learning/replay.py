"""Experience replay (Lin 1992; Mnih et al. 2015) that keeps every observation once. numpy only.

A ring of rows. A row is one observation of one agent, numbered in order of arrival (its `frame`); it becomes a
transition when the n-step assembler knows what followed. What followed is always a later row, so a row that is still
in the ring finds its successor there too, and no observation is stored twice. A terminated episode's last observation
counts for nothing and is not stored; a truncated one's is a row that never becomes a transition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.learning.nstep import Transitions
from bridge import ObsSpec

Array = npt.NDArray[Any]


class ReplayMemoryError(ValueError):
    """The replay does not fit into memory; the message has both figures."""


@dataclass(frozen=True)
class Batch:
    """B transitions: each of obs_tm1 and obs_t [B, ...], both masks bool [B, total], the others as in `Transitions`."""

    obs_tm1: tuple[Array, ...]
    mask_tm1: npt.NDArray[np.bool_]
    action_tm1: npt.NDArray[np.int32]
    reward_t: npt.NDArray[np.float32]
    discount_t: npt.NDArray[np.float32]
    obs_t: tuple[Array, ...]
    mask_t: npt.NDArray[np.bool_]


def replay_bytes(observations: tuple[ObsSpec, ...], branches: tuple[int, ...], capacity: int) -> int:
    """Memory of a full replay in bytes."""
    row = sum(item.zeros(1).nbytes for item in observations)
    row += sum(branches)  # mask, one byte each
    row += 4 * len(branches) + 4 + 4 + 8 + 8 + 8  # action, reward, discount, successor, index, place in the index
    return row * capacity


class Replay:
    """Uniform replay over preallocated arrays.

    Args:
        observations: what is stored of each row.
        branches: number of actions of each branch.
        capacity: rows kept.
        rng: draws the samples.
        available: bytes of free memory; a replay that needs more is refused.

    Raises:
        ReplayMemoryError: the full replay would not fit.
    """

    def __init__(
        self,
        observations: tuple[ObsSpec, ...],
        branches: tuple[int, ...],
        capacity: int,
        rng: np.random.Generator,
        available: int,
    ) -> None:
        needed = replay_bytes(observations, branches, capacity)
        if needed > available:
            raise ReplayMemoryError(
                f"the replay needs {needed / 2**20:,.0f} MiB for {capacity:,} observations, but only "
                f"{available / 2**20:,.0f} MiB of memory are free: lower replay.capacity."
            )
        self.capacity = capacity
        self._rng = rng
        self._frames = 0  # rows ever stored; row f lies at f % capacity
        self._obs = tuple(item.zeros(capacity) for item in observations)
        self._mask = np.zeros((capacity, sum(branches)), np.bool_)
        self._action = np.zeros((capacity, len(branches)), np.int32)
        self._reward = np.zeros(capacity, np.float32)
        self._discount = np.zeros(capacity, np.float32)
        self._next = np.zeros(capacity, np.int64)  # slot of the row to bootstrap from
        # The slots of complete transitions, dense, so that a uniform draw is one index; _place inverts it.
        self._ready = np.zeros(capacity, np.int64)
        self._place = np.full(capacity, -1, np.int64)
        self._size = 0

    def __len__(self) -> int:
        """Transitions that can be sampled."""
        return self._size

    @property
    def nbytes(self) -> int:
        arrays = (*self._obs, self._mask, self._action, self._reward, self._discount)
        return sum(array.nbytes for array in (*arrays, self._next, self._ready, self._place))

    def append(self, obs: tuple[Array, ...], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Stores N rows, the oldest make room. mask: bool [N, total]. Returns their frames, int64 [N]."""
        frames = np.arange(self._frames, self._frames + len(mask), dtype=np.int64)
        slots = frames % self.capacity
        # Each once: more rows than the ring holds come round to the same slot.
        for slot in dict.fromkeys(slots[self._place[slots] >= 0].tolist()):
            self._withdraw(slot)
        for stored, values in zip(self._obs, obs, strict=True):
            stored[slots] = values
        self._mask[slots] = mask
        self._frames += len(mask)
        return frames

    def complete(self, transitions: Transitions) -> None:
        """What followed those rows is known: they can be sampled from now on."""
        alive = transitions.frame_tm1 >= self._frames - self.capacity
        slots = transitions.frame_tm1[alive] % self.capacity
        self._action[slots] = transitions.action_tm1[alive]
        self._reward[slots] = transitions.reward_t[alive]
        self._discount[slots] = transitions.discount_t[alive]
        self._next[slots] = transitions.frame_t[alive] % self.capacity
        self._place[slots] = np.arange(self._size, self._size + len(slots))
        self._ready[self._size : self._size + len(slots)] = slots
        self._size += len(slots)

    def sample(self, batch_size: int) -> Batch:
        """Uniform with replacement. Needs at least one transition."""
        slots = self._ready[self._rng.integers(self._size, size=batch_size)]
        following = self._next[slots]
        return Batch(
            obs_tm1=tuple(stored[slots] for stored in self._obs),
            mask_tm1=self._mask[slots],
            action_tm1=self._action[slots],
            reward_t=self._reward[slots],
            discount_t=self._discount[slots],
            obs_t=tuple(stored[following] for stored in self._obs),
            mask_t=self._mask[following],
        )

    def _withdraw(self, slot: int) -> None:
        """The slot is about to be overwritten: the last of the index takes its place."""
        place = self._place[slot]
        self._size -= 1
        last = self._ready[self._size]
        self._ready[place] = last
        self._place[last] = place
        self._place[slot] = -1

    def state_dict(self) -> dict[str, Array]:
        """The used part of every array, by name."""
        used = min(self._frames, self.capacity)
        state = {name: array[:used] for name, array in self._columns().items()}
        state["ready"] = self._ready[: self._size]
        state["frames"] = np.asarray(self._frames)
        return state

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Raises `ValueError` for the state of another capacity's or environment's replay, and loads nothing of it."""
        frames, size = int(state["frames"]), len(state["ready"])
        used = min(frames, self.capacity)
        if len(state["mask"]) != used or size > used:
            raise ValueError(
                f"the saved replay holds {len(state['mask']):,} observations of {frames:,} seen, which does not "
                f"fit a capacity of {self.capacity:,}: resume with the capacity that it was saved with."
            )
        columns = self._columns()
        for name, array in columns.items():
            found, expected = state[name].shape, (used, *array.shape[1:])
            if found != expected:
                raise ValueError(
                    f"the saved replay's {name} has shape {found}, expected {expected}: it is another environment's."
                )
        for name, array in columns.items():
            array[:used] = state[name]
        self._place[used:] = -1
        self._ready[:size] = state["ready"]
        self._frames, self._size = frames, size

    def _columns(self) -> dict[str, Array]:
        """The arrays of one entry per row, by the names under which they are saved."""
        columns: dict[str, Array] = {f"obs_{index}": array for index, array in enumerate(self._obs)}
        for name in ("mask", "action", "reward", "discount", "next", "place"):
            columns[name] = getattr(self, f"_{name}")
        return columns
