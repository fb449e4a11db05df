"""The environment protocol: one interface to Unity ML-Agents builds and gymnasium environments.

`connect(EnvSpec("unity", "GridWorld"))` opens an environment; see `bridge.base.Bridge` for what to do with it.
"""

from bridge.actions import ActionCodec, CodecSettings
from bridge.base import Bridge
from bridge.connect import connect
from bridge.errors import (
    ActionError,
    BridgeError,
    ConnectionLostError,
    DataError,
    LaunchError,
    SequenceError,
    UnsupportedError,
    UsageError,
)
from bridge.types import ActionSpec, BehaviorSpec, EnvSpec, ObsSpec, Steps, StepType

__all__ = [
    "ActionCodec",
    "ActionError",
    "ActionSpec",
    "BehaviorSpec",
    "Bridge",
    "BridgeError",
    "CodecSettings",
    "ConnectionLostError",
    "DataError",
    "EnvSpec",
    "LaunchError",
    "ObsSpec",
    "SequenceError",
    "StepType",
    "Steps",
    "UnsupportedError",
    "UsageError",
    "connect",
]
