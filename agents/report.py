"""Shows runs as one HTML page: `python -m agents.report NAME [NAME ...]`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.report"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from agents.cli.commandline import Parser, add_results_dir, run_command
from agents.reporting.page import report_page
from agents.reporting.reading import read_runs
from agents.settings.config import ConfigError
from agents.system.files import write_whole

#: In the folder of the runs, unless another one is named.
NAME = "report.html"


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s NAME [NAME ...] [options]",
        description="Write one HTML page about runs: results, curves, actions, videos, settings, faults and "
        "versions. Runs that differ in nothing but the seed are drawn as their median and a band.",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="id of a run, or its folder")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.html", help=f"the page; default: {NAME} where the runs lie"
    )
    add_results_dir(parser)
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:  # noqa: ARG001 - a signal just ends it
    options = make_parser().parse_args(argv)
    runs = read_runs(options.names, options.results_dir)
    output = options.output or runs[0].folder.path.parent / NAME
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"--output {output}: expected the name of a file in a folder that exists.")
    write_whole(output, report_page(runs, datetime.now()))
    sys.stdout.write(f"report of {len(runs)} run{'s' * (len(runs) > 1)}: {output}\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
