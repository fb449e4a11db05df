"""Compares the learning curves of results files as a table in Markdown.

    python benchmarks/table.py benchmarks/results/CartPole-v1.*.jsonl --threshold 475 --held 3

Agent steps and seconds until evaluations reach the threshold and stay there for so many in a row, counted to the first
of these, and the score of the last evaluation: median and worst over the seeds. Steps and seconds count from the first
random action on; seconds leave evaluations out.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from measure import Curve, Row, read_rows

from agents.cli.commandline import run_command, whole_number_from
from agents.settings.config import ConfigError
from agents.system.interrupts import Interrupts


def reached(curve: Curve, threshold: float, held: int) -> tuple[float, float]:
    """Steps and seconds of the first of `held` evaluations in a row whose means are at least the threshold; infinite
    where there are none.
    """
    row = 0
    for index, (_, _, mean, _) in enumerate(curve):
        row = row + 1 if mean >= threshold else 0
        if row == held:
            steps, seconds, _, _ = curve[index - held + 1]
            return steps, seconds
    return math.inf, math.inf


def table_of(paths: Sequence[Path], threshold: float | None, held: int) -> str:
    """A line per results file, and what they were measured on.

    Raises:
        ConfigError: a file has no results, or no learning curves.
    """
    found = {path.stem: rows_with_curves(path) for path in paths}
    goal = "" if threshold is None else f" steps to {threshold:g} | worst | seconds | worst |"
    lines = [f"| | seeds |{goal} final score | worst | worst episode | steps per second |"]
    lines.append("|---|" + "---|" * (lines[0].count("|") - 2))
    for name, rows in found.items():
        cells = [name, str(len(rows)), *([] if threshold is None else _to_goal(rows, threshold, held)), *_ends(rows)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_notes([row for rows in found.values() for row in rows], threshold, held)])


def rows_with_curves(path: Path) -> list[Row]:
    """Raises `ConfigError` when there are none."""
    rows = read_rows(path)
    if not rows:
        raise ConfigError(f"{path} has no results: measure some first (benchmarks/README.md).")
    if any(not row.get("curve") for row in rows):
        raise ConfigError(f"{path} has no learning curves: measure it with evaluations in training.")
    return rows


def _to_goal(rows: Sequence[Row], threshold: float, held: int) -> list[str]:
    """Median and worst of the steps, and of the seconds."""
    steps, seconds = zip(*(reached(row["curve"], threshold, held) for row in rows), strict=True)
    missed = sum(map(math.isinf, steps))
    never = f"never ({missed} of {len(rows)})"
    return [
        *(f"{value:,.0f}" if math.isfinite(value) else never for value in (median(steps), max(steps))),
        *(f"{value:,.1f}" if math.isfinite(value) else never for value in (median(seconds), max(seconds))),
    ]


def _ends(rows: Sequence[Row]) -> list[str]:
    """The last evaluations: median and worst mean, worst episode; the median speed of training up to them."""
    last = [row["curve"][-1] for row in rows]
    means = [mean for _, _, mean, _ in last]
    speed = median(steps / seconds for steps, seconds, _, _ in last)
    return [f"{median(means):.2f}", f"{min(means):.2f}", f"{min(least for *_, least in last):.2f}", f"{speed:,.0f}"]


def _notes(rows: Sequence[Row], threshold: float | None, held: int) -> list[str]:
    """How it was measured, and in what the lines differ that must not."""
    notes = ["Medians over the seeds, and the worst one; without the time of evaluations."]
    if threshold is not None:
        notes.append(f"Reached: the first of {held} evaluations in a row with a mean of at least {threshold:g}.")
    kinds = {f"every {row['evaluation']['every']:,} steps, {row['evaluation']['episodes']} episodes" for row in rows}
    notes += [f"Evaluations: {kind}." for kind in sorted(kinds)]
    lengths = sorted({row["curve"][-1][0] for row in rows})
    notes.append(f"Last evaluation at step {' to '.join(f'{n:,}' for n in dict.fromkeys((lengths[0], lengths[-1])))}.")
    notes += [f"Machine: {machine}." for machine in sorted({row["machine"] for row in rows})]
    loads = [row["load"] for row in rows]
    notes.append(f"Processes that wanted to run when a run began: {min(loads):.1f} to {max(loads):.1f}.")
    return notes


def add_goal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threshold", type=float, help="mean score of an evaluation to be reached")
    parser.add_argument("--held", type=whole_number_from(1), default=3, help="evaluations in a row that reach it")


def main(argv: Sequence[str], interrupts: Interrupts) -> int:  # noqa: ARG001 - a signal just ends it
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    add_goal(parser)
    options = parser.parse_args(argv)
    sys.stdout.write(table_of(options.files, options.threshold, options.held) + "\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), "benchmarks/table.py")
