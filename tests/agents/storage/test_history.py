"""A run's history: whole lines, whatever happens, and the same ones from the same command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from agents.storage.history import CLOCKED, NAME, History, column, read_history
from tests.agents.commands import TRAIN, call
from tests.agents.training.test_resume import CARTPOLE

# A step size that falls over --steps falls otherwise over fewer.
WORDS = (*CARTPOLE, "--training.summary-episodes", "2", "--seed", "4", "--learner.learning-rate-end", "none")


def lines_of(folder: Path) -> list[str]:
    """Without what depends on the clock, as they stand in the file."""
    text = (folder / NAME).read_text()
    assert text.endswith("\n")
    return [
        json.dumps({key: None if key in CLOCKED else value for key, value in json.loads(line).items()})
        for line in text.splitlines()
    ]


def test_a_line_is_what_was_said_and_when(tmp_path: Path) -> None:
    history = History(tmp_path, seconds=100.0)
    history.append("summary", 5, 2, {"run/score": 1.5, "actions": [[1, 2]]})
    history.append("fault", 6, 2, {"reason": "two\nlines"})
    (first, second) = read_history(tmp_path)
    assert first == {
        **{"kind": "summary", "steps": 5, "episodes": 2},
        **{"time": first["time"], "run/score": 1.5, "actions": [[1, 2]]},
    }
    assert 100.0 <= first["time"] <= second["time"] <= history.seconds + 0.001
    assert read_history(tmp_path, "fault") == [second]
    assert read_history(tmp_path, "test", "summary") == [first]


def test_a_number_that_is_none_is_null(tmp_path: Path) -> None:
    """JSON has no NaN, and a reader in another language would stop there."""
    History(tmp_path).append("summary", 5, 2, {"a": math.nan, "b": [math.inf, 1.0], "c": {"d": -math.inf}})
    (line,) = read_history(tmp_path)
    assert (line["a"], line["b"], line["c"]) == (None, [None, 1.0], {"d": None})
    assert "NaN" not in (tmp_path / NAME).read_text()


def test_a_curve_has_the_points_that_are_known(tmp_path: Path) -> None:
    history = History(tmp_path)
    for steps, values in ((1, {"x": 2.0}), (2, {}), (3, {"x": math.nan}), (4, {"x": 7})):
        history.append("summary", steps, 0, values)
    assert column(read_history(tmp_path), "x") == ([1, 4], [2.0, 7])


def test_no_run_has_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []


@pytest.mark.parametrize(
    "rest", ['{"kind": "summary", "ste', '{"kind": "summary", "steps": 9}', "\x00\x00", "[]\n5\n{}\n"]
)
def test_what_is_no_whole_line_is_left_out_and_dropped(rest: str, tmp_path: Path) -> None:
    """A kill or a power failure in the midst of writing."""
    History(tmp_path).append("summary", 5, 2, {})
    whole = (tmp_path / NAME).read_bytes()
    with (tmp_path / NAME).open("a") as file:
        file.write(rest)
    assert [line["steps"] for line in read_history(tmp_path)] == [5]
    History(tmp_path, resumed_at=7)
    assert (tmp_path / NAME).read_bytes() == whole


def test_a_resumed_run_forgets_what_happens_again(tmp_path: Path) -> None:
    history = History(tmp_path)
    for steps in (0, 100, 200, 300):
        history.append("summary", steps, 0, {})
    again = History(tmp_path, resumed_at=200, seconds=50.0)
    again.append("summary", 210, 0, {})
    assert [line["steps"] for line in read_history(tmp_path)] == [0, 100, 200, 210]
    assert read_history(tmp_path)[-1]["time"] >= 50.0
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def train(folder: Path, run_id: str, *words: str, capsys: pytest.CaptureFixture[str]) -> Path:
    found = call(TRAIN, ["--results-dir", folder, "--run-id", run_id, *words], capsys)
    assert found.code == 0, found.err
    return folder / run_id


def test_one_command_has_one_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte, but for the clock."""
    first, second = (train(tmp_path, name, *WORDS, "--steps", "600", capsys=capsys) for name in ("a", "b"))
    lines = lines_of(first)
    assert lines == lines_of(second)
    kinds = [line["kind"] for line in read_history(first)]
    assert (kinds[0], kinds[-2:], kinds.count("evaluation")) == ("start", ["end", "test"], 4)
    assert kinds.count("summary") > 5
    summary, evaluation = (read_history(first, kind)[-1] for kind in ("summary", "evaluation"))
    assert summary.keys() | evaluation.keys() > CLOCKED
    took = [line["eval/seconds"] for line in read_history(first, "evaluation")]
    assert 0 < sum(took) < evaluation["time"]
    other = train(tmp_path, "c", *WORDS, "--seed", "5", "--steps", "600", capsys=capsys)
    assert lines_of(other) != lines


def test_a_resumed_run_has_the_history_of_one_that_was_never_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Means and counts, too, of episodes before and after the stop."""
    whole = train(tmp_path, "whole", *WORDS, "--steps", "600", capsys=capsys)
    train(tmp_path, "parts", *WORDS, "--steps", "333", capsys=capsys)
    parts = train(tmp_path, "parts", "--resume", "--steps", "600", capsys=capsys)
    kept = ("summary", "evaluation")
    found: list[list[dict[str, Any]]] = [
        [{key: value for key, value in line.items() if key not in CLOCKED} for line in read_history(folder, *kept)]
        for folder in (whole, parts)
    ]
    assert found[0] == found[1]
    (start, resumed) = read_history(parts, "start")
    assert (start["steps"], start["resumed"]) == (0, "")
    assert (resumed["steps"], resumed["resumed"]) == (333, "resumed at step 333 exactly where it was")
    assert [line["reason"] for line in read_history(parts, "end")] == ["steps", "steps"]
    times = [line["time"] for line in read_history(parts)]
    assert times == sorted(times)
