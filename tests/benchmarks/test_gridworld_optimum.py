"""The optimum of drawn starts against the exact ones of all starts (docs/gridworld.md)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gridworld_optimum.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), 0.97638), (("--size", "7"), 0.9632), (("--size", "2", "--seed", "3"), (1.0 + 1.0 + 0.99) / 3)],
)
def test_it_is_that_of_all_starts(words: tuple[str, ...], expected: float) -> None:
    said = run("--starts", "20000", *words).stdout
    found = re.fullmatch(r"optimum (\S+), standard error (\S+), over 20,000 starts\n", said)
    assert found is not None, said
    assert float(found[1]) == pytest.approx(expected, abs=4 * float(found[2]) + 1e-4)


def test_right_goals_behind_wrong_ones_are_never_reached() -> None:
    """Nine things on nine cells: every ex is beside the agent, but the plus only in 12 of 36 arrangements."""
    said = run("--size", "3", "--exes", "7", "--starts", "20000").stdout
    assert float(said.split()[1].strip(",")) == pytest.approx((1.0 + (12 - 24) / 36) / 2, abs=0.03)


def test_things_that_do_not_fit_are_an_error() -> None:
    done = run("--size", "2", "--pluses", "2", "--exes", "2")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gridworld_optimum.py: error: gridSize 2, numPlusGoals 2")
