"""From a description to a running environment: the one place that chooses a backend."""

from __future__ import annotations

import importlib

from bridge.base import Bridge
from bridge.errors import UsageError
from bridge.types import EnvSpec

#: Modules that define `open_bridge(spec, worker, incarnation) -> Bridge`, imported when first asked for.
BACKENDS = {"unity": "bridge.unity", "gym": "bridge.gymnasium"}


def connect(spec: EnvSpec, *, worker: int = 0, incarnation: int = 0) -> Bridge:
    """Starts the environment that `spec` describes.

    Args:
        worker: which of several workers this is; part of every episode id and random stream.
        incarnation: how often this worker was started before.

    Raises:
        UsageError: an unknown backend, environment, build or option.
        LaunchError: a Unity build that does not start or connect.
    """
    if spec.backend not in BACKENDS:
        raise UsageError(f"unknown backend {spec.backend!r}; there are {', '.join(sorted(BACKENDS))}.")
    bridge: Bridge = importlib.import_module(BACKENDS[spec.backend]).open_bridge(spec, worker, incarnation)
    return bridge
