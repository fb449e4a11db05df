"""The process that a trainer launches: arguments, log, connection, handshake, loop.

The trainer is the gRPC server, the build its client: each message is a call of `Exchange` and the trainer's reply is
the answer to that call. The build waits for it without a time limit and leaves when the channel breaks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from envs.simulated import arguments, messages
from envs.simulated.arguments import BadArgumentError, PlayerArguments
from envs.simulated.faults import Faults, QuitAskedError
from envs.simulated.messages import Command, Initialization, Reply
from envs.simulated.parent import Parent
from envs.simulated.protobuf import MalformedMessageError
from envs.simulated.scene import ImpossibleSceneError, Scene, SceneFactory, Setup
from envs.simulated.sidechannels import Parameters, Statistics, process

log = logging.getLogger(__name__)

EXIT_LEFT = 0  # the trainer closed, or is gone
EXIT_CRASH = 1  # a defect of the player: see the traceback in its log
EXIT_ARGUMENT = 2  # an argument means nothing, or names no trainer
EXIT_SCENE = 3  # the environment parameters describe no scene
EXIT_WIRE = 4  # no connection, or an answer that is none

PACKAGE_VERSION = "2.2.1-exp.1"  # of the Unity package whose behaviour is simulated (release 19)
CONNECT_SECONDS = 60.0
#: How often the trainer is looked for meanwhile, and how often in a row nobody may listen who did.
LOOK_SECONDS, LOOKS = 0.5, 2
_EXCHANGE = "/communicator_objects.UnityToExternalProto/Exchange"
_CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),  # a proxy in the environment must not see a connection to this machine
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class TrainerLeftError(Exception):
    """The trainer closed the environment, or its process is gone."""


class WireError(Exception):
    """No connection, or an answer that is none."""


def main(command_line: Sequence[str], configure: Callable[[Sequence[str]], SceneFactory], title: str) -> int:
    """Play until the trainer leaves; returns the exit code of the process. Never raises.

    configure: makes the scene's factory from the arguments that no player knows; it may raise BadArgumentError.
    """
    parent = Parent()
    _open_log(arguments.log_file(command_line))
    log.info("%s, process %d, Python %s at %s.", title, os.getpid(), platform.python_version(), sys.executable)
    log.info("Arguments: %s", " ".join(command_line))
    try:
        options = arguments.parse(command_line)
        return _play(options, parent, Faults(options.fail), configure(options.rest))
    except BadArgumentError as error:
        log.error("%s", error)
        return EXIT_ARGUMENT
    except ImpossibleSceneError as error:
        log.error("%s", error)
        return EXIT_SCENE
    except (WireError, MalformedMessageError) as error:
        log.error("%s", error)
        return EXIT_WIRE
    except KeyboardInterrupt:
        log.info("Interrupted.")
        return 130
    except Exception:
        log.exception("A defect of the simulated build.")
        return EXIT_CRASH


def _play(options: PlayerArguments, parent: Parent, faults: Faults, make_scene: SceneFactory) -> int:
    if options.port is None:
        raise BadArgumentError("No trainer to connect to: --mlagents-port needs a number.")
    faults.reach("connect")
    with grpc.insecure_channel(f"localhost:{options.port}", _CHANNEL_OPTIONS) as channel:
        try:
            _await_trainer(channel, options.port, parent)
            trainer = _Trainer(channel)
            initialization = _shake_hands(trainer, faults)
            _Loop(trainer, options, faults, initialization, make_scene).run()
        except TrainerLeftError as reason:
            log.info("Leaves: %s", reason)
    return EXIT_LEFT


def _await_trainer(channel: grpc.Channel, port: int, parent: Parent) -> None:
    """Wait until the trainer's server answers.

    Raises:
        TrainerLeftError: the process that started us is gone, or listens no more. Another trainer may have its port.
        WireError: no answer within a minute.
    """
    ready = grpc.channel_ready_future(channel)
    deadline = time.monotonic() + CONNECT_SECONDS
    looks = 0
    try:
        while looks < LOOKS and time.monotonic() < deadline:
            with contextlib.suppress(grpc.FutureTimeoutError):
                ready.result(timeout=LOOK_SECONDS)
            if parent.is_gone():
                raise TrainerLeftError("its process is gone.")
            if ready.done():
                log.info("Connected to port %d.", port)
                return
            looks = looks + 1 if parent.is_deaf(port) else 0
    finally:
        ready.cancel()
    if looks:
        raise TrainerLeftError(f"it does not listen on port {port} any more.")
    raise WireError(f"No trainer answers on port {port}.")


def _shake_hands(trainer: _Trainer, faults: Faults) -> Initialization:
    """The first exchange. Raises WireError when the trainer's API has another major version."""
    greeting = messages.hello(PACKAGE_VERSION, faults.api_version or messages.API_VERSION)
    initialization = trainer.exchange(greeting).initialization
    if initialization is None:
        raise WireError("The trainer's first answer does not say who it is.")
    log.info("Trainer: %s.", initialization)
    if _major(initialization.api_version) != _major(messages.API_VERSION):
        raise WireError(
            f"The trainer speaks communication API {initialization.api_version}, this build {messages.API_VERSION}."
        )
    faults.reach("hello")
    return initialization


