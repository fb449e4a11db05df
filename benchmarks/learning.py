"""Trains the same command with several seeds, one after the other or side by side, and tabulates the final tests.

    python benchmarks/learning.py gridworld --seeds 0-2 -- --build GridWorld

appends one line per seed to benchmarks/results/gridworld.jsonl (a seed that is there already is not run again, and
lines of a preset that has changed since are refused) and prints the table. Everything after `--` goes to
`python -m agents.train`. With `--evaluation.every` in it, or in the preset, a line also has the learning curve.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from measure import (
    RESULTS,
    RUNS,
    Contender,
    Curve,
    Row,
    ShouldStop,
    measure_all,
    preset_mark,
    read_rows,
    run,
    versions,
)

from agents.cli.commandline import run_command, seed_list, whole_number_from
from agents.settings.config import ConfigError
from agents.settings.files import load_config
from agents.settings.presets import preset_names
from agents.storage.history import read_history
from agents.system.interrupts import Interrupts
from agents.training.seeds import SeedResult, results_table

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "mlagents-envs")


def train(name: str, arguments: Sequence[str], runs_dir: Path, seed: int, should_stop: ShouldStop) -> Row:
    """One run with its test. Raises as `measure.run`, and `ConfigError` when its preset has changed meanwhile."""
    folder = runs_dir / f"{name}-seed{seed}"
    command = ["-m", "agents.train", "--run-id", folder.name, "--force", "--seed", str(seed)]
    marks = {name: preset_mark(name) for name in preset_names()}
    began = time.monotonic()
    run([*command, "--results-dir", runs_dir, *arguments], folder.with_name(f"{folder.name}.log"), should_stop)
    test = json.loads(sorted((folder / "evaluations").glob("*.json"))[-1].read_text(encoding="utf-8"))
    for single in ("scores", "episode_metrics"):
        test.pop(single)
    config = load_config(folder / "config.yaml")
    settings, mark = config.evaluation, preset_mark(config.preset)
    if marks.get(config.preset, mark) != mark:
        raise ConfigError(f"preset {config.preset!r} was changed during the run of {folder.name}: it is not stored.")
    return {
        "preset": mark,
        "seconds": round(time.monotonic() - began),
        "test": test,
        "evaluation": {"every": settings.every, "episodes": settings.every_episodes, "seed": settings.seed + 1},
        "curve": read_curve(folder),
        "versions": versions(*PACKAGES),
    }


def read_curve(folder: Path) -> Curve:
    """Of a run's evaluations in training; empty where there were none."""
    curve: Curve = []
    evaluating = 0.0
    for line in read_history(folder, "evaluation"):
        evaluating += line["eval/seconds"]
        curve.append((line["steps"], round(line["time"] - evaluating, 3), line["eval/score"], min(line["scores"])))
    return curve


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the results file")
    parser.add_argument("--seeds", type=seed_list, default=[0, 1, 2], help="0-2, or 0,3,7")
    parser.add_argument(
        "--jobs", type=whole_number_from(1), default=1, help="runs side by side; seconds are then not comparable"
    )
    parser.add_argument("--runs-dir", type=Path, default=RUNS, help="where the runs lie")
    words = [*argv, "--"]
    options = parser.parse_args(words[: words.index("--")])
    arguments = words[words.index("--") + 1 : -1]
    path = RESULTS / f"{options.name}.jsonl"
    measure = partial(train, options.name, arguments, options.runs_dir)
    measure_all([Contender(path, arguments, measure)], options.seeds, interrupts, options.jobs)
    results = [SeedResult(row["seed"], row["test"], row["seconds"]) for row in read_rows(path)]
    sys.stdout.write(results_table(results) + "\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), "benchmarks/learning.py")
