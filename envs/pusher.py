"""Pusher that tells what the arm touches first: `envs.pusher:PusherContact-v4` and `PusherContact-v5` (docs/pusher.md).

With every option at its default these are gymnasium's Pusher-v4 and Pusher-v5: the same observations and rewards, bit
for bit. What they add is in `info` of every step: `is_success`, and in `episode_metrics` what an evaluation shows.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.mujoco import MujocoEnv, pusher_v4, pusher_v5
from gymnasium.utils import EzPickle

#: How near the object's axis has to be to the goal's at the end, in metres along the table (their heights differ).
SUCCESS_DISTANCE = 0.05
#: How far below the object's top a contact may be on it, in metres: the engine lets bodies overlap a little.
TOP_DEPTH = 0.003
#: Of the normal of a contact on the top face; a smaller one pushes more sideways than down.
TOP_NORMAL = math.sqrt(0.5)
#: Where the write-up that this task comes from looked from, with more of the arm in the picture than gymnasium has.
CAMERA = {"trackbodyid": -1, "distance": 3.0, "azimuth": 135.0, "elevation": -22.5}

Observation = npt.NDArray[np.float64]


class Contact(NamedTuple):
    """Where the arm touches the object.

    Attributes:
        height: above the object's bottom, in metres; its top is at 0.1.
        on_top: on the top face, where pushing does not move it.
    """

    height: float
    on_top: bool


class ContactFinder:
    """Looks for contacts between the arm and the object of a Pusher model."""

    def __init__(self, model: Any) -> None:
        def geoms(bodies: Any) -> npt.NDArray[np.bool_]:
            collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
            found: npt.NDArray[np.bool_] = collides & bodies[model.geom_bodyid]
            return found

        bodies = np.arange(model.nbody)
        self._object = geoms(bodies == model.body("object").id)
        self._arm = geoms(model.body_rootid == model.body_rootid[model.body("tips_arm").id])
        self._cylinder = int(self._object.argmax())
        self._half_height = float(model.geom_size[self._cylinder, 1])

    def find(self, data: Any) -> Contact | None:
        """The highest contact between arm and object in a `mujoco.MjData`; None when they do not touch."""
        # Columns of the whole list: with numpy 2, mujoco 2.3.7 gives wrong vectors for `data.contact[i]`.
        contacts = data.contact
        first, second = contacts.geom1, contacts.geom2
        pairs = (self._object[first] & self._arm[second]) | (self._arm[first] & self._object[second])
        if not pairs.any():
            return None
        heights = np.where(pairs, contacts.pos[:, 2], -np.inf)
        highest = int(heights.argmax())
        above_middle = float(heights[highest] - data.geom_xpos[self._cylinder, 2])
        steepness = abs(float(contacts.frame[highest, 2]))  # of the normal, the frame's first axis
        on_top = above_middle >= self._half_height - TOP_DEPTH and steepness > TOP_NORMAL
        return Contact(above_middle + self._half_height, on_top)


class _FirstContact(MujocoEnv, EzPickle):
    """What both versions share; comes before gymnasium's class among the bases.

    Args:
        top_penalty: subtracted once, in the step in which the arm first touches the object, if that is on its top face.
        default_camera_config: of gymnasium's renderer.
        settings: of gymnasium's class.
    """

    def __init__(
        self, *, top_penalty: float = 0.0, default_camera_config: dict[str, float] | None = None, **settings: Any
    ) -> None:
        if not 0 <= top_penalty < math.inf:
            raise ValueError(f"top_penalty is {top_penalty}, expected a number from 0 that the reward is lowered by.")
        self._top_penalty = top_penalty
        self._first_contact: Contact | None = None
        self._score = 0.0
        super().__init__(**settings)
        self.mujoco_renderer.default_cam_config = default_camera_config or CAMERA
        self._finder = ContactFinder(self.model)
        EzPickle.__init__(self, top_penalty=top_penalty, default_camera_config=default_camera_config, **settings)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self._first_contact, self._score = None, 0.0
        observation, info = super().reset(seed=seed, options=options)
        return observation, info

    def do_simulation(self, ctrl: Any, n_frames: int) -> None:
        """Frame by frame, as a contact may be over before the step is; the same numbers as all frames at once."""
        while n_frames and self._first_contact is None:
            super().do_simulation(ctrl, 1)
            self._first_contact = self._finder.find(self.data)
            n_frames -= 1
        if n_frames:
            super().do_simulation(ctrl, n_frames)

    def step(self, action: Any) -> tuple[Observation, np.float64, bool, bool, dict[str, Any]]:
        had_touched = self._first_contact is not None
        observation, reward, terminated, truncated, info = super().step(action)
        self._score += float(reward)
        contact = self._first_contact
        if contact is not None and contact.on_top and not had_touched:
            reward -= self._top_penalty
        distance = float(np.linalg.norm(observation[17:19] - observation[20:22]))  # of object and goal
        metrics = {
            "goal_distance": distance,
            "touched": contact is not None,
            "first_contact_on_top": contact is not None and contact.on_top,
            "score_without_penalty": self._score,
        }
        if contact is not None:
            metrics["first_contact_height"] = contact.height
        said = {"is_success": distance <= SUCCESS_DISTANCE, "episode_metrics": metrics}
        return observation, reward, terminated, truncated, {**info, **said}


class _PusherV4(pusher_v4.PusherEnv):
    """Pusher-v4 with the reward of before or after the simulation step.

    Args:
        reward_after_step: the reward is of the positions that the agent observes with it, as in Pusher-v5; Pusher-v4
            has those of one step earlier (Gymnasium #821).
    """

    def __init__(self, *, reward_after_step: bool = False, **settings: Any) -> None:
        self._reward_after_step = reward_after_step
        super().__init__(**settings)  # type: ignore[no-untyped-call]

    def step(self, action: Any) -> tuple[Observation, np.float64, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        if self._reward_after_step:
            tip, body, goal = observation[14:].reshape(3, 3)
            distance = -np.linalg.norm(body - goal)
            reward = distance + 0.1 * info["reward_ctrl"] - 0.5 * np.linalg.norm(body - tip)
            info["reward_dist"] = distance
        return observation, reward, terminated, truncated, info


class PusherContactV4(_FirstContact, _PusherV4):
    """For mujoco 2; takes `reward_after_step` besides what `_FirstContact` takes."""


class PusherContactV5(_FirstContact, pusher_v5.PusherEnv):
    """For any mujoco; takes what `_FirstContact` takes. Its reward is always of after the simulation step."""


for _version, _kind in (("v4", PusherContactV4), ("v5", PusherContactV5)):
    gymnasium.register(f"PusherContact-{_version}", entry_point=_kind, max_episode_steps=100)
