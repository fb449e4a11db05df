"""The command line that every simulated build understands: what Unity's player does, and options of our own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

LAYOUTS = ("auto", "hwc", "chw")
COMPRESSIONS = ("png", "none")


class BadArgumentError(ValueError):
    """An argument has a value that means nothing."""


class ArgumentParser(argparse.ArgumentParser):
    """argparse that raises BadArgumentError, where the original writes to stderr and exits."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise BadArgumentError(message)


@dataclass(frozen=True)
class PlayerArguments:
    """The arguments of any simulated build."""

    port: int | None  # None: no trainer was named
    layout: str
    compression: str
    fail: tuple[str, ...]
    rest: tuple[str, ...]  # what was not understood here


def count(arguments: Sequence[str], name: str, default: int) -> int:
    """The value of an option of a scene, such as `--areas`, of which there is at least one. Raises BadArgumentError."""
    parser = ArgumentParser()
    parser.add_argument(name, type=int, default=default, dest="value")
    value: int = parser.parse_known_args(arguments)[0].value
    if value < 1:
        raise BadArgumentError(f"{name} {value}: at least one is needed.")
    return value


def log_file(arguments: Sequence[str]) -> str | None:
    """The value of `-logFile` (or `-logfile`); None without one, and for `-`, which means the standard output."""
    parser = ArgumentParser()
    parser.add_argument("-logFile", "-logfile", nargs="?", dest="path")
    path: str | None = parser.parse_known_args(arguments)[0].path
    return None if path == "-" else path


def parse(arguments: Sequence[str]) -> PlayerArguments:
    """Read the arguments; the last occurrence wins and unknown ones are left alone.

    A port that is no number counts as absent, as in Unity. Raises BadArgumentError for any other bad value.
    """
    parser = ArgumentParser()
    parser.add_argument("--mlagents-port", nargs="?", dest="port")
    parser.add_argument("-logFile", "-logfile", nargs="?")
    parser.add_argument("-nographics", action="store_true")
    parser.add_argument("-batchmode", action="store_true")
    parser.add_argument("--layout", choices=LAYOUTS, default="auto")
    parser.add_argument("--compression", choices=COMPRESSIONS, default="png")
    parser.add_argument("--fail", action="append", default=[])
    known, rest = parser.parse_known_args(arguments)
    return PlayerArguments(
        port=int(known.port) if known.port is not None and known.port.isdecimal() else None,
        layout=known.layout,
        compression=known.compression,
        fail=tuple(known.fail),
        rest=tuple(rest),
    )
