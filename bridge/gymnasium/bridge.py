"""Gymnasium environments behind the environment protocol: their steps, episodes, seeds and ends.

An environment whose episode ended is reset in the same exchange: a LAST row with the true final observation, then a
FIRST row of the next episode. Rows that want an action are always in the order of the environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
import numpy.typing as npt

from bridge.actions import make_codec
from bridge.base import Bridge, Snapshot
from bridge.errors import DataError, ResumeError, UnsupportedError, UsageError
from bridge.gymnasium.actions import ActionAdapter
from bridge.gymnasium.assembly import Assembly, Row
from bridge.gymnasium.observations import observation_parts
from bridge.gymnasium.options import GymnasiumOptions
from bridge.gymnasium.resuming import EpisodeLog, digest
from bridge.types import Array, BehaviorSpec, EnvSpec, Int32Array, Steps, StepType, first_episode_id, seed_stream


class GymnasiumBridge(Bridge):
    """N environments in this process, stepped one after the other.

    Args:
        environments: all made alike; the first one says what they are like, and is the only one that draws.
    """

    def __init__(
        self,
        env_spec: EnvSpec,
        options: GymnasiumOptions,
        environments: Sequence[gymnasium.Env[Any, Any]],
        worker: int,
        incarnation: int,
    ) -> None:
        first = environments[0]
        self._parts = observation_parts(first.observation_space, stacked=options.frame_stack > 1)
        self._actions = ActionAdapter(first.action_space)
        codec = make_codec(self._actions.native, options.codec_settings)
        made = first.spec
        spec = BehaviorSpec(
            name=made.id if made is not None else env_spec.target,
            observations=tuple(part.spec for part in self._parts),
            actions=codec.spec,
            max_episode_steps=made.max_episode_steps if made is not None else None,
            reward_rule=options.reward_rule,
        )
        super().__init__(env_spec, spec, codec)
        self._environments = environments
        self._worker = worker
        self._incarnation = incarnation
        self._render_option = options.render
        self._assembly = Assembly(spec.name, codec, self._actions, options.metrics, worker)
        self._episodes = [0] * len(environments)
        self._next_episode = first_episode_id(worker, incarnation)
        self._is_seeded = False
        self._pending: list[Any] = []
        self._ended: tuple[int, npt.NDArray[np.uint8]] | None = None  # the first environment's latest: id, picture
        self.render_fps = first.metadata.get("render_fps")
        self._logs = [EpisodeLog() for _ in environments]

    def _reset(self, seed: int | None) -> Steps:
        # Like a player's: of a reset with a seed the stream depends on that and the worker alone.
        stream = (seed, 0) if seed is not None else None if self._is_seeded else (self.env_spec.seed, self._incarnation)
        self._is_seeded = True
        return self._assembled([self._begin(index, stream) for index in range(len(self._environments))])

    def _send(self, actions: Int32Array) -> None:
        self._pending = self._actions.to_environments(self.codec.encode(actions))
        for log, action in zip(self._logs, actions.tolist(), strict=True):
            log.actions.append(action)

    def _receive(self) -> Steps:
        ended: list[Row] = []
        deciding: list[Row] = []
        for index, action in enumerate(self._pending):
            observation, reward, terminated, truncated, info = self._environments[index].step(action)
            episode = self._episodes[index]
            obs = self._read(index, observation)
            if terminated or truncated:
                if index == 0 and self._render_option:
                    self._ended = episode, self._picture()
                ended.append(Row(episode, StepType.LAST, obs, reward, 0.0 if terminated else 1.0, info))
                deciding.append(self._begin(index))
            else:
                deciding.append(Row(episode, StepType.MID, obs, reward, 1.0, info))
        return self._assembled(ended + deciding)

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:
        if not self._render_option:
            raise UnsupportedError(f"{self.env_spec.target} was opened without graphics; open it with render=True.")
        if row is not None:
            assert self._steps is not None
            episode = int(self._steps.episode[row])
            if self._ended is not None and episode == self._ended[0]:
                return self._ended[1]
            if episode != self._episodes[0]:
                raise UnsupportedError(f"row {row} is not of the first environment, which is the only one that draws.")
        return self._picture()

    def _picture(self) -> npt.NDArray[np.uint8]:
        try:
            picture = self._environments[0].render()
        except Exception as error:
            raise UsageError(
                f"{self.env_spec.target} cannot draw here ({error}): on a machine without a screen, MuJoCo needs EGL "
                "or OSMesa and the variable MUJOCO_GL=egl or MUJOCO_GL=osmesa."
            ) from error
        colours = np.asarray(picture)
        if colours.dtype.kind == "f":  # 0 to 1, as matplotlib's palettes are
            colours = np.rint(colours * 255.0)
        return np.array(colours, np.uint8)

    def _close(self) -> None:
        for environment in self._environments:
            environment.close()

    def _begin(self, index: int, stream: tuple[int, int] | None = None) -> Row:
        """The FIRST row of a new episode; with a seed and an incarnation, of new random streams."""
        seed = None if stream is None else seed_stream(stream[0], self._worker, stream[1], index)
        observation, info = self._logs[index].begin(self._environments[index], seed)
        self._episodes[index] = self._next_episode
        self._next_episode += 1
        return Row(self._episodes[index], StepType.FIRST, self._read(index, observation), 0.0, 1.0, info)

    def _snapshot(self) -> Snapshot | None:
        assert self._steps is not None
        if not all(log.can_begin_again(one) for log, one in zip(self._logs, self._environments, strict=True)):
            return None
        return {
            "incarnation": self._incarnation,
            "next_episode": self._next_episode,
            "episodes": list(self._episodes),
            "logs": [asdict(log) for log in self._logs],
            "digest": digest(self._steps.deciding),
        }

    def _resume(self, snapshot: Snapshot) -> Steps:
        """Plays the open episodes again, from the random state in which they began and with the same actions."""
        logs = [EpisodeLog(**log) for log in snapshot.get("logs", ())]
        if len(logs) != len(self._environments):
            raise ResumeError(f"the snapshot is of {len(logs)} environments, found {len(self._environments)}.")
        before = self._incarnation, self._next_episode, self._episodes
        self._incarnation, self._next_episode = snapshot["incarnation"], snapshot["next_episode"]
        self._episodes = list(snapshot["episodes"])
        played = f"{self.env_spec.target} played again with the same seed and actions"
        try:
            steps = self._assembled([self._played_again(index, log) for index, log in enumerate(logs)])
            if digest(steps) != snapshot["digest"]:
                raise ResumeError(
                    f"{played} observes something else: its random numbers are not all from np_random, or another "
                    "version of it is installed."
                )
        except Exception as error:
            self._incarnation, self._next_episode, self._episodes = before
            if isinstance(error, ResumeError):
                raise
            raise ResumeError(f"{played} fails with {type(error).__name__}: {error}.") from error
        self._logs, self._is_seeded = logs, True
        return steps

    def _played_again(self, index: int, log: EpisodeLog) -> Row:
        environment = self._environments[index]
        observation, info = log.begin_again(environment)
        reward: SupportsFloat = 0.0
        native = self.codec.encode(np.array(log.actions, np.int32).reshape(-1, len(self.spec.actions.branches)))
        for action in self._actions.to_environments(native):
            observation, reward, _, _, info = environment.step(action)
        step_type = StepType.MID if log.actions else StepType.FIRST
        return Row(self._episodes[index], step_type, self._read(index, observation), reward, 1.0, info)

    def _read(self, index: int, observation: Any) -> tuple[Array, ...]:
        try:
            return tuple([part.read(observation) for part in self._parts])
        except DataError as error:
            raise DataError(
                f"{self.spec.name}, episode {self._episodes[index]} (worker {self._worker}, environment {index}), "
                f"exchange {self._exchange} after the reset: {error}"
            ) from error

    def _assembled(self, rows: Sequence[Row]) -> Steps:
        return self._assembly.steps(rows, self._incarnation)
