"""Tests a trained agent: `python -m agents.evaluate --run-id NAME --episodes 100`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agents.agent import DQNAgent
from agents.checkpoint import find_checkpoint, read_weights
from agents.commandline import EVALUATE_OPTIONS, Parser, add_config_options, add_run_options, config_values, run_command
from agents.config import ConfigError, build_config, load_config, merged
from agents.interrupts import Interrupts
from agents.runs import existing_run
from agents.session import open_test, run_test

PROGRAM = "python -m agents.evaluate"


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Play a trained agent greedily in an environment of its own, on fixed seeds. The result is printed "
        "and saved as JSON beside the run.",
        allow_abbrev=False,
    )
    add_run_options(parser)
    parser.add_argument(
        "--checkpoint", choices=("latest", "best"), default="latest", help="which one is tested (latest)"
    )
    add_config_options(parser, EVALUATE_OPTIONS, ["evaluation"])
    return parser


def main(argv: Sequence[str]) -> int:
    options = make_parser().parse(argv)
    if not options.run_id:
        raise ConfigError("--run-id is missing: the run to evaluate.")
    run = existing_run(options.results_dir, options.run_id)
    values = config_values(options)
    if "episodes" in values.get("evaluation", {}):
        values["evaluation"].setdefault("steps", 0)  # a preset's test may count steps instead
    config = build_config(merged(load_config(run.config).model_dump(), values))
    checkpoint = find_checkpoint(run.checkpoints, options.checkpoint)
    weights = read_weights(checkpoint)
    with Interrupts() as interrupts, open_test(config) as bridge:
        agent = DQNAgent(bridge.spec, config, learning=False)
        agent.load_weights(weights)
        try:
            evaluation = run_test(config, bridge, agent, run, checkpoint.name, interrupts.requested)
        except InterruptedError:
            return interrupts.exit_code
        sys.stdout.write("\n".join(evaluation.lines()) + "\n")
        return 0


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]), PROGRAM)
