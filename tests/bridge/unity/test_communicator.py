"""Who may talk to the bridge, from where, and when."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import grpc
import psutil
import pytest
from mlagents_envs.communicator_objects.unity_input_pb2 import UnityInputProto

from bridge.unity.communicator import (
    LoopbackCommunicator,
    NoAnswerError,
    PlayerStoppedError,
    PortInUseError,
    open_port,
)
from tests.bridge.unity.peers import Peer


@pytest.fixture
def communicator() -> Iterator[LoopbackCommunicator]:
    opened = open_port(15005, timeout=2.0, search=True)
    yield opened
    opened.close()


@contextlib.contextmanager
def peer_of(communicator: LoopbackCommunicator) -> Iterator[Peer]:
    peer = Peer(communicator.port)
    try:
        yield peer
    finally:
        peer.close()


def named(name: str) -> UnityInputProto:
    message = UnityInputProto()
    message.rl_initialization_input.package_version = name
    return message


def test_it_listens_on_the_loopback_addresses_only(communicator: LoopbackCommunicator) -> None:
    addresses = {
        item.laddr.ip
        for item in psutil.Process().net_connections("tcp")
        if item.status == psutil.CONN_LISTEN and item.laddr.port == communicator.port
    }
    assert addresses & {"127.0.0.1", "::ffff:127.0.0.1"}
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_two_never_share_a_port(communicator: LoopbackCommunicator) -> None:
    with pytest.raises(PortInUseError):
        LoopbackCommunicator(communicator.port, 1.0)


def test_send_and_receive_are_apart_and_in_order(communicator: LoopbackCommunicator) -> None:
    with peer_of(communicator) as peer:
        for number in range(5):
            call = peer.start(f"call {number}")
            assert communicator.receive().rl_initialization_output.name == f"call {number}"
            communicator.send(named(f"reply {number}"))
            assert call.result().unity_input.rl_initialization_input.package_version == f"reply {number}"


def test_strangers_are_refused_and_change_nothing(communicator: LoopbackCommunicator) -> None:
    with peer_of(communicator) as player, peer_of(communicator) as stranger:
        call = player.start("player")
        communicator.receive()
        refused = [stranger.start(f"forged {number}") for number in range(200)]
        communicator.send(named("reply"))
        assert call.result().unity_input.rl_initialization_input.package_version == "reply"
        for attempt in refused:
            assert attempt.code() == grpc.StatusCode.PERMISSION_DENIED
        call = player.start("again")  # gRPC cancels a call whose future nobody keeps
        assert communicator.receive().rl_initialization_output.name == "again"


def test_a_second_call_before_the_reply_is_refused(communicator: LoopbackCommunicator) -> None:
    with peer_of(communicator) as player:
        first = player.start("first")
        communicator.receive()
        assert player.start("second").code() == grpc.StatusCode.PERMISSION_DENIED
        communicator.send(named("reply"))
        assert first.result().unity_input.rl_initialization_input.package_version == "reply"


def test_waiting_is_bounded_and_asks_for_the_players_health(communicator: LoopbackCommunicator) -> None:
    asked = []
    communicator.timeout = 0.5
    start = time.monotonic()
    with pytest.raises(NoAnswerError):
        communicator.receive(lambda: asked.append(time.monotonic()))
    assert 0.5 <= time.monotonic() - start < 0.8
    assert 3 <= len(asked) <= 5


def test_a_player_that_says_goodbye_or_breaks_off_is_gone(communicator: LoopbackCommunicator) -> None:
    with peer_of(communicator) as player:
        call = player.start()
        communicator.receive()
        assert not call.done()
    deadline = time.monotonic() + 2
    while communicator._call is not None and communicator._call.is_active() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(PlayerStoppedError):
        communicator.send(named("too late"))


def test_a_status_that_is_not_200_is_a_goodbye(communicator: LoopbackCommunicator) -> None:
    with peer_of(communicator) as player:
        call = player.start(status=400)
        with pytest.raises(PlayerStoppedError):
            communicator.receive()
        assert not call.done()


def test_close_tells_the_player_to_leave(communicator: LoopbackCommunicator) -> None:
    with peer_of(communicator) as player:
        call = player.start()
        communicator.receive()
        communicator.close()
        communicator.close()
        assert call.result().header.status == 400
