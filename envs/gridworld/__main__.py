"""`python -m envs.gridworld`: the simulated GridWorld build. `unity_builds/README.md` lists its arguments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from envs.gridworld.scene import GridWorld
from envs.simulated import player
from envs.simulated.arguments import count
from envs.simulated.scene import SceneFactory


def configure(arguments: Sequence[str]) -> SceneFactory:
    """The scene that the arguments ask for. Raises BadArgumentError."""
    return partial(GridWorld, areas=count(arguments, "--areas", 1))


def main(command_line: Sequence[str]) -> int:
    """Play GridWorld until the trainer leaves; returns the exit code."""
    return player.main(command_line, configure, "Simulated GridWorld")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
