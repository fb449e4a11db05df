"""The options of the gymnasium backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.actions import CodecSettings
from bridge.errors import UsageError
from bridge.pooling import PoolOptions


@dataclass(frozen=True, kw_only=True)
class GymnasiumOptions(PoolOptions):
    """What `EnvSpec.options` may hold for backend `gym`, besides what `PoolOptions` has.

    Attributes:
        codec, offset, levels: the action codec, see `bridge.actions.CodecSettings`.
        reward_rule: how rewards depend on the goal, a name of `bridge.goals.REWARD_RULES`; None: unknown.
        frame_stack: observations of the last so many agent steps as one (the first one repeated at the start).
        metrics: entries of `info` that become `Steps.metrics`; success is always among them, and so is, at the end of
            an episode, what `bridge.gymnasium.assembly.EPISODE_METRICS` holds.
        env_kwargs: keyword arguments of the environment, `max_episode_steps` of `gymnasium.make` included.
        render: whether `render()` will be asked for; without it no graphics are opened.
        camera: MuJoCo: where `render()` looks from, the name of one of the model's cameras or some of `CAMERA_KEYS` of
            a free one, such as {"distance": 3.0, "azimuth": 135.0}; None: the environment's own.
    """

    codec: str = "auto"
    offset: int = 1
    levels: Sequence[float] = ()
    reward_rule: str | None = None
    frame_stack: int = 1
    metrics: Sequence[str] = ()
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    render: bool = False
    camera: str | Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frame_stack < 1:
            raise UsageError(f"option 'frame_stack' is {self.frame_stack!r}, expected a whole number from 1.")
        if self.camera is not None and not self.render:
            raise UsageError("option 'camera' needs render=True: without it nothing is drawn.")

    @property
    def codec_settings(self) -> CodecSettings:
        return CodecSettings(self.codec, self.offset, tuple(float(level) for level in self.levels))
