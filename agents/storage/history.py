"""A run's history, `metrics.jsonl`: what the curves show and what happened, one JSON object per line.

`docs/runs.md` lists the kinds of lines and their keys. Two runs of one command with one seed and one worker write the
same lines on the CPU, but for the values of `CLOCKED`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from agents.system.files import append_whole, write_whole

Kind = Literal["start", "summary", "evaluation", "fault", "test", "end"]
Line = dict[str, Any]

NAME = "metrics.jsonl"
#: Keys whose values depend on the clock.
CLOCKED = frozenset(
    {
        *("time", "speed/steps_per_second", "eval/seconds"),
        *("time/acting", "time/environment", "time/learning", "time/storing"),
    }
)


class History:
    """Appends to a run's history.

    Args:
        folder: of the run.
        resumed_at: agent steps of the checkpoint with which the run goes on: what was written after it happens again
            and is dropped. None for a new run.
        seconds: that the run has taken before.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None, seconds: float = 0.0) -> None:
        self._path = folder / NAME
        if resumed_at is not None:
            seconds = max(seconds, self._go_back(resumed_at))
        self._began = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Wall clock since the run began, without the time between its stops and resumes."""
        return time.monotonic() - self._began

    def append(self, kind: Kind, steps: int, episodes: int, values: Mapping[str, Any]) -> None:
        """One more line; it is there as a whole or not at all. What is not finite becomes null.

        Raises:
            OSError: the disk is full, for instance.
        """
        line = {"kind": kind, "steps": steps, "episodes": episodes, "time": round(self.seconds, 3), **values}
        append_whole(self._path, _encoded(line).encode())

    def _go_back(self, steps: int) -> float:
        """Drops what came after that step. Returns the time of the last line that is left."""
        kept = [line for line in read_history(self._path.parent) if line["steps"] <= steps]
        write_whole(self._path, "".join(map(_encoded, kept)))
        return max((line["time"] for line in kept), default=0.0)


def read_history(folder: Path, *kinds: Kind) -> list[Line]:
    """The lines of a run's history in their order, only those of these kinds if any are named.

    An unfinished last line, of a run that was killed or is being written, is left out, and so is one that is no such
    line. Empty for a run that has none.
    """
    try:
        data = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return []
    found = [line for text in data.split(b"\n")[:-1] if (line := _decoded(text)) is not None]
    return [line for line in found if not kinds or line["kind"] in kinds]


def column(lines: list[Line], key: str) -> tuple[list[int], list[float]]:
    """The steps and values of the lines in which that key is a number: a curve."""
    points = [(line["steps"], line[key]) for line in lines if isinstance(line.get(key), int | float)]
    return [steps for steps, _ in points], [value for _, value in points]


def _encoded(line: Line) -> str:
    return json.dumps(_finite(line), allow_nan=False) + "\n"


def _decoded(text: bytes) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict):
        return None
    is_whole = isinstance(line.get("kind"), str) and all(
        isinstance(line.get(name), int | float) for name in ("steps", "episodes", "time")
    )
    return line if is_whole else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
