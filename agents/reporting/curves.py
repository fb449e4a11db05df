"""Which curves there are, and one curve of several runs: the median and the band over their seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agents.reporting.plots import Line, Values
from agents.reporting.reading import Group, Run
from agents.storage.history import column

#: Points of a curve; where there are more, neighbours are averaged.
POINTS = 200


@dataclass(frozen=True)
class Curve:
    """A number of the history over agent steps.

    Attributes:
        key: its name in the lines of that kind.
        unit: beside the axis.
        scale: that its values are multiplied by.
        log: whether a logarithmic axis shows it best.
        dots: whether each point is marked.
    """

    key: str
    title: str
    unit: str
    kind: Literal["summary", "evaluation"] = "summary"
    scale: float = 1.0
    log: bool = False
    dots: bool = False


def curves_of(runs: Sequence[Run]) -> list[Curve]:
    """Those that these runs can have, the most telling ones first."""
    means = f"mean over {_either(run.config.training.summary_episodes for run in runs)} episodes"
    greedy = f"mean over {_either(run.config.evaluation.every_episodes for run in runs)} episodes"
    levels = {"epsilon": "epsilon: probability of a random action", "boltzmann": "temperature", "soft": "temperature"}
    level = _either(levels[run.config.exploration.kind] for run in runs)
    said = sorted({name for run in runs for name in run.metrics})
    return [
        Curve("run/score", "Score in training", f"score, {means}"),
        Curve("eval/score", "Score in evaluations", f"score of the greedy policy, {greedy}", "evaluation", dots=True),
        Curve("eval/success", "Success in evaluations", "episodes in %", "evaluation", scale=100.0, dots=True),
        Curve("run/success", "Success in training", "episodes in %", scale=100.0),
        *(
            Curve(f"eval/{name}", f"{name} in evaluations", f"{name}, {greedy}", "evaluation", dots=True)
            for name in said
        ),
        Curve("run/length", "Length of episodes", f"agent steps, {means}"),
        Curve("model/q", "Q-values", "Q of the actions learned from, mean"),
        Curve("model/loss", "Loss", "loss, mean over updates", log=True),
        Curve("model/td_error", "TD error", "absolute TD error, mean", log=True),
        Curve("model/grad_norm", "Gradient", "norm before clipping, mean", log=True),
        Curve("model/epsilon", "Exploration", level),
        Curve("speed/steps_per_second", "Speed", "agent steps per second"),
    ]


def line_of(curve: Curve, group: Group) -> Line | None:
    """The median over the group's runs with the band from the lowest to the highest; None when none has a value."""
    found = [column(run.lines(curve.kind), curve.key) for run in group.runs]
    points = [averaged(np.array(x, float), curve.scale * np.array(y, float)) for x, y in found if x]
    return median_line(group.legend, group.number, points, dots=curve.dots) if points else None


def median_line(label: str, color: int, points: Sequence[tuple[Values, Values]], *, dots: bool = False) -> Line:
    """The median of several curves where half of them are known, with the band from the lowest to the highest.

    Args:
        points: x [N] and y [N] of each, of which there is at least one.
        dots: whether points are marked if there are not too many.
    """
    x, values = on_one_axis(points)
    needed = math.ceil(len(points) / 2)
    known = np.isfinite(values).sum(0) >= needed
    x, values = x[known], values[:, known]
    middle, low, high = np.nanmedian(values, 0), np.nanmin(values, 0), np.nanmax(values, 0)
    return Line(label, color, x, middle, low, high, dots=dots and len(x) <= 60)


def averaged(x: Values, y: Values) -> tuple[Values, Values]:
    """At most `POINTS` points: means of neighbours. [N], [N] to [M], [M]"""
    if len(x) <= POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), POINTS)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def on_one_axis(points: Sequence[tuple[Values, Values]]) -> tuple[Values, Values]:
    """Several curves over the same x: their own where they share it, else between their points.

    Returns:
        x [N] and y [curves, N], NaN before a curve's first and after its last point.
    """
    first = points[0][0]
    if all(np.array_equal(first, x) for x, _ in points):
        return first, np.stack([y for _, y in points])
    begin, end = min(x[0] for x, _ in points), max(x[-1] for x, _ in points)
    shared = np.linspace(begin, end, min(POINTS, max(len(x) for x, _ in points) + 1))
    return shared, np.stack([np.interp(shared, x, y, left=np.nan, right=np.nan) for x, y in points])


def _either(values: Iterable[object]) -> str:
    return " or ".join(dict.fromkeys(map(str, values)))
