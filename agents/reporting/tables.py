"""The tables of a report: results, settings, faults, versions. Cells are plain text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, pstdev
from typing import Any

from agents.reporting.reading import Group, Run, settings_of
from agents.settings.config import Config, sections
from agents.storage.history import Line, column

NOTHING = "-"
#: Faults that are listed, the latest ones, and characters of a reason.
FAULTS, REASON = 50, 600
#: Parts of the training loop, as the history calls them and as a person does.
PHASES = {"environment": "Environment", "acting": "Choosing actions", "learning": "Learning", "storing": "Storing"}
ENDED = {
    "steps": "all its steps",
    "episodes": "all its episodes",
    "minutes": "time limit",
    "score": "score reached",
    "patience": "no better evaluation",
    "interrupted": "stopped by hand",
    "failed": "environment lost",
}


@dataclass(frozen=True)
class Table:
    """Text in rows; the first cell of each says what the row is about.

    Attributes:
        bold: the numbers of rows that sum up others.
        note: below it; may be empty.
    """

    head: list[str]
    rows: list[list[str]]
    bold: set[int] = field(default_factory=set)
    note: str = ""


def results(groups: Sequence[Group]) -> Table:
    """A row per run, and the median of the runs that share a configuration."""
    head = ["Run", "Seed", "Steps", "Episodes", "Time", "Best evaluation", "Last evaluation", "Test", "Success"]
    table = Table([*head, "Ended by"], [])
    for group in groups:
        table.rows.extend(map(_result, group.runs))
        if len(group.runs) > 1:
            table.bold.add(len(table.rows))
            table.rows.append(_medians(group))
    return table


def _result(run: Run) -> list[str]:
    last: Line = run.history[-1] if run.history else {"steps": 0, "episodes": 0, "time": 0.0}
    steps, scores = column(run.lines("evaluation"), "eval/score")
    best = scores.index(max(scores)) if scores else None
    test = (run.lines("test") or [{}])[-1]
    return [
        run.name,
        str(run.seed),
        f"{last['steps']:,}",
        f"{last['episodes']:,}",
        duration(last["time"]),
        NOTHING if best is None else f"{_number(scores[best])} at {steps[best]:,}",
        _number(scores[-1] if scores else None),
        _with_deviation(test),
        _percent(test.get("test/success")),
        ending(run),
    ]


def _medians(group: Group) -> list[str]:
    evaluations = [scores for run in group.runs if (scores := column(run.lines("evaluation"), "eval/score")[1])]
    tests = [lines[-1] for run in group.runs if (lines := run.lines("test"))]
    return [
        f"median of {len(group.runs)} seeds",
        *("", "", "", ""),
        _number(_median([max(scores) for scores in evaluations])),
        _number(_median([scores[-1] for scores in evaluations])),
        _number(_median([test.get("test/score") for test in tests])),
        _percent(_median([test.get("test/success") for test in tests])),
        "",
    ]


def ending(run: Run) -> str:
    """What ended the run's latest start, for a person."""
    last = [line for line in run.history if line["kind"] in ("start", "end")][-1:]
    if not run.history:
        return "no metrics.jsonl"
    return ENDED.get(str(last[0].get("reason")), NOTHING) if last and last[0]["kind"] == "end" else "still running"


def tests(runs: Sequence[Run]) -> Table:
    """Every saved result of the runs."""
    head = ["Run", "Checkpoint", "Mean", "Deviation", "Lowest", "Highest", "Success", "Episodes", "Epsilon", "Seed"]
    said = sorted({name for run in runs for test in run.tests for name in test.get("metrics", {})})
    table = Table([*head, *said], [])
    for run in runs:
        for test in run.tests:
            measured = [_number(test.get(name)) for name in ("mean", "deviation", "minimum", "maximum")]
            rest = [_percent(test.get("success_rate")), str(len(test["scores"])), _number(test.get("epsilon"))]
            metrics = [_number(test.get("metrics", {}).get(name)) for name in said]
            table.rows.append([run.name, str(test["checkpoint"]), *measured, *rest, str(test["seed"]), *metrics])
    return table


def speeds(runs: Sequence[Run]) -> Table:
    """Where the wall clock of each run's training went, evaluations left out."""
    table = Table(["Run", "Steps per second", *PHASES.values(), "Other"], [])
    for run in runs:
        seconds, steps = [], [0]
        lines = [line for line in run.lines("summary") if line.get("speed/steps_per_second") and "time/acting" in line]
        for line in lines:
            steps.append(line["steps"])
            seconds.append((steps[-1] - steps[-2]) / line["speed/steps_per_second"])
        if total := sum(seconds):
            parts = [
                sum(line[f"time/{phase}"] * spent for line, spent in zip(lines, seconds, strict=True)) / total
                for phase in PHASES
            ]
            speed = _number(steps[-1] / total)
            table.rows.append([run.name, speed, *map(_percent, parts), _percent(max(0.0, 1.0 - sum(parts)))])
    return table


