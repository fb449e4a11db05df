"""The environment protocol: one interface to Unity ML-Agents builds and gymnasium environments.

`connect(EnvSpec("unity", "GridWorld"))` opens an environment; see `bridge.base.Bridge` for what to do with it.
"""

from bridge.actions import ActionCodec, CodecSettings, NativeActions
from bridge.base import Bridge
from bridge.connect import connect
from bridge.errors import (
    ActionError,
    BridgeError,
    ConnectionLostError,
    DataError,
    LaunchError,
    ResumeError,
    SequenceError,
    UnsupportedError,
    UsageError,
)
from bridge.faults import Fault, Ledger
from bridge.goals import REWARD_RULES, RewardRule
from bridge.inspect import find_build, inspect_build, is_port_free, touch
from bridge.reports import BehaviorReport, BuildFile, BuildReport, SensorReport, TouchReport
from bridge.types import ActionSpec, BehaviorSpec, EnvSpec, ObsSpec, Steps, StepType

__all__ = [
    "REWARD_RULES",
    "ActionCodec",
    "ActionError",
    "ActionSpec",
    "BehaviorReport",
    "BehaviorSpec",
    "Bridge",
    "BridgeError",
    "BuildFile",
    "BuildReport",
    "CodecSettings",
    "ConnectionLostError",
    "DataError",
    "EnvSpec",
    "Fault",
    "LaunchError",
    "Ledger",
    "NativeActions",
    "ObsSpec",
    "ResumeError",
    "RewardRule",
    "SensorReport",
    "SequenceError",
    "StepType",
    "Steps",
    "TouchReport",
    "UnsupportedError",
    "UsageError",
    "connect",
    "find_build",
    "inspect_build",
    "is_port_free",
    "touch",
]
