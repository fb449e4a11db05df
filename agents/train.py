"""Trains an agent, then tests it: `python -m agents.train --backend unity --build GridWorld`."""

# ruff: noqa: E402 - the imports below take seconds, and Ctrl-C is to be answered before

from __future__ import annotations

from agents.system.interrupts import Interrupts, leave_on_signals

PROGRAM = "python -m agents.train"

if __name__ == "__main__":
    leave_on_signals(PROGRAM)

import argparse
import contextlib
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial

from agents.cli.commandline import (
    RESULTS_DIR,
    TRAIN_USAGE,
    Parser,
    add_train_options,
    config_values,
    run_command,
    without,
)
from agents.learning.agent import DQNAgent
from agents.learning.networks import summary
from agents.settings.config import ConfigError, build_config
from agents.settings.files import load_config
from agents.settings.resolve import chosen_length, open_environment, resumed_config, starting_values
from agents.storage.checkpoint import recover_checkpoint
from agents.storage.runs import RunFolder, check_free, existing_run, folder_of, new_run, new_run_of, timed_name
from agents.training.beginning import begin
from agents.training.seeds import SeedRun, results_of, results_table, run_seeds, state_of
from agents.training.session import checkpoint_to_test, find_weights, result_file, result_text
from agents.training.trainer import Training, starts_of
from bridge import BridgeError, connect


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage=TRAIN_USAGE,
        description="Train a DQN on a Unity ML-Agents build or a gymnasium environment, then test it. "
        "Curves: tensorboard --logdir runs. Defaults are in brackets; a preset may have others.",
    )
    add_train_options(
        parser,
        resume="go on with the run of --run-id where it stopped",
        initialize_from="begin with the weights of another run: its id, its folder, or the folder of one of its "
        "checkpoints",
        force="overwrite the run of --run-id",
        seeds="train a run for each of these, 0-4 or 0,3,7, named RUN-ID-seed0 and so on, and compare their tests; "
        "with --resume those that are not finished",
        parallel="with --seeds: runs side by side (1)",
    )
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    options = make_parser().parse(argv)
    if options.resume and options.force:
        raise ConfigError("--resume goes on with a run and --force overwrites it: give one of them.")
    if options.seeds is not None:
        return _seeds(argv, options, interrupts)
    if options.resume and options.initialize_from:
        raise ConfigError("--resume goes on with a run's own weights: leave out --initialize-from.")
    with contextlib.ExitStack() as held:  # nobody else trains the run before this has ended
        training = (_resumed if options.resume else _started)(options, interrupts, held)
        return interrupts.exit_code if interrupts.requested() else _test(training, options, interrupts)


def _seeds(argv: Sequence[str], options: argparse.Namespace, interrupts: Interrupts) -> int:
    """A run for each seed, in processes of their own, then a table of their tests."""
    values = chosen_length(config_values(options))
    if "seed" in values.get("training", {}):
        raise ConfigError("--seed and --seeds say the same: give one of them.")
    if options.parallel > 1 and "base_port" in values.get("environment", {}):
        raise ConfigError("--base-port is for one run at a time: leave it out, and free ports are found.")
    if options.resume and not options.run_id:
        raise ConfigError("--resume needs --run-id: what the names of the runs begin with.")
    name = options.run_id or timed_name(build_config(starting_values(options.preset, values)).environment.target)
    runs = {seed: RunFolder(folder_of(options.results_dir, f"{name}-seed{seed}")) for seed in options.seeds}
    if not options.resume:
        for run in runs.values():
            check_free(options.results_dir, run.path.name, force=options.force)
    states = {seed: state_of(run, values) if options.resume else "new" for seed, run in runs.items()}
    if "new" in states.values():
        starting_values(options.preset, values)  # wrong values are told before anything is started
    words = without(argv, {"--seeds": True, "--parallel": True, "--run-id": True, "--resume": False, "--force": False})
    tasks = []
    for seed, run in runs.items():
        command = ["--run-id", run.path.name]
        if states[seed] == "new":  # one that was stopped before its first checkpoint has left a folder
            again = ["--force"] if options.force or run.path.exists() else []
            command = ["agents.train", *command, "--seed", str(seed), *again, *words]
        elif states[seed] == "unfinished":
            command = ["agents.train", *command, "--resume", *without(words, {"--initialize-from": True})]
        elif states[seed] == "untested":
            command = ["agents.evaluate", *command, "--results-dir", str(options.results_dir)]
        if states[seed] != "finished":
            tasks.append(SeedRun(seed, run, ["-m", *command]))
    codes = run_seeds(tasks, options.parallel, interrupts)
    # Of the others there may be results from before this command.
    done = [seed for seed in runs if states[seed] == "finished" or codes.get(seed) == 0]
    results = results_of({seed: runs[seed] for seed in done})
    if results:
        sys.stdout.write(f"\n{results_table(results)}\n")
    if missing := [str(seed) for seed in runs if seed not in {result.seed for result in results}]:
        again = without(argv, {"--run-id": True, "--resume": False, "--force": False})
        how, more = "go on with", ["--resume", *again]
        if options.force:  # what was not overwritten yet must not be taken for finished
            rest = without(again, {"--seeds": True})
            how, more = "begin again with", ["--force", "--seeds", ",".join(missing), *rest]
        words = ["--run-id", name, *more]
        _say(f"not finished: seed{'s' * (len(missing) > 1)} {', '.join(missing)}; {how}: {PROGRAM} {shlex.join(words)}")
    return interrupts.exit_code if interrupts.requested() else next(filter(None, codes.values()), 0)


