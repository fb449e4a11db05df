"""Command lines made from the configuration: every field is an option, and what `mlagents-learn` has, has its name.

Errors of use end in one line and exit code 2.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

from agents.cli.messages import shown_messages
from agents.settings.config import ConfigError, sections
from agents.settings.presets import preset_names
from agents.storage.checkpoint import CheckpointError
from agents.system.interrupts import BROKEN_PIPE, Interrupts, end_children
from bridge import BridgeError, LaunchError, UsageError

USAGE_ERROR = 2
RESULTS_DIR = Path("runs")
#: Options whose value is the rest of the line.
ENV_ARGS = ("--env-args", "--environment.env-args")
ENV_PARAM = "--env-param"

#: What is trained, in the words of a usage line.
TRAIN_USAGE = "%(prog)s [--backend unity] --build NAME | [--backend gym] --env ID [options]"
#: Short options and the fields that they set: of what is played, of every command, of training and of tests.
TARGET_OPTIONS = {
    "--backend": "environment.backend",
    "--build": "environment.build",
    "--env": "environment.env",
    "--behavior": "environment.behavior",
}
ENVIRONMENT_OPTIONS = {
    "--base-port": "environment.base_port",
    "--no-graphics": "environment.no_graphics",
    "--torch-device": "training.torch_device",
    "--env-args": "environment.env_args",
}
TRAIN_OPTIONS = {
    **TARGET_OPTIONS,
    "--workers": "environment.workers",
    "--listen": "environment.listen",
    "--steps": "training.steps",
    "--episodes": "training.episodes",
    "--num-envs": "environment.num_envs",
    "--seed": "training.seed",
    "--time-scale": "environment.time_scale",
    **ENVIRONMENT_OPTIONS,
}
EVALUATE_OPTIONS = {
    "--episodes": "evaluation.episodes",
    "--steps": "evaluation.steps",
    "--num-envs": "evaluation.num_envs",
    "--seed": "evaluation.seed",
    "--time-scale": "evaluation.time_scale",
    **ENVIRONMENT_OPTIONS,
}


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that name the nearest option."""

    def __init__(self, prog: str, usage: str, description: str) -> None:
        layout = partial(argparse.HelpFormatter, max_help_position=36)
        super().__init__(prog, usage, description, formatter_class=layout, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\n")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses a whole command line; `_` and `-` are the same in an option's name."""
        words = [_dashed(word) for word in argv]
        position = next((index for index, word in enumerate(words) if word in ENV_ARGS), len(words))
        options, unknown = self.parse_known_args(_with_signed_values(words[:position]))
        if unknown:
            self.error(self._unknown(unknown[0].split("=")[0]))
        if options.env_args is not None:
            self.error(f"found --env-args={options.env_args}, expected a space: what follows it goes to the build.")
        options.env_args = list(argv[position + 1 :]) if position < len(words) else None
        return options

    def _unknown(self, name: str) -> str:
        if not name.startswith("-"):
            return f"found {name!r}, expected options only: their names begin with --, see --help."
        near = difflib.get_close_matches(name, sorted(self._option_string_actions), n=1)
        return f"unknown option {name!r}; {f'did you mean {near[0]!r}?' if near else 'see --help.'}"


def add_run_options(parser: Parser) -> None:
    """Options that say where runs lie."""
    parser.add_argument("--run-id", metavar="NAME", help="name of the run's folder; default: the environment and time")
    add_results_dir(parser)


def add_results_dir(parser: Parser) -> None:
    parser.add_argument(
        "--results-dir", type=Path, default=RESULTS_DIR, metavar="DIR", help=f"where runs lie ({RESULTS_DIR})"
    )


def add_checkpoint_option(parser: Parser, verb: str) -> None:
    """Which of a run's checkpoints the command is for; the help says what is done with it: `is tested`."""
    parser.add_argument(
        "--checkpoint",
        choices=("latest", "best"),
        help=f"which one {verb}; default: the one that the run's own test plays (evaluation.policy)",
    )


def add_train_options(
    parser: Parser, *, resume: str, initialize_from: str, force: str, seeds: str, parallel: str
) -> None:
    """All options of training, for each command that takes them, with the help of those that mean something else
    there.
    """
    add_run_options(parser)
    parser.add_argument("--resume", action="store_true", help=resume)
    parser.add_argument("--initialize-from", metavar="NAME", help=initialize_from)
    parser.add_argument("--force", action="store_true", help=force)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"name of a preset or a YAML file; default: by the environment ({', '.join(preset_names())})",
    )
    add_config_options(parser, TRAIN_OPTIONS, list(sections()))
    group = parser.add_argument_group("several seeds")
    group.add_argument("--seeds", type=seed_list, metavar="A-B", help=seeds)
    group.add_argument("--parallel", type=whole_number_from(1), default=1, metavar="N", help=parallel)


