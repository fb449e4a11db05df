"""Trains the same command with several seeds, one after the other or side by side, and tabulates the final tests.

    python benchmarks/learning.py gridworld --seeds 0-2 -- --build GridWorld

appends one line per seed to benchmarks/results/gridworld.jsonl (a seed that is there already is not run again) and
prints the table. Everything after `--` goes to `python -m agents.train`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "mlagents-envs")


def machine() -> str:
    """What a figure was measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def train(name: str, seed: int, arguments: list[str], results_dir: Path) -> dict[str, Any]:
    """One run with its test. Raises CalledProcessError with the run's log beside it."""
    run_id = f"{name}-seed{seed}"
    command = [sys.executable, "-m", "agents.train", "--run-id", run_id, "--force", "--seed", str(seed)]
    command += ["--results-dir", str(results_dir), *arguments]
    results_dir.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (results_dir / f"{run_id}.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    test = json.loads(sorted((results_dir / run_id / "evaluations").glob("*.json"))[-1].read_text())
    test.pop("scores")
    return {
        "seed": seed,
        "arguments": arguments,
        "seconds": round(time.monotonic() - began),
        "test": test,
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| seed | mean | deviation | minimum | success | seconds |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["seed"]):
        test = row["test"]
        rate = "" if test["success_rate"] is None else f"{test['success_rate']:.1%}"
        lines.append(
            f"| {row['seed']} | {test['mean']:.3f} | {test['deviation']:.3f} | {test['minimum']:.3f} | {rate} "
            f"| {row['seconds']} |"
        )
    means = [row["test"]["mean"] for row in rows]
    return "\n".join([*lines, f"\nmedian {median(means):.3f}, worst {min(means):.3f} of {len(means)} seeds"])


def seeds(text: str) -> list[int]:
    """`0-4` or `0,3,7`."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the results file")
    parser.add_argument("--seeds", type=seeds, default=[0, 1, 2], help="0-2, or 0,3,7")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side; seconds are then not comparable")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "benchmarks", help="where the runs lie")
    words = [*sys.argv[1:], "--"]
    options = parser.parse_args(words[: words.index("--")])
    options.arguments = words[words.index("--") + 1 : -1]
    path = RESULTS / f"{options.name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if any(row["arguments"] != options.arguments for row in rows):
        parser.error(f"{path} holds results of other arguments: {rows[0]['arguments']}; choose another name.")
    missing = [seed for seed in options.seeds if seed not in {row["seed"] for row in rows}]
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda seed: train(options.name, seed, options.arguments, options.runs_dir), missing):
            rows.append(row)
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
