"""Draws the learning curves of results files into one SVG: medians over the seeds, with bands from worst to best.

    python benchmarks/plot.py curves.svg benchmarks/results/CartPole-v1.*.jsonl [--seconds] [--threshold 475]

With `--seconds` over the seconds of training instead of agent steps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from table import rows_with_curves

from agents.cli.commandline import run_command
from agents.reporting.curves import median_line
from agents.reporting.plots import COLORS, HEIGHT, LEFT, WIDTH, Line, line_chart
from agents.system.files import write_whole
from agents.system.interrupts import Interrupts

#: Height of a line of the legend.
ROW = 18


def drawing_of(paths: Sequence[Path], title: str, *, seconds: bool = False, threshold: float | None = None) -> str:
    """Raises `ConfigError` when a file has no learning curves."""
    lines = [_line(path, number, seconds=seconds) for number, path in enumerate(paths)]
    if threshold is not None:
        ends = np.array([0.0, max(line.x[-1] for line in lines)])
        level = np.full(2, threshold)
        lines.append(Line(f"threshold {threshold:g}", COLORS + len(paths), ends, level, level, level))
    unit = "seconds of training" if seconds else "agent steps"
    return _with_legend(line_chart(lines, title, unit, "mean score of evaluations"), lines)


def _line(path: Path, number: int, *, seconds: bool) -> Line:
    """The median over the seeds, where they share their agent steps; with `seconds` over the median of these."""
    curves = [np.array(row["curve"], float) for row in rows_with_curves(path)]
    label = f"{path.stem} ({len(curves)} seed{'s' * (len(curves) > 1)})"
    scores, clock = (median_line(label, number, [(curve[:, 0], curve[:, y]) for curve in curves]) for y in (2, 1))
    return replace(scores, x=clock.y) if seconds else scores


def _with_legend(chart: str, lines: Sequence[Line]) -> str:
    """The chart as a file of its own: with the looks of a report, and a line of text for each curve below."""
    height = HEIGHT + ROW * len(lines) + 6
    looks = (files("agents.reporting") / "templates" / "charts.css").read_text(encoding="utf-8")
    size = f'viewBox="0 0 {WIDTH} {height}" width="{2 * WIDTH}" height="{2 * height}"'
    placed = chart.replace("<svg ", f'<svg width="{WIDTH}" height="{HEIGHT}" ', 1)
    legend = "\n".join(_entry(line, HEIGHT + ROW * (row + 0.5)) for row, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="charts">\n<style>\n{looks}</style>\n{placed}\n'
        f'<g class="chart">\n{legend}\n</g>\n</svg>\n'
    )


def _entry(line: Line, y: float) -> str:
    look = f"line c{line.color % COLORS}" + " dashed" * (line.color >= COLORS)
    return (
        f'<line class="{look}" x1="{LEFT}" x2="{LEFT + 24}" y1="{y}" y2="{y}"/>'
        f'<text class="label" x="{LEFT + 32}" y="{y + 4}">{escape(line.label)}</text>'
    )


def main(argv: Sequence[str], interrupts: Interrupts) -> int:  # noqa: ARG001 - a signal just ends it
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawing", type=Path, help="file to be written")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--title", default="Learning curves", help="said instead of the drawing where none is seen")
    parser.add_argument("--seconds", action="store_true", help="over seconds of training instead of agent steps")
    parser.add_argument("--threshold", type=float, help="draw a line at this score")
    options = parser.parse_args(argv)
    drawing = drawing_of(options.files, options.title, seconds=options.seconds, threshold=options.threshold)
    write_whole(options.drawing, drawing)
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), "benchmarks/plot.py")
