"""Command lines made from the configuration: every field is an option, and what `mlagents-learn` has, has its name.

Errors of use end in one line and exit code 2.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from agents.checkpoint import CheckpointError
from agents.config import ConfigError, nearest, sections
from bridge import BridgeError, LaunchError, UsageError

USAGE_ERROR = 2

#: Short options of every command and the fields that they set.
ENVIRONMENT_OPTIONS = {
    "--base-port": "environment.base_port",
    "--no-graphics": "environment.no_graphics",
    "--torch-device": "training.torch_device",
    "--env-args": "environment.env_args",
}
TRAIN_OPTIONS = {
    "--backend": "environment.backend",
    "--build": "environment.build",
    "--env": "environment.env",
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

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\n")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses a whole command line; `_` and `-` are the same in an option's name."""
        options, unknown = self.parse_known_args([_dashed(word) for word in _before_env_args(argv)])
        if unknown:
            name = unknown[0].split("=")[0]
            self.error(f"unknown option {name!r}; {nearest(name, sorted(self._option_string_actions))}")
        options.env_args = _env_args(argv)
        return options


def add_run_options(parser: Parser) -> None:
    """Options that say where runs lie."""
    parser.add_argument("--run-id", metavar="NAME", help="name of the run's folder")
    parser.add_argument("--results-dir", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (runs)")


def add_config_options(parser: Parser, short: dict[str, str], only: Sequence[str]) -> None:
    """The short options, and those of the sections `only` by their dotted names."""
    group = parser.add_argument_group("environment and length")
    for option, path in short.items():
        _add_field(group, option, path)
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
    if options.env_args is not None:
        values.setdefault("environment", {})["env_args"] = options.env_args
    return values


def run_command(command: Callable[[], int], name: str) -> NoReturn:
    """Runs a command; what a user can mend ends in one line and exit code 2."""
    _show_bridge_messages()
    try:
        code = command()
    except (UsageError, LaunchError, ConfigError, CheckpointError) as error:
        code = _complain(name, error, USAGE_ERROR)
    except BridgeError as error:
        code = _complain(name, error, 1)
    except KeyboardInterrupt:
        code = _complain(name, "interrupted.", 130)
    sys.exit(code)


def _complain(name: str, message: object, code: int) -> int:
    sys.stderr.write(f"{name}: {message}\n")
    return code


def _show_bridge_messages() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("bridge")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _add_field(group: argparse._ArgumentGroup, option: str, path: str) -> None:
    section, name = path.split(".")
    field = sections()[section].model_fields[name]
    text = f"{field.description} ({_shown(field.get_default())})".replace("%", "%%")
    if option == "--env-args":
        text = "unity: arguments for the build; everything after it goes there, so it comes last"
    metavar = name.upper()
    if field.annotation is bool:
        group.add_argument(option, dest=path, nargs="?", const="true", metavar="true|false", help=text)
    elif option == "--env-args":
        # Parsed by hand: argparse's REMAINDER swallows too little or too much from one Python to the next.
        group.add_argument(option, dest="env_args", metavar="ARG ...", help=text)
    else:
        group.add_argument(option, dest=path, metavar=metavar, help=text)


def _shown(default: Any) -> str:
    if default in (None, "", (), {}):
        return "none"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _before_env_args(argv: Sequence[str]) -> list[str]:
    position = _env_args_at(argv)
    return list(argv[:position])


def _env_args(argv: Sequence[str]) -> list[str] | None:
    position = _env_args_at(argv)
    return None if position == len(argv) else list(argv[position + 1 :])


def _env_args_at(argv: Sequence[str]) -> int:
    names = [_dashed(word) for word in argv]
    return names.index("--env-args") if "--env-args" in names else len(names)
