"""Tests a trained agent: `python -m agents.evaluate --run-id NAME --episodes 100`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.evaluate"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.cli.commandline import (
    EVALUATE_OPTIONS,
    TARGET_OPTIONS,
    Parser,
    add_checkpoint_option,
    add_config_options,
    add_run_options,
    config_values,
    run_command,
)
from agents.cli.extras import load_exporting
from agents.learning.agent import DQNAgent
from agents.settings.config import ConfigError, build_config, merged
from agents.settings.files import load_config
from agents.storage.runs import existing_run
from agents.training.session import check_seed, checkpoint_to_test, open_test, result_file, result_text, run_test


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s --run-id NAME [options] | --onnx FILE.onnx --build NAME | --env ID [options]",
        description="Play a trained agent greedily in an environment of its own, on fixed seeds. The result is printed "
        "and saved as JSON beside the run. Defaults are in brackets; the run may have others.",
    )
    add_run_options(parser)
    add_checkpoint_option(parser, "is tested")
    parser.add_argument(
        "--onnx", type=Path, metavar="FILE.onnx", help="test a model file instead of a run, on --build or --env"
    )
    add_config_options(parser, {**EVALUATE_OPTIONS, **TARGET_OPTIONS}, ["evaluation"])
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    options = make_parser().parse(argv)
    values = config_values(options)
    if "episodes" in values.get("evaluation", {}):
        values["evaluation"].setdefault("steps", 0)  # a preset's test may count steps instead
    if options.onnx is not None:
        return _test_file(options.onnx, options.run_id, values, interrupts)
    if not options.run_id:
        raise ConfigError("--run-id is missing: the run to evaluate.")
    for option, path in TARGET_OPTIONS.items():
        if path.partition(".")[2] in values.get("environment", {}):
            raise ConfigError(f"{option} belongs to --onnx: a run is tested on the environment that it has.")
    run = existing_run(options.results_dir, options.run_id)
    trained = load_config(run.config)
    config = build_config(merged(trained.model_dump(), values))
    check_seed(config, trained)
    checkpoint = checkpoint_to_test(config, run, options.checkpoint)
    with open_test(config) as bridge, interrupts.held():
        agent = DQNAgent(bridge.spec, config, learning=False)
        try:
            evaluation = run_test(config, bridge, agent, run, checkpoint, interrupts.requested)
        except InterruptedError:
            raise KeyboardInterrupt from None
    sys.stdout.write(result_text(checkpoint.name, evaluation, result_file(config, run, checkpoint)))
    return 0


def _test_file(file: Path, run_id: str | None, values: dict[str, Any], interrupts: Interrupts) -> int:
    if run_id:
        raise ConfigError("--run-id tests a run and --onnx a file: give one of them.")
    with interrupts.held():
        try:
            evaluation, saved = load_exporting("play").play_file(file, values, interrupts.requested)
        except InterruptedError:
            raise KeyboardInterrupt from None
    sys.stdout.write(result_text(file.name, evaluation, saved))
    return 0


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
