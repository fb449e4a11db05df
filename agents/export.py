"""Writes a trained agent as an ONNX model, for Unity or plain: `python -m agents.export --run-id NAME`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import leave_on_signals

PROGRAM = "python -m agents.export"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import sys
from collections.abc import Sequence

from agents.cli.commandline import run_command
from agents.cli.extras import load_exporting


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 proved, 1 refused.

    Raises:
        ConfigError: a wrong command line, or a package that is missing.
    """
    code: int = load_exporting("command").main(argv)
    return code


if __name__ == "__main__":
    run_command(lambda _: main(sys.argv[1:]), PROGRAM)
