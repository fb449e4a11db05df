"""A vector of gymnasium environments as the `VecEnv` of Stable-Baselines3 (the extra `sb3`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import Wrapper, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import DictInfoToList
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv

from bridge.errors import UnsupportedError, UsageError

Indices = None | int | Iterable[int]


class BridgeVecEnv(VecEnv):
    """All agents of a `BridgeVectorEnv`, or of any other vector in `AutoresetMode.SAME_STEP`.

    Images stay [C, H, W]. The info of a step that ends an episode holds `terminal_observation`, and
    `TimeLimit.truncated` where it was cut short; with a metric `success` also `is_success`, which SB3's logger shows.

    Example:
        PPO("MultiInputPolicy", BridgeVecEnv(BridgeVectorEnv(EnvSpec("unity", "GridWorld")))).learn(10_000)

    Raises:
        UsageError: another autoreset mode.
        UnsupportedError: an image with more channels than rows or columns, whose axes SB3 would mix up.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        mode = envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise UsageError(f"{envs} resets by {mode}, expected AutoresetMode.SAME_STEP, as Stable-Baselines3 does.")
        space = envs.single_observation_space
        for name, part in space.spaces.items() if isinstance(space, spaces.Dict) else [("observation", space)]:
            if isinstance(part, spaces.Box) and is_image_space(part) and part.shape[0] > min(part.shape):
                raise UnsupportedError(
                    f"image {name!r} has shape {part.shape}: Stable-Baselines3 takes the smallest axis for the "
                    "channels, expected the first; leave it out of `observations`."
                )
        self.envs = envs
        self._listed = DictInfoToList(envs)
        self._actions: npt.NDArray[Any] = np.zeros(0, np.int64)
        super().__init__(envs.num_envs, space, envs.single_action_space)

    def reset(self) -> Any:
        """New episodes everywhere, from the first of the seeds that `seed` chose."""
        obs, infos = self._listed.reset(seed=self._seeds[0], options=self._options[0] or None)
        self.reset_infos = list(infos)
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        obs, rewards, terminated, truncated, listed = self._listed.step(self._actions)
        infos: list[dict[str, Any]] = []
        for slot, found in enumerate(listed):
            info = found
            if terminated[slot] or truncated[slot]:
                final_obs = found.pop("final_obs")
                info = found.pop("final_info") | {"terminal_observation": final_obs}
                self.reset_infos[slot] = found
            if "success" in info:
                info["is_success"] = info["success"]
            infos.append(info | {"TimeLimit.truncated": bool(truncated[slot] and not terminated[slot])})
        return obs, rewards.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[Any]:
        return self.envs.render() or ()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of the vector, which is the same for each of its environments."""
        value = getattr(self.envs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:  # noqa: ARG002
        raise UsageError(f"{attr_name!r} cannot be set: the environments are one; set it in the EnvSpec.")

    def env_method(self, method_name: str, *args: Any, indices: Indices = None, **kwargs: Any) -> list[Any]:
        """Only `action_masks`, by which sb3-contrib asks for bool [actions of all branches] of each environment."""
        if method_name != "action_masks" or args or kwargs:
            raise UsageError(f"there is no method {method_name!r} of single environments, only 'action_masks'.")
        masks = self.get_attr("action_masks")[0]()
        return [masks[index] for index in self._get_indices(indices)]

    def env_is_wrapped(
        self,
        wrapper_class: type[Wrapper[Any, Any, Any, Any]],  # noqa: ARG002
        indices: Indices = None,
    ) -> list[bool]:
        return [False for _ in self._get_indices(indices)]
