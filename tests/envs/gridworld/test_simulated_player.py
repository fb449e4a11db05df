"""The player under a trainer of this test: the sequence of messages, and what the stock client cannot show."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from envs.gridworld.__main__ import main
from envs.simulated import player

ROOT = Path(__file__).parents[3]
NAME = "GridWorld?team=0"
STEP, RESET, QUIT = range(3)


def greeting(api: str = "1.5.0", package: str = "0.28.0", seed: int = 1) -> bytes:
    """The trainer's answer to the first message."""
    message = UnityMessageProto()
    message.header.status = 200
    initialization = message.unity_input.rl_initialization_input
    initialization.communication_version, initialization.package_version, initialization.seed = api, package, seed
    return bytes(message.SerializeToString())


def command(code: int, status: int = 200) -> bytes:
    """The trainer's answer to any later message."""
    message = UnityMessageProto()
    message.header.status = status
    message.unity_input.rl_input.command = code
    return bytes(message.SerializeToString())


class Trainer:
    """A gRPC server that hands out prepared answers; after the last one it closes like the stock client."""

    def __init__(self, port: int, *answers: bytes) -> None:
        self.received: queue.Queue[UnityMessageProto] = queue.Queue()
        self._answers = [*answers, command(STEP, status=400)]
        handler = grpc.method_handlers_generic_handler(
            "communicator_objects.UnityToExternalProto",
            {"Exchange": grpc.unary_unary_rpc_method_handler(self._exchange)},
        )
        self._server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def _exchange(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.received.put(UnityMessageProto.FromString(request))
        return self._answers.pop(0)

    def next(self) -> UnityMessageProto:
        """The next message of the player."""
        return self.received.get(timeout=20)

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def trainers() -> Iterator[list[Trainer]]:
    """What a test puts here is stopped after it."""
    opened: list[Trainer] = []
    yield opened
    for trainer in opened:
        trainer.stop()


def play(port: int, *arguments: str) -> int:
    """The exit code of a player in this process."""
    return main(["--mlagents-port", str(port), *arguments])


def test_the_sequence_of_messages(free_port: int, trainers: list[Trainer]) -> None:
    trainer = Trainer(free_port, greeting(), command(RESET), command(STEP), command(STEP))
    trainers.append(trainer)
    assert play(free_port) == 0
    hello, ready, first, second, third = (trainer.next() for _ in range(5))
    assert trainer.received.empty()
    assert [message.header.status for message in (hello, ready, first, second, third)] == [200] * 5
    assert hello.unity_output.HasField("rl_initialization_output")
    assert not hello.unity_output.HasField("rl_output")
    assert not ready.HasField("unity_output")
    assert [brain.brain_name for brain in first.unity_output.rl_initialization_output.brain_parameters] == [NAME]
    assert not second.unity_output.HasField("rl_initialization_output")
    for message in (first, second, third):
        assert list(message.unity_output.rl_output.agentInfos) == [NAME]
        assert not message.unity_output.rl_output.side_channel


@pytest.mark.parametrize(("package", "shape"), [("0.28.0", [64, 84, 3]), ("1.1.0", [3, 64, 84]), ("", [64, 84, 3])])
def test_the_layout_follows_the_trainers_version(
    free_port: int, trainers: list[Trainer], package: str, shape: list[int]
) -> None:
    trainer = Trainer(free_port, greeting(package=package), command(RESET))
    trainers.append(trainer)
    assert play(free_port) == 0
    message = [trainer.next() for _ in range(3)][-1]
    assert list(message.unity_output.rl_output.agentInfos[NAME].value[0].observations[0].shape) == shape


def test_the_first_command_resets_whatever_it_is(free_port: int, trainers: list[Trainer]) -> None:
    trainer = Trainer(free_port, greeting(), command(STEP))
    trainers.append(trainer)
    assert play(free_port) == 0
    (info,) = [trainer.next() for _ in range(3)][-1].unity_output.rl_output.agentInfos[NAME].value
    assert (info.done, info.reward) == (False, 0.0)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ((greeting(), command(RESET), command(QUIT)), 0),
        ((greeting(), command(RESET, status=400)), 0),
        ((greeting(api="2.0.0"),), 4),
        ((command(RESET),), 4),
        ((greeting(), b"\xff\xff"), 4),
        ((greeting(), command(7)), 4),
    ],
)
def test_how_it_leaves(free_port: int, trainers: list[Trainer], answers: tuple[bytes, ...], code: int) -> None:
    trainers.append(Trainer(free_port, *answers))
    assert play(free_port) == code


def test_it_waits_for_a_trainer_that_starts_later(free_port: int, trainers: list[Trainer]) -> None:
    start = threading.Timer(1.0, lambda: trainers.append(Trainer(free_port, greeting(), command(RESET))))
    start.start()
    assert play(free_port) == 0
    start.join()
    assert trainers[0].received.qsize() == 3


def test_without_a_trainer_it_gives_up(
    free_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(player, "CONNECT_SECONDS", 1)
    assert play(free_port) == 4
    assert f"No trainer answers on port {free_port}." in caplog.text


def test_without_a_port_there_is_nothing_to_do() -> None:
    assert main([]) == 2
    assert main(["--mlagents-port", "none"]) == 2


def test_a_garbage_message_reaches_the_trainer(free_port: int, trainers: list[Trainer]) -> None:
    trainers.append(Trainer(free_port, greeting(), command(RESET), command(STEP), command(STEP)))
    assert play(free_port, "--fail", "garbage-after-steps:1") == 4  # the trainer's decoder failed
    assert trainers[0].received.qsize() == 4


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are killed after the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def spawn(port: int, *arguments: str) -> subprocess.Popen[bytes]:
    """A player in a process of its own."""
    line = [sys.executable, "-m", "envs.gridworld", "--mlagents-port", str(port), *arguments]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_exit_after_hello(free_port: int, trainers: list[Trainer], spawned: list[subprocess.Popen[bytes]]) -> None:
    trainers.append(Trainer(free_port, greeting()))
    spawned.append(spawn(free_port, "--fail", "exit-after-hello:6"))
    assert spawned[0].wait(20) == 6
    assert trainers[0].received.qsize() == 1


def test_hang_after_hello(free_port: int, trainers: list[Trainer], spawned: list[subprocess.Popen[bytes]]) -> None:
    trainers.append(Trainer(free_port, greeting()))
    spawned.append(spawn(free_port, "--fail", "hang-after-hello"))
    trainers[0].next()
    time.sleep(0.5)
    assert spawned[0].poll() is None
    assert trainers[0].received.empty()


def test_it_waits_for_the_next_action_and_leaves_when_the_channel_breaks(
    free_port: int, spawned: list[subprocess.Popen[bytes]]
) -> None:
    patience = threading.Event()

    class Thinking(Trainer):
        """Never answers the third message."""

        def _exchange(self, request: bytes, context: grpc.ServicerContext) -> bytes:
            if self.received.qsize() == 2:
                self.received.put(UnityMessageProto.FromString(request))
                patience.wait(30)
            return super()._exchange(request, context)

    trainer = Thinking(free_port, greeting(), command(RESET))
    spawned.append(spawn(free_port))
    while trainer.received.qsize() < 3:
        time.sleep(0.02)
    time.sleep(1.0)
    assert spawned[0].poll() is None
    trainer.stop()
    assert spawned[0].wait(5) == 0
    patience.set()
