"""A Unity build behind the environment protocol."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from bridge.base import Bridge
from bridge.errors import ConnectionLostError, LaunchError, UnsupportedError, UsageError
from bridge.types import Int32Array, Steps
from bridge.unity.assembly import Assembly
from bridge.unity.behavior import Behavior, idle_actions, select
from bridge.unity.launcher import PlayerLauncher
from bridge.unity.watch import PictureWatch

#: `render` enlarges smaller pictures by a whole factor, up to this height in pixels.
RENDER_HEIGHT = 256
#: After so many exchanges in which nobody asked for an action, each further one begins with a pause of so many seconds:
#: a build that waits for its agents must not keep two cores busy.
IDLE_EXCHANGES, IDLE_SECONDS = 100, 0.005


class UnityBridge(Bridge):
    """All agents of one behaviour of one player. Behaviours that are not trained act 0.

    Args:
        launcher: whose `start` was called. Constructing waits until the player has connected and an agent of the
            behaviour asks for a decision; the first `reset` hands out that moment.

    Raises:
        LaunchError: the player died, did not connect, or no agent asked for a decision in time.
        UsageError: there are several behaviours and none was chosen, or the codec does not fit.
        UnsupportedError: observations or actions that the protocol cannot express.
    """

    def __init__(self, launcher: PlayerLauncher) -> None:
        self._launcher = launcher
        self._environment = launcher.connect()
        self._wanted = launcher.options.behavior
        try:
            self._behavior = self._begin(launching=True)
            self._wanted = self._behavior.full_name  # also when others appear later
            codec = self._behavior.codec(launcher.options.codec_settings)
            super().__init__(launcher.env_spec, self._behavior.spec(codec, launcher.options.reward_rule), codec)
            self.simulated = launcher.launch.simulated
            self._assembly = Assembly(self._behavior, codec, launcher.worker, launcher.incarnation)
            self._watch = PictureWatch(self.spec)
            self._first: Steps | None = self._assembled()
        except BaseException:
            self._environment.close()
            raise

    def _reset(self, seed: int | None) -> Steps:
        first, self._first = self._first, None
        if first is not None and (seed is None or (seed == self.env_spec.seed and self._launcher.incarnation == 0)):
            return first  # the player has just been launched with this stream
        if seed is None:
            self._environment.settle()
        elif self._launcher.launch.is_editor:
            raise UnsupportedError("the Unity Editor cannot be seeded again: reset() without a seed, or take a build.")
        else:
            self._environment.close()
            self._launcher.start(seed)
            self._environment = self._launcher.connect()
        self._assembly.forget()
        if self._begin(launching=seed is not None) != self._behavior:
            self._environment.close()
            raise LaunchError(f"{self.env_spec.target} declares other observations or actions than at its first start.")
        return self._assembled()

    def _begin(self, *, launching: bool) -> Behavior:
        """Resets the scene and steps it, without actions, until an agent of the wanted behaviour asks for one."""
        environment, options = self._environment, self._launcher.options
        deadline = time.monotonic() + options.timeout
        try:
            environment.send_reset()
            exchanges = 0
            while True:
                environment.receive(launching=launching)
                name = select(environment.behaviors, self._wanted)
                deciding = [info for info in environment.infos.get(name or "", ()) if not info.done]
                if name is not None and deciding:
                    return Behavior.of(environment.behaviors[name], deciding[0])
                if time.monotonic() > deadline:
                    raise LaunchError(self._nobody_decides())
                if exchanges >= IDLE_EXCHANGES:
                    time.sleep(IDLE_SECONDS)
                exchanges += 1
                environment.send_actions(idle_actions(environment.behaviors, environment.infos))
        except ConnectionLostError as error:
            if launching:
                raise LaunchError(str(error)) from None
            raise
        except BaseException:
            environment.close()
            raise

    def _nobody_decides(self) -> str:
        launcher = self._launcher
        whose = "any behaviour" if self._wanted is None else f"behaviour {self._wanted!r}"
        return (
            f"{launcher.env_spec.target} runs, but no agent of {whose} "
            f"asked for a decision within {launcher.options.timeout:g} s (option timeout); the build's behaviours: "
            f"{', '.join(sorted(self._environment.behaviors)) or 'none'}.{self._environment.causes()}"
        )

    def _send(self, actions: Int32Array) -> None:
        alone = self._environment.infos.keys() <= {self._behavior.full_name}
        sent = {} if alone else idle_actions(self._environment.behaviors, self._environment.infos)
        native = self._assembly.native(actions)
        if len(native):
            none = np.zeros((len(native), 0), np.float32)
            sent[self._behavior.full_name] = (none, native) if self._behavior.sizes.branches else (native, none)
        self._environment.send_actions(sent)

    def _receive(self) -> Steps:
        self._environment.receive()
        return self._assembled()

    def _assembled(self) -> Steps:
        infos = self._environment.infos.get(self._behavior.full_name, ())
        # Curves are drawn at ends of episodes, so statistics wait for one and then tell of all steps since the last.
        ended = any(info.done for info in infos)
        steps = self._assembly.steps(infos, self._environment.metrics() if ended else None)
        self._watch.look(steps)
        return steps

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:
        """What an agent sees with the image sensor of option `camera`, enlarged."""
        index = self._camera()
        spec = self.spec.observations[index]
        steps = self._steps
        if steps is None:
            picture = spec.zeros(0)
        else:
            picture = steps.deciding.obs[index][:1] if row is None else steps.obs[index][row : row + 1]
        picture = picture[0] if len(picture) else spec.zeros(1)[0]  # [C, H, W]
        channels = len(picture)
        if channels < 3:
            picture = np.repeat(picture[:1], 3, axis=0)
        else:
            picture = picture[-3:] if channels % 3 == 0 else picture[:3]  # stacked pictures: the latest is the last
        factor = max(1, RENDER_HEIGHT // spec.shape[1])
        return np.ascontiguousarray(picture.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1))

    def _camera(self) -> int:
        """Which observation `render` shows. Raises `UsageError` when there is no such image."""
        wanted = self._launcher.options.camera
        images = {spec.name: index for index, spec in enumerate(self.spec.observations) if spec.kind == "image"}
        if not images:
            raise UnsupportedError(
                f"behaviour {self.spec.name!r} of {self.env_spec.target} has no image to render; expected a camera "
                "sensor: watch the player's own window instead."
            )
        if wanted is None:
            return min(images.values())
        if wanted not in images:
            raise UsageError(
                f"{self.env_spec.target} has no camera sensor {wanted!r}; behaviour {self.spec.name!r} has "
                f"{', '.join(images)}."
            )
        return images[wanted]

    def _close(self) -> None:
        self._launcher.close()  # also a player that `reset` is just starting in another thread
