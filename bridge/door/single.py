"""A bridge with one agent as `gymnasium.Env`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from bridge.base import Bridge
from bridge.door.slots import End, Report, Slots
from bridge.door.spaces import action_space
from bridge.door.vector import RENDER_FPS, checked_render_mode, chosen_observations, refuse_no_mode, refuse_options
from bridge.errors import SequenceError, UsageError
from bridge.types import BoolArray, EnvSpec


class BridgeEnv(gymnasium.Env[Any, Any]):
    """The only agent of a bridge. `info["action_mask"]` is int8 [actions of all branches end to end], 1 = allowed.

    The bridge begins the next episode by itself, so `reset()` after an end hands out what has already begun; in the
    middle of an episode it resets the environment, and the episode is cut short.

    Args:
        bridge: what to connect to, or an open bridge, which is taken over: reset here, and closed by `close`.
        observations: names of sensors for a `Dict`, one name as a string for that one alone; None: all, as a `Dict`.
        replace_masked: take the first allowed action in place of a masked one, and say so in `info` as
            `action_replaced`; otherwise an `ActionError`.
        render_mode: `rgb_array`, or None if `render` will not be called.

    Raises:
        UsageError: an argument that does not fit.
        BridgeError: whatever `connect` raises; `reset` and `step` raise `UnsupportedError` for a second agent.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RENDER_FPS}  # noqa: RUF012

    def __init__(
        self,
        bridge: EnvSpec | Bridge,
        *,
        observations: str | Sequence[str] | None = None,
        replace_masked: bool = True,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = checked_render_mode(render_mode)
        self._slots = Slots(bridge, agents=1, hold=True, replace_masked=replace_masked)
        self._observations = chosen_observations(self._slots, observations)
        self.bridge = self._slots.bridge
        self.observation_space = self._observations.space
        self.action_space = action_space(self.bridge.spec.actions)
        self._report: Report | None = None
        self._ended = False

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new episode. With a seed all random streams start anew from it (Unity: the player, too)."""
        refuse_options(options)
        super().reset(seed=seed)
        report = self._report
        self._report = None
        if seed is not None or report is None or not self._ended:
            report = self._slots.reset(seed)
        elif report.waiting[0]:
            report = self._slots.step(np.zeros((1, len(self.bridge.spec.actions.branches)), np.int64))
        self._report, self._ended = report, False
        return self._observations.of([values[0] for values in report.obs]), report.info(0)

    def step(self, action: npt.ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes an action: an integer, or [branches] where there are several branches.

        Raises:
            SequenceError: before `reset`, or after the end of an episode.
        """
        if self._report is None or self._ended:
            raise SequenceError("step() before reset(), or after the end of an episode: call reset() first.")
        self._report = None  # after a failure, only reset is left
        report = self._slots.step(np.asarray(action)[None], stop_at_end=True)
        self._report, self._ended = report, bool(report.ends)
        end = report.ends[0] if self._ended else End(tuple(values[0] for values in report.obs), report.info(0))
        return (
            self._observations.of(end.obs),
            float(report.reward[0]),
            bool(report.terminated[0]),
            bool(report.truncated[0]),
            end.info,
        )

    def action_masks(self) -> BoolArray:
        """The latest mask, [actions of all branches end to end], True = allowed, as sb3-contrib asks."""
        if self._report is None:
            raise UsageError("action_masks() before reset(): there are none yet; call reset() first.")
        return self._report.mask[0].copy()  # type: ignore[no-any-return]

    def render(self) -> npt.NDArray[np.uint8]:
        """uint8 [H, W, 3]."""
        refuse_no_mode(self.render_mode)
        return self.bridge.render()

    def close(self) -> None:
        """Ends the environment. Idempotent."""
        self._slots.close()
