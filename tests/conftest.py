"""What holds for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_interrupts() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which makes its children ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A command that runs in this process flushes them; Hypothesis draws them, in whichever test comes next."""
    yield
    torch.set_flush_denormal(False)