def add_config_options(parser: Parser, short: dict[str, str], only: Sequence[str]) -> None:
    """The short options, and those of the sections `only` by their dotted names."""
    group = parser.add_argument_group("environment and length")
    for option, path in short.items():
        _add_field(group, option, path)
    group.add_argument(
        ENV_PARAM, action="append", metavar="NAME=VALUE", help="unity: an environment parameter; may be repeated"
    )
    for section in only:
        group = parser.add_argument_group(section)
        for name in sections()[section].model_fields:
            _add_field(group, f"--{section}.{name}".replace("_", "-"), f"{section}.{name}")


def config_values(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration values that a command line gave, nested by section."""
    values: dict[str, Any] = {}
    for path, value in vars(options).items():
        if "." in path and value is not None:
            section, name = path.split(".")
            values.setdefault(section, {})[name] = value
    environment = values.setdefault("environment", {})
    if options.env_args is not None:
        environment["env_args"] = options.env_args
    if options.env_param:
        if "env_params" in environment:
            raise ConfigError(f"{ENV_PARAM} and --environment.env-params say the same: give one of them.")
        environment["env_params"] = dict(map(_env_param, options.env_param))
    return {section: given for section, given in values.items() if given}


def _env_param(text: str) -> tuple[str, str]:
    """`gridSize=7` as a pair. Raises `ConfigError`."""
    name, _, value = text.partition("=")
    if not (name and value):
        raise ConfigError(f"{ENV_PARAM}: found {text!r}, expected NAME=VALUE, such as gridSize=7.")
    return name, value


def positive(text: str) -> float:
    """An argument that is a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text}, expected a number above 0.")
    return value


def whole_number_from(least: int) -> Callable[[str], int]:
    """For an argument that is a whole number of at least so much."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from {least}.")
        return int(text)

    return whole_number


def seed_list(text: str) -> tuple[int, ...]:
    """An argument that is seeds: `0-2` or `0,3,7`."""
    first, dash, last = text.partition("-")
    try:
        found = tuple(range(int(first), int(last) + 1)) if dash else tuple(map(int, text.split(",")))
    except ValueError:
        found = ()
    if not found or len(set(found)) < len(found) or min(found) < 0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected different seeds, as 0-2 or 0,3,7.")
    return found


def without(argv: Sequence[str], options: Mapping[str, bool]) -> list[str]:
    """A command line as it was typed, but for these options.

    Args:
        options: by name, whether a value follows.
    """
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, _ = _dashed(word).partition("=")
        if name in ENV_ARGS:
            return [*kept, word, *words]
        if name not in options:
            kept.append(word)
        elif options[name] and not equals:
            next(words, None)
    return kept


def run_command(command: Callable[[Interrupts], int], program: str) -> NoReturn:
    """Runs a command; what a user can mend ends in one line and exit code 2, a signal in 128 + its number."""
    with Interrupts(program) as interrupts, shown_messages():
        try:
            code = command(interrupts)
            sys.stdout.flush()
        except (UsageError, LaunchError, ConfigError, CheckpointError) as error:
            code = _complain(program, error, USAGE_ERROR)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
            code = BROKEN_PIPE
        except (BridgeError, OSError) as error:
            code = _complain(program, error, 1)
        except KeyboardInterrupt:
            end_children()  # one that was being started is nobody's yet
            code = _complain(program, "interrupted.", interrupts.exit_code)
    sys.exit(code)


def _complain(program: str, message: object, code: int) -> int:
    sys.stderr.write(f"{program}: {message}\n")
    return code


def _add_field(group: argparse._ArgumentGroup, option: str, path: str) -> None:
    section, name = path.split(".")
    field = sections()[section].model_fields[name]
    text = f"{field.description} ({_shown(field.get_default())})".replace("%", "%%")
    if option in ENV_ARGS:
        # Parsed by hand: argparse's REMAINDER swallows too little or too much from one Python to the next.
        text = f"{field.description}; everything after it goes there, so it comes last"
        group.add_argument(option, dest="env_args", metavar="ARG ...", help=text)
    elif field.annotation is bool:
        group.add_argument(option, dest=path, nargs="?", const="true", metavar="true|false", help=text)
    else:
        group.add_argument(option, dest=path, metavar=_metavar(name, field.annotation), help=text)


def _metavar(name: str, annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(inner)
    if origin in (Annotated, Union, UnionType):
        return _metavar(name, inner[0])
    return {int: "N", float: "X", tuple: "A,B,...", dict: "{KEY: VALUE}"}.get(origin or annotation, name.upper())


def _shown(default: Any) -> str:
    if default in (None, "", (), {}):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(map(str, default)) if isinstance(default, tuple) else f"{default}"


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _with_signed_values(words: Sequence[str]) -> list[str]:
    """`--name -1,0,1` as `--name=-1,0,1`: argparse takes most words that begin with a minus for an option."""
    result: list[str] = []
    for word in words:
        if result and result[-1].startswith("--") and "=" not in result[-1] and re.match(r"-[0-9.]", word):
            result[-1] += f"={word}"
        else:
            result.append(word)
    return result
