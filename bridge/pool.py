"""Several workers as one environment: each is watched and started again by itself, and the others go on meanwhile."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from operator import methodcaller
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bridge.base import Bridge, Snapshot
from bridge.errors import (
    BridgeError,
    ConnectionLostError,
    DataError,
    LaunchError,
    ResumeError,
    SequenceError,
    UsageError,
)
from bridge.faults import Fault
from bridge.threads import DaemonExecutor
from bridge.types import EnvSpec, Int32Array, Steps, StepType, concatenate

LOG = logging.getLogger("bridge.pool")
#: The others go on without a worker that has not answered for so long; its rows come when it has.
PATIENCE_SECONDS = 1.0
#: After launches that failed: 1, 2, 4, ... seconds, at most this.
LONGEST_DELAY = 30.0
#: A closed worker's thread has so long to notice.
CLOSE_SECONDS = 2.0
#: Waits are cut into parts, because on Windows Ctrl-C does not interrupt a wait.
WAIT_SECONDS = 0.2
#: What a new incarnation of the worker mends.
FAULTS = (ConnectionLostError, DataError, LaunchError)


class Launcher(Protocol):
    """One incarnation of one worker until it is connected."""

    def start(self) -> None:
        """Begins to start it; returns at once."""

    def connect(self) -> Bridge:
        """Waits until it is there. Raises `LaunchError`."""

    def close(self) -> None:
        """Ends what has not connected yet; a `connect` that waits in another thread then fails."""


#: Makes the launcher of this spec, worker and incarnation.
Launch = Callable[[EnvSpec, int, int], Launcher]


class Pool(Bridge):
    """Sends to all workers, then receives from all, in lockstep as long as all is well.

    Rows come in the order of the workers. A worker that dies, hangs, answers later than its timeout or reports what is
    not finite is replaced by a new incarnation in the background: the episodes that were open there are named in
    `Steps.lost`, the fault is in `ledger`, and the other workers are neither reset nor kept waiting. A worker that is
    slower than `PATIENCE_SECONDS` is left behind and joins again with its answer, so only then rows depend on time.

    Args:
        env_spec: what the pool stands for.
        worker_specs: what each worker opens; at least one.
        launch: starts a worker.
        first_worker: its number; the others follow.
        incarnation: of every worker at first.
        max_restarts: how many faults of one worker within `restart_window` seconds are mended; one more is an error.

    Raises:
        LaunchError, UsageError: a worker does not start at first, or they differ in what they observe or do.
    """

    def __init__(
        self,
        env_spec: EnvSpec,
        worker_specs: Sequence[EnvSpec],
        launch: Launch,
        *,
        first_worker: int = 0,
        incarnation: int = 0,
        max_restarts: int = 0,
        restart_window: float = 600.0,
    ) -> None:
        self._workers = [
            _Worker(spec, launch, first_worker + index, incarnation) for index, spec in enumerate(worker_specs)
        ]
        try:
            launchers = [worker.start() for worker in self._workers]  # all start up side by side
            for worker, launcher in zip(self._workers, launchers, strict=True):
                worker.connect(launcher)
            first = self._workers[0].bridge
            for worker in self._workers[1:]:
                if worker.bridge.spec != first.spec:
                    raise UsageError(
                        f"environments of one pool differ: found {worker.bridge.spec}, expected {first.spec} as the "
                        "first has."
                    )
        except BaseException:
            self._close()
            raise
        super().__init__(env_spec, first.spec, first.codec)
        self.simulated = first.simulated
        self._max_restarts = max_restarts
        self._restart_window = restart_window
        self._opened = time.monotonic()
        self._answering: list[tuple[_Worker, int]] = []  # whose rows the next actions answer, and how many each
        self._lost: list[int] = []  # episodes lost since the latest `Steps`

    def _reset(self, seed: int | None) -> Steps:
        self._lost.clear()
        for worker in self._workers:
            worker.reset(seed, self.spec)
        parts: dict[int, Steps] = {}
        while len(parts) < len(self._workers):
            self._wait([worker for worker in self._workers if worker.job is not None])
            parts.update(self._collected())
        self._lost.clear()  # all open episodes end here
        return self._joined(parts)

    def _send(self, actions: Int32Array) -> None:
        parts = np.split(actions, np.cumsum([rows for _, rows in self._answering])[:-1])
        for (worker, _), part in zip(self._answering, parts, strict=True):
            worker.step(part)

    def _receive(self) -> Steps:
        deadline = time.monotonic() + PATIENCE_SECONDS
        expected = [worker for worker, _ in self._answering]
        parts: dict[int, Steps] = {}
        while True:
            parts.update(self._collected())
            late = [worker for worker in expected if worker.number not in parts and worker.is_stepping]
            if parts and (not late or time.monotonic() > deadline):
                return self._joined(parts)
            # Nobody has answered, and nobody can but who is being started: then for them.
            self._wait(late or [worker for worker in self._workers if worker.job is not None])

    def _wait(self, workers: Iterable[_Worker]) -> None:
        """Until one of these has something to tell, or it is time to look around."""
        wait([worker.job for worker in workers if worker.job is not None], WAIT_SECONDS, FIRST_COMPLETED)
        self._refuse_closed()

    def _collected(self) -> dict[int, Steps]:
        """What workers have answered since the last call, by their number. Those that failed are started again."""
        parts = {}
        for worker in self._workers:
            if worker.job is None or not worker.job.done():
                continue
            try:
                parts[worker.number] = worker.taken()
            except FAULTS as error:
                self._mend(worker, error)
        return parts

    def _mend(self, worker: _Worker, error: BridgeError) -> None:
        self._refuse_closed()  # in another thread, which is why the worker is gone
        now = time.monotonic()
        fault = Fault(worker.number, worker.incarnation, str(error), len(worker.open), now - self._opened)
        self._lost += worker.open
        worker.open.clear()
        self.ledger.add(fault)
        worker.faults.append(now)
        while worker.faults[0] < now - self._restart_window:
            worker.faults.popleft()
        if len(worker.faults) > self._max_restarts:
            worker.is_lost = True
            if self._max_restarts == 0:
                raise error
            raise ConnectionLostError(
                f"worker {worker.number} of {self.env_spec.target} failed {len(worker.faults)} times within "
                f"{self._restart_window:g} s, expected at most {self._max_restarts} (options max_restarts and "
                f"restart_window); the last time: {error}"
            ) from error
        worker.failed_launches = worker.failed_launches + 1 if isinstance(error, LaunchError) else 0
        delay = min(LONGEST_DELAY, 2.0 ** min(worker.failed_launches - 1, 10)) if worker.failed_launches else 0.0
        LOG.warning(
            "worker %d, incarnation %d, is started again%s, %d transition(s) lost: %s",
            fault.worker, fault.incarnation, f" in {delay:g} s" if delay else "", fault.lost, fault.reason,
        )  # fmt: skip
        worker.restart(delay, self.spec)

    def _joined(self, parts: dict[int, Steps]) -> Steps:
        present = [worker for worker in self._workers if worker.number in parts]
        for worker in present:
            worker.note(parts[worker.number])
        self._answering = [(worker, int(parts[worker.number].wants_action.sum())) for worker in present]
        steps = concatenate([parts[worker.number] for worker in present])
        if self._lost:
            steps = replace(steps, lost=np.concatenate([steps.lost, np.array(self._lost, np.int64)]))
            self._lost.clear()
        return steps

    def _snapshot(self) -> Snapshot | None:
        """None also while a worker is late or being started, or where one has died: the next exchange will tell."""
        if len(self._answering) < len(self._workers):
            return None
        asked = [worker.asked(methodcaller("snapshot")) for worker in self._workers]
        if any(isinstance(job.exception(), FAULTS) for job in asked):
            return None
        snapshots = [job.result() for job in asked]
        if None in snapshots:
            return None
        return {"incarnations": [worker.incarnation for worker in self._workers], "workers": snapshots}

    def _resume(self, snapshot: Snapshot) -> Steps:
        ones = snapshot.get("workers", ())
        if len(ones) != len(self._workers):
            raise ResumeError(f"the snapshot is of {len(ones)} workers, found {len(self._workers)}.")
        parts = {}
        for worker, incarnation, one in zip(self._workers, snapshot["incarnations"], ones, strict=True):
            parts[worker.number] = worker.asked(methodcaller("resume", one)).result()
            worker.incarnation = incarnation
        return self._joined(parts)

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:
        worker = self._workers[0]
        if row is not None:
            assert self._steps is not None
            number = self._steps.worker[row]
            worker = next(worker for worker in self._workers if worker.number == number)
            row = int((self._steps.worker[:row] == number).sum())  # joining keeps the order of a worker's rows
        picture: npt.NDArray[np.uint8] = worker.asked(methodcaller("render", row)).result()
        return picture

    def _close(self) -> None:
        closers = DaemonExecutor(len(self._workers), "pool-close")
        jobs = [closers.submit(worker.close) for worker in self._workers]
        closers.shutdown()
        failures = [failure for job in jobs if (failure := job.exception()) is not None]
        if failures:
            raise failures[0]


class _Worker:
    """One environment and a thread of its own, so that whatever blocks, blocks only there.

    Attributes:
        bridge: of the present incarnation; where there is none, the latest one, closed.
        job: what its thread was asked to do and nobody has `taken`.
        open: ids of the open episodes of which a row was handed out.
        faults: when each happened, seconds of the monotonic clock.
        failed_launches: how many, one after the other, until now.
        is_lost: its latest fault was one too many: it is not replaced before a reset with a seed.
    """

    bridge: Bridge

    def __init__(self, spec: EnvSpec, launch: Launch, number: int, incarnation: int) -> None:
        self.number = number
        self.incarnation = incarnation
        self.job: Future[Steps] | None = None
        self.is_stepping = False
        self.open: set[int] = set()
        self.faults: deque[float] = deque()
        self.failed_launches = 0
        self.is_lost = False
        self._spec = spec
        self._launch = launch
        self._launcher: Launcher | None = None  # of what is being started
        self._closing = threading.Event()
        self._seed: int | None = None  # of a reset that has not been answered yet
        self._thread = DaemonExecutor(1, f"pool-worker-{number}")

    def start(self) -> Launcher:
        """Begins to start the present incarnation."""
        launcher = self._launch(self._spec, self.number, self.incarnation)
        self._launcher = launcher
        launcher.start()
        self._refuse_closing(launcher)
        return launcher

    def connect(self, launcher: Launcher) -> None:
        """Waits for what was started; from now on it is the `bridge`."""
        self.bridge = launcher.connect()
        self._launcher = None
        self._refuse_closing(self.bridge)

    def _refuse_closing(self, opened: Launcher | Bridge) -> None:
        """`close`, in another thread, may have come too early to find what has just been opened."""
        if self._closing.is_set():
            opened.close()
            raise LaunchError(f"{self._spec.target} was closed while it was started.")

    def reset(self, seed: int | None, expected: object) -> None:
        """With a seed one that is lost is replaced, unless it can be reset as it is."""
        revives = self.is_lost and seed is not None
        if seed is not None:
            self._spec = replace(self._spec, seed=seed)
        self._seed = seed
        self.open.clear()
        earlier = self.job

        def reset() -> Steps:
            if earlier is not None and isinstance(failure := earlier.exception(), LaunchError):
                raise failure  # there is nothing to reset
            if revives:
                with contextlib.suppress(ConnectionLostError, SequenceError):  # dead, or closed
                    return self.bridge.reset(seed)
                self.incarnation += 1
                self._replace(0.0, expected)
            return self.bridge.reset(seed)

        self._submit(reset)

    def step(self, actions: Int32Array) -> None:
        self._submit(lambda: self.bridge.step(actions))
        self.is_stepping = True

    def restart(self, delay: float, expected: object) -> None:
        """Replaces the bridge by one of the next incarnation, after so many seconds."""
        self.incarnation += 1

        def start_again() -> Steps:
            self._replace(delay, expected)
            return self.bridge.reset(self._seed)

        self._submit(start_again)

    def _replace(self, delay: float, expected: object) -> None:
        """Starts the present incarnation in place of the one before, in the worker's thread."""
        self.bridge.close()
        self._closing.wait(delay)
        try:
            self.connect(self.start())
        except UsageError as error:  # it could be started before
            raise LaunchError(str(error)) from error
        finally:
            self._end_launch()
        if self.bridge.spec != expected:
            self.bridge.close()
            raise LaunchError(f"{self._spec.target} declares other observations or actions than at first.")

    def _submit(self, call: Callable[[], Steps]) -> None:
        """An earlier job that nobody has taken is finished first, and then forgotten."""
        self.job = self._thread.submit(call)
        self.is_stepping = False

    def taken(self) -> Steps:
        """The finished job's result. Raises what it raised."""
        assert self.job is not None
        job, self.job = self.job, None
        self.is_stepping = False
        steps = job.result()
        self.failed_launches = 0
        self.is_lost = False
        self._seed = None
        return steps

    def note(self, steps: Steps) -> None:
        """These rows are handed out."""
        is_last = steps.step_type == StepType.LAST
        self.open.update(steps.episode[~is_last].tolist())
        self.open.difference_update(steps.episode[is_last].tolist())

    def asked(self, question: Callable[[Bridge], Any]) -> Future[Any]:
        """Asks the bridge something in its own thread."""
        return self._thread.submit(lambda: question(self.bridge))

    def close(self) -> None:
        """Ends the environment, whatever its thread is doing with it."""
        self._closing.set()
        self._end_launch()
        try:
            if hasattr(self, "bridge"):
                self.bridge.close()
        finally:
            # What its thread was waiting for is gone now.
            wait([self._thread.submit(lambda: None)], CLOSE_SECONDS)
            self._thread.shutdown()

    def _end_launch(self) -> None:
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.close()
