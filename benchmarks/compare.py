"""Trains our agent and its peers on a gymnasium environment, in turns on one machine, and compares their curves.

    python benchmarks/compare.py CartPole-v1 --peers sb3-dqn --seeds 0-4 --steps 50000 --every 2500 --threshold 475

trains a seed of each before the next seed, so that whatever else the machine does meets all of them, and prints the
table of `benchmarks/table.py`. What stands after `--` goes to `python -m agents.train`; with another `--label` its
results stay apart from those without it:

    python benchmarks/compare.py CartPole-v1 --seeds 0-4 --steps 50000 --every 2500 --label plain -- --learner.n-step 1
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from learning import train
from measure import Contender, measure_all
from peers import PEERS, add_measuring, file_name, peer_of
from table import add_goal, table_of

from agents.cli.commandline import run_command
from agents.system.interrupts import Interrupts


def ours(options: argparse.Namespace, more: Sequence[str]) -> Contender:
    """Our agent at its preset's settings but for `more`. Its test at the end is as long as an evaluation."""
    episodes = str(options.episodes)
    arguments = ["--env", options.env, "--steps", str(options.steps), "--evaluation.every", str(options.every)]
    arguments += ["--evaluation.every-episodes", episodes, "--evaluation.episodes", episodes, *more]
    path = options.results / f"{file_name(options.env)}.{options.label}.jsonl"
    return Contender(path, arguments, partial(train, path.stem, arguments, options.runs_dir))


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_measuring(parser)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[], help="none: only our agent")
    parser.add_argument("--label", default="ours", help="names our agent's results")
    add_goal(parser)
    words = [*argv, "--"]
    options = parser.parse_args(words[: words.index("--")])
    contenders = [ours(options, words[words.index("--") + 1 : -1])]
    contenders += [peer_of(peer, options) for peer in options.peers]
    measure_all(contenders, options.seeds, interrupts)
    sys.stdout.write(table_of([item.path for item in contenders], options.threshold, options.held) + "\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), "benchmarks/compare.py")
