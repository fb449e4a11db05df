"""An environment in a process of its own, which may die, hang or be killed without harm to this one."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.actions import ActionCodec
from bridge.base import Bridge, Snapshot
from bridge.channel import Channel, ClosedError, SilentError, hand_over
from bridge.errors import ConnectionLostError, LaunchError, UsageError
from bridge.process import LEAVE_SECONDS, ChildProcess
from bridge.types import BehaviorSpec, EnvSpec, Int32Array, Steps

#: A process that ends, or whose connection breaks, has so long to hand in its return code.
RETURN_CODE_SECONDS = 0.5
#: What `bridge.worker` says first.
Hello = tuple[BehaviorSpec, ActionCodec, bool]


class RemoteLauncher:
    """Starts a worker process for one environment spec. `start` returns at once, `connect` waits.

    Args:
        spec: what the process opens.
        worker, incarnation: see `connect`.
        folder: where its log goes and stays; None for a temporary one.
        timeout: seconds that the process may take to open it, and for each answer.
    """

    def __init__(self, spec: EnvSpec, worker: int, incarnation: int, *, folder: str | None, timeout: float) -> None:
        self._spec = spec
        self._worker = worker
        self._incarnation = incarnation
        self._folder = folder
        self._timeout = timeout
        self._process: ChildProcess | None = None
        self._channel: Channel | None = None

    def start(self) -> None:
        """Raises `LaunchError` when the operating system refuses."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:  # too many open files
            raise LaunchError(f"no connection to a worker process of {self._spec.target} ({error}).") from error
        self._channel = Channel(ours)
        inherited = {} if sys.platform == "win32" else {"pass_fds": [theirs.fileno()]}
        try:
            self._process = ChildProcess(
                # -P: the working directory may have a folder "bridge" of its own.
                [sys.executable, "-P", "-m", "bridge.worker", str(theirs.fileno())],
                self._folder,
                f"Worker-{self._worker}-{self._incarnation}",
                # It imports what can be imported here, from wherever this program was started.
                {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                stdin=subprocess.PIPE,
                **inherited,
            )
            assert self._process.stdin is not None
            hand_over(theirs, self._process.pid, self._process.stdin)
        except BaseException as error:
            theirs.close()
            self.close()
            if isinstance(error, OSError):
                raise LaunchError(f"the worker process of {self._spec.target} is gone ({error}).") from error
            raise

    def connect(self) -> Bridge:
        """Waits until the process has opened the environment.

        Raises:
            UsageError: the spec cannot be sent to another process.
            LaunchError: the process died or said nothing; otherwise what `connect` raises there.
        """
        process, channel = self._process, self._channel
        assert process is not None, "start() comes first"
        assert channel is not None
        link = _Link(process, channel, self._timeout, self._spec.target)
        try:
            link.send((self._spec, self._worker, self._incarnation))
            bridge = RemoteBridge(self._spec, link, _unless_error(link.receive()))
        except ConnectionLostError as error:
            raise LaunchError(str(error)) from None
        except BaseException as error:
            link.close(0)
            if isinstance(error, pickle.PicklingError | AttributeError | TypeError):
                raise UsageError(
                    f"the options of {self._spec.target} cannot be sent to a worker process ({error}); expected plain "
                    "values, or what an importable module defines."
                ) from error
            raise
        self._process = self._channel = None
        return bridge

    def close(self) -> None:
        """Ends a process that was started and has not connected; a `connect` in another thread then fails."""
        process, channel = self._process, self._channel
        if channel is not None:
            channel.close()
        if process is not None:
            process.close(0)


class _Link:
    """The process and the channel to it, which end together."""

    def __init__(self, process: ChildProcess, channel: Channel, timeout: float, name: str) -> None:
        self._process = process
        self._channel = channel
        self._timeout = timeout
        self._name = name
        self._ended = ""  # how it was lost, for every call after that

    def send(self, message: object) -> None:
        if self._ended:
            raise ConnectionLostError(f"this environment was lost before: {self._ended}")
        try:
            self._channel.send(message, self._timeout)
        except ClosedError:
            raise self._lost("is gone", RETURN_CODE_SECONDS) from None
        except SilentError:
            raise self._silent() from None

    def receive(self) -> Any:
        """The answer, which may be an exception."""
        try:
            return self._channel.receive(self._timeout)
        except ClosedError:
            raise self._lost("died", RETURN_CODE_SECONDS) from None
        except SilentError:
            raise self._silent() from None

    def _silent(self) -> ConnectionLostError:
        return self._lost(f"did not answer within {self._timeout:g} s (option timeout) and was killed", 0)

    def _lost(self, what: str, wait: float) -> ConnectionLostError:
        ended = self._process.ended(wait)
        self._ended = (
            f"the worker process of {self._name} {what}{f' ({ended})' if ended else ''}.{self._process.tail()}"
        )
        self.close(0)
        return ConnectionLostError(self._ended)

    def close(self, patience: float) -> None:
        self._channel.close()
        self._process.close(patience)


class RemoteBridge(Bridge):
    """What `bridge.worker` opened, through its channel."""

    def __init__(self, env_spec: EnvSpec, link: _Link, hello: Hello) -> None:
        spec, codec, simulated = hello
        super().__init__(env_spec, spec, codec)
        self.simulated = simulated
        self._link = link
        self._waiting = False  # an answer is on its way that no `receive` has fetched

    def _reset(self, seed: int | None) -> Steps:
        if self._waiting:
            self._answer()
        steps: Steps = self._ask("reset", seed)
        return steps

    def _send(self, actions: Int32Array) -> None:
        self._link.send(("step", (actions,)))
        self._waiting = True

    def _receive(self) -> Steps:
        steps: Steps = self._answer()
        return steps

    def _snapshot(self) -> Snapshot | None:
        snapshot: Snapshot | None = self._ask("snapshot")
        return snapshot

    def _resume(self, snapshot: Snapshot) -> Steps:
        steps: Steps = self._ask("resume", snapshot)
        return steps

    def _render(self, row: int | None) -> npt.NDArray[np.uint8]:
        picture: npt.NDArray[np.uint8] = self._ask("render", row)
        return picture

    def _ask(self, method: str, *arguments: Any) -> Any:
        self._link.send((method, arguments))
        self._waiting = True
        return self._answer()

    def _answer(self) -> Any:
        answer = self._link.receive()
        self._waiting = False  # not before: Ctrl-C while waiting leaves an answer on its way
        return _unless_error(answer)

    def _close(self) -> None:
        # At the end of its channel it closes the environment and leaves; one at work is killed.
        self._link.close(0 if self._waiting else LEAVE_SECONDS)


def _unless_error(answer: Any) -> Any:
    """Raises an answer that is an error."""
    if isinstance(answer, Exception):
        raise answer
    return answer