def differences(groups: Sequence[Group]) -> Table:
    """The settings in which the configurations differ, and their seeds."""
    names = [name for name in _names(groups) if len({json.dumps(_of(group, name)) for group in groups}) > 1]
    rows = [_setting(groups, name) for name in names if name != "training.seed"]
    seeds = ", ".join
    return Table(
        ["Setting", *(group.label for group in groups), "Meaning"],
        [
            ["training.seed", *(seeds(str(run.seed) for run in group.runs) for group in groups), "seed of the run"],
            *rows,
        ],
    )


def settings(groups: Sequence[Group]) -> Table:
    """All of them but the seeds; what is not the default is bold."""
    names = [name for name in _names(groups) if name != "training.seed"]
    defaults = settings_of(Config())
    rows = [_setting(groups, name) for name in names]
    changed = {row for row, name in enumerate(names) if any(_of(group, name) != defaults.get(name) for group in groups)}
    note = "Bold: not the default. A run's config.yaml has the same values."
    return Table(["Setting", *(group.label for group in groups), "Meaning"], rows, changed, note)


def faults(runs: Sequence[Run]) -> Table:
    """What the training environments lost and replaced."""
    found = [(run, line) for run in runs for line in run.lines("fault")]
    table = Table(["Run", "Step", "Time", "Worker", "Incarnation", "Transitions lost", "Reason"], [])
    for run, line in found[-FAULTS:]:
        where = [f"{line['steps']:,}", duration(line["time"]), str(line.get("worker")), str(line.get("incarnation"))]
        table.rows.append([run.name, *where, str(line.get("lost")), str(line.get("reason"))[:REASON]])
    older = len(found) - len(table.rows)
    return Table(table.head, table.rows, note=f"{older} older ones: see metrics.jsonl." if older else "")


def versions(runs: Sequence[Run]) -> Table:
    """What the runs' latest starts ran on; runs with the same answers share a column."""
    facts = {run.name: _facts(run) for run in runs}
    alike: dict[str, list[str]] = {}
    for name, fact in facts.items():
        alike.setdefault(json.dumps(fact, sort_keys=True), []).append(name)
    columns = [facts[names[0]] for names in alike.values()]
    rows = list(dict.fromkeys(name for fact in columns for name in fact))
    head = ["all runs"] if len(alike) == 1 and len(runs) > 1 else [", ".join(names) for names in alike.values()]
    return Table(["", *head], [[row, *(fact.get(row, NOTHING) for fact in columns)] for row in rows])


def starts(runs: Sequence[Run]) -> Table:
    """When and how each run was started and resumed."""
    table = Table(["Run", "Began (UTC)", "At step", "Begins with", "Command"], [])
    for run in runs:
        for start in run.starts:
            when = str(start.get("time", NOTHING)).removesuffix("+00:00").replace("T", " ")
            command = shlex.join(map(str, start.get("command", [])))
            begins = str(start.get("begins_with") or NOTHING)
            table.rows.append([run.name, when, f"{start.get('steps', 0):,}", begins, command])
    return table


def duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def _facts(run: Run) -> dict[str, str]:
    start = run.starts[-1] if run.starts else {}
    environment = start.get("environment", {})
    build = environment.get("build")
    packages = start.get("packages", {})
    found = {
        "environment": f"{run.config.environment.target} ({run.config.environment.backend})",
        "build": f"{build}{' (simulated)' if environment.get('simulated') else ''}" if build else None,
        "build, SHA-256": "\n".join(
            f"{name} {value[:16]}" for name, value in _few(environment.get("build_sha256", {}))
        ),
        "torch device": start.get("device"),
        "Python": start.get("python"),
        "platform": start.get("platform"),
        **{str(name): version for name, version in packages.items()},
    }
    return {name: str(value) for name, value in found.items() if value}


def _few(hashes: dict[str, str]) -> list[tuple[str, str]]:
    """The files of a build that tell it from another: the executable is the first one."""
    return list(hashes.items())[:3]


def _names(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group.runs[0].settings))


def _of(group: Group, name: str) -> Any:
    return group.runs[0].settings.get(name)


def _setting(groups: Sequence[Group], name: str) -> list[str]:
    return [name, *(_value(_of(group, name)) for group in groups), _meaning(name)]


def _meaning(name: str) -> str:
    section, _, rest = name.partition(".")
    fields = sections()[section].model_fields if section in sections() else Config.model_fields
    field_ = fields.get(rest or section)
    return (field_.description if field_ else None) or ""


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else NOTHING


def _percent(value: Any) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else NOTHING


def _with_deviation(test: Line) -> str:
    scores = test.get("scores")
    return f"{_number(fmean(scores))} ± {_number(pstdev(scores))}" if scores else NOTHING


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
