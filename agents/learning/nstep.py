"""From rows to n-step transitions: for each episode, what is still waiting for its rewards. numpy only.

Observations are known here by the number under which the replay keeps them (`frame`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge import StepType


@dataclass(frozen=True)
class Transitions:
    """K transitions of up to n steps each.

    Attributes:
        frame_tm1: int64 [K], the observation that was acted on.
        action_tm1: int32 [K, branches].
        reward_t: float32 [K], sum of gamma^i times the i-th reward.
        discount_t: float32 [K], what the value of `frame_t` counts: gamma^steps, 0 after a termination.
        frame_t: int64 [K], the observation to bootstrap from; `frame_tm1` again where the discount is 0.
    """

    frame_tm1: npt.NDArray[np.int64]
    action_tm1: npt.NDArray[np.int32]
    reward_t: npt.NDArray[np.float32]
    discount_t: npt.NDArray[np.float32]
    frame_t: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.frame_tm1)


@dataclass
class _Waiting:
    """A decision whose n rewards are not all there."""

    frame: int
    action: list[int]
    reward: float = 0.0
    weight: float = 1.0  # gamma to the number of rewards so far
    following: int = -1  # the latest observation after it; none yet


class NStep:
    """Assembles n-step transitions (Sutton & Barto 2018, section 7.1) of any number of interleaved episodes.

    A truncated episode's tail bootstraps from its last observation with what steps there were; a terminated one's
    tail ends with discount 0. Nothing crosses from one episode into another.
    """

    def __init__(self, n: int, gamma: float, branches: int) -> None:
        self._n = n
        self._gamma = gamma
        self._branches = branches
        self._open: dict[int, deque[_Waiting]] = {}

    def decided(
        self, episodes: npt.NDArray[np.int64], frames: npt.NDArray[np.int64], actions: npt.NDArray[np.int32]
    ) -> None:
        """The agents of `episodes` [M] acted on `frames` [M] with `actions` [M, branches]."""
        for episode, frame, action in zip(episodes.tolist(), frames.tolist(), actions.tolist(), strict=True):
            self._open.setdefault(episode, deque()).append(_Waiting(frame, action))

    def reported(
        self,
        episodes: npt.NDArray[np.int64],
        step_types: npt.NDArray[np.uint8],
        rewards: npt.NDArray[np.float32],
        discounts: npt.NDArray[np.float32],
        frames: npt.NDArray[np.int64],
    ) -> Transitions:
        """One exchange's rows, all [N]; returns the transitions that they complete, oldest first per episode."""
        done: list[_Waiting] = []
        columns = (array.tolist() for array in (episodes, step_types, rewards, discounts, frames))
        for episode, step_type, reward, discount, frame in zip(*columns, strict=True):
            waiting = self._open.get(episode)
            if waiting is None or step_type == StepType.FIRST:
                continue
            for item in waiting:
                item.reward += item.weight * reward
                item.weight *= self._gamma * discount
                item.following = frame
            if step_type == StepType.LAST:
                done.extend(waiting)
                del self._open[episode]
            elif len(waiting) == self._n:
                done.append(waiting.popleft())
        return self._gathered(done)

    def lost(self, episodes: npt.NDArray[np.int64]) -> Transitions:
        """No more rows of these episodes come. Decisions with an outcome end with fewer steps, the others are lost."""
        waiting = [item for episode in episodes.tolist() for item in self._open.pop(episode, ())]
        return self._gathered([item for item in waiting if item.following >= 0])

    @property
    def open_episodes(self) -> npt.NDArray[np.int64]:
        """Those that wait for rewards."""
        return np.array(list(self._open), np.int64)

    @property
    def pending(self) -> int:
        """Decisions of which nothing is known."""
        return sum(item.following < 0 for waiting in self._open.values() for item in waiting)

    def _gathered(self, done: list[_Waiting]) -> Transitions:
        return Transitions(
            frame_tm1=np.array([item.frame for item in done], np.int64),
            action_tm1=np.array([item.action for item in done], np.int32).reshape(-1, self._branches),
            reward_t=np.array([item.reward for item in done], np.float32),
            discount_t=np.array([item.weight for item in done], np.float32),
            frame_t=np.array([item.frame if item.weight == 0 else item.following for item in done], np.int64),
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "open": {
                str(episode): [list(vars(item).values()) for item in waiting] for episode, waiting in self._open.items()
            }
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._open = {
            int(episode): deque(_Waiting(*values) for values in waiting) for episode, waiting in state["open"].items()
        }
