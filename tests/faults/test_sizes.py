"""Messages beyond gRPC's own limit of 4 MiB."""

from __future__ import annotations

import pytest

from bridge import connect
from tests.faults.play import play_stamped, stamped
from tests.players.stamps import Checker

MIB = 2**20


@pytest.mark.parametrize("size", [4 * MIB - 1, 4 * MIB + 1, 64 * MIB])
def test_a_message_of_exactly_this_size_passes(size: int) -> None:
    checker = Checker()
    with connect(stamped(f"oversize-after-steps:10:{size}")) as bridge:
        play_stamped(bridge, checker, 20)
    checker.verify()
