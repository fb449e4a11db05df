"""`python -m envs.gridworld`: the simulated GridWorld build. `unity_builds/README.md` lists its arguments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from envs.gridworld.scene import GridWorld
from envs.simulated import player
from envs.simulated.arguments import ArgumentParser, BadArgumentError
from envs.simulated.scene import SceneFactory


def configure(arguments: Sequence[str]) -> SceneFactory:
    """The scene that the arguments ask for. Raises BadArgumentError."""
    parser = ArgumentParser()
    parser.add_argument("--areas", type=int, default=1)
    areas: int = parser.parse_known_args(arguments)[0].areas
    if areas < 1:
        raise BadArgumentError(f"--areas {areas}: at least one area is needed.")
    return partial(GridWorld, areas=areas)


def main(command_line: Sequence[str]) -> int:
    """Play GridWorld until the trainer leaves; returns the exit code."""
    return player.main(command_line, configure, "Simulated GridWorld")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
