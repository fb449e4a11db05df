"""What goes into a table, Q-learning with it, and the command that says why not."""

from __future__ import annotations

import re
import sys
from math import log10
from typing import Any

import numpy as np
import pytest

from agents import table_size
from agents.cli.commandline import run_command
from agents.learning.tabular import QTable, Sample, features, new_pairs, q_learning, sample
from agents.settings.config import build_config
from agents.settings.resolve import starting_values
from agents.table_size import memory, power, report
from bridge import Bridge, EnvSpec, connect


def probe(name: str, num_envs: int = 1, **arguments: Any) -> Bridge:
    options = {"num_envs": num_envs, "env_kwargs": arguments}
    return connect(EnvSpec("gym", f"tests.agents.probes:{name}-v0", options))


def learned(bridge: Bridge, steps: int = 3000, gamma: float = 0.5) -> QTable:
    rng = np.random.default_rng(0)
    table = QTable(features(sample(bridge, 100, rng), 10), bridge.spec.actions.branches, gamma, rate=0.1)
    q_learning(bridge, table, steps, lambda _: 1.0, rng)
    return table


def test_numbers_become_bins() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.uniform(-1, 1, 1000)
    vector = np.stack([smooth, np.full(1000, 7.0), rng.integers(0, 3, 1000)], axis=1)
    choice = np.eye(4)[rng.integers(0, 4, 1000)]
    found = Sample([vector, None, choice], np.zeros((1000, 1), np.int32))
    first, third, goal = features(found, 10)
    assert (first.index, first.column, first.levels) == (0, 0, 10)
    np.testing.assert_allclose(first.edges, np.linspace(-0.8, 0.8, 9), atol=0.05)
    assert (third.column, third.edges.tolist()) == (2, [0.5, 1.5])
    assert (goal.index, goal.column, goal.levels) == (2, None, 4)
    picture = np.zeros((3, 3, 8, 8), np.uint8)
    seen = [np.array([[-9.0, 7, 0], [0.01, 8, 1], [9, 7, 2]]), picture, np.eye(4)[[3, 0, 1]]]
    assert [part(seen).tolist() for part in (first, third, goal)] == [[0, 5, 9], [0, 1, 2], [3, 0, 1]]


def test_equal_pairs_are_counted_once() -> None:
    values = np.array([[0.0], [1.0], [0.0], [1.0]])
    found = Sample([values], np.array([[0], [0], [0], [1]], np.int32))
    assert new_pairs(found, features(found, 10)) == 3


@pytest.mark.parametrize("num_envs", [1, 3])
def test_values_of_an_episode(num_envs: int) -> None:
    with probe("Late", num_envs, length=3) as bridge:
        table = learned(bridge)
    np.testing.assert_allclose(table.values[:3], [[0.25] * 2, [0.5] * 2, [1.0] * 2], atol=1e-3)


def test_a_truncated_episode_is_bootstrapped() -> None:
    with probe("FallsOrLasts", length=3, sees_time=False) as bridge:
        table = learned(bridge)
    np.testing.assert_allclose(table.values, [[1.0, 2.0]], atol=1e-2)


def test_the_bootstrap_takes_no_forbidden_action() -> None:
    with probe("Tempting") as bridge:
        table = learned(bridge)
    np.testing.assert_allclose(table.values, [[1.0, 1.0, 10.0]], atol=1e-2)


def test_branches_share_a_table() -> None:
    with probe("TwoBranches") as bridge:
        table = learned(bridge, gamma=0.0)
        rows = bridge.reset()
        best = table.branches_of(table.choose(rows, 0.0, np.random.default_rng(0)))
    np.testing.assert_allclose(table.values, [[0, 0.5, -1, 1, 1.5, 0]], atol=1e-3)
    assert best.tolist() == [[1, 1]]
    assert table.visited.all()


@pytest.mark.parametrize(
    ("exponent", "text"),
    [
        (0, "1"),
        (log10(20_000), "20,000"),
        (6, "10^6"),
        (30, "10^30"),
        (log10(1.4) + 24, "1.4 x 10^24"),
        (log10(9.99) + 7, "10^8"),
        (23 * log10(10) + log10(14), "1.4 x 10^24"),
    ],
)
def test_powers(exponent: float, text: str) -> None:
    assert power(exponent) == text


@pytest.mark.parametrize(
    ("entries", "text"),
    [(64, "256 bytes"), (20_000, "78 KiB"), (4e8, "1 GiB"), (1.4e24, "5.2 x 10^15 GiB"), (1, "4 bytes")],
)
def test_memory(entries: float, text: str) -> None:
    assert memory(log10(entries)) == text


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda interrupts: table_size.main(words, interrupts), table_size.PROGRAM)
    found = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, found.out + found.err


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Pusher-v4 needs mujoco 2 and so Python 3.11")
def test_seed_a_would_have_known(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "--env", "Pusher-v4", "--preset", "seed-a")
    assert code == 0
    assert "observes 23 numbers; in 10 bins each that is 10^23 states." in text
    assert "With 14 actions that is 1.4 x 10^24 pairs" in text
    assert "With the 7 numbers of an action in 10 bins, too, it is 10^30 pairs." in text
    assert "takes 5.2 x 10^15 GiB" in text
    assert "as fast as the agent plays" in text
    assert text.splitlines()[-1].startswith("That does not fit")


def test_cartpole_by_a_table_beats_chance(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "--env", "CartPole-v1", "--bins", "6", "--steps", "8000", "--episodes", "10")
    assert code == 0
    assert "that is 1,296 states." in text
    assert "takes 10 KiB" in text
    scores = re.search(r"it scores ([\d.]+) on average, random play ([\d.]+)\.", text)
    assert scores is not None
    assert float(scores[1]) > 1.5 * float(scores[2])


def test_pictures_are_left_out() -> None:
    values = starting_values(None, {"environment": {"build": "simulated/GridWorld"}, "training": {"steps": 200}})
    config = build_config({**values, "evaluation": {"episodes": 2}})
    with connect(config.environment.spec(0)) as bridge:
        lines = list(report(bridge, config, 10))
    assert "RenderTextureSensor is a picture of 16,128 numbers with 256 levels each: 1.2 x 10^38840 states" in lines[0]
    # 5 values of each of 6 numbers, 2 goals, 4 actions
    assert "A table of what varies has 125,000 pairs and takes 488 KiB." in lines
    assert lines[-1].startswith("Over 2 test episodes it scores ")
    with connect(EnvSpec("gym", "tests.environments:Noise-v0")) as bridge:
        assert list(report(bridge, config, 10))[-1] == "There is nothing else to make a table of: a network it is."


@pytest.mark.parametrize("bins", ["1", "x", "2.5"])
def test_bins_that_are_none(bins: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "--env", "CartPole-v1", "--bins", bins)
    assert code == 2
    assert f"argument --bins: found {bins!r}, expected a whole number from 2." in text
