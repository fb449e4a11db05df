"""`python -m envs.depot`: the simulated Depot build. `unity_builds/README.md` lists its arguments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from envs.depot.scene import Depot
from envs.simulated import player
from envs.simulated.arguments import ArgumentParser
from envs.simulated.scene import SceneFactory


def configure(arguments: Sequence[str]) -> SceneFactory:
    """The scene that the arguments ask for. Raises BadArgumentError."""
    parser = ArgumentParser()
    parser.add_argument("--hybrid", action="store_true")
    hybrid: bool = parser.parse_known_args(arguments)[0].hybrid
    return partial(Depot, hybrid=hybrid)


def main(command_line: Sequence[str]) -> int:
    """Play the Depot until the trainer leaves; returns the exit code."""
    return player.main(command_line, configure, "Simulated Depot")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
