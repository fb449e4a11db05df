"""What a person reads about trials: a line for each, and a table of them all."""

from __future__ import annotations

from collections.abc import Sequence

from agents.tuning.space import Label
from agents.tuning.study import Outcome


def settings_line(outcome: Outcome) -> str:
    return f"trial {outcome.number}: " + ", ".join(
        f"{path} {_shown(label)}" for path, label in sorted(outcome.labels.items())
    )


def result_line(outcome: Outcome) -> str:
    score = "" if outcome.score is None else f", score {outcome.score:.3f}"
    why = f": {outcome.why}" if outcome.why else ""
    return f"trial {outcome.number}: {outcome.state}{score} after {outcome.steps:,} steps{why}"


def table_lines(outcomes: Sequence[Outcome], paths: Sequence[str]) -> list[str]:
    """One line per trial below one of headings; settings by the last part of their names where that tells them."""
    last = [path.split(".")[1] for path in paths]
    names = [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]
    cells = [["trial", "state", "score", "steps", "minutes", *names]]
    for outcome in outcomes:
        score = "-" if outcome.score is None else f"{outcome.score:.3f}"
        settings = [_shown(outcome.labels[path]) if path in outcome.labels else "-" for path in paths]
        state = [str(outcome.number), outcome.state, score, f"{outcome.steps:,}", f"{outcome.minutes:.1f}"]
        cells.append([*state, *settings])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return lines + [f"trial {outcome.number} failed: {outcome.why}" for outcome in outcomes if outcome.why]


def _shown(label: Label) -> str:
    if label is None or isinstance(label, bool):
        return str(label).lower()  # as it is typed
    return f"{label:.4g}" if isinstance(label, float) else str(label)
