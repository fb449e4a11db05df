"""A bridge that keeps what it hands out, to compare with what comes through the door."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from bridge import Bridge, EnvSpec, Steps, StepType, connect
from bridge.types import Int32Array

#: An episode: the bytes of its observations, its rewards, and how it ended ("" if it has not).
Episode = tuple[tuple[bytes, ...], tuple[float, ...], str]


class Recorder(Bridge):
    """Any bridge. Attribute `record`: the `Steps` of every exchange."""

    def __init__(self, spec: EnvSpec) -> None:
        self._inner = connect(spec)
        super().__init__(spec, self._inner.spec, self._inner.codec)
        self.record: list[Steps] = []

    def _reset(self, seed: int | None) -> Steps:
        self.record = [self._inner.reset(seed)]
        return self.record[-1]

    def _send(self, actions: Int32Array) -> None:
        self._inner.send(actions)

    def _receive(self) -> Steps:
        self.record.append(self._inner.receive())
        return self.record[-1]

    def _close(self) -> None:
        self._inner.close()

    def episodes(self) -> Counter[Episode]:
        """What was reported, by the bridge's own ids."""
        rows: dict[int, tuple[list[bytes], list[float], list[str]]] = {}
        for steps in self.record:
            for row, (episode, kind) in enumerate(zip(steps.episode.tolist(), steps.step_type.tolist(), strict=True)):
                seen, rewards, end = rows.setdefault(episode, ([], [], []))
                seen.append(b"".join(values[row].tobytes() for values in steps.obs))
                if kind != StepType.FIRST:
                    rewards.append(float(steps.reward[row]))
                if kind == StepType.LAST:
                    end.append("truncated" if steps.discount[row] else "terminated")
        return Counter((tuple(seen), tuple(rewards), *(end or [""])) for seen, rewards, end in rows.values())


class Slot:
    """The episodes of one slot, gathered from what a learner sees."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.finished: list[Episode] = []
        self._begin(first)

    def _begin(self, obs: dict[str, Any]) -> None:
        self._seen, self._rewards = [_bytes(obs)], list[float]()

    def add(self, obs: dict[str, Any], reward: float, end: str, final_obs: dict[str, Any] | None) -> None:
        """The slot's part of a step; `end` is empty, or how an episode ended."""
        assert (final_obs is not None) == bool(end)
        self._rewards.append(reward)
        self._seen.append(_bytes(obs if final_obs is None else final_obs))
        if end:
            self.finished.append((tuple(self._seen), tuple(self._rewards), end))
            self._begin(obs)

    def episodes(self) -> Counter[Episode]:
        """All of them, the open one included."""
        return Counter([*self.finished, (tuple(self._seen), tuple(self._rewards), "")])


def _bytes(obs: dict[str, Any]) -> bytes:
    assert all(isinstance(values, np.ndarray) for values in obs.values())
    return b"".join(values.tobytes() for values in obs.values())
