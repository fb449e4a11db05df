"""The options of the Unity backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.actions import CodecSettings
from bridge.errors import UsageError
from bridge.pooling import PoolOptions


@dataclass(frozen=True, kw_only=True)
class UnityOptions(PoolOptions):
    """What `EnvSpec.options` may hold for backend `unity`, besides what `PoolOptions` has.

    None leaves the choice to the build.

    Attributes:
        behavior: which of a build's behaviours to train, with or without `?team=0`; None: the only one.
        env_args: more command-line arguments for the player.
        env_params: environment parameters (`Academy.Instance.EnvironmentParameters`), such as {"gridSize": 7}.
        time_scale: how much faster than real time the engine runs; 20 is ML-Agents' own default for training.
        no_graphics: start without a graphics device; a camera then sees nothing.
        base_port: the port is this + worker, and taken is an error; None: the first free one from 5005 on.
        builds_dir: where builds lie; None: `unity_builds` here, then beside this package.
        listen: an address of this machine on which a player elsewhere may connect; None: loopback only.
        width, height: of the window, in pixels.
        quality_level: Unity's quality setting, an index.
        target_frame_rate: frames per second of real time at most; -1 for as many as possible.
        capture_frame_rate: frames per second of game time.
        codec, offset, levels: the action codec, see `bridge.actions.CodecSettings`.
        reward_rule: how rewards depend on the goal, a name of `bridge.goals.REWARD_RULES`; None: unknown.
        camera: name of the image sensor that `render` shows; None: the first one.
    """

    behavior: str | None = None
    env_args: tuple[str, ...] = ()
    env_params: Mapping[str, float] = field(default_factory=dict)
    time_scale: float | None = 20.0
    no_graphics: bool = False
    base_port: int | None = None
    builds_dir: str | None = None
    listen: str | None = None
    width: int | None = None
    height: int | None = None
    quality_level: int | None = None
    target_frame_rate: int | None = None
    capture_frame_rate: int | None = None
    codec: str = "auto"
    offset: int = 1
    levels: tuple[float, ...] = ()
    reward_rule: str | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers not in (0, self.num_envs):
            raise UsageError(
                f"option 'workers' is {self.workers}, expected 0 or num_envs, {self.num_envs}: each player is a "
                "process of its own, with one worker to talk to it or none."
            )
        if self.base_port is not None and not 1 <= self.base_port <= 65535:
            raise UsageError(f"option base_port is {self.base_port}; expected 1 to 65535.")
        if (self.width is None) != (self.height is None):
            raise UsageError("options width and height go together; found only one of them.")

    @property
    def codec_settings(self) -> CodecSettings:
        return CodecSettings(self.codec, self.offset, tuple(self.levels))
