"""From a description to a running environment: the one place that chooses a backend, and processes for it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType

from bridge.base import Bridge
from bridge.errors import UsageError
from bridge.pool import Launch, Pool
from bridge.pooling import PoolOptions
from bridge.process import LEAVE_SECONDS
from bridge.remote import RemoteLauncher
from bridge.types import EnvSpec

#: Modules that define `read_options(spec)` and `open_bridge(spec, worker, incarnation)`, imported when first asked for.
BACKENDS = {"unity": "bridge.unity", "gym": "bridge.gymnasium"}


def connect(spec: EnvSpec, *, worker: int = 0, incarnation: int = 0) -> Bridge:
    """Starts the environment that `spec` describes. The options in `PoolOptions` say in how many processes.

    Args:
        worker: which of several workers this is; part of every episode id and random stream. With N processes they are
            the workers `worker * N` and following.
        incarnation: how often this worker was started before.

    Raises:
        UsageError: an unknown backend, environment, build or option.
        LaunchError: a build or a worker that does not start or connect.
    """
    if spec.backend not in BACKENDS:
        raise UsageError(f"unknown backend {spec.backend!r}; there are {', '.join(sorted(BACKENDS))}.")
    backend = importlib.import_module(BACKENDS[spec.backend])
    options: PoolOptions = backend.read_options(spec)
    has_players = spec.backend == "unity"
    launch = _launch(backend, options, has_players=has_players)
    if launch is None:
        bridge: Bridge = backend.open_bridge(spec, worker, incarnation)
        return bridge
    shares = _shares(options.num_envs, options.num_envs if has_players else options.workers)
    alone = {**spec.options, "workers": 0, "max_restarts": 0}
    return Pool(
        spec,
        [replace(spec, options={**alone, "num_envs": share}) for share in shares],
        launch,
        first_worker=worker * len(shares),
        incarnation=incarnation,
        max_restarts=options.max_restarts,
        restart_window=options.restart_window,
    )


def _launch(backend: ModuleType, options: PoolOptions, *, has_players: bool) -> Launch | None:
    """How a process of the pool is started; None where this process is all there is."""
    if options.workers:
        # A worker that talks to a player waits for it in its own time, and then has something to say.
        patience = 2 * options.timeout + LEAVE_SECONDS if has_players else options.timeout
        return partial(RemoteLauncher, folder=options.log_folder, timeout=patience)
    if has_players and (options.num_envs > 1 or options.max_restarts):
        launch: Launch = backend.UnityLauncher
        return launch
    return None


def _shares(environments: int, workers: int) -> Sequence[int]:
    """How many environments each worker has, the first ones one more where it does not come out even."""
    return [environments // workers + (index < environments % workers) for index in range(workers)]