def _started(options: argparse.Namespace, interrupts: Interrupts, held: contextlib.ExitStack) -> Training:
    values = chosen_length(config_values(options))
    starting_values(options.preset, values)  # wrong values are told before anything is looked at or started
    if options.run_id:
        check_free(options.results_dir, options.run_id, force=options.force)
    weights = find_weights(options.initialize_from, options.results_dir) if options.initialize_from else None
    config, bridge = open_environment(options.preset, values)
    with bridge, interrupts.held():
        make_folder: Callable[[], RunFolder]
        if options.run_id:
            make_folder = partial(new_run, options.results_dir, options.run_id, force=options.force)
        else:
            make_folder = partial(new_run_of, config.environment.target, options.results_dir)
        return _trained(begin(config, bridge, make_folder, held, weights), options, interrupts)


def _resumed(options: argparse.Namespace, interrupts: Interrupts, held: contextlib.ExitStack) -> Training:
    if not options.run_id:
        raise ConfigError("--resume needs --run-id: the run to go on with.")
    run = existing_run(options.results_dir, options.run_id)
    held.enter_context(run.held())
    saved = load_config(run.config)
    if options.preset and options.preset != saved.preset:
        raise ConfigError(f"run {options.run_id!r} has the preset {saved.preset!r}: resume it without --preset.")
    config = resumed_config(saved, chosen_length(config_values(options)))
    checkpoint, set_aside = recover_checkpoint(run.checkpoints)
    for line in set_aside:
        _say(line)
    # Started so often before, the environment goes on with random streams of its own instead of repeating itself.
    bridge = connect(config.environment.spec(config.training.seed), incarnation=starts_of(checkpoint))
    with bridge, interrupts.held():
        agent = DQNAgent(bridge.spec, config)
        return _trained(Training(config, bridge, agent, run, checkpoint), options, interrupts)


def _trained(training: Training, options: argparse.Namespace, interrupts: Interrupts) -> Training:
    _describe(training)
    try:
        training.train(interrupts)
    except (BridgeError, OSError):
        _say(f"stopped at step {training.agent.steps:,}; resume with: {_command(PROGRAM, options, training)} --resume")
        raise
    if training.faults:
        lost = sum(fault["lost"] for fault in training.faults)
        _say(f"faults mended in training: {len(training.faults)}, transitions lost: {lost}")
    if interrupts.requested():
        resume = f"{_command(PROGRAM, options, training)} --resume"
        _say(f"stopped and saved at step {training.agent.steps:,}; resume with: {resume}")
    return training


def _test(training: Training, options: argparse.Namespace, interrupts: Interrupts) -> int:
    checkpoint = checkpoint_to_test(training.config, training.run)
    try:
        evaluation = training.test(interrupts)
    except (BridgeError, InterruptedError, KeyboardInterrupt) as error:
        command = _command("python -m agents.evaluate", options, training)
        _say(f"stopped in the test; the training is complete and saved; test with: {command}")
        if isinstance(error, BridgeError):
            raise
        return interrupts.exit_code
    file = result_file(training.config, training.run, checkpoint)
    sys.stdout.write(result_text(checkpoint.name, evaluation, file))
    return 0


def _describe(training: Training) -> None:
    config, agent, run = training.config, training.agent, training.run
    begins = f" | {training.resumed}" if training.resumed else ""
    environment = f"{agent.spec.name}{training.engine}"
    part = config.learner.relabel
    relabels = f"goals: {part:.0%} of each batch is relabelled; say so beside the figures\n" if part else ""
    sys.stdout.write(
        f"run {run.path} | preset {config.preset} | {environment} | device {agent.device}{begins}\n"
        f"{summary(agent.network)}\n"
        f"replay: {config.replay.capacity:,} observations, {agent.replay.nbytes / 2**20:,.1f} MiB\n"
        f"{relabels}curves: tensorboard --logdir {run.path.parent}\n"
    )
    sys.stdout.flush()


def _command(program: str, options: argparse.Namespace, training: Training) -> str:
    """A command line for that run, to be copied."""
    words = ["--run-id", training.run.path.name]
    if options.results_dir != RESULTS_DIR:
        words += ["--results-dir", str(options.results_dir)]
    return f"{program} {shlex.join(words)}"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    run_command(lambda interrupts: main(sys.argv[1:], interrupts), PROGRAM)
