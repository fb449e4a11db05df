"""What can go wrong at the bridge. Every message says what was found, what was expected and what to do."""

from __future__ import annotations


class BridgeError(Exception):
    """Any failure at the bridge."""


class UsageError(BridgeError):
    """The request cannot be served as written: an unknown environment, build, behaviour or option, a port taken."""


class UnsupportedError(UsageError):
    """The environment exists, but has something this protocol cannot express."""


class ActionError(BridgeError):
    """Actions of the wrong shape, type or range, or a masked one. Nothing was sent."""


class SequenceError(BridgeError):
    """Calls in the wrong order: `receive` without `send`, `step` before `reset`, anything after `close`."""


class DataError(BridgeError):
    """The environment reported something that must not reach a replay: NaN, infinity, a shape it did not declare."""


class ResumeError(BridgeError):
    """An environment does not come back to the state of a snapshot; its open episodes are lost."""


class LaunchError(BridgeError):
    """A build did not start, did not connect, or speaks another version of the protocol."""


class ConnectionLostError(BridgeError):
    """A running environment died, hung or left. Its open transitions are lost; nothing else is."""
