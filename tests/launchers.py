"""Launchers of pool workers for tests."""

from __future__ import annotations

from bridge import Bridge, EnvSpec, connect


class Here:
    """Opens the environment in this process, where it cannot be killed."""

    def __init__(self, spec: EnvSpec, worker: int, incarnation: int) -> None:
        self._opened = (spec, worker, incarnation)

    def start(self) -> None:
        pass

    def connect(self) -> Bridge:
        spec, worker, incarnation = self._opened
        return connect(spec, worker=worker, incarnation=incarnation)

    def close(self) -> None:
        pass
