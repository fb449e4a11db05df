"""Signals, as they arrive in this process. What leaves at once is seen in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from agents.system.interrupts import SIGNALS, Interrupts
from tests.agents.commands import ROOT


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_raises(number: signal.Signals) -> None:
    with Interrupts("program") as interrupts:
        assert (interrupts.requested(), interrupts.exit_code) == (False, 0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert (interrupts.requested(), interrupts.exit_code) == (True, 128 + number)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_held_is_not_torn_apart(number: signal.Signals) -> None:
    with Interrupts("program") as interrupts:
        with interrupts.held():
            signal.raise_signal(number)
            assert interrupts.requested()
        assert interrupts.exit_code == 128 + number


def test_after_what_was_held_a_signal_raises_again() -> None:
    with Interrupts("program") as interrupts:
        with interrupts.held():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts("program"):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


DROPPED = """
import os, signal, time
from agents.system.interrupts import Interrupts

class Torn:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass  # here Python runs the handler, and drops what it raises

with Interrupts("me"):
    Torn()
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="needs alarms")
def test_a_signal_whose_exception_python_drops_still_ends_the_process() -> None:
    result = subprocess.run([sys.executable, "-c", DROPPED], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert result.returncode == 128 + signal.SIGTERM
    assert "Exception ignored in" in result.stderr
    assert result.stderr.endswith("me: interrupted.\n")
