"""Whoever is not the player: other programs on this machine, and other machines."""

from __future__ import annotations

import ipaddress
import os
import socket

import grpc
import psutil
import pytest

from bridge import connect
from tests.bridge.unity.peers import Peer
from tests.faults.counts import counts
from tests.faults.play import play_stamped, port_of, stamped
from tests.players.stamps import Checker

BURST = 50


def other_addresses() -> list[str]:
    """The addresses of this machine that others can reach."""
    found = [item.address.partition("%")[0] for items in psutil.net_if_addrs().values() for item in items
             if item.family in (socket.AF_INET, socket.AF_INET6)]  # fmt: skip
    return [address for address in found if not ipaddress.ip_address(address).is_loopback]


@counts(200, 1000)
def test_frames_of_a_rogue_peer_are_refused_and_change_nothing(count: int) -> None:
    checker = Checker()
    with connect(stamped()) as bridge:
        rogue = Peer(port_of(bridge))
        refused = 0
        for begin in range(0, count, BURST):
            calls = [rogue.start(f"forged {begin + index}") for index in range(BURST)]
            play_stamped(bridge, checker, 10)
            refused += sum(call.code() == grpc.StatusCode.PERMISSION_DENIED for call in calls)
        rogue.close()
    assert refused == count
    checker.verify()
    assert not checker.missing + checker.duplicated + checker.late + checker.crossed


@counts(20, 200)
def test_bytes_that_are_no_grpc_change_nothing(count: int) -> None:
    checker = Checker()
    with connect(stamped()) as bridge:
        for _ in range(count):
            with socket.create_connection(("127.0.0.1", port_of(bridge)), timeout=5) as rogue:
                rogue.sendall(os.urandom(4096))
                play_stamped(bridge, checker, 2)
    checker.verify()


def test_only_the_loopback_addresses_listen_and_no_other_answers() -> None:
    with connect(stamped()) as bridge:
        port = port_of(bridge)
        listeners = {
            item.laddr.ip.removeprefix("::ffff:")
            for item in psutil.Process().net_connections("tcp")
            if item.status == psutil.CONN_LISTEN and item.laddr.port == port
        }
        assert "127.0.0.1" in listeners
        assert listeners <= {"127.0.0.1", "::1"}
        addresses = other_addresses()
        for address in addresses:
            with pytest.raises(OSError), socket.create_connection((address, port), timeout=2):  # noqa: PT011
                pass
    if not addresses:
        pytest.skip("this machine has loopback addresses only")
