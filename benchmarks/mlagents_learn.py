"""Trains ML-Agents' own PPO on the simulated GridWorld build and stores its learning curve.

    python benchmarks/mlagents_learn.py --venv ~/mlagents --python python3.10 --seeds 0

creates the trainer's environment (if the folder is not there yet), runs the stock `mlagents-learn` in it with
benchmarks/mlagents_learn.yaml and nine areas until it has made --steps agent steps, interrupts it as Ctrl-C does, and
appends one line per seed to benchmarks/results/mlagents-ppo.jsonl (a seed that is there already is not run again).

The curve is what the trainer itself writes for TensorBoard: agent steps (a step of nine agents counts nine), the mean
return of the episodes that ended since the point before, and wall-clock seconds since training began. Those are returns
of the stochastic policy while it learns, not a test.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from measure import RESULTS, machine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.cli.commandline import seed_list

ROOT = Path(__file__).parents[1]
CONFIG = Path("benchmarks/mlagents_learn.yaml")
REQUIREMENTS = Path("benchmarks/mlagents_learn.txt")
BUILD = Path("unity_builds/simulated/GridWorld")
TRAINER = ("mlagents==1.1.0", "mlagents-envs==1.1.0")
AREAS = 9
REWARD = "Environment/Cumulative Reward"
POLL = 5.0  # seconds between two looks at the curve
PATIENCE = 120.0  # seconds to save the model after an interrupt

Curve = list[tuple[int, float, float]]


def create(venv: Path, python: str) -> None:
    """The environment of docs/mlagents-learn.md. Raises CalledProcessError if one of its commands fails."""
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True, cwd=ROOT)
    # Their metadata refuses Python 3.10.13 and later.
    subprocess.run([*pip, "--no-deps", "--ignore-requires-python", *TRAINER], check=True)


def versions(venv: Path) -> dict[str, str]:
    """What is installed in the trainer's environment."""
    names = ["mlagents", "mlagents-envs", "torch", "numpy", "protobuf", "grpcio", "onnx"]
    code = (
        "import importlib.metadata as m, json, platform; "
        f"print(json.dumps({{'python': platform.python_version(), **{{n: m.version(n) for n in {names}}}}}))"
    )
    found = subprocess.run([venv / "bin" / "python", "-c", code], check=True, capture_output=True, text=True)
    result: dict[str, str] = json.loads(found.stdout)
    return result


def read_curve(folder: Path) -> Curve:
    """(agent steps, mean return, seconds since the first event) of a folder's TensorBoard files, or nothing yet."""
    if not folder.exists():
        return []
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    if REWARD not in events.Tags()["scalars"]:
        return []
    began = events.FirstEventTimestamp()
    return [(event.step, round(event.value, 4), round(event.wall_time - began, 1)) for event in events.Scalars(REWARD)]


def train(venv: Path, seed: int, steps: int, minutes: float, base_port: int, results_dir: Path) -> dict[str, Any]:
    """One run of the stock trainer until `steps` agent steps or `minutes` have passed.

    Raises RuntimeError, with the place of its log, if the trainer fails, wrote no curve or exported no model.
    """
    run_id = f"mlagents-ppo-seed{seed}"
    arguments = [str(CONFIG), "--env", str(BUILD), "--run-id", run_id, "--seed", str(seed)]
    arguments += ["--results-dir", str(results_dir), "--base-port", str(base_port), "--torch-device", "cpu"]
    arguments += ["--env-args", "--areas", str(AREAS)]
    folder = ROOT / results_dir / run_id
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that failed: its curve would be taken for this one's
    log_path = folder.with_suffix(".log")
    began = time.monotonic()
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [venv / "bin" / "mlagents-learn", *arguments],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group, as a terminal's foreground job is: the interrupt reaches all of it
        )
        try:
            while process.poll() is None and time.monotonic() - began < 60 * minutes:
                time.sleep(POLL)
                curve = read_curve(folder / "GridWorld")
                if curve and curve[-1][0] >= steps:
                    break
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    curve = read_curve(folder / "GridWorld")
    if code or not curve or not (folder / "GridWorld.onnx").exists():
        raise RuntimeError(
            f"mlagents-learn ended with code {code} and {len(curve)} points of a curve; expected 0, a curve and an "
            f"exported GridWorld.onnx: see {log_path}."
        )
    return {
        "seed": seed,
        "arguments": arguments,
        "seconds": round(time.monotonic() - began),
        "curve": curve,
        "machine": machine().rpartition(", ")[0],  # without this script's Python: the trainer's is among the versions
        "versions": versions(venv),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The curves side by side: one line per point, a column of returns and one of seconds per seed."""
    rows = sorted(rows, key=lambda row: row["seed"])
    lines = ["| agent steps |" + "".join(f" seed {row['seed']} | seconds |" for row in rows)]
    lines.append("|---|" + "---|---|" * len(rows))
    curves = [{steps: f" {reward:.2f} | {seconds:.0f} |" for steps, reward, seconds in row["curve"]} for row in rows]
    for steps in sorted(set().union(*curves)):
        lines.append(f"| {steps:,} |" + "".join(curve.get(steps, " | |") for curve in curves))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, required=True, help="folder of the trainer's environment")
    parser.add_argument("--python", default="python3.10", help="to create it; ML-Agents asks for 3.10.1 to 3.10.12")
    parser.add_argument("--seeds", type=seed_list, default=[0], help="0-2, or 0,3,7")
    parser.add_argument("--steps", type=int, default=100_000, help="agent steps after which a run is interrupted")
    parser.add_argument("--minutes", type=float, default=45, help="or after this time")
    parser.add_argument("--base-port", type=int, default=5005, help="of the trainer; must be free")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "benchmarks", help="where the runs lie")
    options = parser.parse_args()
    # A script's background command inherits an ignored SIGINT, and so would the trainer: it could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    venv = options.venv.expanduser().absolute()
    if not (venv / "bin" / "mlagents-learn").exists():
        create(venv, options.python)
    path = RESULTS / "mlagents-ppo.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in options.seeds:
        if seed not in {row["seed"] for row in rows}:
            rows.append(train(venv, seed, options.steps, options.minutes, options.base_port, options.runs_dir))
            with path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
