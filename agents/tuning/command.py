"""The command behind `agents.tune`: its options, and the trials that this process runs."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import optuna

from agents.cli.commandline import (
    RESULTS_DIR,
    TRAIN_OPTIONS,
    TRAIN_USAGE,
    Parser,
    add_config_options,
    add_results_dir,
    config_values,
    seed_list,
    whole_number_from,
)
from agents.settings.config import ConfigError, build_config, merged, sections
from agents.settings.presets import preset_names
from agents.settings.resolve import chosen_length, open_environment, starting_values
from agents.storage.runs import folder_of, make_folder, name_of
from agents.system.interrupts import Interrupts
from agents.tuning.journal import JournalLock
from agents.tuning.plan import NAME, Plan, check_same, load_plan, with_evaluations
from agents.tuning.space import OPTION, check_given, default_words, read_space, read_words
from agents.tuning.study import Study
from agents.tuning.table import result_line, settings_line, table_lines
from agents.tuning.trials import run_trial
from bridge import BridgeError

PROGRAM = "python -m agents.tune"
TRIALS = 20
STARTUP = 5
#: The part of a training in which no trial is pruned, where nobody says.
WARMUP = 4


def make_parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage=TRAIN_USAGE,
        description="Search for better settings with Optuna: trainings with different ones, of which hopeless ones end "
        "early, each in a run folder. The same command goes on with a study that was stopped, or helps with one that "
        "another process works on. All options of training are those that every trial has.",
    )
    parser.add_argument("--study", metavar="NAME", help="name of the study's folder; default: tune-, the environment")
    add_results_dir(parser)
    parser.add_argument("--resume", action="store_true", help="go on with --study as it was asked for")
    parser.add_argument(
        "--trials", type=whole_number_from(1), metavar="N", help=f"trials of the study in all ({TRIALS})"
    )
    parser.add_argument(
        OPTION,
        action="append",
        metavar="FIELD=VALUES",
        help="a setting that is searched: section.field=1e-4..1e-2:log (a range; :log, or :0.1 for steps), "
        "section.field=1,3,5 (choices), or a YAML file of them; may be repeated; default: seven settings that decide "
        "most often",
    )
    parser.add_argument(
        "--seeds", type=seed_list, metavar="A-B", help="seeds of each trial, 0-2 or 0,3,7; default: --seed"
    )
    parser.add_argument(
        "--pruner",
        choices=("median", "asha", "none"),
        help="which trials end early (median): median = below the median of the others at the same step; "
        "asha = not in the best quarter at a milestone; none",
    )
    parser.add_argument(
        "--pruner-startup",
        type=whole_number_from(1),
        metavar="N",
        help=f"median: trials that are complete before the first one is pruned ({STARTUP})",
    )
    parser.add_argument(
        "--pruner-warmup",
        type=whole_number_from(0),
        metavar="STEPS",
        help="agent steps before which no trial is pruned; default: a quarter of --steps",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"name of a preset or a YAML file; default: by the environment ({', '.join(preset_names())})",
    )
    add_config_options(parser, TRAIN_OPTIONS, list(sections()))
    return parser


def main(argv: Sequence[str], interrupts: Interrupts) -> int:
    """Returns the exit code of `agents.tune`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = make_parser().parse(argv)
    folder, plan = _resumed(options) if options.resume else _started(options)
    with interrupts.held():
        study = Study(folder, plan)
        _work(study, options.trials or plan.trials, interrupts)
        best = study.save_best()
        if interrupts.requested():
            _say(f"stopped; go on with: {_command(folder)}")
            return interrupts.exit_code
        sys.stdout.write("\n".join(["", *table_lines(study.outcomes(), list(plan.space)), ""]))
        if best is None:
            _say("no trial came to its end.")
            return 1
        sys.stdout.write(f"score: {plan.metric}\nbest settings: {best}\n")
        sys.stdout.write(f"train with them: python -m agents.train --preset {shlex.quote(str(best))}\n")
    return 0


def _work(study: Study, limit: int, interrupts: Interrupts) -> None:
    """Runs trials until there are enough, or a signal comes."""
    _tell(f"study {study.folder} | {study.plan.metric} | pruning {study.plan.pruning}")
    while not interrupts.requested() and (trial := study.claim(limit)) is not None:
        _tell(settings_line(study.outcome(trial)))
        try:
            run_trial(study, trial, interrupts)
        except (BridgeError, OSError):
            _say(f"stopped in trial {study.outcome(trial).number}; go on with: {_command(study.folder)}")
            raise
        if not interrupts.requested():
            _tell(result_line(study.outcome(trial)))


def _started(options: argparse.Namespace) -> tuple[Path, Plan]:
    """The study of this command line, with its plan, made if there is none."""
    typed = chosen_length(config_values(options))
    # A study has many runs, whose replays nobody needs: a trial that is stopped is begun again.
    given = merged({"training": {"save_replay": "false"}}, typed)
    asked = starting_values(options.preset, given)
    words = read_words(options.search) if options.search else default_words(typed)
    check_given(words, typed)
    read_space(words, asked)
    checked = build_config(asked)
    if options.seeds and "seed" in typed.get("training", {}):
        raise ConfigError("--seed and --seeds say the same: give one of them.")
    is_chosen = "every" in typed.get("evaluation", {})
    with_evaluations(checked, is_chosen=is_chosen)
    folder = folder_of(options.results_dir, options.study or f"tune-{name_of(checked.environment.target)}", "study")
    is_new = not (folder / NAME).is_file()
    if is_new:
        resolved, bridge = open_environment(options.preset, given)
        bridge.close()
        config = with_evaluations(resolved, is_chosen=is_chosen)
    else:
        config = load_plan(folder).config
    plan = Plan(
        asked=checked.model_dump(mode="json"),
        config=config,
        words=words,
        seeds=options.seeds or (config.training.seed,),
        trials=options.trials or TRIALS,
        pruning=options.pruner or "median",
        startup=options.pruner_startup or STARTUP,
        warmup=config.training.steps // WARMUP if options.pruner_warmup is None else options.pruner_warmup,
    )
    if is_new:
        _make(folder, plan)
    saved = load_plan(folder)
    check_same(saved, plan, folder.name)
    return folder, saved


def _make(folder: Path, plan: Plan) -> None:
    """A new study, unless another process has just made it."""
    if not make_folder(folder) and not JournalLock.is_in(folder) and any(folder.iterdir()):
        raise ConfigError(f"{folder} is there and is no study: choose another --study.")
    with JournalLock(folder).held():
        if not (folder / NAME).is_file():
            plan.save(folder)


def _resumed(options: argparse.Namespace) -> tuple[Path, Plan]:
    if not options.study:
        raise ConfigError("--resume needs --study: the study to go on with.")
    told = ("search", "seeds", "pruner", "pruner_startup", "pruner_warmup", "preset")
    if config_values(options) or any(getattr(options, name) is not None for name in told):
        raise ConfigError("--resume goes on with what the study was asked for: give --study and --trials only.")
    folder = folder_of(options.results_dir, options.study, "study")
    return folder, load_plan(folder)


def _command(folder: Path) -> str:
    words = ["--study", folder.name]
    if folder.parent != RESULTS_DIR:
        words += ["--results-dir", str(folder.parent)]
    return f"{PROGRAM} --resume {shlex.join(words)}"


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
