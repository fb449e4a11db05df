"""A bridge with any number of agents as `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from bridge.base import Bridge
from bridge.door.slots import Report, Slots
from bridge.door.spaces import Observations, action_space
from bridge.errors import UsageError
from bridge.types import BoolArray, EnvSpec

#: At which recorded pictures, one per agent step, are to be played.
RENDER_FPS = 30


class BridgeVectorEnv(VectorEnv[Any, npt.ArrayLike, npt.NDArray[Any]]):
    """Each agent is an environment of the vector: "slot" in `bridge.door.slots`, which says how agents come and go.

    Autoreset is `AutoresetMode.SAME_STEP`: where an episode ended, `step` returns the first observation of the next
    one, and the true last one is in `infos["final_obs"]`, its info in `infos["final_info"]`. `infos` holds the action
    masks as `action_mask`, int8 [agents, actions of all branches end to end], 1 = allowed.

    Args:
        bridge: what to connect to, or an open bridge, which is taken over: reset here, and closed by `close`.
        agents: how many at a time; None: as many as the first exchange reports.
        observations: names of sensors for a `Dict`, one name as a string for that one alone; None: all, as a `Dict`.
        hold: let slots wait whose agents do not decide when others do, instead of refusing the scene.
        replace_masked: take the first allowed action in place of a masked one, and say so in `infos` as
            `action_replaced`; otherwise an `ActionError`.
        render_mode: `rgb_array`, or None if `render` will not be called.

    Raises:
        UsageError: an argument that does not fit.
        BridgeError: whatever `connect` and `reset` raise.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        bridge: EnvSpec | Bridge,
        *,
        agents: int | None = None,
        observations: str | Sequence[str] | None = None,
        hold: bool = False,
        replace_masked: bool = True,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = checked_render_mode(render_mode)
        self._slots = Slots(bridge, agents=agents, hold=hold, replace_masked=replace_masked)
        self._observations = chosen_observations(self._slots, observations)
        self.bridge = self._slots.bridge
        self.num_envs = self._slots.count
        self.single_observation_space = self._observations.space
        self.single_action_space = action_space(self.bridge.spec.actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._masks: BoolArray | None = None

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """New episodes everywhere. With a seed all random streams start anew from it (Unity: the player, too)."""
        refuse_options(options)
        super().reset(seed=seed)
        report = self._slots.reset(seed)
        return self._observations.of(report.obs), self._infos(report)

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[Any, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Takes an action per agent: [agents], or [agents, branches] where there are several branches."""
        report = self._slots.step(actions)
        observation = self._observations.of(report.obs)
        return observation, report.reward, report.terminated, report.truncated, self._infos(report)

    def action_masks(self) -> BoolArray:
        """The latest masks, [agents, actions of all branches end to end], True = allowed, as sb3-contrib asks."""
        if self._masks is None:
            raise UsageError("action_masks() before reset(): there are none yet; call reset() first.")
        return self._masks.copy()

    def render(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """One picture, uint8 [H, W, 3], of the first environment."""
        refuse_no_mode(self.render_mode)
        return (self.bridge.render(),)

    def close_extras(self, **_: Any) -> None:
        self._slots.close()

    def _infos(self, report: Report) -> dict[str, Any]:
        self._masks = report.mask
        infos: dict[str, Any] = {}
        for slot in range(self.num_envs):
            if slot in report.ends:
                end = report.ends[slot]
                final = {"final_obs": self._observations.of(end.obs), "final_info": end.info}
                infos = self._add_info(infos, final, slot)
            infos = self._add_info(infos, report.info(slot), slot)
        return infos


def chosen_observations(slots: Slots, choice: str | Sequence[str] | None) -> Observations:
    """What the agents of these slots observe, by the names of `choice`.

    Raises:
        UsageError: no such sensor, or none chosen; the slots are closed.
    """
    try:
        return Observations(slots.bridge.spec, choice)
    except BaseException:
        slots.close()
        raise


def checked_render_mode(mode: str | None) -> str | None:
    """Raises `UsageError` for a mode that the door does not have."""
    if mode not in (None, "rgb_array"):
        raise UsageError(f"render_mode is {mode!r}, expected 'rgb_array' or None.")
    return mode


def refuse_no_mode(mode: str | None) -> None:
    """Raises `UsageError` where no render mode was asked for."""
    if mode is None:
        raise UsageError("render() without a render mode: open the environment with render_mode='rgb_array'.")


def refuse_options(options: Mapping[str, Any] | None) -> None:
    """Raises `UsageError` for options of `reset`, of which there are none."""
    if options:
        raise UsageError(f"reset() got the options {sorted(options)}, expected none: set them in the EnvSpec.")
