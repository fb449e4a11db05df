"""Watches a run while it is trained: `python -m agents.monitor NAME`, or `watch("NAME")` in a notebook."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.monitor"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.cli.commandline import RESULTS_DIR, Parser, add_results_dir, positive, run_command
from agents.cli.extras import load_display
from agents.reporting.curves import curves_of, line_of
from agents.reporting.figures import curve_figures
from agents.reporting.page import live_fragment
from agents.reporting.plots import Line, short
from agents.reporting.reading import Group, Run, find_run, read_run
from agents.reporting.tables import duration, ending

#: Between two looks at the run.
SECONDS = 5.0
CLEAR = "\x1b[2J\x1b[H"
#: From low to high; the others where the terminal has no such characters.
BLOCKS, LETTERS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
#: Characters of a curve's name and of its numbers, and of the curve at most and at least.
NAME, NUMBERS, WIDEST, NARROWEST = 24, 34, 100, 10


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s NAME [options]",
        description="Show the curves of a run in the terminal, and again every few seconds until it ends.",
    )
    parser.add_argument("name", metavar="NAME", help="id of the run, or its folder")
    parser.add_argument("--once", action="store_true", help="show them once; so it is where there is no terminal")
    parser.add_argument(
        "--seconds", type=positive, default=SECONDS, metavar="X", help=f"between two looks ({SECONDS:g})"
    )
    add_results_dir(parser)
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:  # noqa: ARG001 - a signal just ends it
    options = make_parser().parse_args(argv)
    folder = find_run(options.name, options.results_dir)
    goes_on = not options.once and sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"
    if goes_on and os.name == "nt":
        os.system("")  # makes the console understand escape sequences
    while True:
        run = read_run(folder)
        text = "\n".join(lines_of(run, shutil.get_terminal_size().columns, sys.stdout.encoding))
        sys.stdout.write(f"{CLEAR if goes_on else ''}{text}\n")
        sys.stdout.flush()
        if not goes_on or is_over(run):
            return 0
        time.sleep(options.seconds)


def watch(name: str | Path, results_dir: str | Path = RESULTS_DIR, *, seconds: float = SECONDS) -> None:
    """Draws a run's curves below a notebook's cell, again every so many seconds, until it ends or you interrupt.

    Args:
        name: the run's id, or its folder.
        results_dir: where runs lie.

    Raises:
        ConfigError: there is no such run, or IPython is not installed.
    """
    display = load_display()
    folder = find_run(str(name), Path(results_dir))
    shown = display.display(display.HTML(""), display_id=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            run = read_run(folder)
            shown.update(display.HTML(live_fragment(curve_figures([_alone(run)]), [state(run)])))
            if is_over(run):
                return
            time.sleep(seconds)


def lines_of(run: Run, columns: int, encoding: str) -> list[str]:
    """What the terminal shows: how far the run is, then a line per curve, each at most so many characters long."""
    width = max(NARROWEST, min(columns - NAME - NUMBERS - 3, WIDEST))
    known = [(curve, line) for curve in curves_of([run]) if (line := line_of(curve, _alone(run))) is not None]
    lines = [state(run), ""]
    for curve, line in known:
        low, high = short(float(line.y.min())), short(float(line.y.max()))
        numbers = f"{short(float(line.y[-1])):>8}   from {low} to {high}"
        lines.append(f"{curve.title:<{NAME}} {sparkline(line, width, encoding):<{width}} {numbers}")
    if not known:
        lines.append("no episodes have been summed up yet")
    return [text[: columns - 1].rstrip() for text in lines]


def state(run: Run) -> str:
    """How far a run is, in one line."""
    if not run.history:
        return f"{run.name} | {ending(run)}"
    last = run.history[-1]
    return (
        f"{run.name} | step {last['steps']:,} | episode {last['episodes']:,} | {duration(last['time'])} | {ending(run)}"
    )


def sparkline(line: Line, width: int, encoding: str) -> str:
    """A curve as one line of characters, from its lowest to its highest value."""
    try:
        BLOCKS.encode(encoding)
        levels = BLOCKS
    except UnicodeEncodeError:
        levels = LETTERS
    count = min(width, len(line.x))
    values = np.interp(np.linspace(line.x[0], line.x[-1], count), line.x, line.y)
    spread = float(np.ptp(line.y)) or 1.0
    places = ((values - line.y.min()) / spread * (len(levels) - 1)).round().astype(int)
    return "".join(levels[place] for place in places)


def is_over(run: Run) -> bool:
    """Whether nothing will come any more: it was tested, or stopped before."""
    last = run.history[-1] if run.history else {"kind": "start"}
    return last["kind"] == "test" or last.get("reason") in ("interrupted", "failed")


def _alone(run: Run) -> Group:
    return Group(run.name, 0, [run])


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
