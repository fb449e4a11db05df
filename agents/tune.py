"""Searches for better settings: `python -m agents.tune --env CartPole-v1 --trials 20`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.tune"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import sys
from collections.abc import Sequence

from agents.cli.commandline import run_command
from agents.cli.extras import load_tuning


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    """Returns the exit code: 0 there are best settings, 1 no trial came to its end, 128 + the number of a signal.

    Raises:
        ConfigError: a wrong command line, or a package that is missing.
    """
    code: int = load_tuning("command").main(argv, interrupts)
    return code


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
