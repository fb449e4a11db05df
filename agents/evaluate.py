"""Tests a trained agent: `python -m agents.evaluate --run-id NAME --episodes 100`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.evaluate"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import sys
from collections.abc import Sequence

from agents.agent import DQNAgent
from agents.checkpoint import find_checkpoint
from agents.commandline import EVALUATE_OPTIONS, Parser, add_config_options, add_run_options, config_values, run_command
from agents.config import ConfigError, build_config, load_config, merged
from agents.runs import existing_run
from agents.session import check_seed, checkpoint_to_test, open_test, result_file, run_test


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s --run-id NAME [options]",
        description="Play a trained agent greedily in an environment of its own, on fixed seeds. The result is printed "
        "and saved as JSON beside the run. Defaults are in brackets; the run may have others.",
    )
    add_run_options(parser)
    parser.add_argument(
        "--checkpoint",
        choices=("latest", "best"),
        help="which one is tested; default: the one that the run's own test plays (evaluation.policy)",
    )
    add_config_options(parser, EVALUATE_OPTIONS, ["evaluation"])
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    options = make_parser().parse(argv)
    if not options.run_id:
        raise ConfigError("--run-id is missing: the run to evaluate.")
    run = existing_run(options.results_dir, options.run_id)
    values = config_values(options)
    if "episodes" in values.get("evaluation", {}):
        values["evaluation"].setdefault("steps", 0)  # a preset's test may count steps instead
    trained = load_config(run.config)
    config = build_config(merged(trained.model_dump(), values))
    check_seed(config, trained)
    named = options.checkpoint
    checkpoint = find_checkpoint(run.checkpoints, named) if named else checkpoint_to_test(config, run)
    with open_test(config) as bridge, interrupts.held():
        agent = DQNAgent(bridge.spec, config, learning=False)
        try:
            evaluation = run_test(config, bridge, agent, run, checkpoint, interrupts.requested)
        except InterruptedError:
            raise KeyboardInterrupt from None
    file = result_file(config, run, checkpoint)
    sys.stdout.write("\n".join([f"test of {checkpoint.name}:", *evaluation.lines(), f"saved as {file}"]) + "\n")
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
