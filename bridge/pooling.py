"""The options that every backend shares: how many environments, in how many processes, and how often to start again."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """What `EnvSpec.options` may hold for every backend.

    Attributes:
        num_envs: environments: gymnasium's in one process, or players of a Unity build.
        workers: processes that the environments are spread over; 0: this one. A Unity player is always a process of
            its own, so there it means who talks to the players: this process (0), or one for each (`num_envs`).
        max_restarts: how often a worker that died, hung or reported garbage is replaced within `restart_window`; one
            more is an error. With 0 the first one is. An environment in this process cannot be replaced.
        restart_window: seconds.
        timeout: seconds that a player or a worker may take to start, and for each step.
        log_folder: where the logs of players and workers go and stay; None: a temporary folder.
    """

    num_envs: int = 1
    workers: int = 0
    max_restarts: int = 0
    restart_window: float = 600.0
    timeout: float = 60.0
    log_folder: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("num_envs", 1), ("workers", 0), ("max_restarts", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"option {name!r} is {getattr(self, name)!r}, expected a whole number from {least}.")
        for name in ("restart_window", "timeout"):
            if not getattr(self, name) > 0:
                raise UsageError(f"option {name!r} is {getattr(self, name)!r}, expected seconds above 0.")
        if self.workers > self.num_envs:
            raise UsageError(
                f"option 'workers' is {self.workers}, expected at most num_envs, {self.num_envs}: each has at least "
                "one environment."
            )