class _Loop:
    """Obeys the trainer: resets and steps the scene, and reports."""

    def __init__(
        self,
        trainer: _Trainer,
        options: PlayerArguments,
        faults: Faults,
        initialization: Initialization,
        make_scene: SceneFactory,
    ) -> None:
        channels_first = options.layout == "chw"
        if options.layout == "auto":  # mlagents-envs decodes (C, H, W) alone from 1.0 on, (H, W, C) alone before
            channels_first = _major(initialization.package_version) >= 1
        self._parameters = Parameters()
        self._statistics = Statistics()
        setup = Setup(
            seed=initialization.seed % (1 << 32),
            channels_first=channels_first,
            png=options.compression == "png",
            parameters=self._parameters,
            statistics=self._statistics,
        )
        self._trainer = trainer
        self._faults = faults
        self._scene: Scene = faults.wrap(make_scene(setup))
        self._started = False
        self._announced: set[str] = set()

    def run(self) -> None:
        """Play for ever. Raises TrainerLeftError, ImpossibleSceneError, WireError."""
        message = messages.status(messages.OK)
        while True:
            self._obey(self._trainer.exchange(message))
            message = self._faults.distort(self._compose())

    def _obey(self, reply: Reply) -> None:
        process(reply.side_channel, self._parameters)
        if reply.command is Command.QUIT:
            raise TrainerLeftError("the trainer asked to quit.")
        if reply.command is Command.RESET or not self._started:
            self._started = True
            self._faults.reach("reset")
            self._scene.reset()
            return
        try:
            self._faults.begin_step()
        except QuitAskedError:
            self._trainer.exchange(messages.status(messages.LEAVING))
        self._scene.step(reply.actions)

    def _compose(self) -> Callable[[bytes], bytes]:
        """How to write the next message, given its side channel."""
        infos = self._scene.collect()
        fresh = [
            behavior
            for behavior in self._scene.behaviors
            if infos.get(behavior.name) and behavior.name not in self._announced
        ]
        self._announced.update(behavior.name for behavior in fresh)
        recorded = self._statistics.take()
        return lambda side_channel: messages.report(infos, fresh, recorded + side_channel)


class _Trainer:
    """The other end of the channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._call = channel.unary_unary(_EXCHANGE)

    def exchange(self, message: bytes) -> Reply:
        """Send a message and wait for the answer. Raises TrainerLeftError, WireError, MalformedMessageError."""
        try:
            answer: bytes = self._call(message)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise TrainerLeftError(f"the channel broke ({error.details()}).") from error
            raise WireError(f"The exchange failed: {error.code()}, {error.details()}.") from error
        reply = messages.read_reply(answer)
        if reply.status != messages.OK:
            raise TrainerLeftError(f"the trainer closed (status {reply.status}).")
        return reply


def _major(version: str) -> int:
    """The first number of a version; 0 where there is none."""
    first = version.split(".")[0]
    return int(first) if first.isdecimal() else 0


def _open_log(path: str | None) -> None:
    """Log to a file, or to stderr where none is named or it cannot be written."""
    handler: logging.Handler = logging.StreamHandler()
    refusal = None
    if path is not None:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        except OSError as error:
            refusal = error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])
    if refusal:
        log.error("The log goes to stderr: %s", refusal)
