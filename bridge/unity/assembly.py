"""From the agent infos of one exchange to `Steps`, and from the agents' actions back to the build's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto

from bridge.actions import ActionCodec
from bridge.errors import DataError, UsageError
from bridge.types import Array, BoolArray, Int32Array, Steps, StepType, first_episode_id
from bridge.unity.behavior import Behavior


class Row(NamedTuple):
    info: AgentInfoProto
    episode: int
    step_type: StepType
    reward: float
    discount: float


class Assembly:
    """Keeps which agent is in which episode, and nothing else, between exchanges.

    The rules, where Unity leaves room:

    - An agent's id may stay over its episodes or change with each, so episodes get ids of our own.
    - The infos of an exchange tell what happened in their order. An agent that ended and decides again is two rows.
    - An agent that asked for a decision and ended before it got one (destroyed in the same frame) has ended: its two
      rewards add up in the LAST row, and the decision is answered with zeros that nobody reads.
    - An agent that ends without having been seen deciding made no transition: its end is skipped.
    - `interrupted` (Unity's MaxStep and `EpisodeInterrupted`) is truncation: the discount stays 1.
    - A group's reward (`SimpleMultiAgentGroup.AddGroupReward`) is added to that of each of its agents.
    """

    def __init__(self, behavior: Behavior, codec: ActionCodec, worker: int, incarnation: int) -> None:
        self._behavior = behavior
        self._codec = codec
        self._worker = worker
        self._incarnation = incarnation
        self._next_episode = first_episode_id(worker, incarnation)
        self._open: dict[int, int] = {}  # agent id -> episode
        self._exchange = 0  # since the latest reset
        self._answered: list[bool] = []  # for each decision info of the latest exchange: whether a row stands for it

    def forget(self) -> None:
        """The scene was reset: the open episodes end without a LAST row."""
        self._open.clear()
        self._exchange = 0

    def steps(self, infos: Sequence[AgentInfoProto], metrics: Mapping[str, float] | None = None) -> Steps:
        """The rows of one exchange.

        Args:
            infos: of the behaviour, in the order in which they came.
            metrics: what the build says besides; it goes to the first row.

        Raises:
            DataError: observations or masks that differ from what was declared, or a mask that forbids everything.
            UsageError: the action codec leaves an agent nothing that is allowed.
        """
        ended, deciding = self._ordered(infos)
        self._exchange += 1
        self._answered = [row is not None for row in deciding]
        rows = ended + [row for row in deciding if row is not None]
        return Steps(
            episode=np.array([row.episode for row in rows], np.int64),
            step_type=np.array([row.step_type for row in rows], np.uint8),
            obs=self._observations(rows),
            reward=np.array([row.reward for row in rows], np.float32),
            discount=np.array([row.discount for row in rows], np.float32),
            mask=self._masks(rows),
            worker=np.full(len(rows), self._worker, np.int32),
            incarnation=np.full(len(rows), self._incarnation, np.int32),
            metrics=_of_first_row(metrics or {}, len(rows)),
        )

    def _ordered(self, infos: Sequence[AgentInfoProto]) -> tuple[list[Row], list[Row | None]]:
        """The ended rows, and for each decision info its row (None: overtaken by a later info of the same agent)."""
        ended: list[Row] = []
        deciding: list[Row | None] = []
        latest: dict[int, int] = {}  # agent id -> its place in `deciding`
        for info in infos:
            reward = info.reward + info.group_reward
            overtaken: Row | None = None
            if info.id in latest:
                place = latest.pop(info.id)
                overtaken, deciding[place] = deciding[place], None
                reward += overtaken.reward if overtaken else 0.0
            if info.done:
                episode = self._open.pop(info.id, None)
                if episode is not None and (overtaken is None or overtaken.step_type != StepType.FIRST):
                    discount = 1.0 if info.max_step_reached else 0.0
                    ended.append(Row(info, episode, StepType.LAST, reward, discount))
                continue
            step_type = StepType.MID if info.id in self._open else StepType.FIRST
            if step_type == StepType.FIRST:
                self._open[info.id] = self._next_episode
                self._next_episode += 1
            elif overtaken is not None:
                step_type = overtaken.step_type
            if step_type == StepType.FIRST:
                # No action of this episode came before it. Unity may send a reward here all the same: after a reset in
                # mid-run the agents carry out one more action, 0, which GridWorld charges with -0.01.
                reward = 0.0
            latest[info.id] = len(deciding)
            deciding.append(Row(info, self._open[info.id], step_type, reward, 1.0))
        return ended, deciding

    def _observations(self, rows: Sequence[Row]) -> tuple[Array, ...]:
        sensors = self._behavior.sensors
        observations = [row.info.observations for row in rows]
        for found in observations:
            if len(found) != len(sensors):
                raise DataError(
                    f"behaviour {self._behavior.name!r}: an agent sent {len(found)} observations, expected "
                    f"{len(sensors)} as its first agent did; agents of one behaviour must have the same sensors."
                )

        def whose(row: int) -> str:
            agent, episode = rows[row].info.id, rows[row].episode
            return (
                f" of behaviour {self._behavior.name!r}, agent {agent}, episode {episode} (worker {self._worker}), "
                f"exchange {self._exchange - 1} after the reset"
            )

        return tuple(
            sensor.decode([found[index] for found in observations], whose) for index, sensor in enumerate(sensors)
        )

    def _masks(self, rows: Sequence[Row]) -> tuple[BoolArray, ...]:
        branches = self._behavior.sizes.branches
        if not branches:
            return self._codec.all_allowed(len(rows))
        allowed = np.ones((len(rows), sum(branches)), np.bool_)
        for index, row in enumerate(rows):
            forbidden = row.info.action_mask  # Unity: True = forbidden; empty = everything is allowed
            if not forbidden or row.step_type == StepType.LAST:
                continue
            if len(forbidden) != sum(branches):
                raise DataError(
                    f"behaviour {self._behavior.name!r}: an action mask of {len(forbidden)} came, expected "
                    f"{sum(branches)} for the branches {branches}."
                )
            np.logical_not(np.array(forbidden, np.bool_), out=allowed[index])
        native = [allowed[:, end - size : end] for size, end in zip(branches, accumulate(branches), strict=True)]
        masks = self._codec.mask(native)
        for branch, (before, after) in enumerate(zip(native, masks, strict=True)):
            if not after.any(axis=1).all():
                raise self._nothing_allowed(branch, bool(before.any(axis=1).all()))
        return masks

    def _nothing_allowed(self, branch: int, by_codec: bool) -> DataError | UsageError:
        where = f"behaviour {self._behavior.name!r}: every action of branch {branch} is masked"
        if by_codec:
            return UsageError(
                f"{where} but those that the action codec {self._codec.name!r} leaves out: use the codec identity."
            )
        return DataError(f"{where}; expected at least one allowed: correct WriteDiscreteActionMask in the build.")

    def native(self, actions: Int32Array) -> Array:
        """The agents' actions [M, branches] as native ones, one row per decision info of the latest exchange."""
        encoded = self._codec.encode(actions)
        if all(self._answered):
            return encoded
        native = np.zeros((len(self._answered), encoded.shape[1]), encoded.dtype)
        native[self._answered] = encoded
        return native


def _of_first_row(metrics: Mapping[str, float], rows: int) -> dict[str, Array]:
    columns = {}
    for name, value in metrics.items():
        column = np.full(rows, np.nan, np.float32)
        column[:1] = value
        columns[name] = column
    return columns
