"""Trains an agent, then tests it: `python -m agents.train --backend unity --build GridWorld`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agents.agent import DQNAgent
from agents.commandline import TRAIN_OPTIONS, Parser, add_config_options, add_run_options, config_values, run_command
from agents.config import Config, ConfigError, build_config, load_config, merged, preset_names, sections
from agents.interrupts import Interrupts
from agents.networks import summary
from agents.resolve import open_environment, starting_values
from agents.runs import RunFolder, check_free, default_run_id, existing_run, new_run
from agents.session import Training
from bridge import connect

PROGRAM = "python -m agents.train"


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Train a DQN on a Unity ML-Agents build or a gymnasium environment, then test it. "
        "Curves: tensorboard --logdir runs. Defaults are in brackets; a preset may have others.",
        allow_abbrev=False,
    )
    add_run_options(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the run of --run-id where it stopped")
    parser.add_argument("--force", action="store_true", help="overwrite the run of --run-id")
    parser.add_argument(
        "--preset", help=f"name of a preset or a YAML file; default: by the environment ({', '.join(preset_names())})"
    )
    add_config_options(parser, TRAIN_OPTIONS, list(sections()))
    return parser


def main(argv: Sequence[str]) -> int:
    options = make_parser().parse(argv)
    if options.resume and options.force:
        raise ConfigError("--resume goes on with a run and --force overwrites it: give one of them.")
    return _resume(options) if options.resume else _start(options)


def _start(options: argparse.Namespace) -> int:
    values = config_values(options)
    target = build_config(starting_values(options.preset, values)).environment.target
    run_id = options.run_id or default_run_id(target, options.results_dir)
    check_free(options.results_dir, run_id, force=options.force)
    config, bridge = open_environment(options.preset, values)
    with bridge:
        agent = DQNAgent(bridge.spec, config)
        # Nothing can be wrong with the request any more: now an old run may be overwritten.
        run = new_run(options.results_dir, run_id, force=options.force)
        training = Training(config, bridge, agent, run)
        _describe(agent, config, run)
        return _train(training)


def _resume(options: argparse.Namespace) -> int:
    if not options.run_id:
        raise ConfigError("--resume needs --run-id: the run to go on with.")
    run = existing_run(options.results_dir, options.run_id)
    config = build_config(merged(load_config(run.config).model_dump(), config_values(options)))
    if options.preset and options.preset != config.preset:
        raise ConfigError(f"run {options.run_id!r} has the preset {config.preset!r}: resume it without --preset.")
    with connect(config.environment.spec(config.training.seed)) as bridge:
        training = Training(config, bridge, DQNAgent(bridge.spec, config), run, resume=True)
        return _train(training)


def _describe(agent: DQNAgent, config: Config, run: RunFolder) -> None:
    sys.stdout.write(
        f"run {run.path} | preset {config.preset} | {agent.spec.name} | device {agent.device}\n"
        f"{summary(agent.network)}\n"
        f"replay: {config.replay.capacity:,} observations, {agent.replay.nbytes / 2**20:,.1f} MiB\n"
    )
    sys.stdout.flush()


def _train(training: Training) -> int:
    with Interrupts() as interrupts:
        training.train(interrupts)
        try:
            if not interrupts.requested():
                sys.stdout.write("\n".join(["test:", *training.test(interrupts).lines()]) + "\n")
        except InterruptedError:
            pass
        if interrupts.requested():
            name = training.run.path.name
            sys.stdout.write(
                f"stopped and saved at step {training.agent.steps:,}: resume with --run-id {name} --resume\n"
            )
        return interrupts.exit_code


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]), PROGRAM)
