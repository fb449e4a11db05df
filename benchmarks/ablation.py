"""What each option of a preset is worth: the preset, and the preset with one thing changed, on the same seeds.

    python benchmarks/ablation.py cartpole --seeds 0-2 --jobs 2

appends one line per seed and variant to benchmarks/results/ablation/cartpole.VARIANT.jsonl (what is there already is
not run again) and prints the table of `benchmarks/table.py`. `--only` measures some of the variants.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from learning import train
from measure import RESULTS, RUNS, Contender, measure_all
from table import table_of

from agents.cli.commandline import run_command, seed_list, whole_number_from
from agents.system.interrupts import Interrupts


@dataclass(frozen=True)
class Task:
    """What is trained, and what is changed in it.

    Attributes:
        command: for `python -m agents.train`; the preset is that of the environment.
        threshold: mean score of an evaluation to be reached.
        variants: further arguments, by name.
    """

    command: Sequence[str]
    threshold: float
    variants: Mapping[str, str]


#: Instead of the soft policy.
EPSILON = (
    "--learner.backup max --learner.entropy-target none --learner.entropy-target-end none --exploration.kind epsilon"
)
TASKS = {
    "cartpole": Task(
        ["--env", "CartPole-v1"],
        475,
        {
            "preset": "",
            "1-step": "--learner.n-step 1",
            "3-step": "--learner.n-step 3",
            "without-layer-norm": "--network.layer-norm false",
            "without-double": "--learner.double false",
            "without-advantage-learning": "--learner.advantage-learning 0",
            "hard-target": "--learner.target hard --learner.target-period 200",
            "constant-step-size": "--learner.learning-rate-end none",
            "dueling": "--network.dueling true",
            "normalized": "--network.normalize true",
            "soft": "--learner.backup soft --learner.advantage-learning 0 --learner.entropy-target 0.3 "
            "--exploration.kind soft",
        },
    ),
    "gridworld": Task(
        ["--build", "GridWorld", "--steps", "30000", "--evaluation.every", "2500"],
        0.8,
        {
            "preset": "",
            "pixels": "--network.encoder small",
            "without-shifts": "--learner.random-shift 0",
            "full-resolution": "--network.downsample 1",
            "goal-concat": "--network.goal concat",
            "without-layer-norm": "--network.layer-norm false",
            "without-normalization": "--network.normalize false",
            "without-double": "--learner.double false",
            "3-step": "--learner.n-step 3",
            "dueling": "--network.dueling true",
            "advantage-learning": "--learner.advantage-learning 0.5",
            "constant-step-size": "--learner.learning-rate-end none",
            "short-exploration": "--exploration.duration 5000",
            "twice-the-updates": "--learner.updates-per-step 1",
        },
    ),
    "pusher": Task(
        ["--env", "Pusher-v4", "--steps", "150000"],
        -30,
        {
            "preset": "",
            "1-step": "--learner.n-step 1",
            "without-layer-norm": "--network.layer-norm false",
            "without-dueling": "--network.dueling false",
            "without-normalization": "--network.normalize false",
            "constant-step-size": "--learner.learning-rate-end none",
            "constant-entropy": "--learner.entropy-target-end none",
            "fresh-noise": "--exploration.hold 1",
            "reset": "--learner.reset-at 40000",
            "epsilon": f"{EPSILON} --exploration.hold 1",
            "held-epsilon": f"{EPSILON} --exploration.hold 6",
            "5-levels": "--environment.levels=-1,-0.5,0,0.5,1",
            "twice-the-updates": "--learner.updates-per-step 1",
        },
    ),
}


def contenders_of(name: str, only: Sequence[str], results: Path, runs_dir: Path) -> list[Contender]:
    """The variants of a task, those of `only` if there are any."""
    task = TASKS[name]
    found = []
    for variant in only or task.variants:
        path = results / "ablation" / f"{name}.{variant}.jsonl"
        arguments = [*task.command, *task.variants[variant].split()]
        found.append(Contender(path, arguments, partial(train, f"ablation-{path.stem}", arguments, runs_dir)))
    return found


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--only", nargs="+", default=[], help="names of variants")
    parser.add_argument("--seeds", type=seed_list, default=[0, 1, 2], help="0-2, or 0,3,7")
    parser.add_argument(
        "--jobs", type=whole_number_from(1), default=1, help="runs side by side; seconds are then not comparable"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results files lie")
    parser.add_argument("--runs-dir", type=Path, default=RUNS, help="where the runs lie")
    options = parser.parse_args(argv)
    task = TASKS[options.task]
    if unknown := [name for name in options.only if name not in task.variants]:
        parser.error(f"{options.task} has no variant {unknown[0]!r}; there are {', '.join(task.variants)}")
    contenders = contenders_of(options.task, options.only, options.results, options.runs_dir)
    measure_all(contenders, options.seeds, interrupts, options.jobs)
    sys.stdout.write(table_of([item.path for item in contenders], task.threshold, held=3) + "\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), "benchmarks/ablation.py")
