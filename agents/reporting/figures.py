"""The charts of a report, each with its legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agents.reporting.curves import Curve, curves_of, line_of
from agents.reporting.plots import Bars, Strip, Values, bar_chart, line_chart, strip_chart
from agents.reporting.reading import Group, Run
from agents.storage.history import Line

#: Actions per branch whose counts are the rows' own.
Counts = list[list[int]]


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        svg: as text.
        groups: that it shows, for its legend.
        note: how it is to be read; may be empty.
    """

    title: str
    svg: str
    groups: list[Group]
    note: str = ""


def curve_figures(groups: Sequence[Group]) -> list[Figure]:
    """A figure for each curve of which anything is known."""
    curves = curves_of([run for group in groups for run in group.runs])
    return [figure for curve in curves if (figure := _curve_figure(curve, groups))]


def _curve_figure(curve: Curve, groups: Sequence[Group]) -> Figure | None:
    drawn = {group.number: line for group in groups if (line := line_of(curve, group))}
    if not drawn:
        return None
    lines = list(drawn.values())
    svg = line_chart(lines, curve.title, "agent steps", curve.unit, right=_steps(groups), log=curve.log)
    return Figure(curve.title, svg, [group for group in groups if group.number in drawn])


def _steps(groups: Sequence[Group]) -> int:
    """Of the longest run: all curves share their x axis."""
    return max((run.history[-1]["steps"] for group in groups for run in group.runs if run.history), default=0)


def latest_test(run: Run) -> Line | None:
    """The test after the training, or the latest evaluation in it, whichever there is."""
    found = [line for line in run.lines("test") or run.lines("evaluation") if {"scores", "actions"} <= line.keys()]
    return found[-1] if found else None


def score_figure(groups: Sequence[Group]) -> Figure | None:
    """Each episode's score of each run's latest test."""
    strips: list[Strip] = []
    shown: list[Group] = []
    for group in groups:
        for run in group.runs:
            test = latest_test(run)
            if test is not None and test["scores"]:
                what = test.get("checkpoint", f"evaluation at step {test['steps']:,}")
                label = f"{run.name}, {what}"
                strips.append(Strip(label, group.number, np.array(test["scores"], float)))
                shown += [group] if group not in shown else []
    if not strips:
        return None
    svg = strip_chart(strips, "Scores of single episodes", "score")
    return Figure("Scores of single episodes", svg, shown, "dot: an episode; line: the mean of its row")


def action_figures(groups: Sequence[Group]) -> list[Figure]:
    """How often each action of each branch was taken: by the greedy policy, then in training."""
    return [
        *_action_figures("Actions of the greedy policy", groups, _tested_actions),
        *_action_figures("Actions in training", groups, _trained_actions),
    ]


def _action_figures(title: str, groups: Sequence[Group], counts_of: Callable[[Run], list[Counts]]) -> list[Figure]:
    counts = {group.number: _summed([each for run in group.runs for each in counts_of(run)]) for group in groups}
    branches = max(map(len, counts.values()), default=0)
    figures = []
    for branch in range(branches):
        shown = [group for group in groups if len(counts[group.number]) > branch]
        bars = [Bars(group.legend, group.number, _percent(counts[group.number][branch])) for group in shown]
        names = [str(action) for action in range(max(len(bar.heights) for bar in bars))]
        caption = title if branches == 1 else f"{title}: branch {branch}"
        svg = bar_chart(bars, names, caption, "action", "part of the decisions in %")
        figures.append(Figure(caption, svg, shown))
    return figures


def _tested_actions(run: Run) -> list[Counts]:
    test = latest_test(run)
    return [test["actions"]] if test is not None else []


def _trained_actions(run: Run) -> list[Counts]:
    return [line["actions"] for line in run.lines("summary") if "actions" in line]


def _summed(counts: Sequence[Counts]) -> list[Values]:
    """Per branch. Runs of one configuration have the same branches."""
    return [np.sum(branch, axis=0, dtype=float) for branch in zip(*counts, strict=True)]


def _percent(counts: Values) -> Values:
    return np.asarray(100.0 * counts / max(float(counts.sum()), 1.0))
